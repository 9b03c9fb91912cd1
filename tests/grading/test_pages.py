from html.parser import HTMLParser

import pytest

from odl_kit.grading import pages


class Outline(HTMLParser):
    """Headings, attributes and tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def luminance(colour):
    """Relative luminance of "#rrggbb", WCAG 2.1."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ink", ["ink", "soft", "good", "bad", "mark"])
def test_every_colour_of_text_has_the_contrast_of_wcag_aa_on_both_grounds_in_both_themes(theme, ink):
    import re
    colours = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in pages.STYLE.split("prefers-color-scheme")][theme]
    assert all(contrast(colours[ink], colours[ground]) >= 4.5 for ground in ("back", "card"))


def test_a_page_has_a_language_a_title_and_no_script_or_foreign_file():
    tags = Outline(pages.page("A & B", "<p>x</p>", lead="C < D")).tags
    assert ("html", {"lang": "en"}) in tags and [t for t, _ in tags].count("h1") == 1 and ("title", {}) in tags and ("main", {}) in tags
    assert not any(t in ("script", "link", "img", "iframe") for t, _ in tags)
    assert "A &amp; B" in pages.page("A & B", "") and "C &lt; D" in pages.page("", "", lead="C < D")


def test_a_text_stays_text():
    assert pages.escape("<b>\x00\x1b[31m\u202e") == "&lt;b&gt;??[31m?"
    assert pages.words("use `x < y`, not <x>") == "use <code>x &lt; y</code>, not &lt;x&gt;"
    assert pages.escape("\ud800") == "?"
    assert pages.words("the *present* w, 2*a*b, `a *b* c`") == "the <em>present</em> w, 2*a*b, <code>a *b* c</code>"


def test_a_table_has_a_caption_headings_and_can_be_reached_by_keyboard():
    text = pages.table("C", ("a", "b"), [("<x>", pages.Html("<i>y</i>"))], numbers=(1,))
    tags = Outline(text).tags
    assert ("th", {"scope": "col"}) in tags and ("caption", {}) in tags and any(a.get("tabindex") == "0" for _, a in tags)
    assert "&lt;x&gt;" in text and "<td class=n><i>y</i></td>" in text


@pytest.mark.parametrize("student", ["../../etc/passwd", "a/b", "a\\b", "", ".", "..", "Ada Lovelace", "x" * 300, "ü", "con:nul", "a\x00b",
                                     "\udc80"])
def test_any_students_file_name_stays_in_its_folder_and_is_its_own(student):
    name = pages.file_name(student)
    assert name and not set(name) & set('/\\:\x00 ') and not name.startswith(".") and len(name) < 100
    assert name != pages.file_name(student + "x") and pages.file_name("ada.b@c-1_2") == "ada.b@c-1_2"
