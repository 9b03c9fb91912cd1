"""The pages for reading in a real Chromium: light and dark, wide and narrow; and the proof that the reader finds what it looks for.

Two labs that are quick to run stand for all; `odl site` and `python tests/browser/reading.py build/pages` look at every one.
"""
from contextlib import nullcontext

import nbformat
import pytest
import reading
import walk
from records import Look

import odl_kit
from odl_kit.grading import convert, syllabus
from odl_kit.grading.execute import execute
from odl_kit.lab import ledger
from odl_kit.teaching import pages, progress, site, slides

pytestmark = pytest.mark.slow
LABS = [lab for lab in syllabus.load() if lab.name in ("00_start_here", "11_fedavg")]
LOOKS = [Look("dark", 420), Look("light", 1280)]
FLAWS = (
    ("alt", '<img src="data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22 width=%2240%22 height=%2240%22/>">', "no alt text"),
    ("image", '<img alt="a figure" src="data:image/png;base64,AAAA" width="40">', "is not shown"),
    ("overflow", '<div style="width: 3000px">a wide table</div>', "a wide table"),
    ("overflow", '<p style="width: 3000px">a wide text</p>', "the page needs"),
    ("contrast", '<details><summary>more</summary><p style="color: #888; background: #777">grey on grey</p></details>', "grey on grey"),
    ("link", '<a href="#nowhere">there</a>', "#nowhere leads nowhere"), ("error", "<script>throw new Error('broken')</script>", "broken"),
    ("network", '<iframe title="a page" src="https://example.invalid/page"></iframe>', "example.invalid"))


@pytest.fixture(scope="module")
def read(need_tool):
    need_tool(*walk.PROGRAMS, hint=walk.INSTALL)
    with reading.reader() as read_one:
        yield read_one


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder of the two labs' notebooks, run."""
    folder, labs = tmp_path_factory.mktemp("site"), odl_kit.home() / "labs"
    for lab in LABS:
        nbformat.write(execute(convert.student(labs / "src" / f"{lab.name}.py"), cwd=labs), folder / f"{lab.name}.ipynb")
    return folder


def test_the_site_looks_right_and_every_link_leads_somewhere(executed, read, tmp_path):
    written = site.write(LABS, executed, tmp_path / "pages")
    assert site.faults(tmp_path / "pages") == []
    for page in written:
        assert read(page, LOOKS, tmp_path / "shots") == [], page.name
    assert (tmp_path / "shots" / "index-dark-420-1.png").stat().st_size > 1000


def test_the_slides_of_a_part_look_right(executed, read, tmp_path, need_tool):
    need_tool("npm", hint="apt install npm")
    deck, notebooks = tmp_path / "deck.html", [nbformat.read(executed / f"{lab.name}.ipynb", as_version=4) for lab in LABS]
    deck.write_text(slides.page("A part", LABS, notebooks), encoding="utf-8")
    assert read(deck, LOOKS, tmp_path / "shots") == []
    assert len(list((tmp_path / "shots").glob("deck-*.png"))) > 30


def test_a_page_of_progress_looks_right(read, tmp_path, monkeypatch):
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "ledger"))
    ledger.record("11_fedavg", "predictions", "alone", answer="about 10 %", measured=19.7, unit="%", holds="about 20 %")
    ledger.record("11_fedavg", "quizzes", "drift", answer="The server must average more numbers", right=False)
    ledger.export(tmp_path / "ada.json")
    assert progress.main(["--out", str(tmp_path / "own.html")]) == 0
    assert progress.main([str(tmp_path / "ada.json"), "--out", str(tmp_path / "class.html")]) == 0
    for name in ("own", "class"):
        assert read(tmp_path / f"{name}.html", LOOKS, tmp_path) == []


def test_every_flaw_is_found_and_nothing_else(read, tmp_path):
    path = tmp_path / "flawed.html"
    path.write_text(pages.whole("Flawed", "<h1>A title</h1>" + "".join(content for _, content, _ in FLAWS)), encoding="utf-8")
    found = read(path, LOOKS, tmp_path)
    for kind, _, words in FLAWS:
        assert [one for one in found if one.kind == kind and words in one.text], (kind, found)
    assert {one.kind for one in found} == {kind for kind, _, _ in FLAWS}


def test_a_button_that_changes_nothing_is_found(read, tmp_path):
    (tmp_path / "page.html").write_text(pages.whole("A", "<h1>A</h1>").replace('"click"', '"none"'), encoding="utf-8")
    assert [(one.kind, one.text) for one in read(tmp_path / "page.html", LOOKS, tmp_path)] == [
        ("action", "the button for light and dark changes nothing")]


def test_the_command_says_what_is_wrong_and_exits_with_one(read, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reading, "reader", lambda: nullcontext(read))       # the browser that is open already
    (tmp_path / "good.html").write_text(pages.whole("Good", "<h1>Good</h1>"), encoding="utf-8")
    assert reading.main([str(tmp_path), "--out", str(tmp_path / "shots")]) == 0
    (tmp_path / "bad.html").write_text(pages.whole("Bad", '<a href="#gone">x</a>'), encoding="utf-8")
    assert reading.main([str(tmp_path), "--out", str(tmp_path / "shots")]) == 1
    assert "link: #gone leads nowhere" in capsys.readouterr().out
