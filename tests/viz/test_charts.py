import math

import numpy as np
import pytest
import torch

from odl_kit import viz
from odl_kit.viz.charts import _series

XY = {"x": "round", "y": "accuracy", "title": "A finding"}


@pytest.mark.parametrize("data", [{"a": [1.0, 2.0]}, {"a": torch.tensor([1.0, 2.0])}, {"a": np.array([1.0, 2.0])}, {"a": {1: 1.0, 2: 2.0}},
                                  {"a": ([1, 2], [1.0, 2.0])}, {"a": (range(1, 3), torch.tensor([1, 2]))}])
def test_a_line_may_come_in_many_forms(data):
    assert _series(data) == {"a": ([1, 2], [1, 2])}


@pytest.mark.parametrize("data", [[1.0, 2.0], {1: 1.0, 2: 2.0}, torch.tensor([1.0, 2.0]), ([1, 2], [1.0, 2.0])])
def test_a_single_line_needs_no_label(data):
    assert _series(data) == {"": ([1, 2], [1, 2])}


def test_none_is_a_gap():
    (xs, ys), = _series({1: 120, 2: None, 5: torch.tensor(3)}).values()
    assert xs == [1, 2, 5] and ys[0] == 120 and math.isnan(ys[1]) and ys[2] == 3
    assert "none" in viz.curve({1: 120, 2: None}, **XY).table


def test_what_is_no_curve_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="viz.bars"):
        viz.curve({"FedAvg": 3, "FedSGD": 4}, **XY)
    with pytest.raises(ValueError, match="2 x and 3 y"):
        viz.curve({"a": ([1, 2], [1, 2, 3])}, **XY)


def test_alt_text_tells_ends_highest_target_and_order():
    alt = viz.curve({"FedSGD": [0.1, 0.3, 0.6], "FedAvg": [0.2, 0.95, 0.9]}, target=0.85, **XY).alt
    assert "accuracy over round" in alt
    assert "FedSGD goes from 0.1 at round 1 to 0.6 at 3, highest 0.6 at 3; it never crosses 0.85." in alt
    assert "FedAvg goes from 0.2 at round 1 to 0.9 at 3, highest 0.95 at 2; it crosses 0.85 at 2." in alt
    assert "from high to low: FedAvg, FedSGD" in alt


def test_a_falling_line_crosses_its_target_from_above():
    assert "crosses 0.5 at 3" in viz.curve([1.0, 0.8, 0.4], target=0.5, **XY).alt


def test_own_alt_text_wins_and_a_line_of_gaps_is_said_to_be_one():
    assert viz.curve([1, 2], alt="mine", **XY).alt == "mine"
    assert "nothing to draw" in viz.curve({"a": [None, math.nan], "b": [1, 2]}, **XY).alt


def test_the_table_has_all_lines_over_all_places():
    figure = viz.curve({"a": {1: 10, 3: 30}, "b": {2: 20}}, **XY)
    rows = [line.split() for line in figure.table.splitlines()]
    assert rows == [["round", "a", "b"], ["1", "10", "none"], ["2", "none", "20"], ["3", "30", "none"]]


def test_a_band_runs_from_the_least_to_the_most_of_its_runs():
    figure = viz.curve({"FedAvg": [0.1, 0.5]}, spread={"FedAvg": [[0.1, 0.4], [0.2, 0.7], [0.0, 0.5]]}, **XY)
    assert "Band of FedAvg at its end: 0.4 to 0.7." in figure.alt
    assert "Band at its end: 1 to 2." in viz.curve([1, 2], spread={"": [[1, 1], [1, 2]]}, **XY).alt


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_axes_may_be_logarithmic(log):
    assert viz.curve({1: 1, 10: 100, 1000: 5}, log=log, **XY).html.count("<img") == 2


def test_bars_tell_every_number_and_what_is_missing():
    figure = viz.bars({"as shipped": 12.3, "learned": 78.44, "never": None}, y="accuracy, %", title="It mends", target=50)
    assert figure.alt == "Bar chart of accuracy, %: as shipped 12.3; learned 78.4; never none."
    assert figure.table.splitlines()[1].split() == ["as", "shipped", "12.3"]


def test_grouped_and_stacked_bars_tell_group_and_part():
    values = {"full": {"weights": 10, "saved_activations": 20}, "head": {"weights": 10}}
    for stacked in (False, True):
        figure = viz.bars(values, y="bytes", title="Parts", stacked=stacked)
        assert figure.alt == "Bar chart of bytes: full weights 10; full saved activations 20; head weights 10."
    assert viz.bars(values, y="bytes", title="Parts").html != viz.bars(values, y="bytes", title="Parts", stacked=True).html


def test_a_logarithmic_bar_of_zero_is_left_out_not_an_error():
    assert "learn here 0" in viz.bars({"learn here": 0, "cloud": 6400}, y="bytes", log=True, title="Traffic").alt


def test_spread_tells_range_middle_and_this_run():
    figure = viz.spread({"skewed": {"E=1": [50, 61, 49], "E=5": [21, 18, 30]}, "mixed": {"E=1": [20, 22, 19]}},
                        live={"skewed": {"E=5": 22}, "mixed": {"E=1": None}}, y="rounds", title="Five seeds")
    assert "skewed E=1 49 to 61, this run none" in figure.alt and "skewed E=5 18 to 30, this run 22" in figure.alt
    assert figure.table.splitlines()[2].split() == ["skewed", "E=5", "18", "21", "30", "22"]


def test_spread_of_one_group_needs_no_group():
    figure = viz.spread({"E=1": [3, 1, 2]}, live={"E=1": 2}, y="rounds", title="t")
    assert figure.alt == "Ranges of rounds over recorded seeds: E=1 1 to 3, this run 2."
