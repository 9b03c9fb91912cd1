import json
from dataclasses import replace

import nbformat
import pytest

from odl_kit.grading import batch, convert, jail, judge
from odl_kit.grading import course as courses
from odl_kit.grading.collect import Submission

from .classroom import verdict

LIMITS, ABOUT = jail.Limits(seconds=3), courses.Course(seed="s")


@pytest.fixture
def room(course, monkeypatch, tmp_path):
    """room(submissions, **options) -> (results, log, [notebooks that were graded]); its judge looks for `x + x` and starts no process."""
    course()
    lab = courses.lab(ABOUT, "98_sample")
    graded = []

    class Worker:
        def __init__(self, imports):
            assert "import math" in imports

        def stop(self):
            pass

    def grade(raw, lab, worker, limits, *, seed):
        if run.fails and run.fails in raw:
            raise RuntimeError("a bug of ours")
        graded.append((raw, seed))
        return judge.Result(lab.name, questions={"double": verdict(b"return x + x" in raw)}, held=("limits",), texts=("t",))

    def run(submissions, **options):
        graded.clear()
        log = []
        found = batch.grade(submissions, {"98_sample": options.pop("lab", lab)}, options.pop("about", ABOUT), options.pop("limits", LIMITS),
                            out=tmp_path / "out", say=log.append, **options)
        return found, log, [raw for raw, seed in graded if seed != "control"]

    monkeypatch.setattr(batch.warm, "Worker", Worker)
    monkeypatch.setattr(batch.judge, "grade", grade)
    run.lab, run.fails = lab, None
    return run


def submission(student, text=b"return x + x", **more):
    return Submission(student, f"{student}/98_sample.ipynb", text, lab="98_sample", **more)


def test_what_was_graded_is_not_graded_again_and_the_result_is_the_same(room):
    first, _, graded = room([submission("ada"), submission("bob", b"wrong")], workers=2)
    assert sorted(graded) == [b"return x + x", b"wrong"] and first["bob/98_sample.ipynb"].questions["double"]["passed"] is False
    second, log, graded = room([submission("ada"), submission("bob", b"wrong")])
    assert graded == [] and second == first and log.count("ada/98_sample.ipynb: was graded before") == 1


def test_a_changed_file_lab_seed_or_limit_is_graded_anew_and_nothing_else(room):
    room([submission("ada"), submission("bob")])
    assert room([submission("ada", b"new"), submission("bob")])[2] == [b"new"]
    assert len(room([submission("ada"), submission("bob")], lab=replace(room.lab, digest="other"))[2]) == 2
    assert len(room([submission("ada"), submission("bob")], about=replace(ABOUT, seeds={"ada": "x"}))[2]) == 1
    assert len(room([submission("ada"), submission("bob")], limits=replace(LIMITS, seconds=4))[2]) == 2
    assert room([submission("ada"), submission("bob")])[2] == []


def test_again_grades_one_student_anew(room):
    room([submission("ada"), submission("bob", b"wrong")])
    assert room([submission("ada"), submission("bob", b"wrong")], again=["bob"])[2] == [b"wrong"]


def test_a_damaged_result_is_graded_anew(room, tmp_path):
    room([submission("ada")])
    for text in ("{", "[]", '{"lab": "98_sample", "more": 1}'):
        for path in (tmp_path / "out" / "results").iterdir():
            path.write_text(text)
        assert room([submission("ada")])[2] == [b"return x + x"]


def test_our_failure_is_named_stops_nobody_and_is_not_kept(room):
    room.fails = b"bug"
    found, log, _ = room([submission("ada", b"bug"), submission("bob")])
    assert found["ada/98_sample.ipynb"].blame == "ours" and "a bug of ours" in found["ada/98_sample.ipynb"].problem
    assert found["bob/98_sample.ipynb"].blame == "" and any("OUR FAILURE" in line for line in log)
    room.fails = None
    assert room([submission("ada", b"bug"), submission("bob")])[0]["ada/98_sample.ipynb"].blame == ""


def test_damaged_files_and_unknown_labs_are_not_run(room):
    found, _, graded = room([submission("ada", problem="the file is empty"), Submission("bob", "x", b"y", lab="77_other")])
    assert [r.blame for r in found.values()] == ["file", "file"] and graded == []


def test_a_lab_whose_solutions_do_not_pass_here_is_ours_and_nobody_is_graded(room, monkeypatch):
    monkeypatch.setattr(batch.judge, "grade", lambda raw, lab, *a, **k: judge.Result(lab.name, questions={"double": verdict(False)}))
    found, log, _ = room([submission("ada")])
    assert found["ada/98_sample.ipynb"].blame == "ours" and "the solutions of 98_sample do not get what they should" in log[0]
    monkeypatch.setattr(batch.judge, "grade", lambda raw, lab, *a, **k: judge.Result(lab.name, questions={"double": verdict(True)}))
    assert "the untouched stubs of 98_sample" in room([submission("ada")])[0]["ada/98_sample.ipynb"].problem
    monkeypatch.setattr(batch.judge, "grade", lambda raw, lab, *a, **k: judge.Result(lab.name, "ours", "no jail"))
    assert "could not be graded: no jail" in room([submission("ada")])[0]["ada/98_sample.ipynb"].problem


def test_every_student_is_graded_with_a_seed_of_their_own(room, monkeypatch):
    seeds = []
    real = batch.judge.grade
    monkeypatch.setattr(batch.judge, "grade", lambda *a, seed: seeds.append(seed) or real(*a, seed=seed))
    room([submission("ada"), submission("bob")])
    assert len(set(seeds) - {"control"}) == 2


def test_of_several_files_the_last_counts_or_all_that_are_allowed_where_the_best_is_kept():
    files = [replace(submission("ada"), path=f"{n}") for n in range(4)] + [submission("bob")]
    chosen, tries = batch.counting(files, ABOUT)
    assert [s.path for s in chosen] == ["3", "bob/98_sample.ipynb"] and tries == {"3": 4, "bob/98_sample.ipynb": 1}
    assert [s.path for s in batch.counting(files, replace(ABOUT, labs={"98_sample": {"attempts": 2}}))[0]] == ["1", "bob/98_sample.ipynb"]
    both = replace(ABOUT, labs={"98_sample": {"attempts": 3, "keep": "best"}})
    assert [s.path for s in batch.counting(files, both)[0]] == ["0", "1", "2", "bob/98_sample.ipynb"]


def test_the_control_hands_in_the_key_and_the_stubs(room, monkeypatch):
    seen = []
    monkeypatch.setattr(batch.judge, "grade", lambda raw, lab, *a, **k: seen.append(nbformat.reads(raw.decode(), as_version=4))
                        or judge.Result(
        lab.name, questions={"double": verdict(len(seen) == 1)}))
    assert batch.control(room.lab, None, LIMITS) == ""
    assert "return x + x" in json.dumps(seen[0]) and convert.differences(seen[1], room.lab.student) == []
