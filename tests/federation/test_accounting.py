import math

import numpy as np
import pytest
from scipy import integrate, stats

from odl_kit.federation import accounting

ABADI = {"noise_multiplier": 4, "sample_rate": 0.01, "steps": 10_000, "delta": 1e-5}
PUBLISHED = {"noise_multiplier": 1.1, "sample_rate": 256 / 60_000, "steps": 60 * 60_000 // 256, "delta": 1e-5}


def hockey_stick(p, q, epsilon, points):
    """delta(epsilon) by quadrature: the integral of max(p - e^epsilon q, 0)."""
    def f(x):
        return max(p(x) - math.exp(epsilon) * q(x), 0.0)
    return integrate.quad(f, -40, 40, points=points, limit=2000, epsabs=1e-13)[0]


@pytest.mark.parametrize("sigma, epsilon", [(3.7306, 1.0), (1.0, 0.0), (0.5, 3.0), (2.0, 0.3)])
def test_the_delta_of_gaussian_noise_is_the_integral_of_its_definition(sigma, epsilon):
    expected = hockey_stick(stats.norm(1, sigma).pdf, stats.norm(0, sigma).pdf, epsilon, [sigma ** 2 * epsilon + 0.5])
    assert accounting.gaussian_delta(sigma=sigma, epsilon=epsilon) == pytest.approx(expected, rel=1e-6)


def test_the_analytic_sigma_is_smaller_than_the_classic_one_and_exact():
    assert accounting.gaussian_sigma(epsilon=1, delta=1e-5) == pytest.approx(3.7306, abs=1e-4)       # classic: 4.8448
    for epsilon, delta, sensitivity in ((0.01, 1e-9, 1), (8, 1e-6, 3), (100, 1e-300, 1), (1e-3, 0.4, 0.1)):
        sigma = accounting.gaussian_sigma(epsilon=epsilon, delta=delta, sensitivity=sensitivity)
        assert accounting.gaussian_delta(sigma=sigma, epsilon=epsilon, sensitivity=sensitivity) == pytest.approx(delta, rel=1e-5)
        assert accounting.gaussian_delta(sigma=0.99 * sigma, epsilon=epsilon, sensitivity=sensitivity) > delta
        assert accounting.gaussian_epsilon(sigma=sigma, delta=delta, sensitivity=sensitivity) == pytest.approx(epsilon, rel=1e-4)


def test_without_noise_nothing_is_promised_and_without_a_step_everything():
    assert accounting.gaussian_delta(sigma=0, epsilon=5) == 1 and accounting.gaussian_epsilon(sigma=0, delta=0.1) == math.inf
    assert accounting.gaussian_epsilon(sigma=1e6, delta=0.1) == 0
    for accountant in ("pld", "rdp", "2016"):
        assert accounting.epsilon(noise_multiplier=0, sample_rate=0.1, steps=5, delta=1e-5, accountant=accountant) == math.inf
        assert accounting.epsilon(noise_multiplier=1, sample_rate=0.1, steps=0, delta=1e-5, accountant=accountant) == 0


def test_the_2016_bound_is_the_published_one():
    assert accounting.epsilon(**ABADI, accountant="2016") == pytest.approx(1.26, abs=0.005)          # Abadi et al. 2016, fig. 2
    assert accounting.epsilon(**PUBLISHED, accountant="2016") == pytest.approx(3.01, abs=0.005)      # the MNIST tutorial


@pytest.mark.parametrize("noise, rate, order", [(1.1, 0.01, 2), (0.8, 0.3, 5), (2.0, 0.5, 9), (1.5, 1, 4)])
def test_the_renyi_divergence_is_the_integral_of_its_definition(noise, rate, order):
    x = np.linspace(-30, 60, 900_001)
    q = stats.norm(0, noise).logpdf(x)
    p = np.logaddexp(math.log1p(-rate) + q if rate < 1 else -np.inf, math.log(rate) + stats.norm(1, noise).logpdf(x))
    both = [math.log(np.trapezoid(np.exp(order * a - (order - 1) * b), x)) / (order - 1) for a, b in ((p, q), (q, p))]
    assert accounting.renyi_divergence(noise, rate, order) == pytest.approx(max(both), rel=1e-6)


@pytest.mark.parametrize("noise, rate, epsilon", [(1.0, 0.2, 0.3), (0.7, 0.05, 0.8), (3.0, 0.5, 0.05)])
def test_one_sampled_step_by_pld_is_the_integral_of_its_definition(noise, rate, epsilon):
    def q(x):
        return stats.norm.pdf(x, 0, noise)

    def p(x):
        return (1 - rate) * q(x) + rate * stats.norm.pdf(x, 1, noise)
    delta = max(hockey_stick(a, b, epsilon, [-2, 0, 0.5, 1, 2]) for a, b in ((p, q), (q, p)))
    got = accounting.epsilon(noise_multiplier=noise, sample_rate=rate, steps=1, delta=delta)
    assert epsilon - 1e-7 <= got <= epsilon + 1e-4


def test_unsampled_steps_by_pld_are_one_gaussian_with_less_noise():
    got = accounting.epsilon(noise_multiplier=6.0, sample_rate=1, steps=16, delta=1e-6)
    exact = accounting.gaussian_epsilon(sigma=6.0 / 4, delta=1e-6)
    assert exact <= got <= exact + 1e-3
    mixed = accounting.epsilon(noise_multiplier=[3.0, 4.0, 4.0], sample_rate=1, steps=3, delta=1e-6)
    exact = accounting.gaussian_epsilon(sigma=(1 / 9 + 2 / 16) ** -0.5, delta=1e-6)
    assert exact <= mixed <= exact + 1e-3


def test_one_mechanism_has_three_honest_epsilons_and_they_are_in_order():
    got = [accounting.epsilon(**PUBLISHED, accountant=accountant) for accountant in ("pld", "rdp", "2016")]
    assert got == sorted(got) and got == pytest.approx([2.382, 2.597, 3.009], abs=2e-3)


CASES = [([1.1], 0.01, 2000, 1e-5), ([0.6], 0.2, 30, 1e-6), ([2.0, 1.0, 0.8], 0.1, 3, 1e-5)]


@pytest.mark.parametrize("noises, rate, steps, delta", CASES)
def test_dp_accounting_agrees(noises, rate, steps, delta):
    dp_accounting = pytest.importorskip("dp_accounting", reason='needs dp-accounting: pip install -e ".[privacy]"')
    each = steps // len(noises)
    sampled = [dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(z)) for z in noises]
    events = [dp_accounting.SelfComposedDpEvent(event, each) for event in sampled]
    schedule = noises[0] if len(noises) == 1 else noises
    rdp = dp_accounting.rdp.RdpAccountant(orders=accounting.ORDERS)
    for accountant, theirs in (("pld", dp_accounting.pld.PLDAccountant()), ("rdp", rdp)):
        expected = theirs.compose(dp_accounting.ComposedDpEvent(events)).get_epsilon(delta)
        got = accounting.epsilon(noise_multiplier=schedule, sample_rate=rate, steps=steps, delta=delta, accountant=accountant)
        assert got == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("accountant", ["pld", "rdp", "2016"])
def test_a_schedule_of_equal_noise_is_the_constant_and_more_noise_promises_more(accountant):
    options = {"sample_rate": 0.1, "steps": 6, "delta": 1e-5, "accountant": accountant}
    constant = accounting.epsilon(noise_multiplier=1.0, **options)
    assert accounting.epsilon(noise_multiplier=[1.0] * 6, **options) == pytest.approx(constant, rel=1e-9)
    falling = accounting.epsilon(noise_multiplier=[1.3, 1.2, 1.1, 1.0, 1.0, 1.0], **options)
    assert falling < constant < accounting.epsilon(noise_multiplier=0.9, **options)


@pytest.mark.parametrize("accountant", ["pld", "rdp", "2016"])
def test_the_noise_for_an_epsilon_keeps_it_and_hardly_less_would_not(accountant):
    options = {"sample_rate": 0.1, "steps": 40, "delta": 1e-4, "accountant": accountant}
    noise = accounting.noise_for(epsilon=2, **options)
    assert accounting.epsilon(noise_multiplier=noise, **options) <= 2 < accounting.epsilon(noise_multiplier=0.997 * noise, **options)


def test_noise_of_a_given_shape_is_scaled_to_the_epsilon():
    shape, options = (2.0, 1.5, 1.0), {"sample_rate": 0.2, "steps": 3, "delta": 1e-4}
    scale = accounting.noise_for(epsilon=1.5, shape=shape, **options)
    assert 1.49 < accounting.epsilon(noise_multiplier=[scale * s for s in shape], **options) <= 1.5


def test_the_tree_is_a_gaussian_over_the_sums_that_a_round_enters():
    assert accounting.tree_heights(64) == [7] and accounting.tree_heights(7) == [3] and accounting.tree_heights(10, 4) == [3, 3, 2]
    assert accounting.tree_heights(0) == [] and accounting.tree_epsilon(noise_multiplier=1, rounds=0, delta=1e-5) == 0
    got = accounting.tree_epsilon(noise_multiplier=7, rounds=5 * 64, restart_every=64, delta=1e-5)
    assert accounting.gaussian_delta(sigma=7 / math.sqrt(5 * 7), epsilon=got) == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize("trees, expected", [(1, 1.591), (5, 3.902)])
def test_the_trees_epsilon_is_just_below_dp_accountings_renyi_bound(trees, expected):
    dp_accounting = pytest.importorskip("dp_accounting", reason='needs dp-accounting: pip install -e ".[privacy]"')
    theirs = dp_accounting.rdp.RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_SPECIAL)
    theirs.compose(dp_accounting.SelfComposedDpEvent(dp_accounting.SingleEpochTreeAggregationDpEvent(7.0, 64), trees))
    bound = theirs.get_epsilon(1e-5)
    assert bound == pytest.approx(expected, abs=1e-3)
    assert 0.9 * bound < accounting.tree_epsilon(noise_multiplier=7, rounds=64 * trees, restart_every=64, delta=1e-5) < bound


@pytest.mark.parametrize("change, says", [
    ({"delta": 0}, "delta=0"), ({"sample_rate": 0}, "sample_rate=0"), ({"sample_rate": 2}, "sample_rate=2"), ({"steps": -1}, "steps=-1"),
    ({"noise_multiplier": -1}, "noise_multiplier=-1"),
    ({"noise_multiplier": [1.0, 2.0]}, "2 noise multipliers for 5 steps"),
    ({"accountant": "2017"}, "2017"), ({"delta": 1e-12}, "rdp"), ({"noise_multiplier": 0.01}, "rdp")])
def test_what_cannot_be_accounted_for_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        accounting.epsilon(**{"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 5, "delta": 1e-5} | change)


def test_an_epsilon_beyond_numbers_is_infinite():
    assert accounting.epsilon(noise_multiplier=0.2, sample_rate=1, steps=200, delta=1e-5) == math.inf


def test_epsilon_and_sensitivity_must_be_above_zero():
    with pytest.raises(ValueError, match="epsilon=0"):
        accounting.gaussian_sigma(epsilon=0, delta=1e-5)
    with pytest.raises(ValueError, match="sensitivity=-1"):
        accounting.gaussian_delta(sigma=1, epsilon=1, sensitivity=-1)
    with pytest.raises(ValueError, match="restart_every=0"):
        accounting.tree_heights(5, 0)
