"""What every page has around its content."""
import re

from odl_kit.teaching import pages


def test_a_page_is_whole_and_fetches_nothing():
    text = pages.whole("A < B", "<h1>Hello</h1>", bar='<a href="index.html">home</a>', foot="<span>next</span>")
    assert text.startswith("<!DOCTYPE html>") and '<html lang="en">' in text and "<title>A &lt; B</title>" in text
    assert '<main id="content">\n<h1>Hello</h1>' in text and 'href="#content">to the content' in text and "<footer>" in text
    assert not re.search(r"<link|<script[^>]+src|@import|url\(|https?:", text)
    assert "<footer>" not in pages.whole("A", "B")


def test_both_themes_have_every_colour():
    for line in re.findall(r"--\w+: ([^;]+);", pages.sheets("look").split("</style>")[1]):
        assert line.startswith(("light-dark(", "var(")), line


def test_a_table_names_its_columns_and_aligns_numbers():
    text = pages.table(("Lab <1>", "Points"), [["<b>a</b>", "3"]], numbers=(1,))
    assert '<th scope="col">Lab &lt;1&gt;</th>' in text and '<td class="n">3</td>' in text and "<td><b>a</b></td>" in text
