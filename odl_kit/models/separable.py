"""Depthwise-separable against plain convolutions: the same net with each depthwise and pointwise pair joined into one plain convolution."""
import copy
import math

from torch import nn

from odl_kit.models import layers


def joined(net, *, rng):
    """A copy of `net` in which every depthwise convolution, and the pointwise one that reads it, became one plain convolution.

    The plain one stands where the pointwise one stood, with the depthwise one's kernel, stride and padding, and draws its weights from rng
    (He et al. 2015); what stood between the two is gone. It needs k^2 * c_in * c_out weights in place of k^2 * c_in + c_in * c_out, so the
    pair saves a factor of 1 / (1 / c_out + 1 / k^2) (Howard et al. 2017, sec. 3.1). A net without such pairs comes back as it is.
    """
    net = copy.deepcopy(net)
    graph = layers.graph(net)
    for node in list(graph.graph.nodes):
        if layers.kind_of(node, graph) != "conv":
            continue
        between, above = [], node.args[0]
        while layers.kind_of(above, graph) in ("batch_norm", "group_norm", "relu", "relu6", "identity") and above.op == "call_module":
            between.append(above.target)
            above = above.args[0]
        pointwise, depthwise = net.get_submodule(node.target), layers.kind_of(above, graph) == "conv" and net.get_submodule(above.target)
        if pointwise.kernel_size != (1, 1) or pointwise.groups > 1 or not depthwise or not 1 < depthwise.groups == depthwise.in_channels:
            continue
        plain = nn.Conv2d(depthwise.in_channels, pointwise.out_channels, depthwise.kernel_size, depthwise.stride, depthwise.padding,
                          bias=pointwise.bias is not None)
        bound = math.sqrt(6 / plain.weight[0].numel())
        nn.init.uniform_(plain.weight, -bound, bound, generator=rng)
        if plain.bias is not None:
            nn.init.zeros_(plain.bias)
        net.set_submodule(node.target, plain)
        for name in (*between, above.target):
            net.set_submodule(name, nn.Identity())
    return net
