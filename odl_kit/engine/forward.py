"""Pass 1, forward: the layers that layers.trace found become ops. A ReLU goes into the layer before it, flatten becomes a view."""
from dataclasses import replace

from odl_kit.engine import parameters
from odl_kit.engine.graph import INF, Graph
from odl_kit.models import layers, quant
from odl_kit.models.quantnet import QuantNet

CLAMPS = {"relu": (0.0, INF), "relu6": (0.0, 6.0)}
ADVICE = {"batch_norm": "fold it into the convolution before it (models.fold.fold), then compile",
          "group_norm": "make the net with norm=None, or with BatchNorm and fold that",
          "softmax": "leave it out, the loss has its own", "log_softmax": "leave it out, the loss has its own",
          "sigmoid": "use ReLU or ReLU6", "tanh": "use ReLU or ReLU6", "embedding": "the engine takes numbers, not tokens",
          "upsample": "use a convolution with a stride instead of a map that grows again"}


def build(net, example, *, batch):
    """(Graph, {layer name: Weighed}): the forward pass of `net` for `batch` examples like the first of `example`, all weights const.

    net: float32, or a QuantNet. example: (N, C, H, W) or (N, F) float32. Nothing of the net is changed.
    Raises ValueError, naming the layer and what to use instead, for what has no op here, and as layers.trace does.
    """
    if example.dim() not in (2, 4):
        raise ValueError(f"the example is shaped {tuple(example.shape)}: give (N, C, H, W) or (N, F)")
    steps = _without_identity(layers.trace(net, example[:1]))
    for step in steps:
        if step.kind not in RULES:
            advice = ADVICE.get(step.kind, "leave it out")
            raise ValueError(f"layer {step.name!r} is a {step.kind}, for which the engine has no op: {advice}")
    for i, step in enumerate(steps[:-1]):
        if not any(i in other.inputs for other in steps):
            raise ValueError(f"layer {step.name!r} makes something that nobody reads: a net has one output here, that of its last layer")
    g = Graph()
    maps = _flattened(steps)
    weighed = {step.name: parameters.of_layer(g, net.get_submodule(step.name), step, step.kind == "linear" and maps[step.inputs[0]] or None)
               for step in _owners(steps)}
    work = _Work(g, net, steps, weighed, batch)
    g.labels = g.tensor("labels", "s32", (batch, 1, 1, 1))
    if not isinstance(net, QuantNet):
        shape = example.shape[1:]
        g.input = work.value[-1] = g.tensor("input", "f32", (batch, *shape[1:], shape[0]) if len(shape) == 3 else (batch, 1, 1, *shape))
    for i, step in enumerate(steps):
        work.value[i] = RULES[step.kind](work, i, step)
    g.logits = work.value[len(steps) - 1]
    if g.tensors[g.logits].dims[1:3] != (1, 1) or maps[len(steps) - 1]:
        raise ValueError(f"layer {steps[-1].name!r} ends in a map: the net must end in one row of logits, as a linear layer makes it")
    g.num_forward, g.kept = len(g.ops), (g.root(g.logits),)
    return g, weighed


class _Work:
    """value: {place of a layer: the number of its tensor}. taken: places of ReLUs that the layer before did already."""

    def __init__(self, g, net, steps, weighed, batch):
        self.g, self.net, self.steps, self.weighed, self.batch, self.value, self.taken = g, net, steps, weighed, batch, {}, set()

    def clamp(self, i):
        """(lo, hi) of the float layer at place i: those of a ReLU that is its only reader, which is then done."""
        readers = [j for j, step in enumerate(self.steps) if i in step.inputs]
        if len(readers) == 1 and self.steps[readers[0]].kind in CLAMPS:
            self.taken.add(readers[0])
            return CLAMPS[self.steps[readers[0]].kind]
        return -INF, INF

    def out(self, step, dims=None, y=None, like=None):
        """A tensor for the output of a layer: float32, int8 with y = (scale, zero point), or of the type of tensor `like`."""
        dims = dims or (self.batch, step.h_out, step.w_out, step.c_out)
        if like is not None:
            old = self.g.tensors[like]
            return self.g.tensor(step.name, old.dtype, dims, zero=old.zero, scale=old.scale)
        if y is None:
            return self.g.tensor(step.name, "f32", dims)
        return self.g.tensor(step.name, "s8", dims, zero=int(y[1]), scale=quant.float32(y[0]))


def _conv(work, i, step):
    module, own, x = work.net.get_submodule(step.name), work.weighed[step.name], work.value[step.inputs[0]]
    window = {"kernel": step.kernel, "stride": step.stride, "padding": step.padding, "groups": step.groups}
    if step.int8:
        m = work.g.const(f"{step.name}.m", "f32", module.m.numpy())
        y, clamp = work.out(step, y=(module.s_y, module.z_y)), (0.0, 0.0)
    else:
        m, y, clamp = None, work.out(step), work.clamp(i)
    work.g.op("CONV", x=x, w=own.w, b=own.b, m=m, y=y, lo=clamp[0], hi=clamp[1], **window)
    return y


def _add(work, i, step):
    a, b = (work.value[j] for j in step.inputs)
    if step.int8:
        module = work.net.get_submodule(step.name)
        y = work.out(step, y=module.y)
        lo, hi = (quant.float32(s / module.y[0]) for s, _ in module.x)
    else:
        y, (lo, hi) = work.out(step), work.clamp(i)
    work.g.op("ADD", a=a, b=b, y=y, lo=lo, hi=hi)
    return y


def _relu(work, i, step):
    x = work.value[step.inputs[0]]
    if i in work.taken:
        return x
    module, dims = work.net.get_submodule(step.name) if step.int8 else None, work.g.tensors[x].dims
    y = work.out(step, dims, y=module.y if step.int8 else None)
    lo, hi = (quant.float32(module.x[0] / module.y[0]), 0.0) if step.int8 else CLAMPS[step.kind]
    work.g.op("RELU", x=x, y=y, lo=lo, hi=hi)
    return y


def _pool(work, i, step):
    x = work.value[step.inputs[0]]
    window = {"kernel": (step.h_in, step.w_in)} if step.kind == "global_pool" else \
             {"kernel": step.kernel, "stride": step.stride, "padding": step.padding}
    if step.kind == "max_pool" and window["kernel"][0] * window["kernel"][1] > 256:
        raise ValueError(f"layer {step.name!r} pools windows of {step.kernel}, over the 256 places that a byte can name: use a smaller one")
    y = work.out(step, like=x)
    work.g.op("MAX_POOL" if step.kind == "max_pool" else "AVG_POOL", x=x, y=y, **window)
    return y


def _flatten(work, i, step):
    x = work.value[step.inputs[0]]
    if work.g.tensors[x].dims[1:3] == (1, 1):
        return x
    old = work.g.tensors[x]
    return work.g.tensor(step.name, old.dtype, (work.batch, 1, 1, step.c_out), zero=old.zero, scale=old.scale, base=x)


def _quantize(work, i, step):
    work.g.input = work.out(replace(step, name="input"), y=work.net.get_submodule(step.name).y)
    return work.g.input


def _dequantize(work, i, step):
    x = work.value[step.inputs[0]]
    y = work.out(step, work.g.tensors[x].dims)
    work.g.op("DEQUANTIZE", x=x, y=y)
    return y


RULES = {"conv": _conv, "linear": _conv, "add": _add, "relu": _relu, "relu6": _relu, "max_pool": _pool, "avg_pool": _pool,
         "global_pool": _pool, "flatten": _flatten, "quantize": _quantize, "dequantize": _dequantize}


def _flattened(steps):
    """{place of a layer: (C, H, W) of the map whose values its output holds in a row, None if it is no such row}; -1 is the input.

    torch flattens in the order C, H, W, the engine H, W, C: a linear layer reads either through the order of its columns.
    Raises ValueError for the sum of two rows in different orders.
    """
    found = {-1: None}
    for i, step in enumerate(steps):
        orders = {found[j] for j in step.inputs}
        if step.kind == "add" and len(orders) > 1:
            raise ValueError(f"layer {step.name!r} adds a flattened map to another row: flatten behind the sum")
        if step.kind == "flatten":
            found[i] = (step.c_in, step.h_in, step.w_in) if step.h_in * step.w_in > 1 else found[step.inputs[0]]
        else:
            found[i] = None if step.kind in ("conv", "linear") else orders.pop()
    return found


def _owners(steps):
    """The layers with weights. Raises ValueError for one that runs twice."""
    own = [step for step in steps if step.kind in ("conv", "linear")]
    for step in own:
        if [other.name for other in own].count(step.name) > 1:
            raise ValueError(f"layer {step.name!r} runs twice in the net: make it two layers, the engine keeps one gradient a weight")
    return own


def _without_identity(steps):
    """The same list without identities; inputs point to the places of the new list."""
    place, kept = {-1: -1}, []
    for i, step in enumerate(steps):
        if step.kind == "identity":
            place[i] = place[step.inputs[0]]
        else:
            place[i] = len(kept)
            kept.append(replace(step, inputs=tuple(place[j] for j in step.inputs)))
    return kept
