import re

import pytest

from odl_kit.grading import course as courses
from odl_kit.grading import feedback

from .classroom import row, verdict


@pytest.fixture
def lab(course):
    course()
    return courses.lab(courses.Course(), "98_sample")


def text(lab, *rows):
    """The page without its tags."""
    page = feedback.page("ada", list(rows), {"98_sample": lab}, courses.Course(title="Spring"))
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<body"):]).split())


def test_what_failed_says_what_was_asked_what_happened_and_a_hint(lab):
    said = text(lab, row(questions={"double": verdict(False)}))
    assert "0 of 3 points" in said and "double : Twice x." in said.replace("<code>", "")
    for part in ("Case 1: double(the number 5)", "What happened: expected 2, got 3.", "Hint: Add.", "Add x to x."):
        assert part in said, part


def test_what_passed_has_no_hint(lab):
    said = text(lab, row())
    assert "3 of 3 points" in said and "✓ passed" in said and "Hint" not in said


def test_a_note_is_said_also_where_all_is_well(lab):
    assert "Note: 2 cells are marked." in text(lab, row(questions={"double": verdict(note="2 cells are marked")}))


def test_lateness_comment_and_regrade_are_said(lab):
    said = text(lab, row(late_days=2, penalty=0.2, comment="Where is the number?", decisions={"double": "regraded from 0 to 2. Right."}))
    for part in ("2 days late: 20 % of what was earned is taken off", "Where is the number?", "regraded from 0 to 2. Right."):
        assert part in said, part


def test_a_damaged_file_and_our_failure_are_told_apart(lab):
    assert "No answers could be read. the file is empty." in text(lab, row(blame="file", problem="the file is empty"))
    ours = text(lab, row(blame="ours", problem="secret details"))
    assert "not your doing" in ours and "secret details" not in ours and "Hint" not in ours


def test_of_a_private_check_neither_inputs_nor_code_are_shown(course, tmp_path):
    course()
    (tmp_path / "98_sample.py").write_text(course.checks.replace("Add x to x.", "Look at zero.").replace("return x + x", "return SECRET"))
    about = courses.Course(private=tmp_path)
    failed = row(questions={"double (private)": verdict(False)}, possible={"double (private)": 3})
    page = feedback.page("ada", [failed], {"98_sample": courses.lab(about, "98_sample")}, about)
    assert "What happened: expected 2, got 3." in page and "Look at zero." in page
    assert "Case 1" not in page and "the number 5" not in page and "SECRET" not in page and "def " not in page


def test_a_students_text_is_never_run(lab):
    bad = "<script>alert(1)</script>"
    page = feedback.page(bad, [row(name=bad, questions={"double": verdict(False, message=bad, given=bad, note=bad)}, comment=bad)],
                         {"98_sample": lab}, courses.Course(title=bad))
    assert "<script" not in page


def test_headings_are_in_order(lab):
    page = feedback.page("ada", [row(questions={"double": verdict(False)})] * 2, {"98_sample": lab}, courses.Course())
    levels = [int(n) for n in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_everybody_gets_a_page(lab, tmp_path):
    found = feedback.write([row(), row("../bob")], {"98_sample": lab}, courses.Course(), tmp_path)
    assert {path.parent for path in found.values()} == {tmp_path / "feedback"} and all(path.is_file() for path in found.values())
