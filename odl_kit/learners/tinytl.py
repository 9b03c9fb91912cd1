"""TinyTL: freeze the weights, whose gradients need the saved inputs; learn biases, and small branches on quarter-size maps.

Source: Cai et al. 2020, "TinyTL: Reduce Memory, Not Parameters for Efficient On-Device Learning", sec. 3.
"""
import copy
import math
from collections import OrderedDict

import torch
from torch import nn

from odl_kit.learners import plan
from odl_kit.models import layers

GROUPS = 2      # of the branch's first convolution, as published


class Branched(nn.Module):
    """main(x) + lite(x): a block of the net and its lite residual module."""

    def __init__(self, main, lite):
        super().__init__()
        self.main, self.lite = main, lite

    def forward(self, x):
        return self.main(x) + self.lite(x)


def add_branches(net, x, *, rng):
    """A copy of `net` with a lite residual module beside each block; before any training its outputs are those of `net`.

    net: a Sequential, as models.nets makes; its blocks are the children that are Sequentials themselves. x: one batch (N, C, H, W), only
    its shape counts: the branches are made for pictures of this size. rng: torch.Generator, draws their weights.
    Raises ValueError for a net without blocks.
    """
    blocks = [name for name, child in net.named_children() if isinstance(child, nn.Sequential)]
    if not blocks:
        raise ValueError(f"this {type(net).__name__} has no block, a child that is a Sequential: use a net such as nets.mobile_net")
    traced, net = layers.trace(net, x), copy.deepcopy(net)
    for name in blocks:
        first, last = (_of_block(traced, name)[place] for place in (0, -1))
        branch = lite_residual(first.c_in, last.c_out, (first.h_in, first.w_in), (last.h_out, last.w_out), rng=rng)
        setattr(net, name, Branched(net.get_submodule(name), branch))
    return net


def lite_residual(c_in, c_out, size, out_size, *, rng):
    """The branch: x (N, c_in, *size) -> (N, c_out, *out_size), zeros until it has learned.

    Average pool by 2, convolution in two groups (5x5, or the largest odd kernel that the pooled map holds), norm, ReLU,
    1x1 convolution, norm whose gain begins at 0, bilinear upsampling. On a map of 1x1 nothing is pooled, the kernel is 1x1.
    Deviation: GroupNorm, which the paper takes for batches of one, always. Cai et al. 2020, sec. 3.3 and figure 2.
    """
    small = tuple(max(1, side // 2) for side in size)
    kernel = tuple(min(5, side - 1 + side % 2) for side in small)
    gain = nn.GroupNorm(math.gcd(4, c_out), c_out)
    nn.init.zeros_(gain.weight)
    branch = nn.Sequential(OrderedDict(
        pool=nn.AvgPool2d(tuple(min(2, side) for side in size)),
        conv=_drawn(c_in, c_in, kernel, math.gcd(GROUPS, c_in), rng),
        norm=nn.GroupNorm(math.gcd(4, c_in), c_in),
        relu=nn.ReLU(),
        project=_drawn(c_in, c_out, (1, 1), 1, rng),
        gain=gain))
    if tuple(out_size) != small:
        branch.add_module("upsample", nn.Upsample(tuple(out_size), mode="bilinear"))
    return branch


def update_plan(net):
    """The plan of TinyTL for a net from `add_branches`: every bias, the head, and the branches whole. Raises ValueError if it has none."""
    branches = [f"{name}.lite." for name, child in net.named_modules() if isinstance(child, Branched)]
    if not branches:
        raise ValueError("this net has no branch: make it with tinytl.add_branches, or take plan.bias_only")
    bias, whole = plan.bias_only(net), plan.full(net)
    own = {name: count for name, count in whole.channels.items() if name.startswith(tuple(branches))}
    return plan.UpdatePlan(bias.biases, bias.channels | own)


def _drawn(c_in, c_out, kernel, groups, rng):
    """A convolution that keeps the size of the map; no bias, since a norm follows. He et al. 2015 (uniform), from rng."""
    conv = torch.nn.utils.skip_init(nn.Conv2d, c_in, c_out, kernel, padding=tuple(k // 2 for k in kernel), groups=groups, bias=False)
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu", generator=rng)
    return conv


def _of_block(traced, name):
    """The convolutions of block `name`, in their order."""
    return [layer for layer in traced if layer.kind == "conv" and layer.name.startswith(f"{name}.")]
