"""Structured pruning: whole channels leave the net. What comes out is a smaller dense net: fewer bytes, fewer MACs, less time anywhere.

A channel that is cut from one layer's output must leave every layer that passes it on (norm, depthwise convolution) or reads it. An
addition ties channels together: channel 3 of one branch is added to channel 3 of the other, so both go or none.
"""
import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from odl_kit.models import layers

PASSES = ("batch_norm", "group_norm", "relu", "relu6", "sigmoid", "tanh", "max_pool", "avg_pool", "global_pool", "flatten", "identity",
          "add")
ORDERS = ("largest", "smallest", "random")


@dataclass(frozen=True)
class Tied:
    """Channels that can only leave together, of these layers (names of modules).

    channels: how many. makers: convolutions and linear layers that make them. passers: norms and depthwise convolutions, one row a channel.
    readers: ((name, columns), ...): layers that read each channel in so many columns of their weights (behind a flatten: its places).
    blocks: a GroupNorm among them has so many groups, and each loses equally many.
    """
    channels: int
    makers: tuple
    passers: tuple
    readers: tuple
    blocks: int = 1


def tied(net, x):
    """The groups of channels of `net` that can be cut: a tuple of Tied, in the order in which the net makes them.

    x: one batch, only its shape counts. Left alone, because cutting would change what the net means: the net's inputs and outputs,
    whatever a softmax or an embedding touches, convolutions with several groups that are not depthwise, layers that run twice, and dense
    layers along a sequence (N, L, D). Raises ValueError as layers.trace does.
    """
    traced = layers.trace(net, x)
    root = list(range(len(traced) + 1))         # root[i + 1] of layer i leads to the first layer that its channels are tied to; 0 is x

    def find(i):
        return i if root[i] == i else find(root[i])

    def tie(i, j):
        root[max(find(i), find(j))] = min(find(i), find(j))

    owners = [layer.name for layer in traced if layer.weights or layer.kind == "batch_norm"]
    tie(0, len(traced))                         # the last layer's channels are the classes: as fixed as x
    for i, layer in enumerate(traced, start=1):
        plain = layer.kind in ("conv", "linear") and layer.groups == 1 and (layer.kind == "conv" or layer.h_in * layer.w_in == 1)
        if owners.count(layer.name) > 1 or not (plain or layer.kind in PASSES or _depthwise(layer)):
            for j in (i, *(source + 1 for source in layer.inputs)):
                tie(0, j)
        elif not plain:
            for source in layer.inputs:
                tie(i, source + 1)
    found = [_tied(traced, find, head) for head in sorted({find(i) for i in range(len(root))} - {0})]
    return tuple(group for group in found if group)


def _tied(traced, find, head):
    """Tied of the channels that layer `head` - 1 makes first; None if they cannot be told apart (an addition behind a flatten)."""
    inside = [layer for i, layer in enumerate(traced, start=1) if find(i) == head]
    makers = [layer for layer in inside if _mixes(layer)]
    passers = [layer for layer in inside if layer.kind.endswith("_norm") or _depthwise(layer)]
    reading = [layer for layer in traced if _mixes(layer) and find(layer.inputs[0] + 1) == head]
    if len({maker.c_out for maker in makers}) > 1:
        return None
    return Tied(makers[0].c_out, tuple(m.name for m in makers), tuple(p.name for p in passers),
                tuple((layer.name, layer.c_in // makers[0].c_out) for layer in reading),
                math.lcm(*(p.groups for p in passers if p.kind == "group_norm")))


def _mixes(layer):
    """Its output channels are new ones, each made of all input channels (or of a group of them)."""
    return layer.kind in ("conv", "linear") and not _depthwise(layer)


def _depthwise(layer):
    return layer.kind == "conv" and layer.groups == layer.c_in == layer.c_out > 1


def cut(net, x, amount, *, order="largest", rng=None):
    """A copy of `net` without the share `amount` of the channels of every group in `tied`; at least one of each stays (of each norm group).

    x: one batch, only its shape counts. 0 <= amount < 1. order: which channels stay: those with the "largest" or "smallest" sum of |w|
    over the filters that make them (Li et al. 2017, sec. 3.1), or "random" ones, drawn from rng. Fold a BatchNorm first (models.fold):
    its gain is part of a filter's size.
    What stays computes what it did, as if the readers had a zero in the columns of what left; but a GroupNorm takes its mean over fewer
    channels, so there outputs change a little more. The net wants fine-tuning after it.
    Raises ValueError for another order or amount, a missing rng, or a net of which no channel can be cut.
    """
    if order not in ORDERS or not 0 <= amount < 1 or (order == "random" and rng is None):
        raise ValueError(f"order={order!r}, amount={amount}: order is one of {', '.join(ORDERS)} (random needs rng), 0 <= amount < 1")
    groups = tied(net, x)
    if not groups:
        raise ValueError(f"{type(net).__name__} has no channel that could be cut: only inputs and outputs, which are the task")
    kept = [_kept(net, group, amount, order, rng) for group in groups]
    net = copy.deepcopy(net)
    for group, keep in zip(groups, kept, strict=True):
        for name in (*group.makers, *group.passers):
            _rows(net.get_submodule(name), keep)
        for name, columns in group.readers:
            places = (keep[:, None] * columns + torch.arange(columns)).flatten()
            _columns(net.get_submodule(name), places)
    return net


def _kept(net, group, amount, order, rng):
    """(k,) int64, ascending: the channels that stay."""
    each = group.channels // group.blocks
    if order == "random":
        score = torch.rand(group.channels, generator=rng)
    else:
        score = sum(net.get_submodule(name).weight.detach().flatten(1).abs().sum(1) for name in group.makers)
    ranked = score.view(group.blocks, each).argsort(descending=order != "smallest", stable=True)[:, :max(1, round((1 - amount) * each))]
    return (ranked + torch.arange(group.blocks)[:, None] * each).flatten().sort().values


def _rows(module, keep):
    """Keep the output channels `keep` (k,) of a convolution, linear layer or norm, in place."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if (value := getattr(module, name, None)) is not None:
            rows = value.detach()[keep]
            setattr(module, name, nn.Parameter(rows) if isinstance(value, nn.Parameter) else rows)
    if getattr(module, "groups", 1) > 1:                        # depthwise
        module.groups = module.in_channels = len(keep)
    for name in ("out_channels", "out_features", "num_features", "num_channels"):
        if hasattr(module, name):
            setattr(module, name, len(keep))


def _columns(module, places):
    """Keep the weights that read `places` (k,), in place."""
    module.weight = nn.Parameter(module.weight.detach()[:, places])
    setattr(module, "in_channels" if isinstance(module, nn.Conv2d) else "in_features", len(places))
