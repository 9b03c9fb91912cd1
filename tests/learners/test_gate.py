import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from odl_kit.learners import gate
from odl_kit.models import flat


def answering(answers, classes=3):
    """A net that answers one-hot question i with answers[i]."""
    logits = torch.nn.functional.one_hot(torch.tensor(answers), classes).float()
    return flat.assign(nn.Linear(len(answers), classes, bias=False), logits.T.reshape(-1))


def test_only_answers_that_differ_count():
    y, x = torch.tensor([0, 1, 2, 0, 1, 2]), torch.eye(6)
    old, shadow = answering([0, 1, 0, 1, 0, 0]), answering([0, 0, 2, 0, 1, 1])
    found = gate.duel(old, shadow, x, y)
    assert (found.won, found.lost, found.of) == (3, 1, 6) and found.gain == pytest.approx(2 / 6)


@settings(max_examples=40, deadline=None)
@given(won=st.integers(0, 40), lost=st.integers(0, 40))
def test_chance_is_the_binomial_test_of_scipy(won, lost):
    expected = stats.binomtest(won, won + lost, alternative="greater").pvalue if won + lost else 1.0
    assert gate.Duel(won, lost, 100).chance == pytest.approx(expected)


@pytest.mark.parametrize("own, others, through, words", [
    (gate.Duel(9, 1, 36), gate.Duel(0, 1, 60), True, "gain"),
    (gate.Duel(3, 2, 36), gate.Duel(0, 0, 60), False, "no sure gain"),
    (gate.Duel(0, 0, 36), gate.Duel(0, 0, 60), False, "no sure gain"),       # the same net
    (gate.Duel(9, 0, 36), gate.Duel(0, 4, 60), False, "too much forgotten"),
    (gate.Duel(9, 0, 36), gate.Duel(0, 3, 60), True, "gain"),                # 5 % exactly
])
def test_a_shadow_passes_when_it_wins_for_the_user_and_the_others_lose_little(own, others, through, words):
    passed, why = gate.passes(own, others)
    assert passed is through and words in why


def test_nothing_to_ask_about_is_refused():
    with pytest.raises(ValueError, match="0 examples and 0 labels"):
        gate.duel(answering([0]), answering([0]), torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))
