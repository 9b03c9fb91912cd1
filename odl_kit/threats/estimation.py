"""Query attack on scores: the gradient is not known, so it is estimated from answers (NES), better with a copy's gradient as a prior."""
import torch

from odl_kit.threats import evasion
from odl_kit.threats.queries import Found


def nes(scores, x, y, *, eps, step, steps, directions, sigma=0.01, norm="linf", prior=None, mix=0.5, start=None, rng):
    """PGD on estimated gradients, example by example until the target is fooled: x (N, ...) in [0, 1], y (N,) int64 -> Found.

    scores: x (M, ...) -> (M, K) probabilities. A step asks for 2 * directions probes and then for the new point; the first query is
    `start` (N, ...), where an attacker has a guess, say a transferred example, else x. eps, step, steps, norm: as for evasion.pgd.
    prior, mix: as for `estimate`. rng: torch.Generator. Sources: Ilyas et al. 2018 (NES); the start: Suya et al. 2020.
    Raises ValueError for steps or directions below 1, sigma not above 0, mix outside [0, 1], and as evasion.project does.
    """
    if steps < 1 or directions < 1 or not sigma > 0 or not 0 <= mix <= 1:
        raise ValueError(f"steps={steps}, directions={directions}, sigma={sigma}, mix={mix}: at least 1, at least 1, above 0, from 0 to 1")
    at = evasion.project(x if start is None else start, x, eps=eps, norm=norm)
    queries, left = torch.ones(len(x), dtype=torch.int64), torch.arange(len(x))
    for tried in range(steps + 1):
        left = left[scores(at[left]).argmax(1) == y[left]]
        if tried == steps or len(left) == 0:
            break
        slope = estimate(scores, at[left], y[left], directions=directions, sigma=sigma, prior=prior, mix=mix, rng=rng)
        at[left] = evasion.project(at[left] + step * evasion.uphill(slope, norm=norm), x[left], eps=eps, norm=norm)
        queries[left] += 2 * directions + 1
    success = torch.ones(len(x), dtype=torch.bool).index_fill(0, left, False)
    return Found(at, success, queries)


def estimate(scores, x, y, *, directions, sigma, prior=None, mix=0.5, rng):
    """The gradient of -log p_y by x, from 2 * directions answers an example: x (N, ...), y (N,) -> (N, ...).

    Normal directions u, each tried forth and back. With prior, a function x, y -> (N, ...) such as evasion.input_gradient of a copy, a
    direction is turned towards it: mix is the part of the squared length that lies along the prior, the rest is drawn across it.
    Probes are clipped to [0, 1], since a target refuses others: at the rim a slope counts half, its sign stays.
    Sources: Ilyas et al. 2018, sec. 2 (antithetic NES); Cheng et al. 2019 (P-RGF, here with a fixed mix in place of an estimated one).
    """
    u = torch.randn(len(x), directions, *x.shape[1:], generator=rng).to(x)
    if prior is not None:
        u = _turned(u.flatten(2), prior(x, y).flatten(1), mix).view_as(u)

    def loss(probes):
        p = scores(probes.clamp(0, 1).flatten(0, 1)).view(len(x), directions, -1)
        return -p.gather(2, y.view(-1, 1, 1).expand(-1, directions, 1)).squeeze(2).clamp_min(1e-12).log()

    forth, back = loss(x[:, None] + sigma * u), loss(x[:, None] - sigma * u)
    # g = 1 / (2 n sigma) * sum_i (L(x + sigma u_i) - L(x - sigma u_i)) u_i
    return torch.einsum("ni,ni...->n...", forth - back, u) / (2 * directions * sigma)


def _turned(u, prior, mix):
    """u (N, n, d), prior (N, d) -> (N, n, d) of length sqrt(d): sqrt(mix) along the prior, sqrt(1 - mix) across it. No prior, no turn."""
    v = prior / prior.norm(dim=1, keepdim=True).clamp_min(1e-12)
    across = u - (u @ v[:, :, None]) * v[:, None]
    turned = mix ** 0.5 * v[:, None] + (1 - mix) ** 0.5 * across / across.norm(dim=2, keepdim=True).clamp_min(1e-12)
    return torch.where(v.any(1)[:, None, None], u.shape[2] ** 0.5 * turned, u)
