import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.learners import replay

seed = torch.Generator().manual_seed


def numbered(n):
    """Example i holds the value i, its label is i modulo 7."""
    return torch.arange(float(n))[:, None], torch.arange(n) % 7


@settings(max_examples=40, deadline=None)
@given(budget=st.integers(2, 60), cuts=st.lists(st.integers(0, 30), min_size=1, max_size=5), s=st.integers(0, 50))
def test_a_buffer_holds_what_the_bytes_allow_each_example_once_with_its_label(budget, cuts, s):
    rng, buffer, seen = seed(s), replay.reservoir(budget, torch.zeros(0, 1), scale=1.0), 0
    for n in cuts:
        x, y = numbered(min(n, 120 - seen))
        buffer, seen = replay.add(buffer, x + seen, (y + seen) % 7, rng=rng), seen + len(x)
    x, y = replay.examples(buffer)
    assert buffer.num_bytes == budget // 2 * 2 and len(buffer) == len(x) == min(seen, budget // 2)
    assert len(set(x[:, 0].tolist())) == len(x) and torch.equal(y, x[:, 0].long() % 7) and buffer.seen == seen


def test_every_example_that_came_by_is_kept_with_the_same_probability():
    room, n, tries = 5, 20, 4000
    rng, kept = seed(0), torch.zeros(n)
    x, y = numbered(n)
    for _ in range(tries):
        kept[replay.examples(replay.add(replay.reservoir(2 * room, x, scale=1.0), x, y, rng=rng))[0][:, 0].long()] += 1
    # binomial: the standard deviation of a share is 0.0068; 4.5 of them for 20 shares
    assert (kept / tries - room / n).abs().max() < 4.5 * (0.25 * 0.75 / tries) ** 0.5


def test_examples_come_back_as_int8_holds_them_and_the_old_buffer_stays():
    x = torch.tensor([[0.31, -1.27], [1.0, 0.004]])
    empty = replay.reservoir(100, x, scale=0.01)
    full = replay.add(empty, x, torch.tensor([3, 255]), rng=seed(0))
    back, y = replay.examples(full)
    assert torch.allclose(back, torch.tensor([[0.31, -1.27], [1.0, 0.0]]), atol=1e-6) and y.tolist() == [3, 255]
    assert len(empty) == 0 and not empty.x.any() and full.x.dtype == torch.int8 and replay.examples(empty)[0].shape == (0, 2)


@pytest.mark.parametrize("run, words", [
    (lambda b: replay.reservoir(2, torch.zeros(1, 2), scale=1.0), "a budget of 2 B, and one example with its label takes 3 B"),
    (lambda b: replay.add(b, torch.tensor([[128.0]]), torch.tensor([0]), rng=seed(0)), "x reaches 128, int8 at scale 1 holds 127"),
    (lambda b: replay.add(b, torch.tensor([[1.0]]), torch.tensor([256]), rng=seed(0)), "label 0 to 255"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(replay.reservoir(10, torch.zeros(0, 1), scale=1.0))
