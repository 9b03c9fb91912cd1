"""Differential privacy: mechanisms, stages that protect a whole CLIENT, and DP-SGD, which protects one RECORD. Epsilons: module accounting.

A client-level stage `(uplink, state, rng) -> (uplink, state)` clips each client's update, adds them, adds noise once to the sum, and
divides by the number of clients EXPECTED, never by the number that came (it depends on who is in the data). What leaves it is one row that
belongs to nobody: id -1, one "example". A client whose update holds NaN or Inf counts as zero and is recorded. Stages:
    noised_mean     DP-FedAvg (McMahan et al. 2018); noise may change from round to round
    adaptive_clip   the same with a clip that follows a quantile of the norms (Andrew et al. 2021)
    tree_noise      DP-FTRL (Kairouz et al. 2021): needs no random sampling of clients
The promise needs the selection that goes with it: poisson for the first two, in_turns for the third. The server is trusted to add noise.
torch's generator is not a cryptographic one, and floats leak (Mironov 2012): right for lessons and measurements, not for a real release.
"""
import math
from dataclasses import replace

import torch
from torch.func import grad, vmap

from odl_kit.models import flat


def clip(updates, *, norm):
    """updates (C, P): each row times min(1, norm / its L2 norm). A row of zeros stays zero; a row with NaN stays NaN."""
    if not 0 < norm < math.inf:
        raise ValueError(f"norm={norm} must be above 0 and finite: it is the longest L2 norm a row may have")
    return updates * (norm / _norms(updates).clamp(min=norm)).to(updates.dtype).unsqueeze(1)


def gaussian(values, *, sigma, rng):
    """values + N(0, sigma^2) on every entry. sigma: accounting.gaussian_sigma(epsilon=..., delta=..., sensitivity=L2 distance)."""
    return values + sigma * torch.randn(values.shape, generator=rng, dtype=values.dtype).to(values.device)


def laplace(values, *, epsilon, sensitivity, rng):
    """values + Laplace noise of scale sensitivity / epsilon: (epsilon, 0)-private. sensitivity: the L1 distance a unit can move values."""
    if not (epsilon > 0 and sensitivity > 0):
        raise ValueError(f"epsilon={epsilon}, sensitivity={sensitivity}: both must be above 0")
    first, second = torch.empty(2, *values.shape, dtype=values.dtype).exponential_(generator=rng)      # their difference is Laplace(1)
    return values + (sensitivity / epsilon) * (first - second).to(values.device)


def poisson(num_clients, sample_rate):
    """A selection for rounds.run: each client takes part by a coin of its own, with probability sample_rate. How many come differs.

    It may be nobody, which ends a run with an error: expect 20 clients a round or more (then once in 500 million rounds).
    """
    if not 0 < sample_rate <= 1:
        raise ValueError(f"sample_rate={sample_rate}: give the probability, above 0 and at most 1, that a client takes part in a round")

    def select(round_number, rng):
        return (torch.rand(num_clients, generator=rng) < sample_rate).nonzero().flatten()
    return select


def in_turns(num_clients, m, *, seed=0):
    """A selection for tree_noise: m clients a round, nobody twice within num_clients // m rounds (restart the tree that often).

    Each turn has an order of its own, drawn from seed and the number of the turn, so that it does not hang on what was drawn before.
    """
    if not 1 <= m <= num_clients:
        raise ValueError(f"m={m} clients asked of {num_clients}: give 1 to {num_clients}")

    def select(round_number, rng):
        turn, place = divmod(round_number - 1, num_clients // m)
        order = torch.randperm(num_clients, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
        return order[place * m:(place + 1) * m].sort().values
    return select


def noised_mean(*, clip_norm, noise_multiplier, expected_clients, total=None):
    """The stage of DP-FedAvg, client-level: (sum of clipped updates + N(0, (noise_multiplier * clip_norm)^2)) / expected_clients.

    expected_clients: sample_rate * num_clients. noise_multiplier: one number, or one for each round, fixed BEFORE the run (`falling`).
    total: (C, P) -> (P,), how the rows are added; None: plainly. A secure sum goes here (secagg.total).
    epsilon of a run: accounting.epsilon(noise_multiplier=..., sample_rate=..., steps=rounds, delta=...).
    Raises ValueError when the run has more rounds than noise_multiplier has numbers. state: rounds done.
    """
    def work(uplink, state, rng):
        done = state or 0
        z = _noise_of_round(noise_multiplier, done)
        rows, failed = _finite(uplink)
        summed = _total(clip(rows, norm=clip_norm), total)
        return _one_row(uplink, gaussian(summed, sigma=z * clip_norm, rng=rng) / expected_clients, failed), done + 1
    return work


def adaptive_clip(*, noise_multiplier, expected_clients, start=0.1, quantile=0.5, eta=0.2, count_noise=None, total=None):
    """DP-FedAvg whose clip follows the `quantile` of the clients' norms, client-level (Andrew et al. 2021, algorithm 1).

        b = noisy share of clients with norm <= C         C <- C * e^(-eta * (b - quantile))

    so C grows while too few fit under it. count_noise: sigma_b, the noise on the count; None: expected_clients / 20, as in the paper.
    The count costs privacy too; the update gets the noise z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2), a bit more than z = noise_multiplier,
    so that both together are one release with noise z: account for z. state: the clip C of the next round. The norms are read where the
    server can see them; in a federation with secure sums the clients send the bit along.
    """
    sigma_b = expected_clients / 20 if count_noise is None else count_noise
    if noise_multiplier and 2 * sigma_b <= noise_multiplier:
        raise ValueError(f"count_noise={sigma_b} is below noise_multiplier / 2 = {noise_multiplier / 2}: the count alone would use up the "
                         "privacy; raise it, or expect more clients")
    z_delta = (noise_multiplier ** -2 - (2 * sigma_b) ** -2) ** -0.5 if noise_multiplier else 0.0
    sigma_b = sigma_b if noise_multiplier else 0.0

    def work(uplink, state, rng):
        bound = start if state is None else state
        rows, failed = _finite(uplink)
        summed = _total(clip(rows, norm=bound), total)
        update = gaussian(summed, sigma=z_delta * bound, rng=rng) / expected_clients
        # a bit of +-1/2 instead of 0 or 1 halves what one client can change
        signed = ((_norms(rows) <= bound).double() - 0.5).sum()
        share = 0.5 + float(gaussian(signed, sigma=sigma_b, rng=rng)) / expected_clients
        return _one_row(uplink, update, failed), bound * math.exp(-eta * (share - quantile))
    return work


def tree_noise(*, clip_norm, noise_multiplier, expected_clients, restart_every=None, total=None):
    """The stage of DP-FTRL, client-level: noise on the PREFIX sums of the clipped updates, through a binary tree.

    Each node of the tree carries N(0, (noise_multiplier * clip_norm)^2); the sum of rounds 1..t has the noise of the nodes that make up t,
    one for each 1 in t's binary form, so it grows like log t and not like t. What leaves the stage in round t is the difference of two such
    prefix sums, so that servers.sgd arrives at start + lr * noisy prefix sum, and servers.momentum at DP-FTRL with momentum.
    restart_every: a new tree after so many rounds; what was released stands. Select with in_turns; accounting.tree_epsilon gives epsilon.
    Source: Kairouz et al. 2021, algorithm 1 (plain tree, without Honaker's refinement). state: (rounds in this tree, (levels, P) noise).
    """
    def work(uplink, state, rng):
        rows, failed = _finite(uplink)
        summed = _total(clip(rows, norm=clip_norm), total)
        done, nodes = state if state is not None else (0, summed.new_zeros(0, len(summed)))
        if done == restart_every:
            done, nodes = 0, nodes[:0]
        level = ((done + 1) & -(done + 1)).bit_length() - 1                         # trailing zeros: the node that ends at this round
        fresh = gaussian(torch.zeros_like(summed), sigma=noise_multiplier * clip_norm, rng=rng)
        after = torch.cat([nodes.new_zeros(level, nodes.shape[1]), fresh[None], nodes[level + 1:]])
        return _one_row(uplink, (summed + after.sum(0) - nodes.sum(0)) / expected_clients, failed), (done + 1, after)
    return work


def falling(first, last, rounds):
    """Noise multipliers from first to last in equal ratios, one for each round: much noise early, little when the model converges. A tuple.

    Fixed before the run: a schedule that looked at the training loss would leak, and would need an accountant for adaptive choices.
    """
    if not (first > 0 and last > 0 and rounds >= 1):
        raise ValueError(f"first={first}, last={last}, rounds={rounds}: give noise above 0 and at least one round")
    return tuple(first * (last / first) ** (t / max(rounds - 1, 1)) for t in range(rounds))


def example_gradients(net, w, x, y, *, micro=None):
    """The gradient of each example's cross-entropy: w (P,), x (n, ...), y (n,) -> (n, P). micro: examples at once; None: all n."""
    loss = flat.flat_loss(net)
    return vmap(grad(lambda w, a, b: loss(w, a[None], b[None])), in_dims=(None, 0, 0), chunk_size=micro)(w.detach(), x, y)


def dp_sgd(net, w, x, y, *, steps, lr, clip_norm, noise_multiplier, sample_rate, micro=256, rng):
    """DP-SGD from w (P,) on x (N, ...), y (N,): RECORD-level, each of the N examples is protected, not the person who wrote many of them.

    A step: each example joins with probability sample_rate q; its gradient is clipped; noise N(0, (noise_multiplier * clip_norm)^2) goes on
    the sum; w <- w - lr * noisy sum / (q N). Returns w (P,). micro: gradients held at once (micro * P * 4 bytes).
    epsilon: accounting.epsilon(...) with the same q and steps. BatchNorm in training mode mixes examples: torch.func refuses it.
    Source: Abadi et al. 2016, algorithm 1, with Poisson sampling.
    """
    sample = poisson(len(x), sample_rate)
    for step in range(1, steps + 1):
        summed = torch.zeros_like(w)
        for part in sample(step, rng).split(micro):
            if len(part):
                summed += clip(example_gradients(net, w, x[part], y[part]), norm=clip_norm).sum(0)
        w = w - lr * gaussian(summed, sigma=noise_multiplier * clip_norm, rng=rng) / (sample_rate * len(x))
    return w


def _norms(rows):
    """(C,) float64, so that squares of float32 entries such as 1e30 do not overflow."""
    return torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)


def _noise_of_round(noise_multiplier, done):
    if isinstance(noise_multiplier, int | float):
        return noise_multiplier
    if done >= len(noise_multiplier):
        raise ValueError(f"round {done + 1} has no noise: the schedule was accounted for {len(noise_multiplier)} rounds; plan more of them")
    return noise_multiplier[done]


def _finite(uplink):
    """(rows without NaN and Inf, failed with those named)."""
    good = uplink.updates.isfinite().all(1)
    why = "the update holds NaN or Inf, so it counts as zero"
    return uplink.updates[good], (*uplink.failed, *((int(client), why) for client in uplink.ids[~good]))


def _total(rows, total):
    return rows.sum(0) if total is None or not len(rows) else total(rows).to(rows)


def _one_row(uplink, row, failed):
    return replace(uplink, updates=row[None], num_examples=torch.tensor([1]), ids=torch.tensor([-1]), failed=failed)
