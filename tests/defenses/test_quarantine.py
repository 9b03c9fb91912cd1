import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from odl_kit.data import datasets
from odl_kit.defenses import quarantine


def digits(seed=0, keep=0.95):
    """Prototypes and limits from two parts of the digits, and a third part to screen."""
    data = datasets.load("digits")
    order = torch.randperm(len(data.y), generator=torch.Generator().manual_seed(seed))
    x, y = data.x[order], data.y[order]
    known = quarantine.prototypes(x[:600], y[:600], 10)
    far = quarantine.distance(x[600:1200], y[600:1200], known)
    return known, quarantine.limits(far, y[600:1200], 10, keep=keep), x[1200:], y[1200:]


def line(angle):
    """Examples of 2 numbers at these angles (degrees) from the first axis."""
    radians = torch.deg2rad(torch.tensor(angle, dtype=torch.float32))
    return torch.stack([radians.cos(), radians.sin()], 1)


AXES = torch.eye(2)
HALF = torch.tensor([0.5, 0.5])       # a distance of 0.5 is an angle of 60 degrees


def test_distance_is_the_cosine_distance_of_scipy_to_the_claimed_class():
    known, _, x, y = digits()
    want = [cosine(row.flatten().double().numpy(), known[label].double().numpy()) for row, label in zip(x[:100], y[:100], strict=True)]
    np.testing.assert_allclose(quarantine.distance(x[:100], y[:100], known), want, atol=1e-6)


def test_prototypes_are_the_means_of_unit_vectors_by_a_loop():
    x, y = torch.randn(30, 2, 3, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 4
    want = torch.stack([torch.stack([row.flatten() / row.norm() for row, label in zip(x, y, strict=True) if label == k]).mean(0)
                        for k in range(4)])
    torch.testing.assert_close(quarantine.prototypes(x, y, 4), want)


def test_limits_let_at_least_the_share_keep_of_each_class_through_and_keep_1_all():
    far, y = torch.rand(500, generator=torch.Generator().manual_seed(0)), torch.arange(500) % 5
    for keep in (0.5, 0.9, 1):
        through = far <= quarantine.limits(far, y, 5, keep=keep)[y]
        shares = [through[y == k].double().mean().item() for k in range(5)]
        assert all(keep <= share <= keep + 0.01 + 1e-9 for share in shares)


@pytest.mark.parametrize("seed", range(3))
def test_on_digits_honest_examples_pass_most_wrong_labels_wait_and_a_laxer_limit_lets_more_of_both_in(seed):
    def passed(keep, shift):
        known, limits, x, y = digits(seed, keep)
        queue = quarantine.empty((1, 8, 8), capacity=1000)
        return quarantine.screen(queue, x, (y + shift) % 10, prototypes=known, limits=limits)[0].double().mean()
    assert passed(0.95, 0) > 0.9                        # five seeds: .946 to .961 of the honest pass, .213 to .246 of the wrong
    assert passed(0.95, 1) < 0.35
    assert passed(0.99, 0) > passed(0.95, 0)            # .977 to .990, at the price of
    assert passed(0.99, 1) > passed(0.95, 1) + 0.1      # .382 to .504: a label that looks right enough is not found


def test_what_is_far_waits_with_its_distance_and_number_and_nothing_is_lost():
    queue = quarantine.empty((2,), capacity=5)
    accepted, queue = quarantine.screen(queue, line([0, 90, 30]), torch.tensor([0, 0, 0]), prototypes=AXES, limits=HALF)
    assert accepted.tolist() == [True, False, True] and queue.number.tolist() == [1]
    accepted, queue = quarantine.screen(queue, line([180, 89]), torch.tensor([1, 1]), prototypes=AXES, limits=HALF)
    assert accepted.tolist() == [False, True] and queue.number.tolist() == [1, 3]
    torch.testing.assert_close(queue.distance, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(queue.x, line([90, 180]))
    assert queue.y.tolist() == [0, 1] and (queue.screened, queue.turned_away) == (5, 0)


def test_nan_infinity_and_zeros_wait():
    x = torch.tensor([[float("nan"), 1], [float("inf"), 1], [0, 0], [1, 0]])
    y = torch.zeros(4, dtype=torch.int64)
    accepted, queue = quarantine.screen(quarantine.empty((2,), capacity=5), x, y, prototypes=AXES, limits=HALF)
    assert accepted.tolist() == [False, False, False, True] and len(queue) == 3


def test_a_flood_is_turned_away_and_pushes_nothing_out():
    queue = quarantine.empty((2,), capacity=3)
    _, queue = quarantine.screen(queue, line([100, 100]), torch.tensor([0, 0]), prototypes=AXES, limits=HALF)
    accepted, queue = quarantine.screen(queue, line([120] * 50), torch.zeros(50, dtype=torch.int64), prototypes=AXES, limits=HALF)
    assert not accepted.any()                                   # turned away is not let in
    assert queue.number.tolist() == [0, 1, 2] and queue.turned_away == 49 and queue.screened == 52
    assert "3 of 52 screened examples wait (3 places), 49 were turned away" == repr(queue)


def test_a_decision_releases_and_drops_those_it_names_and_leaves_the_others():
    _, queue = quarantine.screen(quarantine.empty((2,), capacity=9), line([90, 100, 110, 120]), torch.tensor([0, 0, 0, 0]),
                                 prototypes=AXES, limits=HALF)
    x, y, rest = quarantine.decide(queue, release=[2, 0], drop=[3])
    torch.testing.assert_close(x, line([90, 110]))
    assert y.tolist() == [0, 0] and rest.number.tolist() == [1] and len(queue) == 4
    x, y, same = quarantine.decide(rest)
    assert len(x) == len(y) == 0 and same.number.tolist() == [1]
    for release, drop in (([0], []), ([1], [1]), ([], [7])):
        with pytest.raises(ValueError, match=r"those that wait: \[1\]"):
            quarantine.decide(rest, release=release, drop=drop)


def test_bad_input_is_an_error_that_names_it():
    x, y = torch.rand(4, 3), torch.tensor([0, 0, 2, 2])
    with pytest.raises(ValueError, match=r"\[1\] have no example"):
        quarantine.prototypes(x, y, 3)
    with pytest.raises(ValueError, match="2 classes, labels ask for 3"):
        quarantine.prototypes(x, y, 2)
    with pytest.raises(ValueError, match=r"classes \[1\]"):
        quarantine.limits(torch.rand(4), y, 3)
    for keep in (0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="keep="):
            quarantine.limits(torch.rand(4), y, 3, keep=keep)
    with pytest.raises(ValueError, match="capacity=0"):
        quarantine.empty((2,), capacity=0)
    for label in (-1, 2):
        with pytest.raises(ValueError, match="classes 0 to 1"):
            quarantine.screen(quarantine.empty((2,), capacity=1), line([0]), torch.tensor([label]), prototypes=AXES, limits=HALF)
