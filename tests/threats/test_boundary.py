"""Oracles: half-spaces, whose distance is known; a target that counts; ART's HopSkipJump, as a band."""
import math

import numpy as np
import pytest
import torch
from art.attacks.evasion import HopSkipJump
from art.estimators.classification import BlackBoxClassifierNeuralNetwork

from odl_kit.threats import boundary

NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def half_space(d=16, n=8, seed=0):
    """w (d,) of length 1, points 0.1 to 0.25 from the plane w (x - 1/2) = 0, starts on its other side, and a target that counts."""
    w = torch.randn(d, generator=seeded(seed))
    w, far = w / w.norm(), 0.1 + 0.15 * torch.rand(n, generator=seeded(seed + 1))
    side = torch.randn(n, d, generator=seeded(seed + 2))
    side = 0.05 * (side - (side @ w)[:, None] * w)
    x, start, asked = 0.5 - far[:, None] * w + side, 0.5 + 0.25 * w - 3 * side, []

    def decide(points):
        asked.append(len(points))
        assert points.min() >= 0 and points.max() <= 1
        return ((points - 0.5) @ w > 0).long()
    return w, far, x, start, decide, asked


@NORMS
def test_it_comes_near_the_shortest_way_through_a_plane(norm):
    w, far, x, start, decide, _ = half_space()
    found = boundary.hop_skip_jump(decide, x, decide(x), start=start, eps=0.0, rounds=25, norm=norm, rng=seeded(4))
    shortest = far if norm == "l2" else far / w.abs().sum()
    moved = boundary.distance(found.x, x, norm=norm)
    assert not found.success.any() and (decide(found.x) == 1).all()
    assert (moved >= shortest - 1e-5).all() and (moved < (1.1 if norm == "l2" else 1.5) * shortest).all()
    assert (moved < 0.8 * boundary.distance(start, x, norm=norm)).all()


@NORMS
def test_the_queries_told_are_those_that_were_asked_and_it_stops_within_eps(norm):
    w, far, x, start, decide, asked = half_space()
    y = decide(x)
    asked.clear()
    eps = float(0.18 if norm == "l2" else 1.05 * 0.18 / w.abs().sum())
    found = boundary.hop_skip_jump(decide, x, y, start=start, eps=eps, rounds=5, norm=norm, rng=seeded(4))
    assert int(found.queries.sum()) == sum(asked)
    moved = boundary.distance(found.x, x, norm=norm)
    assert torch.equal(found.success, moved <= eps) and found.success.any() and not found.success.all()
    assert (decide(found.x) == 1).all() and found.queries[found.success].max() <= found.queries[~found.success].min()


def test_a_start_that_is_read_right_fails_with_one_query():
    _, _, x, start, decide, _ = half_space()
    y = decide(x)
    found = boundary.hop_skip_jump(decide, x, y, start=torch.cat([x[:1], start[1:]]), eps=0.5, rounds=2, rng=seeded())
    assert not found.success[0] and found.queries[0] == 1 and torch.equal(found.x[0], x[0]) and found.success[1:].all()


def test_distance_is_that_of_numpy():
    a, b = torch.rand(4, 2, 3, generator=seeded()), torch.rand(4, 2, 3, generator=seeded(1))
    flat = (a - b).flatten(1).numpy()
    np.testing.assert_allclose(boundary.distance(a, b, norm="l2"), np.linalg.norm(flat, axis=1), rtol=1e-6)
    np.testing.assert_allclose(boundary.distance(a, b), np.linalg.norm(flat, np.inf, axis=1), rtol=1e-6)


@pytest.mark.slow
@NORMS
def test_it_comes_as_near_as_that_of_art(norm):
    w = torch.randn(3, 24, generator=seeded(3))         # a piecewise linear target with three classes
    x = 0.3 + 0.4 * torch.rand(12, 24, generator=seeded(5))

    def logits(points):
        return ((points - 0.5) @ w.T).abs()
    y = logits(x).argmax(1)
    pool = torch.rand(500, 24, generator=seeded(6))
    start = torch.stack([pool[logits(pool).argmax(1) != k][0] for k in y])
    mine = boundary.hop_skip_jump(lambda p: logits(p).argmax(1), x, y, start=start, eps=0.0, rounds=10, norm=norm, rng=seeded(7))
    art = BlackBoxClassifierNeuralNetwork(lambda p: torch.softmax(50 * logits(torch.as_tensor(p)), 1).numpy(), (24,), 3, clip_values=(0, 1))
    np.random.seed(0)
    attack = HopSkipJump(art, norm=np.inf if norm == "linf" else 2, max_iter=10, init_eval=100, max_eval=1000, verbose=False)
    theirs = attack.generate(x.numpy(), x_adv_init=start.numpy())
    median = boundary.distance(torch.as_tensor(theirs), x, norm=norm).median()
    assert boundary.distance(mine.x, x, norm=norm).median() < 1.25 * median
    assert math.isfinite(median) and (logits(mine.x).argmax(1) != y).all()


def test_bad_input_is_an_error_that_names_it():
    _, _, x, start, decide, _ = half_space()
    for wrong in ({"rounds": 0}, {"probes": 0}):
        with pytest.raises(ValueError, match="both are at least 1"):
            boundary.hop_skip_jump(decide, x, decide(x), start=start, eps=0.1, rng=seeded(), **wrong)
    with pytest.raises(ValueError, match="norm='l1'"):
        boundary.hop_skip_jump(decide, x, decide(x), start=start, eps=0.1, norm="l1", rng=seeded())
