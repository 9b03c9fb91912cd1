"""What noise promises: epsilon at a given delta, and the noise that a wanted epsilon needs. No data is looked at here.

(epsilon, delta) says how far ONE UNIT of data can move the odds of any outcome: by a factor e^epsilon at most, but for delta. The formulas
are the same for every unit; the mechanism decides which it is. Noise on a sum of clipped client updates protects a whole CLIENT with all
that is on it (privacy.noised_mean; sample_rate = clients per round / clients). Noise on a sum of clipped per-example gradients protects one
RECORD (privacy.dp_sgd), and a person who wrote n of them about n times less. Neighbours differ by one unit added or removed.
"""
import math

import torch

from odl_kit.federation import pld

ORDERS = tuple(range(2, 65)) + tuple(2 ** k for k in range(7, 15))     # Renyi orders; the 2016 bound takes those up to 33
LOG_NDTR = torch.special.log_ndtr


def gaussian_delta(*, sigma, epsilon, sensitivity=1.0):
    """The exact delta of the Gaussian mechanism N(0, sigma^2) at this epsilon >= 0 (Balle & Wang 2018, theorem 8). Float, 1 for sigma = 0.

    delta = Phi(s/2 - epsilon/s) - e^epsilon Phi(-s/2 - epsilon/s),  s = sensitivity / sigma, worked out in logarithms.
    """
    _positive(sensitivity=sensitivity)
    if sigma == 0:
        return 1.0
    s = sensitivity / sigma
    first, second = LOG_NDTR(torch.tensor([s / 2 - epsilon / s, -s / 2 - epsilon / s], dtype=torch.float64)).tolist()
    return math.exp(first) * -math.expm1(min(epsilon + second - first, 0.0))


def gaussian_sigma(*, epsilon, delta, sensitivity=1.0):
    """The smallest sigma with which the Gaussian mechanism is (epsilon, delta)-private: the analytic sigma of Balle & Wang 2018.

    epsilon > 0, delta in (0, 1), sensitivity: the L2 distance that one unit can move the true value. By bisection on gaussian_delta.
    The classic sqrt(2 ln(1.25/delta)) / epsilon is larger, and its proof ends at epsilon = 1.
    """
    _positive(epsilon=epsilon, sensitivity=sensitivity)
    _check_delta(delta)
    return sensitivity * _smallest(lambda sigma: gaussian_delta(sigma=sigma, epsilon=epsilon) <= delta)


def gaussian_epsilon(*, sigma, delta, sensitivity=1.0):
    """The smallest epsilon >= 0 at which one release with N(0, sigma^2) is (epsilon, delta)-private; inf for sigma = 0."""
    _check_delta(delta)
    if sigma == 0:
        return math.inf
    if gaussian_delta(sigma=sigma, epsilon=0.0, sensitivity=sensitivity) <= delta:
        return 0.0
    return _smallest(lambda epsilon: gaussian_delta(sigma=sigma, epsilon=epsilon, sensitivity=sensitivity) <= delta)


def epsilon(*, noise_multiplier, sample_rate, steps, delta, accountant="pld"):
    """The epsilon of `steps` releases of a sum with noise N(0, (noise_multiplier * clip)^2), at delta: float, inf without noise.

    sample_rate: every unit takes part in a step with this probability, by a coin of its own (Poisson); 1: always.
    noise_multiplier: one number, or one for each step (noise that falls as the model converges); steps is then their number.
    accountant, three valid bounds for the same mechanism, from tight to loose:
      "pld"   the privacy loss distribution, composed numerically (module pld; delta >= 1e-10, noise >= 0.1)
      "rdp"   Renyi DP at integer orders (Mironov et al. 2019), converted as in Canonne et al. 2020, proposition 12
      "2016"  the moments accountant of Abadi et al. 2016: 32 moments, theorem 2's conversion
    Raises ValueError for values out of range.
    """
    _check_delta(delta)
    if not 0 < sample_rate <= 1:
        raise ValueError(f"sample_rate={sample_rate}: give the probability, above 0 and at most 1, that a unit takes part in a step")
    counts = _counts(noise_multiplier, steps)
    if not counts:
        return 0.0
    if min(counts) == 0:
        return math.inf
    if accountant == "pld":
        if min(counts) < 0.1 or delta < 1e-10:
            raise ValueError(f"noise {min(counts)}, delta {delta}: pld works from noise 0.1 and delta 1e-10 up; accountant='rdp' takes any")
        return pld.epsilon([(z, sample_rate, count) for z, count in counts.items()], delta)
    orders = ORDERS if accountant == "rdp" else range(2, 34)
    divergence = {a: sum(count * renyi_divergence(z, sample_rate, a) for z, count in counts.items()) for a in orders}
    if accountant == "rdp":
        return max(0.0, min(rdp + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for a, rdp in divergence.items()))
    if accountant == "2016":
        return min(rdp - math.log(delta) / (a - 1) for a, rdp in divergence.items())       # lambda = a - 1 = 1, ..., 32
    raise ValueError(f"accountant {accountant!r} is unknown: use 'pld', 'rdp' or '2016'")


def renyi_divergence(noise_multiplier, sample_rate, order):
    """Renyi divergence of one step at an integer order a >= 2 (Mironov et al. 2019, sec. 3.3), the larger of both directions: float.

    ln( sum over k = 0..a of binomial(a, k) (1-q)^(a-k) q^k e^((k^2 - k) / 2z^2) ) / (a - 1)
    """
    z, q, a = noise_multiplier, sample_rate, order
    if q == 1:
        return a / (2 * z ** 2)
    k = torch.arange(a + 1, dtype=torch.float64)
    binomial = math.lgamma(a + 1) - torch.lgamma(k + 1) - torch.lgamma(a - k + 1)
    terms = binomial + (a - k) * math.log1p(-q) + k * math.log(q) + (k * k - k) / (2 * z ** 2)
    return float(torch.logsumexp(terms, 0).clamp(min=0)) / (a - 1)


def noise_for(*, epsilon, sample_rate, steps, delta, shape=None, accountant="pld"):
    """The smallest noise multiplier (to 3 digits, rounded up) with which `steps` >= 1 steps stay within epsilon > 0 at delta.

    shape: the relative noise of each step, for noise that changes; the schedule is then answer * shape.
    """
    _positive(epsilon=epsilon, steps=steps)
    needed = globals()["epsilon"]

    def enough(noise, by):
        noise = noise if shape is None else [noise * relative for relative in shape]
        return needed(noise_multiplier=noise, sample_rate=sample_rate, steps=steps, delta=delta, accountant=by) <= epsilon
    by_rdp = _smallest(lambda noise: enough(noise, "rdp"), digits=1e-3)
    if accountant == "rdp":
        return by_rdp
    low, high = (max(0.1, by_rdp / 2), by_rdp) if accountant == "pld" else (by_rdp, 2 * by_rdp)
    return _smallest(lambda noise: enough(noise, accountant), low=low, high=high, digits=1e-3)


def tree_heights(rounds, restart_every=None):
    """How many noisy sums of the binary tree one round enters at most, an int for each tree of a run. Of T rounds: ceil(log2(T+1))."""
    if rounds < 0 or (restart_every is not None and restart_every < 1):
        raise ValueError(f"rounds={rounds}, restart_every={restart_every}: give rounds of at least 0, and a restart after 1 or more")
    size = min(restart_every or rounds, rounds)
    return [min(size, rounds - start).bit_length() for start in range(0, rounds, size or 1)]


def tree_epsilon(*, noise_multiplier, rounds, restart_every=None, delta):
    """The epsilon of DP-FTRL (privacy.tree_noise) at delta: float. No sampling is assumed, so devices may come when they like.

    The promise holds for a client that takes part in at most ONE round of each tree (selection: privacy.in_turns), and compares with that
    client's updates replaced by zeros. A tree with noise z on each node is a Gaussian mechanism with noise z / sqrt(height); trees compose:
    together z / sqrt(sum of heights). Exact, by gaussian_epsilon. Source: Kairouz et al. 2021, sec. 4 and appendix D.
    """
    heights = tree_heights(rounds, restart_every)
    return gaussian_epsilon(sigma=noise_multiplier, sensitivity=math.sqrt(sum(heights)), delta=delta) if heights else 0.0


def _counts(noise_multiplier, steps):
    """{noise multiplier: number of steps with it}."""
    if steps < 0 or steps != int(steps):
        raise ValueError(f"steps={steps}: give a whole number, at least 0")
    if isinstance(noise_multiplier, int | float):
        schedule = {float(noise_multiplier): int(steps)} if steps else {}
    else:
        noises = [float(noise) for noise in noise_multiplier]
        if len(noises) != steps:
            raise ValueError(f"{len(noises)} noise multipliers for {steps} steps: give one for each step")
        schedule = {noise: noises.count(noise) for noise in sorted(set(noises))}
    if any(not noise >= 0 for noise in schedule):
        raise ValueError(f"noise_multiplier={noise_multiplier}: give numbers of at least 0 (the standard deviation divided by the clip)")
    return schedule


def _smallest(holds, *, low=0.0, high=1.0, digits=1e-12):
    """The smallest number > low for which the monotone `holds` is True, by bisection to relative `digits`; the side that holds."""
    while not holds(high):
        low, high = high, 2 * high
    while high - low > digits * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _check_delta(delta):
    if not 0 < delta < 1:
        raise ValueError(f"delta={delta}: give a number between 0 and 1, well below one over the number of units protected")


def _positive(**named):
    for name, value in named.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} must be above 0 and finite")
