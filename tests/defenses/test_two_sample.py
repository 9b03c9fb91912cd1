import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from odl_kit.data import datasets
from odl_kit.defenses import two_sample
from odl_kit.threats import inserted


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 5))
def test_the_ks_statistic_is_that_of_scipy_for_each_feature(n, m, ties, seed):
    a, b = torch.randn(n, 3, generator=seeded(seed)), 0.3 + torch.randn(m, 3, generator=seeded(seed + 50))
    a, b = (a.round(), b.round()) if ties else (a, b)
    want = [ks_2samp(a[:, k].numpy(), b[:, k].numpy(), method="asymp").statistic for k in range(3)]
    assert two_sample.ks(a, b)[0].tolist() == pytest.approx(want)


@pytest.mark.parametrize(("n", "m", "within"), [(10, 10, 0.05), (10, 40, 0.08), (40, 40, 0.03), (400, 300, 0.02)])
def test_p_is_near_the_exact_one_from_ten_examples_on(n, m, within):
    a, b = torch.randn(n, 40, generator=seeded()), 0.3 + torch.randn(m, 40, generator=seeded(1))
    for k, p in enumerate(two_sample.ks(a, b)[1]):
        assert p == pytest.approx(ks_2samp(a[:, k].numpy(), b[:, k].numpy(), method="exact").pvalue, abs=within)


def by_hand(old, new, ends):
    """The index with bins that end at `ends`, by a loop."""
    total, low = 0.0, -math.inf
    for high in (*ends, math.inf):
        r, q = (sum(low < v <= high for v in values) for values in (old, new))
        if r + q:
            r, q = max(r, 0.5) / len(old), max(q, 0.5) / len(new)
            total += (q - r) * math.log(q / r)
        low = high
    return total


@settings(deadline=None)
@given(st.integers(0, 20), st.booleans())
def test_psi_is_that_of_a_loop_over_bins(seed, ties):
    a, b = torch.randn(60, 2, generator=seeded(seed)).double(), 0.5 + torch.randn(45, 2, generator=seeded(seed + 50)).double()
    a, b = (a.round(), b.round()) if ties else (a, b)
    index, _ = two_sample.psi(a, b, bins=5)
    for k in range(2):
        ends = sorted(set(np.quantile(a[:, k].numpy(), [0.2, 0.4, 0.6, 0.8]).tolist()))
        assert index[k] == pytest.approx(by_hand(a[:, k].tolist(), b[:, k].tolist(), ends))


def test_where_nothing_changed_the_p_values_are_what_they_say():
    a, b = torch.randn(500, 2000, generator=seeded()), torch.randn(400, 2000, generator=seeded(1))
    for test in (two_sample.ks, two_sample.psi):
        _, p = test(a, b)
        for level in (0.01, 0.1, 0.5):
            assert (p <= level).double().mean() == pytest.approx(level, abs=4.5 * math.sqrt(level * (1 - level) / 2000) + 0.01)
        assert not two_sample.shifted(p).any()


def test_the_rule_of_a_tenth_rings_by_chance_with_few_examples():
    index, p = two_sample.psi(torch.randn(100, 1000, generator=seeded()), torch.randn(100, 1000, generator=seeded(1)))
    assert (index > 0.1).double().mean() > 0.7 and (p <= 0.01).double().mean() < 0.03


def test_blurred_digits_are_seen_and_flipped_labels_are_not():
    data = datasets.load("digits")
    reference, new = datasets.split(data, test=0.4, rng=seeded())
    for test in (two_sample.ks, two_sample.psi):
        assert not two_sample.shifted(test(reference.x, new.x)[1]).any()            # whatever its labels say
        assert two_sample.shifted(test(reference.x, inserted.blurred(new.x))[1]).double().mean() > 0.6


def test_a_feature_of_one_value_has_nothing_to_say_until_another_comes():
    a = torch.zeros(50, 2)
    index, p = two_sample.psi(a, torch.zeros(30, 2))
    assert index.tolist() == [0, 0] and p.tolist() == [1, 1]
    statistic, p = two_sample.ks(a, torch.tensor([[0.0, 1.0]] * 30))
    assert statistic.tolist() == [0, 1] and p[1] < 1e-6


def test_a_value_that_the_reference_never_showed_is_seen_though_few_have_it():
    digits = datasets.load("digits").x
    reference, new = digits[:900], digits[900:].clone()
    assert (digits[..., 7, 7] == 1).double().mean() < 0.01
    new[::20] = inserted.stamp(new[::20])
    _, p = two_sample.psi(reference, new)
    assert two_sample.shifted(p).reshape(8, 8)[7, 7]
    constant = torch.zeros(50, 1)
    assert two_sample.psi(constant, torch.tensor([[0.0]] * 40 + [[1.0]] * 10))[1] < 0.001


def test_one_example_against_one_proves_nothing():
    assert two_sample.ks(torch.zeros(1, 1), torch.ones(1, 1))[1] > 0.1


def test_bonferroni_divides_the_level_by_the_number_of_features():
    assert two_sample.shifted(torch.tensor([0.002, 0.0024, 0.0026, 0.9]), level=0.01).tolist() == [True, True, False, False]


def test_bad_input_is_an_error_that_names_it():
    for test in (two_sample.ks, two_sample.psi):
        with pytest.raises(ValueError, match=r"reference \(3, 2\), new \(3, 1\)"):
            test(torch.rand(3, 2), torch.rand(3, 1))
        with pytest.raises(ValueError, match="one of each at least"):
            test(torch.rand(0, 2), torch.rand(3, 2))
        with pytest.raises(ValueError, match="nan or infinite"):
            test(torch.tensor([[float("nan")]]), torch.rand(3, 1))
    with pytest.raises(ValueError, match="bins=1"):
        two_sample.psi(torch.rand(3, 2), torch.rand(3, 2), bins=1)
