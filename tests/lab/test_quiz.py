import pytest

from odl_kit.lab import answer, judging, ledger, quiz
from odl_kit.lab.quiz import explain


def kept():
    return ledger.entry("98_sample", "quizzes", "why")


def test_before_an_answer_no_reason_is_shown(course, capsys):
    quiz("why")
    said = capsys.readouterr().out
    assert "1  because" in said and 'lab.answer("why", 1)' in said and "It is so" not in said


@pytest.mark.parametrize(("value", "word", "right"), [(1, "Right.", True), ("never", "Not this one.", False)])
def test_after_an_answer_every_option_has_its_reason_and_the_right_one_is_marked(course, capsys, value, word, right):
    quiz("why")
    capsys.readouterr()
    answer("why", value)
    said = capsys.readouterr().out
    assert word in said and "It is so." in said and "It is not `so`." in said and "✓ right" in said and "your answer" in said
    assert kept()["right"] is right


def test_the_first_answer_is_kept_over_restarts(course, restart, capsys):
    quiz("why")
    answer("why", "never")
    answer("why", "because")
    restart()
    capsys.readouterr()
    quiz("why")
    assert "Not this one." in capsys.readouterr().out and kept()["answer"] == "never"


def test_an_answer_whose_words_have_changed_since_can_be_given_again(course, capsys):
    ledger.record("98_sample", "quizzes", "why", answer="an older wording", right=False)
    quiz("why")
    assert "lab.answer" in capsys.readouterr().out
    answer("why", 1)
    assert kept()["right"] is True


def test_an_unknown_quiz_is_refused_with_the_known_ones(course):
    with pytest.raises(KeyError, match="no quiz 'how'; it has why"):
        quiz("how")


def test_text_is_escaped_and_code_marked():
    question = judging.Quiz("Why <b>that</b>?", {"a": (True, "`x < y`"), "b": (False, "no")})
    content, _ = explain(question, "a")
    assert "<b>" not in content and "&lt;b&gt;" in content and "<code>x &lt; y</code>" in content
