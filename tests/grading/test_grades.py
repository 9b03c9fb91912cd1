import datetime

import pytest

from odl_kit.grading import course as courses
from odl_kit.grading import grades, judge
from odl_kit.grading.collect import Submission

from .classroom import row, verdict

NOON = datetime.datetime(2027, 3, 1, 12, tzinfo=datetime.UTC)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@pytest.mark.parametrize(("after", "days", "share"), [(-HOUR, 0, 0), (0 * HOUR, 0, 0), (HOUR, 0, 0), (HOUR * 1.5, 1, 0.1),
                                                      (DAY + HOUR, 1, 0.1),
                                                      (DAY + 2 * HOUR, 2, 0.2), (3 * DAY, 3, 0.3), (4 * DAY, 4, 1.0)])
def test_lateness_counts_days_begun_after_the_grace_and_ends_at_nothing(after, days, share):
    found = grades.late(NOON, NOON + after, {"grace_minutes": 60, "per_day": 10, "days": 3})
    assert found == (days, pytest.approx(share))


def test_without_a_deadline_a_time_or_a_policy_nothing_is_taken():
    assert grades.late(None, NOON, {"per_day": 10}) == grades.late(NOON, None, {"per_day": 10}) == (0, 0)
    assert grades.late(NOON, NOON + DAY, {}) == (1, 0)
    assert grades.late(NOON, NOON + 20 * DAY, {"per_day": 10}) == (20, 1.0)
    assert grades.late(None, None, {"per_day": 10}, marked=True) == (1, 0.1)      # the platform says late, and not by how much


def test_deadlines_in_other_time_zones_are_the_same_moment():
    zone = datetime.timezone(datetime.timedelta(hours=9))
    assert grades.late(NOON, NOON.astimezone(zone), {"per_day": 10})[0] == 0


def test_points_are_of_questions_that_passed(course):
    course()
    for passed, total in ((True, 3), (False, 0)):
        result = judge.Result("98_sample", questions={"double": verdict(passed)})
        made = grades.row(Submission("ada", "x", lab="98_sample"), result, courses.Course())
        assert (made.total, made.maximum) == (total, 3)


def test_our_failure_and_an_open_reflection_leave_the_total_open_and_a_damaged_file_is_nothing(course):
    course()
    about = courses.Course(labs={"98_sample": {"reflection": 6}})
    made = {blame: grades.row(Submission("ada", "x", lab="98_sample"), judge.Result("98_sample", blame, "why"), about)
            for blame in ("ours", "file", "")}
    assert made["ours"].total is None and made["file"].total == 0 and made[""].total is None and made[""].maximum == 9
    unknown = grades.row(Submission("ada", "x"), judge.Result("", "file", "no lab"), about)
    assert (unknown.total, unknown.maximum) == (0, 0)


def test_lateness_is_taken_from_what_was_earned():
    assert row(penalty=0.25).total == pytest.approx(2.25)


def test_the_courses_deadline_goes_before_the_commands_and_a_given_time_before_the_files(course):
    course()
    about = courses.Course(late={"per_day": 10}, labs={"98_sample": {"deadline": NOON}})
    submission = Submission("ada", "x", lab="98_sample", when=NOON + DAY)
    result = judge.Result("98_sample", questions={"double": verdict()})
    assert grades.row(submission, result, about, deadline=NOON + 5 * DAY).late_days == 1
    assert grades.row(submission, result, about, when=NOON).late_days == 0
    assert grades.row(submission, result, courses.Course(), deadline=NOON).late_days == 1


def test_of_attempts_the_best_is_kept_and_of_equals_the_last():
    worse, good, equal = (row(attempts=n, questions={"double": verdict(ok)}) for n, ok in ((1, False), (2, True), (3, True)))
    assert grades.best([worse, good, equal, row("bob")]) == [equal, row("bob")]
    assert grades.best([good, worse]) == [good]


def test_times_are_read_and_a_bad_one_is_named_by_its_line(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("student,lab,time\nada,98_sample,2027-03-01T12:00:00Z\nbob,,2027-03-01T13:00:00+01:00\n")
    assert grades.times(path) == {("ada", "98_sample"): NOON, ("bob", ""): NOON}
    path.write_text("student,time\nada,2027-03-01T12:00:00Z\nbob,yesterday\n")
    with pytest.raises(ValueError, match="line 3: the time is 'yesterday'"):
        grades.times(path)
