"""The privacy loss of the Poisson-sampled Gaussian mechanism as a distribution on a grid, composed by FFT. `accounting.epsilon` calls it.

The loss of an outcome o is ln(P(o) / Q(o)), P with the person and Q without, or the reverse; it is bounded by epsilon but for delta.
Every rounding here makes the loss larger, never smaller, so the answer is an upper bound, and a tight one.
Sources: Koskela et al. 2020 (composition by FFT); Doroshenko et al. 2022 (connecting the dots: the grid's error is of second order).
"""
import math

import torch

GRID = 1e-4                 # spacing of the losses
HIGHEST = 500.0             # an epsilon above this is reported as infinite: e^epsilon leaves the range of numbers soon after
LARGEST = 2 ** 20           # points of the composed distribution; a wider one gets a coarser grid, which is sound and less tight
LAMBDAS = torch.logspace(-2, 2, 17, dtype=torch.float64)             # where the moment bound on the tails is tried


def epsilon(phases, delta):
    """phases: [(noise_multiplier >= 0.1, sample_rate in (0, 1], steps >= 1), ...]; delta in [1e-10, 1) -> epsilon, the larger direction."""
    return max(_one_direction(phases, delta, adding) for adding in (False, True))


def single_step(noise_multiplier, sample_rate, tail, spacing, adding):
    """One step's loss distribution: (first, mass (K,) float64, infinite), mass[i] at loss (first + i) * spacing, the rest at infinity.

    Outcomes are x = the noised sum in units of the clip: Q = N(0, z^2), P = (1 - q) N(0, z^2) + q N(1, z^2). tail: how much of the
    probability may be sent to infinity. adding: False for P against Q (a person removed), True for Q against P (one added).
    """
    z, q = noise_multiplier, sample_rate
    farthest = 1 - z * float(torch.special.ndtri(torch.tensor(tail, dtype=torch.float64)))
    nearest = -math.inf if q < 1 else -farthest                                      # with q = 1 the loss has no lower end: cut there
    ends = [math.log1p(-q) if q < 1 else _loss(nearest, z, q), _loss(farthest, z, q)]
    first, last = math.floor(ends[0] / spacing), math.ceil(ends[1] / spacing)
    loss = torch.arange(first, last + 1, dtype=torch.float64) * spacing
    # x at which ln(P/Q) = loss: z^2 ln((e^loss - 1 + q) / q) + 1/2
    x = z ** 2 * torch.log(((torch.expm1(loss) + q) / q).clamp(min=0)) + 0.5
    with_person = [(1 - q) * a + q * b for a, b in zip(_masses(x, z), _masses(x - 1, z), strict=True)]
    without = _masses(x, z)
    if adding:      # ln(Q/P) = -loss: the same cells in reverse order, P and Q changed over
        cells, ends = _split(without[1].flip(0), with_person[1].flip(0), -loss.flip(0)), (without[2], without[0])
        first = -last
    else:
        cells, ends = _split(with_person[1], without[1], loss), (with_person[0], with_person[2])
    cells[0] += ends[0]                                                              # below the grid: up to its first point
    return first, cells, float(ends[1])                                              # above it: infinity


def _loss(x, z, q):
    """ln(P/Q) at the outcome x: ln(1 - q + q e^((2x - 1) / 2z^2))."""
    exponent = (2 * x - 1) / (2 * z ** 2)
    return exponent if q == 1 else float(torch.logaddexp(*torch.tensor([math.log1p(-q), math.log(q) + exponent], dtype=torch.float64)))


def _masses(x, z):
    """N(0, z^2) below x[0], between each two of x, above x[-1]; each from the tail that it is nearer to."""
    low, high = torch.special.ndtr(x / z), torch.special.ndtr(-x / z)
    return low[0], torch.where(x[1:] > 0, high[:-1] - high[1:], low[1:] - low[:-1]).clamp(min=0), high[-1]


def _split(p, q, loss):
    """P-mass p and Q-mass q of the cell (loss[i], loss[i + 1]] put on its two ends such that both are kept: Q = P e^-loss on each end."""
    lower = (q - p * torch.exp(-loss[1:])) / (torch.exp(-loss[:-1]) - torch.exp(-loss[1:]))
    lower = torch.minimum(lower.clamp(min=0), p)
    mass = torch.zeros(len(loss), dtype=torch.float64)
    mass[:-1] += lower
    mass[1:] += p - lower
    return mass


def _one_direction(phases, delta, adding):
    steps = sum(count for _, _, count in phases)
    spare = delta * 1e-5                                  # of delta, given away to the cut tails
    spacing = GRID
    while True:
        singles = [(*single_step(z, q, spare / steps, spacing, adding), count) for z, q, count in phases]
        low, high = _window(singles, spacing, spare)
        if low > 2 * HIGHEST:
            return math.inf
        size = 2 ** math.ceil(math.log2((high - low) / spacing + 2))
        if size <= LARGEST:
            break
        spacing *= size // LARGEST
    mass = _compose(singles, size)
    first = math.floor(low / spacing)
    loss = torch.arange(first, first + size, dtype=torch.float64) * spacing
    mass = mass[torch.arange(first, first + size) % size]
    # An FFT leaves dust of either sign near 1e-17 in every cell: negative dust counts as none. What lies above `high` wrapped around to
    # small losses, so it is counted at infinity as well; what lies below `low` came in at the top, which is an upper bound already.
    infinite = spare - math.expm1(sum(count * math.log1p(-beyond) for _, _, beyond, count in singles))
    return _smallest_epsilon(loss, mass.clamp(min=0), delta - infinite)


def _window(singles, spacing, tail):
    """(low, high) with at most `tail` of the sum of all losses above high, or below low: Chernoff's bound over LAMBDAS."""
    up, down = torch.zeros_like(LAMBDAS), torch.zeros_like(LAMBDAS)
    for first, mass, _, count in singles:
        keep = mass > 0
        loss = ((first + torch.arange(len(mass))) * spacing)[keep].to(torch.float64)
        for total, sign in ((up, 1), (down, -1)):
            total += count * torch.stack([torch.logsumexp(mass[keep].log() + sign * at * loss, 0) for at in LAMBDAS])
    return -float(((down - math.log(tail)) / LAMBDAS).min()), float(((up - math.log(tail)) / LAMBDAS).min())


def _compose(singles, size):
    """The distribution of the sum of all losses, at index (loss / spacing) mod size."""
    log_size, angle = torch.zeros(size // 2 + 1, dtype=torch.float64), torch.zeros(size // 2 + 1, dtype=torch.float64)
    for first, mass, _, count in singles:
        wrapped = torch.zeros(size, dtype=torch.float64).index_add_(0, (first + torch.arange(len(mass))) % size, mass)
        spectrum = torch.fft.rfft(wrapped)
        log_size += count * spectrum.abs().log()
        angle += count * spectrum.angle()
    return torch.fft.irfft(torch.polar(log_size.exp(), angle), n=size)


def _smallest_epsilon(loss, mass, delta):
    """The smallest epsilon >= 0 with  sum over loss > epsilon of mass * (1 - e^(epsilon - loss)) <= delta."""
    delta = delta - float(mass[loss > HIGHEST].sum())
    if delta <= 0:
        return math.inf
    keep = (loss > 0) & (loss <= HIGHEST)
    loss, mass = loss[keep].flip(0), mass[keep].flip(0)                             # from the largest loss down
    above, shrunk = mass.cumsum(0), (mass * torch.exp(-loss)).cumsum(0)
    # With the k + 1 largest losses above epsilon, delta(epsilon) = above[k] - e^epsilon shrunk[k]. Find the cell, then solve.
    at_next = above[:-1] - torch.exp(loss[1:]) * shrunk[:-1]                        # delta at the next lower grid point
    k = int(torch.cat([at_next > delta, torch.tensor([True])]).nonzero()[0])        # where none is: between 0 and the lowest grid point
    return max(0.0, math.log(max(float((above[k] - delta) / shrunk[k]), 1.0)))
