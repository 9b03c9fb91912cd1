import re

from odl_kit.grading import alike, report
from odl_kit.grading import course as courses
from odl_kit.lab import judging

from .classroom import row, verdict

ROWS = [row("ada"), row("bob", questions={"double": verdict(False, message="expected 4, got 5")}),
        row("cat", questions={"double": verdict(False, message="expected -6.5, got 1e-3")}),
        row("dan", questions={"double": verdict(False, error="unwritten", message="not written yet")}),
        row("eve", blame="ours", problem="the jail <b>"), row("kim", blame="file", problem="the file is empty")]


def page(tmp_path, rows=ROWS, **more):
    feedback = {r.student: tmp_path / "feedback" / f"{r.student}.html" for r in rows}
    report.write(rows, courses.Course(title="Spring"), tmp_path, **{"feedback": feedback, "pairs": []} | more)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_blame_is_given_three_ways(tmp_path):
    text = page(tmp_path)
    counts = "<strong>4</strong> graded, <strong>1</strong> could not be read, <strong>1</strong> not graded, our failure."
    assert counts in text
    assert "<td>our failure</td><td>eve</td>" in text and "<td>damaged file</td><td>kim</td>" in text and "the jail &lt;b&gt;" in text


def test_the_distribution_is_drawn_and_told(tmp_path):
    text = page(tmp_path)
    assert 'aria-label="Students by points: 3 with 0, 1 with 3"' in text and "mean 0.75, median 0 of 3 points" in text
    assert report.histogram([0, 40, 40], 40).count("<rect") == 14                      # many points share a bar


def test_the_hardest_check_stands_first_and_equal_mistakes_are_counted_together(tmp_path):
    rows = [row(s, questions={"double": verdict(s != "ada"), "half": verdict(False, message=f"expected {n}, got {n + 1}")},
                possible={"double": 3, "half": 1}) for n, s in enumerate(("ada", "bob", "cat"))]
    text = page(tmp_path, rows)
    assert text.index("<td>half</td><td class=n>0 %") < text.index("<td>double</td><td class=n>67 %")
    assert re.search(r"<td class=n>3</td><td>half</td><td>expected \d, got \d</td>", text)
    assert re.search(r"<td class=n>2</td><td>double</td>", page(tmp_path)) and "not written yet" not in page(tmp_path)


def test_alike_answers_stand_side_by_side_as_text(tmp_path):
    pair = alike.Pair("98_sample", "double", ("ada", "bob"), 0.9, ("a < b", "c < d"))
    text = page(tmp_path, pairs=[pair])
    assert "90 % in common" in text and "a &lt; b" in text and "c &lt; d" in text and "not a proof" in re.sub(r"\s+", " ", text)


def test_only_what_many_did_not_write_is_compared(course):
    course()
    check = judging.load("98_sample").checks["double"]
    rows = [row(s, cells={"double": check.solution}) for s in ("ada", "bob")]
    assert report.find_alike(rows, {"98_sample": {"double": ("double", check)}}) == []


def test_missing_layers_are_said(tmp_path):
    text = page(tmp_path)
    assert text.count("<td>held</td>") == 3
    import dataclasses
    weak = [dataclasses.replace(r, result=dataclasses.replace(r.result, held=("limits",))) for r in ROWS]
    assert page(tmp_path, weak).count("<td>not here</td>") == 2


def test_requests_that_wait_are_listed_and_every_student_has_a_link(tmp_path):
    text = page(tmp_path, waiting=[{"student": "ada", "lab": "98_sample", "question": "double", "request": "<i>please</i>"}])
    assert "&lt;i&gt;please&lt;/i&gt;" in text and 'href="feedback/kim.html"' in text


def test_a_class_of_nobody_has_a_report(tmp_path):
    assert "<strong>0</strong> graded" in page(tmp_path, [])
