import pytest

from odl_kit.lab import forms, ledger, session


def question(**change):
    fields = {"id": "q", "kind": "quizzes", "text": "Why?", "options": ("one", "two", "twofold"), "unit": "", "button": "Answer",
              "settle": lambda asked, said: (f"<b>{said}</b>", f"settled {said}")}
    return forms.Question(**{**fields, **change})


def test_an_exact_option_wins_over_a_longer_one_that_begins_alike():
    assert question().read("two") == "two" and question().read("twof") == "twofold" and question().read(3) == "twofold"
    with pytest.raises(ValueError, match="none of the options"):
        question().read("t")


def test_a_question_that_is_asked_is_known_and_answered_once_said(course, capsys):
    question().ask()
    assert list(session.current().asked) == ["q"] and 'lab.answer("q", 1)' in capsys.readouterr().out
    forms.answer("q", 2)
    assert "settled two" in capsys.readouterr().out and ledger.read("98_sample")["quizzes"] == {}       # settle decides what is kept


def test_a_prediction_and_a_quiz_may_not_share_an_id(course):
    question().ask()
    question().ask()            # the cell may run again
    with pytest.raises(ValueError, match="give one of them another"):
        question(kind="predictions").ask()


def test_the_option_that_holds_a_number_is_the_first_with_it_in_its_range():
    asked = question(ranges={"one": (0, 5), "two": (5, 9)})
    assert asked.holding(5) == "one" and asked.holding(5.1) == "two" and asked.holding(-1) is None and asked.holding(float("nan")) is None


def test_text_of_a_question_is_escaped_on_a_page(course, capsys, monkeypatch):
    asked = question(text="a < b?", options=("<i>x</i>", "y"))
    assert "&lt;i&gt;x&lt;/i&gt;" in asked._listed() and 'lab.answer("q", 1)' in asked._listed()
    monkeypatch.setenv("ODL_REVEAL", "1")
    assert "lab.answer" not in asked._listed()


def test_outside_a_lab_the_way_in_is_said():
    session.begin("")
    with pytest.raises(RuntimeError, match=r"rng = lab.start"):
        forms.answer("q", 1)
