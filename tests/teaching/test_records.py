"""What a ledger says, also one that somebody edited."""
import math

import pytest

from odl_kit.teaching import records


@pytest.mark.parametrize(("entry", "right", "words"), [
    ({"answer": "few", "measured": 3, "holds": "few"}, True, "few"), ({"answer": "few", "measured": 30, "holds": "many"}, False, "many"),
    ({"answer": 100, "measured": 105}, True, "within 10 %"), ({"answer": 40, "measured": 112}, False, "2.8x"),
    ({"answer": 40, "measured": "infinite"}, False, "never")])
def test_a_prediction_is_held_against_what_was_measured(entry, right, words):
    assert records.verdict(entry) == (right, words) and records.came_true(entry) is right


@pytest.mark.parametrize("entry", [
    {}, {"answer": 3}, {"measured": 3}, {"answer": "few", "measured": 3}, {"answer": [1], "measured": 3},
    {"answer": math.nan, "measured": 3}, {"answer": 10 ** 400, "measured": 3}, {"answer": True, "measured": 1}])
def test_where_nothing_can_be_said_nothing_is(entry):
    assert records.verdict(entry) is None and records.came_true(entry) is False


def test_points_are_added_up_and_what_is_no_number_counts_as_none():
    checks = {"a": {"points": 2, "of": 3}, "b": {"points": "99", "of": 2}, "c": {"points": math.inf}, "d": {"points": True}, "e": {}}
    assert records.points({"checks": checks}) == (2, 5) and records.points({"checks": {}}) == (0, 0)


def test_only_predictions_that_were_made_count():
    book = {"predictions": {"a": {"answer": "x", "holds": "x"}, "b": {"skipped": True, "measured": 3}, "c": {"answer": 1}}}
    assert records.made(book) == (2, 1)


def test_a_name_out_of_a_ledger_is_no_path(home):
    (home / "labs" / "29_x.py").write_text("")
    assert not records.is_lab("../29_x") and not records.is_lab("29_x") and not records.is_lab("")


def test_a_question_is_the_labs_own_or_the_id(lab):
    assert records.question("29_new", "fifty").startswith("Accuracy on new digits") and records.question("29_new", "other") == "other"
    assert records.question("98_unknown", "fifty") == "fifty"
