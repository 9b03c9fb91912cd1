from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.data import datasets, messages
from odl_kit.threats import online


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 4))
def test_in_the_crowd_loud_users_are_heard_times_as_often(user, times):
    stream = online.crowd(torch.tensor(user), loud=[0, 3], times=times, rng=seeded()).tolist()
    assert Counter(stream) == {n: times if who in (0, 3) else 1 for n, who in enumerate(user)}


def test_counts_are_those_of_a_loop_and_learning_goes_on_from_them():
    tokens = datasets.load("typing").x[:200]
    want = Counter()
    for row in tokens.tolist():
        want.update((a, b) for a, b in zip(row, row[1:], strict=False) if b != messages.PAD)
    start = torch.zeros(len(messages.VOCABULARY), len(messages.VOCABULARY))
    counts = online.learn(online.learn(start, tokens[:50]), tokens[50:])
    assert counts.sum() == sum(want.values()) and start.sum() == 0
    assert all(counts[a, b] == n for (a, b), n in want.items())


def test_the_bot_says_the_most_frequent_chain():
    tokens = torch.tensor([[1, 5, 6, 2, 0], [1, 5, 6, 2, 0], [1, 7, 2, 0, 0]])
    counts = online.learn(torch.zeros(9, 9), tokens)
    assert online.utter(counts) == [5, 6] and online.utter(counts, start=7) == []
    assert online.utter(torch.zeros(9, 9)) == []
    circle = online.learn(torch.zeros(9, 9), torch.tensor([[1, 3, 4, 3, 4, 3, 4, 3]]))
    assert online.utter(circle) == [3, 4] and online.utter(circle, most=1) == [3]


def test_one_loud_user_puts_a_sentence_into_the_bots_mouth():
    tokens = torch.tensor([[1, 5, 6, 2]] * 20 + [[1, 7, 8, 2]])
    user = torch.arange(21)
    heard = {times: tokens[online.crowd(user, loud=[20], times=times, rng=seeded())] for times in (1, 50)}
    assert [online.utter(online.learn(torch.zeros(9, 9), x)) for x in heard.values()] == [[5, 6], [7, 8]]


def test_a_message_that_is_never_sent_is_an_error():
    with pytest.raises(ValueError, match="times=0"):
        online.crowd(torch.tensor([0]), loud=[0], times=0, rng=seeded())
