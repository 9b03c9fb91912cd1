"""The course as pages: every lab linked, every link leading somewhere, every picture described. As drawn: tests/browser."""
import nbformat
import pytest
from nbformat import v4

from odl_kit import viz
from odl_kit.grading import syllabus
from odl_kit.teaching import newlab, site


def executed(folder, name, extra=()):
    """A notebook as a lab leaves it when it has run."""
    figure = v4.new_output("display_data", {"text/html": viz.bars({"a": 1}, y="y", title="One bar").html})
    cells = [v4.new_markdown_cell(f"# {name[:2]} · A title\n\nIntroduction."), v4.new_markdown_cell("## 1 · First · 5 min\n\nText."),
             v4.new_code_cell("x = 1", outputs=[figure], execution_count=1), v4.new_markdown_cell("## Questions\n\n1. Why?"),
             *(v4.new_markdown_cell(text) for text in extra)]
    folder.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}), folder / f"{name}.ipynb")


@pytest.fixture
def two(lab, home):
    """(labs, folder of their executed notebooks) of a course with two labs; the second links to the first."""
    newlab.create("30_next", title="Next", part="Other part", prerequisites=("29_new",))
    executed(home / "site", "29_new")
    executed(home / "site", "30_next", ["See [the lab before](29_new.ipynb) and [its questions](29_new.ipynb#Questions), "
                                         "[the paper](https://arxiv.org/abs/1602.05629)."])
    return syllabus.load(), home / "site"


def test_every_lab_has_a_page_with_its_sections_its_neighbours_and_the_index(two, tmp_path):
    written = site.write(*two, tmp_path / "pages")
    assert [path.name for path in written] == ["index.html", "29_new.html", "30_next.html"] and site.faults(tmp_path / "pages") == []
    index, first, second = (path.read_text(encoding="utf-8") for path in written)
    assert '<a href="29_new.html">29 · How many &lt;pictures&gt;?</a>' in index and index.count("<h2>") == 2
    assert 'href="index.html"' in first and 'Next: <a href="30_next.html">' in first and "Before:" not in first
    assert first.count("1 · First · 5 min</a></li>") == 1 and 'href="#Questions">Questions</a></li>' in first
    assert 'href="29_new.html"' in second and ".ipynb" not in second.split("<main")[1]
    assert first.count("<style>") == 2


def test_a_page_of_a_lab_that_is_gone_is_removed(two, tmp_path):
    labs, folder = two
    site.write(labs, folder, tmp_path / "pages")
    site.write(labs[:1], folder, tmp_path / "pages")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["29_new.html", "index.html"]


def test_a_lab_that_has_not_run_is_named(two, tmp_path, capsys):
    (two[1] / "30_next.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="run `odl build 30`"):
        site.write(*two, tmp_path / "pages")
    assert not (tmp_path / "pages" / "index.html").exists()
    assert site.main(["--as-built", "--out", str(tmp_path / "x")]) == 1 and "29_new.ipynb is not in" in capsys.readouterr().err
    assert site.main(["31"]) == 2 and "no lab '31'" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "says"), [
    ('<a href="gone.html">x</a>', "a file that is not there"), ('<a href="#nowhere">x</a>', "a place that is not there"),
    ('<a href="http://example.org">x</a>', "which is not https"), ('<a href="29_new.html#Nowhere">x</a>', "a place that is not there"),
    ('<img src="data:image/png;base64,AAAA">', "without alt text"), ('<img alt=" " src="data:x">', "without alt text"),
    ('<img alt="No description has been provided for this image" src="data:x">', "without alt text"),
    ('<img alt="a bar" src="bar.png">', "must be fetched")])
def test_a_fault_is_found(two, tmp_path, content, says):
    site.write(*two, tmp_path)
    (tmp_path / "page.html").write_text(f"<html><body>{content}</body></html>", encoding="utf-8")
    assert [fault for fault in site.faults(tmp_path) if says in fault and fault.startswith("page.html")]


def test_places_are_found_as_a_browser_finds_them(tmp_path):
    (tmp_path / "page.html").write_text('<h2 id="1-·-a&amp;b">x</h2><a href="#1-%C2%B7-a&amp;b">x</a><a href="page.html#1-·-a&amp;b">x</a>'
                                        '<a href="mailto:a@b">x</a><a href="https://example.org/#x">x</a>', encoding="utf-8")
    assert site.faults(tmp_path) == []
