"""Query attack on decisions: the target tells the class alone, and the attacker walks along the boundary towards x (HopSkipJump).

Rounding the scores does not stop it, for it needs none. It needs a start that the target reads wrong: any picture of another class.
"""
import math

import torch

from odl_kit.threats import evasion
from odl_kit.threats.queries import Found


def hop_skip_jump(decide, x, y, *, start, eps, rounds=20, probes=100, norm="linf", rng):
    """From `start` to the boundary, along it, and again, until within eps of x: x, start (N, ...) in [0, 1], y (N,) int64 -> Found.

    decide: x (M, ...) -> (M,) int64. A round asks for probes * sqrt(round) points around the one that was reached, then for the length of a
    step and for the boundary. norm: "linf" or "l2", of the distance. rng: torch.Generator. A start that is read right is a failure.
    x of Found is the nearest point that was found. Source: Chen et al. 2020, algorithm 2, with the constants of its published code.
    Raises ValueError for rounds or probes below 1, and as evasion.project does.
    """
    if rounds < 1 or probes < 1:
        raise ValueError(f"rounds={rounds}, probes={probes}: both are at least 1")
    evasion.project(x, x, eps=eps, norm=norm)       # for its errors
    at, d = start.clone(), x[0].numel()
    wrong, queries = decide(at) != y, torch.ones(len(x), dtype=torch.int64)
    bits, left = math.ceil(math.log2(d) * (2 if norm == "linf" else 1.5)), wrong.nonzero().flatten()
    for done in range(rounds + 1):
        if done and len(left):
            slope, size = _slope(decide, at[left], x[left], y[left], round(probes * done ** 0.5), done, norm, rng)
            queries[left] += size
            at[left], asked = _hop(decide, at[left], slope, x[left], y[left], done, norm)
            queries[left] += asked
        if len(left):
            at[left] = _boundary(decide, at[left], x[left], y[left], bits, norm)
            queries[left] += bits
            left = left[distance(at[left], x[left], norm=norm) > eps]
    return Found(at, wrong & (distance(at, x, norm=norm) <= eps), queries)


def distance(at, x, *, norm="linf"):
    """How far each example was moved: (N, ...) twice -> (N,), the largest change of a value ("linf") or the length of the change ("l2")."""
    return (at - x).flatten(1).norm(dim=1, p=math.inf if norm == "linf" else 2)


def _shaped(values, x):
    return values.view(-1, *[1] * (x.dim() - 1))


def _boundary(decide, at, x, y, bits, norm):
    """Binary search between x and `at`, which is read wrong: the last point that is, to 2^-bits of the way."""
    low, high, far = torch.zeros(len(x)), torch.ones(len(x)), _shaped(distance(at, x, norm=norm), x)

    def part(share):        # "linf": the change cut to a share of its largest; "l2": that share of the way
        return x + (at - x).clamp(-_shaped(share, x) * far, _shaped(share, x) * far) if norm == "linf" else x + _shaped(share, x) * (at - x)
    for _ in range(bits):
        middle = (low + high) / 2
        wrong = decide(part(middle)) != y
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return part(high)


def _slope(decide, at, x, y, probes, done, norm, rng):
    """The direction in which the net reads more wrong, from decisions around `at`, and the probes asked for: (N, ...), int."""
    u = torch.randn(len(x), probes, *x.shape[1:], generator=rng) if norm == "l2" else 2 * torch.rand(
        len(x), probes, *x.shape[1:], generator=rng) - 1
    u = u / u.flatten(2).norm(dim=2).view(len(x), probes, *[1] * (x.dim() - 1))
    # the first probes reach 0.1 far, later ones the d-th part of the distance
    reach = torch.full((len(x),), 0.1) if done == 1 else distance(at, x, norm=norm).clamp_min(1e-6) / x[0].numel()
    reach = _shaped(reach, x)[:, None]
    points = (at[:, None] + reach * u).clamp(0, 1)
    u = (points - at[:, None]) / reach
    wrong = (decide(points.flatten(0, 1)).view(len(x), probes) != y[:, None]).float() * 2 - 1
    # grad = mean_i (phi_i - mean phi) u_i; where all probes agree, their own sign times mean u
    even = wrong.mean(1, keepdim=True)
    weight = torch.where(even.abs() == 1, wrong, wrong - even)
    return torch.einsum("ni,ni...->n...", weight, u), probes


def _hop(decide, at, slope, x, y, done, norm):
    """A step of distance / sqrt(round), halved until it is read wrong: the point (N, ...), and how often each example asked (N,)."""
    step, up = distance(at, x, norm=norm) / done ** 0.5, evasion.uphill(slope, norm=norm)
    asked, left, to = torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x)), at.clone()
    for _ in range(12):     # 1 / 4096 of the way: then it stays
        point = (at[left] + _shaped(step[left], x) * up[left]).clamp(0, 1)
        wrong = decide(point) != y[left]
        to[left[wrong]], asked[left] = point[wrong], asked[left] + 1
        left = left[~wrong]
        if len(left) == 0:
            break
        step[left] /= 2
    return to, asked
