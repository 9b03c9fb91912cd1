"""Distances of domains against brute-force loops and closed forms; CKA against Gram matrices and its invariances."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.learners import similarity

seed = torch.Generator().manual_seed


def kernel(a, b, width):
    return math.exp(-sum((u - v) ** 2 for u, v in zip(a, b, strict=True)) / (2 * width ** 2))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 7), m=st.integers(2, 7), d=st.integers(1, 4), s=st.integers(0, 99), width=st.floats(0.3, 5))
def test_mmd_is_the_unbiased_sum_over_pairs(n, m, d, s, width):
    both = torch.randn(n + m, d, generator=seed(s)).double()
    x, y = both[:n].tolist(), (both[n:] + 1).tolist()
    within = [sum(kernel(a, b, width) for i, a in enumerate(part) for j, b in enumerate(part) if i != j) / (len(part) * (len(part) - 1))
              for part in (x, y)]
    across = sum(kernel(a, b, width) for a in x for b in y) / (n * m)
    assert similarity.mmd(both[:n], both[n:] + 1, width=width) == pytest.approx(sum(within) - 2 * across, abs=1e-9)


def test_the_width_is_the_median_distance_of_all_pairs():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [7.0]])       # distances 1 2 3 4 6 7: torch takes the lower middle, 3
    assert similarity.mmd(x, y) == pytest.approx(similarity.mmd(x, y, width=3.0))
    assert similarity.mmd(x, y) != pytest.approx(similarity.mmd(x, y, width=4.0))


def test_mmd_of_two_gaussians_is_the_closed_form():
    """E k(a, b) = w / sqrt(w^2 + 2) * exp(-d^2 / (2 (w^2 + 2))) for a, b of unit variance whose means are d apart, in one dimension."""
    x, y, width = torch.randn(1500, 1, generator=seed(0)), torch.randn(1500, 1, generator=seed(1)) + 1.5, 1.0
    def mean_kernel(d):
        return width / math.sqrt(width ** 2 + 2) * math.exp(-d ** 2 / (2 * (width ** 2 + 2)))
    assert similarity.mmd(x, y, width=width) == pytest.approx(2 * mean_kernel(0) - 2 * mean_kernel(1.5), abs=0.02)


def test_mmd_of_one_distribution_scatters_around_zero():
    found = [similarity.mmd(*torch.randn(80, 3, generator=seed(s)).split(40)) for s in range(60)]
    assert min(found) < 0 < max(found) and abs(sum(found)) / 60 < 0.003


def test_a_distance_is_zero_for_one_distribution_and_two_for_sets_far_apart():
    x = torch.randn(2000, 3, generator=seed(0))
    assert abs(similarity.a_distance(x[:1000], x[1000:], rng=seed(1))) < 0.15
    assert similarity.a_distance(x[:1000], x[1000:] + torch.tensor([20.0, 0, 0]), rng=seed(1)) == 2


def test_a_distance_of_two_gaussians_is_that_of_the_best_classifier():
    """Means d apart, unit variance: nobody errs less than in the share Phi(-d / 2)."""
    for d, (n, m) in ((1.0, (2000, 2000)), (2.0, (4000, 1000))):
        apart = torch.tensor([d, 0])
        found = [similarity.a_distance(torch.randn(n, 2, generator=seed(s)), torch.randn(m, 2, generator=seed(s + 50)) + apart, rng=seed(s))
                 for s in range(10)]
        error = 0.5 * math.erfc(d / 2 / math.sqrt(2))
        assert sum(found) / 10 == pytest.approx(2 * (1 - 2 * error), abs=0.06)


def test_a_distance_repeats_with_its_seed_and_ignores_a_value_that_never_changes():
    x, y = torch.randn(60, 4, generator=seed(0)), torch.randn(50, 4, generator=seed(1)) + 0.5
    assert similarity.a_distance(x, y, rng=seed(5)) == similarity.a_distance(x, y, rng=seed(5))
    flat_x, flat_y = (torch.cat([part, torch.full((len(part), 1), 7.0)], 1) for part in (x, y))
    assert similarity.a_distance(flat_x, flat_y, rng=seed(5)) == pytest.approx(similarity.a_distance(x, y, rng=seed(5)))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 12), d=st.integers(1, 5), e=st.integers(1, 5), s=st.integers(0, 99))
def test_cka_is_the_normalised_hsic_of_gram_matrices(n, d, e, s):
    a, b = torch.randn(n, d, generator=seed(s)).double(), torch.randn(n, e, generator=seed(s + 1)).double()
    centre = torch.eye(n).double() - 1 / n
    def hsic(k, other):
        return torch.trace(centre @ k @ centre @ other)
    k, other = a @ a.T, b @ b.T
    assert similarity.cka(a, b) == pytest.approx(float(hsic(k, other) / (hsic(k, k) * hsic(other, other)).sqrt()), rel=1e-9)


def test_cka_does_not_see_turns_scales_and_shifts_but_a_stretch():
    a = torch.randn(200, 6, generator=seed(0))
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=seed(1)))
    assert similarity.cka(a, 3 * a @ turn - 5) == pytest.approx(1, abs=1e-6)
    assert similarity.cka(a, a * torch.tensor([10.0, 1, 1, 1, 1, 1])) < 0.7
    assert similarity.cka(a, torch.randn(200, 6, generator=seed(2))) < 0.1


@pytest.mark.parametrize("run, words", [
    (lambda: similarity.mmd(torch.zeros(3, 2), torch.zeros(3, 3)), r"x is \(3, 2\), y is \(3, 3\)"),
    (lambda: similarity.mmd(torch.zeros(1, 2), torch.zeros(3, 2)), "at least two examples each"),
    (lambda: similarity.mmd(torch.zeros(3, 2), torch.zeros(3, 2)), "width=0.0: at least half of all pairs"),
    (lambda: similarity.a_distance(torch.zeros(3, 1, 2), torch.zeros(3, 2), rng=seed(0)), "flatten pictures"),
    (lambda: similarity.cka(torch.zeros(3, 2), torch.zeros(4, 2)), "the same N >= 2 examples"),
    (lambda: similarity.cka(torch.zeros(3, 2), torch.rand(3, 2)), "the same for all examples"),
])
def test_what_cannot_be_compared_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
