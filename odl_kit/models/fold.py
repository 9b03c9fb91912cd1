"""BatchNorm folding: in use, a norm is one scale and one shift a channel, which the convolution before it can take over."""
import copy

import torch
from torch import nn

from odl_kit.models import layers


@torch.no_grad()
def fold(net):
    """A copy of `net` in which each convolution carries the BatchNorm behind it, in evaluation mode; the norms become nn.Identity.

    W' = W * gain / sqrt(var + eps),  b' = (b - mean) * gain / sqrt(var + eps) + shift, with the stored statistics: the outputs stay the
    same up to rounding. The copy has the weights, in the order of flat.ravel, of the same net made with norm=None.
    Raises ValueError for a BatchNorm whose input is no convolution, or one that somebody else reads too, or that has no stored statistics.
    """
    net = copy.deepcopy(net).eval()
    traced = layers.graph(net)
    for node in list(traced.graph.nodes):
        if layers.kind_of(node, traced) != "batch_norm":
            continue
        source, norm = node.all_input_nodes[0], net.get_submodule(node.target)
        if layers.kind_of(source, traced) != "conv" or len(source.users) > 1:
            raise ValueError(f"{node.target!r} does not stand right behind a convolution of its own: it cannot be folded")
        if norm.running_var is None:
            raise ValueError(f"{node.target!r} stores no statistics: it cannot be folded; make it with track_running_stats=True")
        conv = net.get_submodule(source.target)
        factor = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
        bias = 0 if conv.bias is None else conv.bias
        shift = 0 if norm.bias is None else norm.bias
        conv.weight.mul_(factor.view(-1, 1, 1, 1))
        conv.bias = nn.Parameter((bias - norm.running_mean) * factor + shift)
        parent, _, name = node.target.rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())
    return net
