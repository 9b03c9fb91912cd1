import datetime

import pytest

from odl_kit.grading import course as courses

PRIVATE = """
from odl_kit.lab.judging import Check, close
checks = {"double": Check(points=2, cases=lambda rng: [(10,)], judge=lambda case, out: close(out, 20), hints=("a", "b"),
                          solution="def double(x):\\n    return 2 * x", wrong=("1", "2"))}
"""


def write(folder, text):
    (folder / "course.toml").write_text(text)
    return folder / "course.toml"


def test_everything_that_a_course_may_change_is_read(course_of_one, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "98_sample.py").write_text(PRIVATE)
    about = courses.load(write(tmp_path, """
title = "Spring"
seed = "s"
private = "private"
[late]
per_day = 10
grace_minutes = 5
days = 3
[seeds]
ada = "t"
[labs.98_sample]
deadline = 2027-03-01T23:59:00+01:00
points = { double = 5 }
reflection = 6
attempts = 2
keep = "best"
"""))
    assert about.title == "Spring" and about.labs["98_sample"]["deadline"].utcoffset() == datetime.timedelta(hours=1)
    assert courses.points(about, "98_sample") == {"double": 5, "double (private)": 2}
    lab = courses.lab(about, "98_sample")
    assert lab.questions == {"double": "double", "double (private)": "double"} and lab.private in lab.more


@pytest.mark.parametrize(("text", "says"), [
    ("seeed = 'x'", "unknown key 'seeed'"), ("seed = 5", "seed is 5, which is int"), ("title = ", "course.toml"),
                                            ("[labs.99_no]", "no lab '99_no'"),
    ("[labs.98_sample]\nkeep = 'worst'", 'may be "last" or "best"'), ("[labs.98_sample]\ndeadline = 2027-03-01T10:00:00", "no time zone"),
    ("[labs.98_sample]\npoints = { triple = 1 }", "'triple' = 1; there are double"),
                                            ("[labs.98_sample]\npoints = { double = -1 }", "0 or more"),
    ("private = 'nowhere'", "no folder"), ("[late]\nper_week = 3", "unknown key 'per_week'"),
                                            ("[labs.98_sample]\nattempts = true", "attempts is True")])
def test_what_does_not_fit_is_named(course_of_one, tmp_path, text, says):
    with pytest.raises(ValueError, match=says):
        courses.load(write(tmp_path, text))


def test_a_private_check_is_for_an_exercise_that_there_is(course_of_one, tmp_path):
    (tmp_path / "98_sample.py").write_text(PRIVATE.replace('"double":', '"triple":'))
    with pytest.raises(ValueError, match=r"triple \(private\) is for no exercise of 98_sample, which has double"):
        courses.lab(courses.Course(private=tmp_path), "98_sample")


def test_every_student_lab_and_seed_has_cases_of_its_own_and_keeps_them():
    about = courses.Course(seed="s", seeds={"eve": "other"})
    seeds = [courses.seed_of(about, lab, student) for lab in ("a", "b") for student in ("ada", "bob", "eve")]
    assert len(set(seeds)) == 6 and seeds == [courses.seed_of(about, lab, student) for lab in ("a", "b")
                                              for student in ("ada", "bob", "eve")]
    assert courses.seed_of(about, "a", "eve") == courses.seed_of(courses.Course(seed="other"), "a", "eve")
    assert not any("s" == seed or "other" in seed for seed in seeds)


def test_the_digest_changes_with_the_checks(course_of_one, tmp_path):
    before = courses.lab(courses.Course(), "98_sample").digest
    assert before == courses.lab(courses.Course(), "98_sample").digest
    course_of_one(course_of_one.source, course_of_one.checks.replace("(1, 5, -3)", "(1, 5, -4)"))
    assert courses.lab(courses.Course(), "98_sample").digest != before
    (tmp_path / "98_sample.py").write_text(PRIVATE)
    assert courses.lab(courses.Course(private=tmp_path), "98_sample").digest not in (before,
                                                                                     courses.lab(courses.Course(), "98_sample").digest)


@pytest.fixture
def course_of_one(course):
    course()
    return course
