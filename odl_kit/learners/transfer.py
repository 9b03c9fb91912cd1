"""Take over what another net has learned: its features, with a new head (`with_head`, `features`), or its weights, held near by `l2_sp`.

Which weights go on learning says an UpdatePlan (plan.head_only, plan.last_layers, plan.full). `leave_one_out` asks how well a net suits a
new task before anything is trained. All nets are Sequentials that end in a Linear named head, as in models.nets.
"""
import copy

import torch
from torch import nn

from odl_kit.learners import distil, episodes


def with_head(net, classes, *, rng):
    """A copy of `net` with a fresh head for `classes` classes: all below is taken over.

    rng: torch.Generator, draws the head (He et al. 2015, uniform). Raises ValueError unless `net` is a Sequential that ends in a Linear.
    """
    _head(net)
    net = copy.deepcopy(net)
    with torch.device("meta"):      # no draw from the global generator
        fresh = nn.Linear(net[-1].in_features, classes)
    net[-1] = fresh.to_empty(device="cpu")
    nn.init.kaiming_uniform_(net[-1].weight, nonlinearity="relu", generator=rng)
    nn.init.zeros_(net[-1].bias)
    return net


def features(net, x):
    """What `net` makes of x (N, ...) below its head: (N, D) float32, in evaluation mode, without gradients.

    A frozen extractor gives an example the same features in every epoch, so they are computed once; train.fit(net[-1], features, y) then
    trains the head alone.
    """
    _head(net)
    return distil.ask(net[:-1], x)


def leave_one_out(features, y):
    """How well a nearest-mean classifier does on examples that it has not seen, from 0 to 1: features (N, D), y (N,) int64 from 0.

    Each example is taken out of the mean of its own class before it is asked about; nothing is held out, nothing is trained. It ranks
    extractors for a task with few labels. Raises ValueError for a class with fewer than two examples.
    """
    counts, centres = torch.bincount(y), episodes.prototypes(features, y)
    if counts.min() < 2:
        raise ValueError(f"class {int(counts.argmin())} has one example, and none is left when it is taken out: give two or more of each")
    distance = torch.cdist(features, centres, compute_mode="donot_use_mm_for_euclid_dist")
    # the mean of the others is (n c - f) / (n - 1), so it lies |f - c| n / (n - 1) away
    own, n = (torch.arange(len(y)), y), counts[y]
    distance[own] = distance[own] * n / (n - 1)
    return (distance.argmin(1) == y).float().mean().item()


def l2_sp(net, *, pull, decay=0.0):
    """A penalty for train.fit(penalty=...) that holds a net near where it starts: the weights that `net` has now.

        pull / 2 * |w - w_start|^2, all below the head  +  decay / 2 * |w|^2, the head, which is new and has no start worth keeping.

    It keeps one copy of the weights below the head: on a device, as many bytes again. pull, decay: from 0 up.
    Source: Li et al. 2018, "Explicit Inductive Bias for Transfer Learning", eq. 4 (their alpha and beta).
    """
    if min(pull, decay) < 0:
        raise ValueError(f"pull={pull}, decay={decay}: a pull below 0 pushes away; give 0 or more")
    head = {id(p) for p in _head(net).parameters()}
    start = {name: p.detach().clone() for name, p in net.named_parameters() if id(p) not in head}

    def penalty(net):
        below = sum((p - start[name]).square().sum() for name, p in net.named_parameters() if name in start)
        new = sum(p.square().sum() for name, p in net.named_parameters() if name not in start)
        return pull / 2 * below + decay / 2 * new
    return penalty


def _head(net):
    if not isinstance(net, nn.Sequential) or not isinstance(net[-1], nn.Linear):
        raise ValueError(f"{type(net).__name__} does not end in a head: give a Sequential whose last layer is a Linear, as in models.nets")
    return net[-1]
