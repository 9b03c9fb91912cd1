"""Enrol a user without training: a cosine head from a few examples, mixed with what the net knew, and new classes as new rows of it.

What a net makes of x below its head are its features. All nets are Sequentials that end in a Linear named head, as in models.nets.
"""
import copy

import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import distil


def directions(features, y, *, centre):
    """One direction a class, the mean of its examples' directions as seen from `centre`: features (N, D), y (N,) int64 -> (C, D), length 1.

    centre: (D,), the mean feature of many users, else all features point alike. C is the largest label + 1; a class without an example
    has direction 0, so that `known` may fill it. Raises ValueError for no examples, or features and labels of unequal number.
    """
    if len(y) == 0 or len(features) != len(y):
        raise ValueError(f"{len(features)} features and {len(y)} labels: give one label each, and at least one")
    unit = F.normalize(features - centre, dim=1)
    total = features.new_zeros(int(y.max()) + 1, features.shape[1]).index_add(0, y, unit)
    return F.normalize(total, dim=1)


def mix(own, known, *, trust=0.5):
    """Directions between the user's and those known before: normalise(trust * own + (1 - trust) * known), both (C, D). 0 <= trust <= 1."""
    if not 0 <= trust <= 1 or own.shape != known.shape:
        raise ValueError(f"trust={trust}, own {tuple(own.shape)}, known {tuple(known.shape)}: trust is 0 to 1, and the shapes are the same")
    return F.normalize(trust * own + (1 - trust) * known, dim=1)


def cosine_head(directions, *, centre):
    """The nearest direction as a linear layer: directions (C, D) of length 1 -> weight (C, D), bias (C,).

    cos(f - c, d) |f - c| = d.f - d.c, and |f - c| is the same for every class: the largest output is the nearest direction. Only the
    answer is that of a cosine; the outputs are no probabilities. Source: Gidaris and Komodakis 2018, sec. 3.2, whose net divides by |f|.
    """
    return directions, -directions @ centre


@torch.no_grad()
def enrolled(net, directions, *, centre):
    """A copy of `net` whose head is `cosine_head` of these directions; it may have more classes than before. All below stays as it was.

    So a class that the net has never known is one more row: weight imprinting, Qi et al. 2018, sec. 3.2, without its fine-tuning.
    Raises ValueError for directions of another size than the features.
    """
    if not isinstance(net, nn.Sequential) or not isinstance(net[-1], nn.Linear) or net[-1].in_features != directions.shape[1]:
        raise ValueError(f"directions are {tuple(directions.shape)}: the net must be a Sequential that ends in a Linear of as many inputs")
    made = copy.deepcopy(net)
    with torch.device("meta"):      # no draw from the global generator
        head = nn.Linear(directions.shape[1], len(directions))
    made[-1] = head.to_empty(device="cpu")
    for p, value in zip(made[-1].parameters(), cosine_head(directions, centre=centre), strict=True):
        p.copy_(value)
    return made


def pseudo_labels(net, x, *, threshold, verify=None):
    """What the net is sure of, as labels: x (N, ...) -> (kept (N,) bool, y (N,) int64). Nobody has confirmed them.

    kept: the largest softmax output is above `threshold` (0 to 1), and the net `verify`, if given, says the same class. Two nets that
    share their features share their errors. Source: Lee 2013 (pseudo-labels), who trains on all; the threshold is Sohn et al. 2020, eq. 4.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold={threshold}: a probability from 0 (all are kept) to below 1")
    sure, y = distil.ask(net, x).softmax(1).max(1)
    kept = sure > threshold
    return (kept if verify is None else kept & (distil.ask(verify, x).argmax(1) == y)), y
