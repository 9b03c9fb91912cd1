"""What a schedule says, step by step, against walks done by hand."""
import re

import pytest

from odl_kit.learners import schedules

SCHEDULES = (schedules.plain(5), schedules.sqrt(5), schedules.sqrt(16), schedules.shrinking(7), (((0,), 1), 2), (0, ((1,), 2), 3),
             (((0, 1), (2,), 3), 4, (5, 6), 7), ((0, 1),), (((0, ((1,), 2)),),))


def test_steps_of_a_small_schedule_by_hand():
    def told(schedule):
        return " ".join(f"{what}{unit}" for what, unit in schedules.steps(schedule))
    assert told(((0, 1), 2)) == "run0 run1 keep2 back2 keep0 keep1 back1 back0"
    assert told((((0,), 1), 2)) == "run0 run1 keep2 back2 run0 keep1 back1 keep0 back0"


def test_the_timeline_of_a_small_schedule_by_hand():
    assert schedules.timeline(((0, 1), 2)) == [["run", "input", "input", "input", "keep", "held", "held", "back"],
                                               ["", "run", "", "", "", "keep", "back", ""],
                                               ["", "", "keep", "back", "", "", "", ""]]


def test_a_timeline_has_one_unit_at_work_at_a_time_and_holds_what_was_kept_until_its_way_back():
    for schedule in SCHEDULES:
        rows, done = schedules.timeline(schedule), schedules.steps(schedule)
        at_work = [[(row[t], i) for i, row in enumerate(rows) if row[t] in ("run", "keep", "back")] for t in range(len(done))]
        assert at_work == [[step] for step in done]
        for row in rows:
            assert re.fullmatch("[ri.]*kh*b[.]*", "".join((state or ".")[0] for state in row)), row


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 100])
def test_all_makers_name_every_unit_once_and_in_order(n):
    for make in (schedules.plain, schedules.sqrt, schedules.shrinking):
        assert schedules.flat(make(n)) == list(range(n))
        assert all(count <= 2 for count in (sum(i == unit and what != "back" for what, i in schedules.steps(make(n))) for unit in range(n)))


def test_segments_say_where_they_are_wrong():
    assert schedules.in_segments([2, 2, 1]) == ((0, 1), (2, 3), 4)
    assert schedules.in_segments([3]) == (0, 1, 2)
    with pytest.raises(ValueError, match=r"lengths \[2, 0, 1\]: each needs at least one unit"):
        schedules.in_segments([2, 0, 1])
