from math import inf

import pytest

from odl_kit.lab import answer, ledger, predict, reveal, session, skip

OPTIONS = {"few": (0, 18), "some": (18, 60), "never": (61, inf)}


def kept(id):
    return ledger.entry("98_sample", "predictions", id)


def test_without_widgets_the_question_its_options_and_the_way_to_answer_are_text(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    said = capsys.readouterr().out
    assert "How many?" in said and "2  some" in said and 'lab.answer("p", 1)' in said


@pytest.mark.parametrize("value", [2, "some", "SOME", "so"])
def test_an_option_is_answered_by_number_words_or_beginning(course, value):
    predict("p", "How many?", options=OPTIONS)
    answer("p", value)
    assert kept("p")["answer"] == "some"


@pytest.mark.parametrize("value", [0, 4, "", "x", True, None, 2.0])
def test_what_is_no_option_is_refused_with_the_options(course, value):
    predict("p", "How many?", options=OPTIONS)
    with pytest.raises(ValueError, match="1 .few., 2 .some., 3 .never."):
        answer("p", value)
    assert kept("p") == {}


def test_the_first_answer_is_locked_over_restarts(course, restart, capsys):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    answer("p", 2)
    restart()
    capsys.readouterr()
    predict("p", "How many?", options=OPTIONS)
    assert "Locked in" in (said := capsys.readouterr().out) and "You said: few" in said and "lab.answer" not in said
    answer("p", 3)
    assert kept("p")["answer"] == "few"


@pytest.mark.parametrize(("value", "number"), [(40, 40), ("1,200", 1200), ("3.5", 3.5), (2.0, 2)])
def test_a_number_in_a_unit_is_an_answer(course, capsys, value, number):
    predict("k", "How much?", unit="KB")
    assert "in KB" in capsys.readouterr().out
    answer("k", value)
    assert kept("k")["answer"] == number and "KB" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["many", "", "nan", inf, None, True])
def test_what_is_no_number_is_refused(course, value):
    predict("k", "How much?", unit="KB")
    with pytest.raises(ValueError, match="no number"):
        answer("k", value)


@pytest.mark.parametrize("how", [{}, {"options": OPTIONS, "unit": "KB"}])
def test_options_or_unit_but_not_both(course, how):
    with pytest.raises(ValueError, match="either options"):
        predict("p", "?", **how)


@pytest.mark.parametrize("options", [{"a": (0, 10), "b": (9, 20)}, {"a": (5, 1), "b": (6, 7)}, {"a": (0, inf), "b": (3, 4)}])
def test_ranges_that_overlap_or_run_backwards_are_refused(course, options):
    with pytest.raises(ValueError, match="overlap|low <= high"):
        predict("p", "?", options=options)


def test_an_answer_opens_the_reveal_that_waits_for_it(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    reveal("p", 34, "rounds")
    assert "34" not in capsys.readouterr().out
    answer("p", 1)
    assert "you said few, measured 34 rounds" in capsys.readouterr().out and session.current().waiting == {}


def test_skip_is_recorded_opens_the_reveal_and_counts_as_the_first_answer(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    reveal("p", 34)
    skip("p")
    assert kept("p")["skipped"] is True and "measured 34" in capsys.readouterr().out
    answer("p", 1)
    assert "answer" not in kept("p")


def test_skip_after_an_answer_changes_nothing(course, capsys):
    predict("p", "How many?", options=OPTIONS)
    answer("p", 1)
    skip("p")
    assert kept("p")["answer"] == "few" and "skipped" not in kept("p") and "You said: few" in capsys.readouterr().out


def test_an_id_that_no_cell_asked_is_named(course):
    with pytest.raises(KeyError, match="run its cell first"):
        answer("p", 1)


def test_a_page_shows_question_and_options_and_asks_for_nothing(course, capsys, monkeypatch):
    monkeypatch.setenv("ODL_REVEAL", "1")
    ledger.record("98_sample", "predictions", "p", answer="few")
    predict("p", "How many?", options=OPTIONS)
    assert "some" in (said := capsys.readouterr().out) and "You said" not in said
