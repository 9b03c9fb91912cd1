"""Pass 2, autodiff: the whole backward graph, derived before anything runs. One rule a kind of op, walked from the loss to the input.

As a framework does at run time: the gradient of every weight is computed and kept, and all updates stand at the end.
The rules are those of models.quant: straight through every rounding, nothing where a clamp cut.
Source: Lin et al. 2022 (MCUNetV3), sec. 3.3.
"""
from dataclasses import replace

import numpy as np

from odl_kit.engine.graph import INF, gradient_dims


def autodiff(graph, weighed, learns, *, momentum=0.0):
    """The graph of a whole training step: forward, loss, gradients of every weight, updates of what learns.

    learns: {layer name: (columns of the weight that learn, None for all, () for none; whether the bias learns)}.
    """
    g = graph.copy()
    dlogits = g.tensor("d logits", "f32", g.tensors[g.logits].dims)
    g.loss = g.tensor("loss", "f32", (1, 1, 1, 1))
    g.op("LOSS", logits=g.logits, labels=g.labels, dlogits=dlogits, loss=g.loss)
    back = _Back(g, {own.w: own for own in weighed.values()})
    back.add(g.logits, dlogits)
    for i in reversed(range(g.num_forward)):
        back.place, op = i, g.ops[i]
        if op.kind in RULES and back.has(op["y"]):
            RULES[op.kind](back, op, back.total(op["y"]))
    g.kept = (*g.kept, g.loss, *back.parameters.values())
    for number in list(back.parameters):
        _update(g, back, number, weighed, learns, momentum)
    return g


class _Back:
    """parts: {tensor: [(its gradient or a part of it, is it nobody else's)]}. parameters: {weight or bias: its gradient}."""

    def __init__(self, g, owner):
        self.g, self.owner, self.parts, self.parameters, self.place = g, owner, {}, {}, 0

    def has(self, number):
        return self.g.root(number) in self.parts

    def add(self, number, gradient, own=True):
        """One more part of the gradient of a tensor; a view hands it on to what it shows."""
        root = self.g.root(number)
        dims = self.g.tensors[root].dims
        if self.g.tensors[gradient].dims != dims:
            gradient = self.g.tensor(f"{self.g.tensors[gradient].name} viewed", "f32", dims, base=gradient)
        self.parts.setdefault(root, []).append((gradient, own))

    def total(self, number):
        """The sum of all parts: d y = sum over the readers of y."""
        parts = sorted(self.parts[self.g.root(number)], key=lambda part: not part[1])      # one that is nobody else's comes first
        (total, own), *rest = parts
        if rest and not own:
            total = self.scaled(number, total, lo=1.0)      # a copy
        for part, _ in rest:
            self.g.op("ACCUMULATE", a=total, b=part)
        return total

    def fresh(self, number):
        """A tensor for a gradient of tensor `number`."""
        old = self.g.tensors[number]
        return self.g.tensor(f"d {old.name}", "f32", old.dims)

    def scaled(self, number, gy, **operands):
        g = self.fresh(number)
        self.g.op("SCALE_GRAD", gy=gy, g=g, **operands)
        return g

    def learns_below(self, number):
        return self.g.root(number) != self.g.root(self.g.input)

    def keep(self, role, dtype):
        """A tensor that the forward op writes for the backward pass: which outputs a clamp cut, which place of a window won."""
        op = self.g.ops[self.place]
        y = self.g.tensors[op["y"]]
        number = self.g.tensor(f"{y.name}.{role}", dtype, y.dims)
        self.g.ops[self.place] = op.but(**{role: number})
        return number


def _window(op):
    return {"kernel": op.kernel, "stride": op.stride, "padding": op.padding, "groups": op.groups}


def _conv(back, op, gy):
    g, own = back.g, back.owner[op["w"]]
    if op["m"] is not None:                         # y = clamp(rint(acc * m) + z):  d acc = m * d y where the clamp did not cut
        gy = back.scaled(op["y"], gy, mask=back.keep("mask", "bits"), m=op["m"])
    elif (op.lo, op.hi) != (-INF, INF):
        gy = back.scaled(op["y"], gy, mask=back.keep("mask", "bits"), lo=1.0)
    if back.learns_below(op["x"]):                  # d x = sum over k, o of g[o] * w[o, k]
        dx = back.fresh(op["x"])
        g.op("CONV_DX", g=gy, w=op["w"], dx=dx, **_window(op))
        back.add(op["x"], dx)
    dw = back.parameters[own.w] = back.fresh(own.w)     # d w[o, k] = sum over places of g[o] * x[k]
    g.op("CONV_DW", g=gy, x=op["x"], dw=dw, **_window(op))
    if own.b is not None:
        db = back.parameters[own.b] = back.fresh(own.b)
        g.op("CONV_DB", g=gy, db=db)


def _add(back, op, gy):
    integer = back.g.tensors[op["y"]].dtype == "s8"
    clamps = integer or (op.lo, op.hi) != (-INF, INF)
    mask = back.keep("mask", "bits") if clamps else None
    if clamps and not integer:
        gy, clamps = back.scaled(op["y"], gy, mask=mask, lo=1.0), False
    for x, factor in ((op["a"], op.lo), (op["b"], op.hi)):
        if back.learns_below(x):
            back.add(x, back.scaled(x, gy, mask=mask, lo=factor) if integer else gy, own=integer)


def _relu(back, op, gy):
    if back.learns_below(op["x"]):
        factor = op.lo if back.g.tensors[op["y"]].dtype == "s8" else 1.0
        back.add(op["x"], back.scaled(op["x"], gy, mask=back.keep("mask", "bits"), lo=factor))


def _dequantize(back, op, gy):
    if back.learns_below(op["x"]):
        back.add(op["x"], back.scaled(op["x"], gy, lo=back.g.tensors[op["x"]].scale))


def _avg_pool(back, op, gy):
    if back.learns_below(op["x"]):
        dx = back.fresh(op["x"])
        back.g.op("AVG_POOL_DX", g=gy, dx=dx, **_window(op))
        back.add(op["x"], dx)


def _max_pool(back, op, gy):
    if back.learns_below(op["x"]):
        place, dx = back.keep("place", "u8"), back.fresh(op["x"])
        back.g.op("MAX_POOL_DX", g=gy, place=place, dx=dx, **_window(op))
        back.add(op["x"], dx)


RULES = {"CONV": _conv, "ADD": _add, "RELU": _relu, "DEQUANTIZE": _dequantize, "AVG_POOL": _avg_pool, "MAX_POOL": _max_pool}


def _update(g, back, number, weighed, learns, momentum):
    """The op that moves one weight or bias along its gradient, if it learns: r is the factor of quantization-aware scaling (QAS)."""
    own = next(own for own in weighed.values() if number in (own.w, own.b))
    channels, bias = learns.get(own.name, ((), False))
    old, groups = g.tensors[number], next(op.groups for op in g.ops if op.kind == "CONV" and op["w"] == own.w)
    if not (bias if number == own.b else channels is None or len(channels)):
        return
    g.tensors[number] = replace(old, place="state")
    r, named, dims = None, None, old.dims
    if own.s_w is not None:         # G / s_w^2, and G / (s_w s_x)^2 for a bias: Lin et al. 2022, eq. 4
        s = own.s_w.astype(np.float64) * (own.s_x if number == own.b else 1.0)
        r = g.const(f"{old.name}.qas", "f32", 1.0 / s**2)
    if number == own.w and channels is not None:
        named = g.const(f"{old.name}.channels", "u16", channels)
        dims = gradient_dims(old.dims, groups, len(channels))
    velocity = None
    if momentum:
        velocity = g.tensor(f"{old.name}.velocity", "f32", dims, place="state", data=np.zeros(dims, np.float32))
    window = {"kernel": old.dims[1:3], "groups": groups} if number == own.w else {}
    g.op("UPDATE", w=number, grad=back.parameters[number], r=r, channels=named, velocity=velocity, lo=momentum, **window)
