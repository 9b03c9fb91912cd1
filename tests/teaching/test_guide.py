"""Every lab has a page for who teaches it; its head is current, and the rest is written."""
import re

import pytest

import odl_kit
from odl_kit import cli
from odl_kit.grading import syllabus
from odl_kit.teaching import guide

LABS = syllabus.load()


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_lab_has_a_page_that_is_current_and_written_to_its_end(lab):
    assert guide.problems(lab) == []


def test_no_page_is_left_over():
    assert {path.stem for path in (odl_kit.home() / "instructor" / "labs").glob("*.md")} == {lab.name for lab in LABS}


def written(lab):
    """A page of the template's lab in which every place is written."""
    return guide.skeleton(lab).replace(guide.TO_WRITE, "Something")


def test_the_head_tells_sections_points_and_questions(lab):
    head = guide.head(lab)
    assert "| 2 · Your turn | 10 |  | `error_rate` (2 points) | `new_pictures` |" in head
    assert "| 3 sections | 20 | 1 | 2 points | 1 |" in head and "\n2. Where would you stop collecting" in head
    assert "section 12.3, 12.4" in head and "(../../labs/checks/29_new.py)" in head


def test_what_a_person_wrote_is_kept_when_the_head_changes(lab, home):
    guide.path(lab.name).write_text(written(lab) + "\nMy own remark.\n", encoding="utf-8")
    assert guide.problems(lab) == []
    checks = home / "labs" / "checks" / "29_new.py"
    checks.write_text(checks.read_text().replace("points=2", "points=5"), encoding="utf-8")
    assert guide.problems(lab) == ["its head is not current: run `odl build 29`"]
    assert guide.write() is True and guide.problems(lab) == []
    text = guide.path(lab.name).read_text(encoding="utf-8")
    assert "My own remark." in text and "(5 points)" in text


@pytest.mark.parametrize(("old", "new", "says"), [
    ("5-45", "10-45", "every row begins where the last ends"), ("45-50", "45-55", "from 0 to 50"), ("`error_rate`: ", "", "no mistake of"),
    ("2. Something", "Something", "1 answers for 2"), ("Something\n\n## Refl", "TO WRITE\n\n## Refl", "1 places still say"),
    ("## Questions to ask", "## Ask", "nothing stands under '## Questions to ask'")])
def test_a_page_with_a_gap_is_seen(lab, old, new, says):
    text = written(lab)
    head, body = text.split(guide.END)
    assert old in body
    guide.path(lab.name).write_text(head + guide.END + body.replace(old, new, 1), encoding="utf-8")
    assert any(says in sentence for sentence in guide.problems(lab)), guide.problems(lab)


def test_a_missing_page_is_begun_and_one_without_marks_is_refused(lab, capsys):
    guide.path(lab.name).unlink()
    assert "is not there" in guide.problems(lab)[0]
    assert guide.write() is True and guide.path(lab.name).read_text(encoding="utf-8") == guide.skeleton(lab)
    guide.path(lab.name).write_text("no marks\n", encoding="utf-8")
    assert guide.write() is False and "it must stand there once" in capsys.readouterr().err
    assert guide.path(lab.name).read_text(encoding="utf-8") == "no marks\n"


def links(path):
    """The links of a Markdown file that lead to files or headings."""
    return re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted((odl_kit.home() / "instructor").rglob("*.md")), ids=lambda path: path.stem)
def test_every_link_of_the_guide_leads_somewhere(path):
    headings = [re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
                for line in re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.M)]
    found = links(path)
    assert found and [link for link in found if not (link[1:] in headings if link[0] == "#" else (path.parent / link).exists())] == []


def test_every_command_that_the_guide_names_exists():
    text = (odl_kit.home() / "instructor" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bodl ([a-z-]+)", text)) <= set(cli.COMMANDS)
