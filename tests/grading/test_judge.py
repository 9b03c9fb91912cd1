"""Blame, with a worker that ends as it is told; the worker itself is tested in test_warm and test_hostile."""
import json
from pathlib import Path

import nbformat
import pytest

from odl_kit.grading import convert, copied, jail, judge
from odl_kit.grading import course as courses

LIMITS = jail.Limits(seconds=3)


class Worker:
    """Answers each run with the next of `ends`: how it ended, and what it leaves in the box ({name: text}) and as junit.xml."""

    def __init__(self, *ends):
        self.ends, self.jobs = list(ends), []

    def run(self, job):
        self.jobs.append(job | {"sources": [cell.source for cell in nbformat.read(job["notebook"], as_version=4).cells]})
        ended, files, junit = self.ends.pop(0)
        for name, text in files.items():
            (Path(job["box"]) / name).write_text(text)
        if junit is not None:
            cases = "".join(f'<testcase name="Cell {i}">{f"<failure>{bad}</failure>" if bad else ""}</testcase>' for i,
                            bad in enumerate(junit))
            (Path(job["notebook"]).parent / "junit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        return {"ended": ended, "status": 0, "held": ["namespaces", "limits"], "seconds": 1.0}


def answered(*values, **more):
    return json.dumps({"error": "", "outputs": [copied.encode(v) for v in values], "case": 0, "message": "", "note": ""} | more)


def verdict(passed):
    return json.dumps({"passed": passed, "message": "" if passed else "expected 2, got 3", "error": "", "case": 0, "given": ""})


ANSWER, PASSED, FAILED = ("done", {"answer-0": answered(2, 10, -6)}, [""] * 4), ("done", {"verdict-0": verdict(True)}, [""]), (
    "done", {"verdict-0": verdict(False)}, ["AssertionError"])


@pytest.fixture
def grade(course):
    """grade(*ends) -> (Result, Worker) of the solved notebook."""
    course()
    lab = courses.lab(courses.Course(), "98_sample")

    def run(*ends, raw=None):
        worker = Worker(*ends)
        return judge.grade(raw if raw is not None else nbformat.writes(convert.key(lab.student)).encode(), lab, worker, LIMITS,
                           seed="s"), worker
    return run


def test_a_question_passes_if_the_judges_cell_and_its_verdict_say_so(grade):
    for last, passed in ((PASSED, True), (FAILED, False), (("done", {"verdict-0": verdict(True)}, ["boom"]), False)):
        result, _ = grade(ANSWER, last)
        assert result.blame == "" and result.questions["double"]["passed"] is passed and result.held == ("namespaces", "limits")


def test_the_judge_gets_values_only_and_the_students_run_no_check(grade):
    _, worker = grade(ANSWER, PASSED)
    student, judges = worker.jobs
    assert student["more"] == [] and judges["more"] and student["cases"]["questions"] == ["double"] and judges["cases"] is None
    assert "return x + x" in "".join(student["sources"]) and "return x + x" not in "".join(judges["sources"])


def test_no_notebook_is_the_files_fault_and_nothing_is_run(grade):
    result, worker = grade(raw=b"no")
    assert result.blame == "file" and "no JSON" in result.problem and worker.jobs == []


@pytest.mark.parametrize(("ended", "says"), [("died", "its process ended"), ("time", "still ran after 3 s"),
                                             ("memory", "1024 MB of memory"),
                                             ("processes", "64 processes"), ("disk", "200 MB"), ("output", "printed so much"),
                                             ("done", "no answer came back")])
def test_an_end_without_an_answer_is_the_students_error(grade, ended, says):
    result, _ = grade((ended, {}, None), FAILED)
    assert result.blame == "" and not result.questions["double"]["passed"]
    _, worker = grade((ended, {}, None), FAILED)
    assert len(worker.jobs) == 2


def test_a_timeout_that_only_nbval_noticed_is_one(grade):
    _, worker = grade(("done", {}, ["", "", "", "Timeout of 8 seconds exceeded"]), FAILED)
    assert worker.ends == []


@pytest.mark.parametrize("ends", [[("jail", {}, None)], [("cases", {}, None)], [ANSWER, ("died", {}, None)], [ANSWER, ("done", {}, None)],
                                  [ANSWER, ("done", {}, ["the check is broken"])], [ANSWER, ("time", {}, None)],
                                  [ANSWER, ("broken", {}, None), ("broken", {}, None)]])
def test_a_jail_a_check_or_a_judge_that_fails_is_ours(grade, ends):
    result, _ = grade(*ends)
    assert result.blame == "ours" and result.problem and result.questions == {}


def test_a_worker_that_broke_is_asked_once_more_then_it_was_the_student(grade):
    assert grade(("broken", {}, None), ANSWER, PASSED)[0].questions["double"]["passed"]
    assert grade(("broken", {}, None), ("broken", {}, None), FAILED)[0].blame == ""


def test_the_exercise_after_a_harmful_one_gets_a_run_of_its_own(course):
    course(course.source + '\n# %% exercise="half"\ndef half(x):\n    return ...\n', course.checks + (
        '\nchecks["half"] = Check(2, cases, judge, ("a", "b"), "def half(x):\\n    return x / 2", ("1", "2"))\n'))
    lab = courses.lab(courses.Course(), "98_sample")
    worker = Worker(("died", {"answer-0": answered(2)}, None), ("died", {}, None),
                    ("done", {"verdict-0": verdict(True), "verdict-1": verdict(False)},
                                                                                  ["", "AssertionError"]))
    result = judge.grade(nbformat.writes(convert.key(lab.student)).encode(), lab, worker, LIMITS, seed="s")
    assert result.questions["double"]["passed"] and not result.questions["half"]["passed"]
    assert ["def double" in "".join(job["sources"]) for job in worker.jobs] == [True, False, False]


def test_nothing_is_left_in_the_temporary_folder(grade, tmp_path, monkeypatch):
    monkeypatch.setattr(judge.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    grade(ANSWER, PASSED)
    assert list((tmp_path / "t").iterdir()) == []
