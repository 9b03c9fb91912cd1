import math

import numpy as np
import pytest
import torch

from odl_kit import viz
from odl_kit.lab import answer, ledger, predict, reveal, session
from odl_kit.lab.forms import Question
from odl_kit.lab.reveal import compare, distance

OPTIONS = {"few": (0, 18), "some": (19, 60), "never": (61, math.inf)}
FIGURE = viz.Figure("<p>the picture</p>", "a picture of 34", "", "Thirty-four it is")


def asked(options=OPTIONS, unit=""):
    return Question("p", "predictions", "How many?", tuple(options) if options else None, unit, "", None, ranges=options or {})


@pytest.mark.parametrize(("said", "value", "near", "words"), [
    (40, 112, False, "2.8x"), (112, 40, False, "2.8x less"), (100, 105, True, "within 10 %"), (7, 7, True, "exactly"),
    (0, 5, False, "off by 5"), (-3, 4, False, "off by 7"), (1, 2500, False, "2,500x"), (5, math.inf, False, "never")])
def test_the_distance_is_a_factor_where_that_means_something(said, value, near, words):
    assert distance(said, value) == (near, words)


def test_a_number_is_shown_beside_the_measured_one(course, capsys):
    predict("k", "How much?", unit="KB")
    answer("k", 40)
    reveal("k", 112)
    assert "you said 40 KB, measured 112 KB: 2.8x" in capsys.readouterr().out
    assert ledger.entry("98_sample", "predictions", "k")["measured"] == 112


def test_the_option_that_holds_the_number_is_marked_in_words_beside_the_students(course):
    content, text = compare(asked(), {"answer": "few"}, 34, "rounds")
    assert "you said few, measured 34 rounds" in text and "* some   <- ✓ measured 34 rounds" in text and "few   <- you said" in text
    assert content.count("odl-hit>") == 1 and "Not as you said" in content
    assert "As you said:" in compare(asked(), {"answer": "some"}, 34, "rounds")[1]


@pytest.mark.parametrize("number", [34, 34.0, np.float32(34), torch.tensor(34), np.array(34)])
def test_a_number_of_any_kind_is_recorded_as_a_plain_one(course, number):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    reveal("p", number, unit="rounds")
    entry = ledger.entry("98_sample", "predictions", "p")
    assert entry["measured"] == 34 and entry["unit"] == "rounds" and type(entry["measured"]) in (int, float)


def test_none_means_never_and_is_infinite(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 3)
    reveal("p", None, unit="rounds")
    assert "you said never, measured never" in (said := capsys.readouterr().out) and "As you said" in said
    assert ledger.entry("98_sample", "predictions", "p")["measured"] == "infinite"


def test_the_ledger_keeps_the_option_that_holds_the_number_and_the_unit_of_the_question(course):
    predict("p", "How many?", options=OPTIONS)
    answer("p", "few")
    reveal("p", 34, unit="rounds")
    predict("k", "How much?", unit="KB")
    answer("k", 40)
    reveal("k", 112)
    assert {**ledger.entry("98_sample", "predictions", "p"), "when": ""} == {
        "answer": "few", "measured": 34, "unit": "rounds", "holds": "some", "when": ""}
    assert ledger.entry("98_sample", "predictions", "k")["unit"] == "KB" and "holds" not in ledger.entry("98_sample", "predictions", "k")


@pytest.mark.parametrize("number", ["34", [34], True, torch.ones(2)])
def test_what_is_no_number_is_refused(course, number):
    predict("p", "How many?", options=OPTIONS)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        reveal("p", number)


@pytest.mark.parametrize("number", [18.5, -1, math.nan])
def test_a_number_that_no_option_holds_fails_the_build_and_warns_in_class(course, capsys, monkeypatch, number):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    reveal("p", number)
    assert "none of the options holds" in capsys.readouterr().out
    monkeypatch.setenv("ODL_TEST", "1")
    with pytest.raises(ValueError, match="none of the options holds"):
        reveal("p", number)


def test_an_open_prediction_hides_number_and_figure_and_does_not_block(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    capsys.readouterr()
    reveal("p", 34, figure=FIGURE)
    said = capsys.readouterr().out
    assert "How many?" in said and 'lab.skip("p")' in said and "34" not in said and "Thirty" not in said
    answer("p", 1)
    assert "Thirty-four it is" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["ODL_TEST", "ODL_REVEAL"])
def test_builds_and_pages_show_everything_without_an_answer(course, capsys, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    predict("p", "How many?", options=OPTIONS)
    reveal("p", 34, "rounds", FIGURE)
    said = capsys.readouterr().out
    assert "Measured 34 rounds" in said and "Thirty-four it is" in said and "skipped" not in said


def test_a_reveal_before_its_question_waits_for_it_in_class_and_fails_the_build(course, capsys, monkeypatch):
    reveal("p", 34)
    assert "no prediction of that name" in (said := capsys.readouterr().out) and "34" not in said
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    assert "measured 34" in capsys.readouterr().out
    monkeypatch.setenv("ODL_TEST", "1")
    with pytest.raises(KeyError, match="no prediction of that name"):
        reveal("misspelt", 34)


def test_after_a_restart_the_answer_stands_and_the_reveal_shows_at_once(course, restart, capsys):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    restart()
    predict("p", "How many?", options=OPTIONS)
    reveal("p", 34)
    assert "you said few, measured 34" in capsys.readouterr().out and session.current().waiting == {}


def test_bars_of_a_number_and_its_prediction_share_a_scale():
    content, _ = compare(asked(None, "KB"), {"answer": 40}, 112, "KB")
    assert "width:100.0%" in content and "width:35.7%" in content
    assert "grid" not in compare(asked(None, "KB"), {"answer": -4}, 112, "KB")[0]


def test_words_of_an_option_are_escaped():
    content, _ = compare(asked({"<b>1</b>": (0, 9)}), {"answer": "<b>1</b>"}, 3, "<i>")
    assert "<b>1" not in content and "<i>" not in content


def test_a_measurement_that_is_no_number_fails_the_build_also_where_a_number_was_asked(course, monkeypatch):
    monkeypatch.setenv("ODL_TEST", "1")
    predict("k", "How much?", unit="KB")
    with pytest.raises(ValueError, match="measured none"):
        reveal("k", math.nan)
