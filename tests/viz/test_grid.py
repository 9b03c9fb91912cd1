"""A grid says in words and numbers what it draws."""
import re

import pytest

from odl_kit import viz

ROWS = {"a": ["run", "run", "", "back"], "b": ["", "keep", "keep", None]}


def test_runs_of_equal_states_are_told_with_first_and_last_step():
    figure = viz.grid(ROWS, x="step", title="T")
    assert "a: run 1 to 2, back 4; b: keep 2 to 3" in figure.alt
    lines = [line.split() for line in figure.table.splitlines()]
    assert ["a", "run", "1", "2"] in lines and ["a", "back", "4", "4"] in lines and ["b", "keep", "2", "3"] in lines


def test_it_is_a_picture_for_light_and_dark_pages_with_alt_text():
    figure = viz.grid(ROWS, x="step", title="T")
    assert figure.html.count("<img") == 2
    assert set(re.findall(r'alt="([^"]*)"', figure.html)) == {figure.alt}


def test_states_keep_their_look_when_some_are_absent():
    kinds = ["run", "keep", "back", "held"]
    full, part = (viz.grid(rows, x="step", title="T", kinds=kinds) for rows in (ROWS, {"a": ["keep"] * 4, "b": [""] * 4}))
    assert full.html != part.html and "b: nothing" in part.alt


def test_many_rows_are_drawn_too():
    figure = viz.grid({k: ["run"] * 3 for k in range(40)}, x="step", title="T")
    assert figure.alt.startswith("Grid of 40 rows over 3 step") and len(figure.table.splitlines()) == 41


@pytest.mark.parametrize("rows, kinds, words", [({"a": ["x"], "b": ["x", "y"]}, None, "equally long"),
                                                ({"a": ["x"]}, ["y"], r"states \['x'\]")])
def test_what_is_no_grid_is_refused(rows, kinds, words):
    with pytest.raises(ValueError, match=words):
        viz.grid(rows, x="step", title="T", kinds=kinds)
