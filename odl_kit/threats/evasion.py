"""Adversarial examples by gradients: FGSM and PGD. White box with the target's own gradients, a transfer attack with those of a copy.

Every attack starts at x, climbs the cross-entropy of the true class, and stays within eps of x and within [0, 1]. `net` is a module or
any function x -> logits, for the attacker chooses what to climb. A module is asked in evaluation mode; its mode and weights stay.
MITRE ATLAS calls it "Craft Adversarial Data" (tactic: ML Attack Staging), and the aim "Evade ML Model".
"""
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F


def fgsm(net, x, y, *, eps):
    """One step of eps up the sign of the gradient: x (N, ...) float in [0, 1], y (N,) int64 -> (N, ...) within eps of x in each value.

    Source: Goodfellow et al. 2015, sec. 4; clipped to [0, 1]. Raises ValueError as `project` does.
    """
    # x' = clip(x + eps * sign(grad_x L(x, y)))
    return project(x + eps * input_gradient(net, x, y).sign(), x, eps=eps)


def pgd(net, x, y, *, eps, step, steps, norm="linf", random_start=False, rng=None):
    """`steps` steps uphill, each taken back into the ball around x: x (N, ...) float in [0, 1], y (N,) int64 -> (N, ...).

    norm: "linf", eps bounds each value and a step follows the sign; "l2", eps bounds the length of the change and a step has length `step`.
    random_start: from a point of the ball drawn with rng (torch.Generator), uniform in it. Source: Madry et al. 2018, sec. 2.1.
    Raises ValueError for steps below 1, for a random start without rng, and as `project` does.
    """
    if steps < 1 or random_start and rng is None:
        raise ValueError(f"steps={steps}, random_start={random_start}, rng={rng}: steps is at least 1, and a random start needs an rng")
    at = project(x + _within(x, eps, norm, rng) if random_start else x, x, eps=eps, norm=norm)
    for _ in range(steps):
        at = project(at + step * uphill(input_gradient(net, at, y), norm=norm), x, eps=eps, norm=norm)
    return at


def input_gradient(net, x, y, *, create_graph=False):
    """The gradient of each example's own cross-entropy by its input: x (N, ...) float, y (N,) int64 -> (N, ...).

    create_graph: keep the graph, so that a defence can train on this gradient (defenses.unpairing).
    """
    with in_use(net):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(net(x), y, reduction="sum"), x, create_graph=create_graph)[0]


def uphill(gradient, *, norm="linf"):
    """The step of size 1 that climbs most: (N, ...) -> (N, ...). "linf": the sign; "l2": the gradient at length 1 (a zero stays zero)."""
    return gradient.sign() if norm == "linf" else gradient / lengths(gradient).clamp_min(1e-12)


def project(at, x, *, eps, norm="linf"):
    """The point near `at` (N, ...) that lies within eps of x (N, ...), and in [0, 1].

    "linf" moves each value back into [x - eps, x + eps], "l2" shortens the change to length eps. Clipping comes last: it only brings a
    point closer to an x that is in [0, 1]. Raises ValueError for another norm, eps below 0, and an x outside [0, 1].
    """
    if norm not in ("linf", "l2") or not eps >= 0:
        raise ValueError(f'norm={norm!r}, eps={eps}: norm is "linf" or "l2", eps at least 0')
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"x runs from {x.min():g} to {x.max():g}: an attack is held within [0, 1], so scale x into it")
    change = at - x
    change = change.clamp(-eps, eps) if norm == "linf" else change * (eps / lengths(change).clamp_min(1e-12)).clamp(max=1)
    return (x + change).clamp(0, 1)


def success(net, x, adversarial, y):
    """Of the examples that `net` reads right, the share that it reads wrong after the attack: float. x, adversarial (N, ...), y (N,) int64.

    What was wrong before is no merit of the attacker. Raises ValueError when nothing is read right.
    """
    with in_use(net), torch.no_grad():
        right, after = net(x).argmax(1) == y, net(adversarial).argmax(1) == y
    if not right.any():
        raise ValueError(f"the net reads none of {len(y)} examples right: there is nothing to attack")
    return (~after[right]).double().mean().item()


def lengths(rows):
    """The Euclidean length of each example: (N, ...) -> (N, 1, ..., 1), so that it divides rows."""
    return rows.flatten(1).norm(dim=1).view(-1, *[1] * (rows.dim() - 1))


@contextmanager
def in_use(net):
    """`net` in evaluation mode, as an attacker meets it; then every module is in the mode it was in. A plain function stays as it is."""
    before = {module: module.training for module in net.modules()} if isinstance(net, nn.Module) else {}
    for module in before:
        module.training = False
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def _within(x, eps, norm, rng):
    """A change drawn uniformly from the ball of radius eps: shaped like x."""
    if norm == "linf":
        return eps * (2 * torch.rand(x.shape, generator=rng) - 1)
    direction, d = torch.randn(x.shape, generator=rng), x[0].numel()
    radius = torch.rand(len(x), generator=rng).pow(1 / d).view(-1, *[1] * (x.dim() - 1))       # volume grows like r^d
    return eps * radius * direction / lengths(direction)
