"""The rules against plain loops, NumPy and SciPy."""
from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.federation import aggregators

RULES = {
    "mean": aggregators.mean,
    "weighted_mean": partial(aggregators.weighted_mean, cap=20),
    "clipped_mean": partial(aggregators.clipped_mean, clip=1.0),
    "median": aggregators.median,
    "trimmed_mean": partial(aggregators.trimmed_mean, trim=2),
    "krum": partial(aggregators.krum, num_byzantine=2),
    "multi_krum": partial(aggregators.multi_krum, num_byzantine=2),
    "bulyan": partial(aggregators.bulyan, num_byzantine=2),
    "geometric_median": aggregators.geometric_median,
}


def draw(num_clients, size, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(num_clients, size, generator=rng, dtype=dtype), torch.randint(1, 50, (num_clients,), generator=rng)


def krum_order(updates, f):
    """Row numbers by Krum score, best first, with Python floats and loops."""
    rows, scores = updates.tolist(), []
    for i, a in enumerate(rows):
        others = sorted(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) for j, b in enumerate(rows) if j != i)
        scores.append(sum(others[:max(len(rows) - f - 2, 1)]))
    return sorted(range(len(rows)), key=scores.__getitem__)


def test_mean_is_weighted_by_examples():
    updates, n = draw(7, 5)
    expected = np.average(updates.numpy(), axis=0, weights=n.numpy())
    np.testing.assert_allclose(aggregators.mean(updates, n), expected, rtol=1e-12)


def test_weighted_mean_takes_its_weights_and_caps_them():
    updates, n = draw(4, 3)
    n[2] = 10**6                                                             # a liar
    weights = [0.0, 2.0, 1.0, 0.5]
    np.testing.assert_allclose(aggregators.weighted_mean(updates, n, weights=weights), np.average(updates, axis=0, weights=weights))
    expected = np.average(updates, axis=0, weights=n.clamp(max=30))
    np.testing.assert_allclose(aggregators.weighted_mean(updates, n, cap=30), expected)


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [1.0, float("nan")], [1.0, 1.0, 1.0]])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        aggregators.weighted_mean(torch.ones(2, 3), torch.ones(2), weights=weights)


def test_clipped_mean_shortens_what_is_long_and_nothing_else():
    updates = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [3e30, 4e30]])
    got = aggregators.clipped_mean(updates, torch.tensor([1, 1000, 1, 1]), clip=2.0)
    torch.testing.assert_close(got, (torch.tensor([1.2, 1.6]) + torch.tensor([0.3, 0.4]) + torch.tensor([1.2, 1.6])) / 4)


def test_clip_must_be_above_zero():
    with pytest.raises(ValueError, match="clip=0"):
        aggregators.clipped_mean(*draw(3, 2), clip=0)


@given(st.integers(1, 12), st.integers(0, 100))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_median_and_trimmed_mean_are_those_of_numpy_and_scipy(num_clients, seed):
    updates, n = draw(num_clients, 6, seed)
    np.testing.assert_allclose(aggregators.median(updates, n), np.median(updates, axis=0), rtol=1e-12)
    for trim in range((num_clients - 1) // 2 + 1):
        expected = scipy.stats.trim_mean(updates.numpy(), (trim + 0.5) / num_clients, axis=0)         # + 0.5: SciPy rounds the count down
        np.testing.assert_allclose(aggregators.trimmed_mean(updates, n, trim=trim), expected, rtol=1e-10)


@pytest.mark.parametrize("trim", [-1, 2, 3])
def test_trimming_everything_is_refused(trim):
    with pytest.raises(ValueError, match="trim 1 at most"):
        aggregators.trimmed_mean(*draw(4, 2), trim=trim)


@given(st.integers(0, 3), st.integers(0, 4), st.integers(0, 100))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_krum_and_multi_krum_are_those_of_a_plain_loop(f, more, seed):
    updates, n = draw(2 * f + 3 + more, 4, seed)
    order = krum_order(updates, f)
    assert torch.equal(aggregators.krum(updates, n, num_byzantine=f), updates[order[0]])
    expected = np.mean([updates[i].numpy() for i in order[:len(updates) - f]], axis=0)
    np.testing.assert_allclose(aggregators.multi_krum(updates, n, num_byzantine=f), expected, rtol=1e-10)


@given(st.integers(0, 2), st.integers(0, 4), st.integers(0, 100))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_bulyan_is_that_of_a_plain_loop(f, more, seed):
    updates, n = draw(4 * f + 3 + more, 4, seed)
    left, picked = updates, []
    for _ in range(len(updates) - 2 * f):
        best = krum_order(left, f)[0]
        picked.append(left[best].tolist())
        left = torch.cat([left[:best], left[best + 1:]])
    expected = []
    for values in zip(*picked, strict=True):
        middle = float(np.median(values))
        expected.append(np.mean(sorted(values, key=lambda v, middle=middle: abs(v - middle))[:len(updates) - 4 * f]))
    np.testing.assert_allclose(aggregators.bulyan(updates, n, num_byzantine=f), expected, rtol=1e-10)


@pytest.mark.parametrize("rule, need", [(aggregators.krum, 7), (aggregators.multi_krum, 7), (aggregators.bulyan, 11)])
def test_too_few_clients_for_the_liars_are_refused_and_just_enough_are_not(rule, need):
    with pytest.raises(ValueError, match=f"= {need} updates for num_byzantine=2, and has {need - 1}"):
        rule(*draw(need - 1, 3), num_byzantine=2)
    assert rule(*draw(need, 3), num_byzantine=2).shape == (3,)
    with pytest.raises(ValueError, match="num_byzantine=-1"):
        rule(*draw(need, 3), num_byzantine=-1)


@pytest.mark.parametrize("seed", range(3))
def test_geometric_median_minimises_the_sum_of_distances(seed):
    updates, n = draw(9, 3, seed)
    updates[0] *= 1e6
    cost = lambda point: np.linalg.norm(updates.numpy() - point, axis=1).sum()                        # noqa: E731
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    best = scipy.optimize.minimize(cost, np.median(updates, axis=0), method="Nelder-Mead", options=options)
    np.testing.assert_allclose(aggregators.geometric_median(updates, n), best.x, atol=1e-5)


def test_geometric_median_is_the_point_where_more_than_half_of_the_updates_are():
    updates, n = draw(9, 4, dtype=torch.float32)
    updates[:5] = updates[0]
    torch.testing.assert_close(aggregators.geometric_median(updates, n), updates[0])
    assert torch.equal(aggregators.geometric_median(torch.zeros(3, 2), torch.ones(3)), torch.zeros(2))


def test_krum_sees_small_differences_between_rows_of_size_a_million():
    near, n = draw(9, 20)
    rows = (1e6 + 5 * near).float()
    order = krum_order(rows, 2)
    assert torch.equal(aggregators.krum(rows, n, num_byzantine=2), rows[order[0]])
    expected = rows[order[:7]].double().mean(0).float()
    torch.testing.assert_close(aggregators.multi_krum(rows, n, num_byzantine=2), expected, atol=0.2, rtol=0)      # one float32 step is 0.06
    others = [rows[order[:6] + [k]].double().mean(0).float() for k in order[7:]]
    assert all((expected - other).abs().max() > 0.4 for other in others), "another choice would show"


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "krum", "multi_krum", "bulyan", "geometric_median"])
def test_a_robust_rule_stays_with_the_honest_whatever_two_of_eleven_send(name):
    updates, n = draw(11, 30, dtype=torch.float32)
    updates[3], updates[8] = 1e6, -1e30
    n[3] = 10**9
    honest = updates[[0, 1, 2, 4, 5, 6, 7, 9, 10]]
    got = RULES[name](updates, n)
    assert (got >= honest.min(0).values - 1e-5).all() and (got <= honest.max(0).values + 1e-5).all()
    assert aggregators.mean(updates, n).abs().max() > 1e5, "the plain mean does not"


@pytest.mark.parametrize("name", RULES)
def test_every_rule_keeps_the_dtype_and_does_not_care_for_the_order_of_clients(name):
    updates, n = draw(11, 6, dtype=torch.float32)
    got = RULES[name](updates, n)
    assert got.dtype == torch.float32 and got.shape == (6,)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(RULES[name](updates[order], n[order]), got)
    assert RULES[name](updates.double(), n).dtype == torch.float64


@pytest.mark.parametrize("name", RULES)
def test_equal_updates_aggregate_to_themselves(name):
    row = torch.tensor([0.3, -0.2, 0.0])
    torch.testing.assert_close(RULES[name](row.expand(11, 3), torch.arange(1, 12)), row)


@pytest.mark.parametrize("name", RULES)
def test_a_row_with_nan_or_inf_is_named(name):
    updates, n = draw(11, 3)
    updates[4, 1], updates[7, 0] = torch.nan, torch.inf
    with pytest.raises(ValueError, match=r"rows \[4, 7\]"):
        RULES[name](updates, n)


@pytest.mark.parametrize("name", RULES)
def test_shapes_that_do_not_fit_are_refused(name):
    for updates, n in ((torch.ones(0, 3), torch.ones(0)), (torch.ones(11, 3), torch.ones(10)), (torch.ones(11), torch.ones(11))):
        with pytest.raises(ValueError, match="give \\(C, P\\)"):
            RULES[name](updates, n)


def test_finite_takes_the_broken_rows_out_and_says_which():
    updates, n = draw(5, 3)
    updates[1, 2], updates[4, 0] = -torch.inf, torch.nan
    kept, counts, rejected = aggregators.finite(updates, n)
    assert torch.equal(kept, updates[[0, 2, 3]]) and torch.equal(counts, n[[0, 2, 3]]) and rejected.tolist() == [1, 4]
    assert aggregators.finite(kept, counts)[2].tolist() == []
