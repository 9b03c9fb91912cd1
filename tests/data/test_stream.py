import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.data import stream

seed = torch.Generator().manual_seed


def numbered(n=40, classes=4):
    """Examples that carry their own number, so that each can be found again."""
    return torch.arange(float(n))[:, None], torch.arange(n) % classes


@settings(max_examples=30, deadline=None)
@given(days=st.integers(1, 20), start=st.integers(0, 25), more=st.integers(0, 10))
def test_a_ramp_is_0_before_its_start_and_1_from_its_end_with_even_steps_between(days, start, more):
    share = stream.ramp(days, start=start, full=start + more)
    expected = [0.0 if d < start else 1.0 if d >= start + more else (d - start + 1) / (more + 1) for d in range(days)]
    assert torch.allclose(share, torch.tensor(expected))


def test_each_day_has_its_number_of_examples_of_the_set_with_their_labels():
    x, y = numbered()
    drawn = stream.draw(x, y, days=7, per_day=5, rng=seed(0))
    assert drawn.day.tolist() == [d for d in range(7) for _ in range(5)]
    assert torch.equal(drawn.y, y[drawn.x[:, 0].long()])
    assert torch.equal(drawn.on(3)[0], drawn.x[15:20]) and torch.equal(drawn.on(3)[1], drawn.y[15:20])
    assert torch.equal(drawn.x, stream.draw(x, y, days=7, per_day=5, rng=seed(0)).x)


def test_label_drift_draws_classes_in_the_shares_of_the_day_and_examples_of_a_class_alike():
    x, y = numbered(41)                 # class 0 has one example more
    shares = torch.tensor([[1.0, 1, 1, 1], [0, 3, 1, 0]])
    drawn = stream.draw(x, y, days=2, per_day=20_000, shares=shares, rng=seed(0))
    for day, share in enumerate(shares):
        counts = torch.bincount(drawn.on(day)[1], minlength=4) / 20_000
        assert torch.allclose(counts, share / share.sum(), atol=0.015)
    own = drawn.on(1)[0][drawn.on(1)[1] == 1][:, 0].long()
    assert torch.allclose(torch.bincount(own, minlength=41)[y == 1] / len(own), torch.full((10,), 0.1), atol=0.015)


def test_covariate_drift_changes_what_is_heard_on_a_day_and_not_what_is_said():
    x, y = numbered()
    still = stream.draw(x, y, days=3, per_day=6, rng=seed(0))
    drawn = stream.draw(x, y, days=3, per_day=6, change=lambda x, day: x + 100 * day, rng=seed(0))
    assert torch.equal(drawn.x, still.x + 100 * still.day[:, None]) and torch.equal(drawn.y, still.y)


@pytest.mark.parametrize("run, words", [
    (lambda x, y: stream.ramp(5, start=3, full=2), "start=3, full=2"),
    (lambda x, y: stream.draw(x, y, days=2, per_day=1, shares=torch.ones(3, 4), rng=seed(0)), r"shares are \(3, 4\): give \(2, 4\)"),
    (lambda x, y: stream.draw(x, y, days=1, per_day=1, shares=torch.tensor([[1.0, -1, 1, 1]]), rng=seed(0)), "none below 0"),
    (lambda x, y: stream.draw(x[y != 2], y[y != 2], days=1, per_day=1, shares=torch.ones(1, 4), rng=seed(0)), "class 2 is to be said"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(*numbered())
