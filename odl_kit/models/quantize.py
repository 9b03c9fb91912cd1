"""From a float net to an int8 net: fold the norms, see the ranges on example data, put integer layers in the place of float ones."""
import torch
from torch import fx, nn

from odl_kit.models import calibrate, fold, layers, quant
from odl_kit.models.quantnet import Dequantize, QAdd, QAvgPool, QConv2d, QGlobalPool, QLinear, QReLU, Quantize, QuantNet

SAME = ("max_pool", "flatten")      # they hand on integers as they are
LEAST = 2.0**-15        # of m: with it, 2^23 steps of a bias reach over all 256 steps of the output
BIAS = 2.0**22          # most steps of a bias at the start


@torch.no_grad()
def quantize_model(net, calibration, *, bits=8, activation_bits=8, ranges=calibrate.minmax, scales=calibrate.largest, float_head=True):
    """A QuantNet that computes with integers what `net` computes with floats; `net` stays as it is.

    calibration: (N, ...) float32, examples that show the ranges. bits, activation_bits: 2 to 8 (fewer than 8 are for lessons).
    ranges: of activations, scales: of weights, see models.calibrate. float_head: the last linear layer stays float32, as published.
    net: convolutions (plain, depthwise, grouped), linear layers, ReLU, ReLU6, pooling, sums, norms that fold.fold can fold. Layers keep
    their names, weights their order. A ReLU goes into the layer before it.
    A channel of tiny weights, of which the published code makes scales down to 4e-9, gets a longer step, at which its bias can still move
    the output over its range (see `steps`): its weights may all become 0 (QuantNet.dead), and QAS meets no factor of 1e16.
    Raises ValueError, naming the layer, for what has no integer form here, a layer that runs twice, and sums that could be inexact.
    """
    net = fold.fold(net)
    layers.trace(net, calibration[:1])      # refuses, by name, what the tracer does not know
    graph = layers.graph(net)
    for node in [n for n in graph.graph.nodes if layers.kind_of(n, graph) == "identity"]:       # they stand between a layer and its ReLU
        node.replace_all_uses_with(node.args[0])
        graph.graph.erase_node(node)
    graph.recompile()
    seen = layers.values(graph, calibration)
    work = _Work(net, graph, seen, ranges, scales, bits, activation_bits, _head(graph) if float_head else None)
    for node in list(graph.graph.nodes):
        work.place(node)
    graph.graph.lint()
    found = QuantNet(graph, graph.graph)
    _order(found, net)
    for name, layer in found.integer_layers().items():
        quant.check_sums(name, layer.weight, layer.bias, layer.z_x, layer.bits)
    return found.train(net.training)


def steps(w, b, s_x, s_y, scales, bits):
    """s_w (O,): the step of each output channel, at least so long that s_x * s_w / s_y >= 2^-15 and the bias has at most 2^22 of them."""
    s_w = scales(w, bits).clamp_min(LEAST * s_y / s_x)
    return s_w if b is None else s_w.maximum(b.detach().abs() / (s_x * BIAS))


def integers(w, b, s_w, s_x, bits):
    """(w / s_w, saturated, b / (s_w * s_x)): what the integers are once they are rounded. Differentiable; the second is None without b."""
    most = quant.span(bits)[1] + 0.49       # 127.4 still becomes 127, and keeps its gradient
    return (w / s_w.view(-1, *[1] * (w.dim() - 1))).clamp(-most, most), None if b is None else b / (s_w * s_x)


class _Work:
    """The walk over the graph. q: {node: (scale, zero point)} of the nodes that are int8 by now."""

    def __init__(self, net, graph, seen, ranges, scales, bits, activation_bits, head):
        self.net, self.graph, self.seen, self.head = net, graph, seen, head
        self.ranges, self.scales, self.bits, self.activation_bits = ranges, scales, bits, activation_bits
        self.q, self.float, self.placed = {}, False, set()

    def place(self, node):
        """Put the integer form in the place of one node."""
        if node.op == "placeholder":
            y = self.affine(node)
            self.after(node, "quantize", Quantize(None, y, self.activation_bits), y)
        elif node.op == "output" or node is self.head:
            for source in [a for a in node.all_input_nodes if a in self.q]:
                name = self.free("dequantize")
                self.graph.add_module(name, Dequantize(self.q[source]))
                with self.graph.graph.inserting_before(node):
                    node.replace_input_with(source, self.graph.graph.call_module(name, (source,)))
            self.float = True
        elif not self.float and node in self.graph.graph.nodes:
            self.integer(node, layers.kind_of(node, self.graph))

    def integer(self, node, kind):
        module = self.net.get_submodule(node.target) if node.op == "call_module" else None
        sources = [a for a in node.all_input_nodes if a in self.q]
        x = [self.q[a] for a in sources]
        if kind in ("conv", "linear") and module is not None:
            if node.target in self.placed:
                raise ValueError(f"layer {node.target!r} runs twice in the net, with two ranges: make it two layers")
            self.placed.add(node.target)
            y = self.affine(self.through_relu(node))
            self.swap(node, node.target, self.layer(node.target, module, x[0], y), y)
        elif kind == "add":
            y = self.affine(self.through_relu(node))
            self.swap(node, self.free(node.name), QAdd((self.q[node.args[0]], self.q[node.args[1]]), y, self.activation_bits), y)
        elif kind in ("relu", "relu6"):
            y = self.affine(node)
            self.swap(node, self.name(node), QReLU(x[0], y, self.activation_bits), y)
        elif kind == "global_pool":
            self.swap(node, self.name(node), QGlobalPool(x[0], self.seen[node].dim() == 4), x[0])
        elif kind == "avg_pool":
            self.swap(node, self.name(node), QAvgPool(x[0], *layers.window(node, self.graph, kind)), x[0])
        elif kind in SAME:
            self.q[node] = x[0]
        elif kind is not None:
            raise ValueError(f"layer {self.name(node)!r} is a {kind}, which has no integer form here: use Conv2d, Linear, ReLU, ReLU6, "
                             "pooling, x + y, and BatchNorm right behind a convolution")

    def layer(self, name, float_layer, x, y):
        """The integer layer of a float one."""
        w, b = float_layer.weight, float_layer.bias
        s_w = steps(w, b, x[0], y[0], self.scales, self.bits)
        made = _like(float_layer).scaled(name, s_w, x, y, self.activation_bits, self.bits)
        for p, value in zip(made.parameters(), integers(w, b, s_w, x[0], self.bits), strict=False):
            p.copy_(value.round())
        return made

    def affine(self, node):
        return calibrate.affine(*self.ranges(self.seen[node], self.activation_bits), self.activation_bits)

    def through_relu(self, node):
        """The node whose output the layer makes: a ReLU that is its only reader goes into its clamp and leaves the graph."""
        reader = next(iter(node.users), None)
        if len(node.users) != 1 or layers.kind_of(reader, self.graph) not in ("relu", "relu6"):
            return node
        reader.replace_all_uses_with(node)
        self.graph.graph.erase_node(reader)
        return reader

    def swap(self, node, name, module, y):
        """Let the module do what the node did."""
        self.graph.add_submodule(name, module)
        reads = tuple(a for a in (*node.args, *node.kwargs.values()) if isinstance(a, fx.Node))
        node.op, node.target, node.args, node.kwargs = "call_module", name, reads, {}
        self.q[node] = y

    def after(self, node, name, module, y):
        name = self.free(name)
        self.graph.add_module(name, module)
        with self.graph.graph.inserting_after(node):
            new = self.graph.graph.call_module(name, (node,))
        node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
        self.q[new] = y

    def name(self, node):
        return node.target if node.op == "call_module" else self.free(node.name)

    def free(self, name):
        while hasattr(self.graph, name):
            name += "_"
        return name


def _like(layer):
    if isinstance(layer, nn.Conv2d):
        return QConv2d(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, groups=layer.groups,
                       bias=layer.bias is not None)
    return QLinear(layer.in_features, layer.out_features, bias=layer.bias is not None)


def _head(graph):
    """The last layer with weights, if it is linear."""
    weighed = [n for n in graph.graph.nodes if layers.kind_of(n, graph) in ("conv", "linear")]
    return weighed[-1] if weighed and layers.kind_of(weighed[-1], graph) == "linear" else None


def _order(made, like):
    """Put the children of `made` into the order of those of `like`, so that flat.ravel has the order of the float net."""
    own = made._modules
    for name in [n for n in like._modules if n in own]:
        own[name] = own.pop(name)
        _order(own[name], like._modules[name])
