"""The one memory meter: what one training step holds, in bytes, from the list of layers alone. Nothing is trained or measured.

What the backward pass keeps is one small table a rule, below. Counted are activations (the batch too, if it is kept, and pooling indices,
means, deviations, masks), each stored tensor once; weights and statistics of the net are not, they stand under `weights`.

Of a QuantNet a value is one byte, a clamp's mask one bit an element, a weight one byte, a bias four, and each output channel has a
multiplier of four. Gradients and the optimizer's values stay float32.
"""
from dataclasses import dataclass, replace
from math import prod

from odl_kit.budget import MemoryReport
from odl_kit.models import layers

FLOAT, INDEX = 4, 8     # bytes of a float32, of an int64


def memory_report(net, x, plan=None, *, rule="torch", momentum=0.0):
    """What one SGD step on the batch x holds: a MemoryReport.

    x: (N, ...) float32 or int64 tokens, only its shape counts. plan: UpdatePlan; None: everything learns; UpdatePlan(): inference.
    rule "torch": what torch keeps when a parameter is either trained or frozen as a whole (a convolution's input even where its weight is
    frozen; training mode). Gradients are whole tensors. rule "device": a layer's input is kept only if its weight learns, and of it only
    the channels that learn; ReLU keeps one bit an element. This is what learners.train keeps under a plan. Weights that never change are
    taken to lie in flash, so sram = peak - frozen weights. A QuantNet has only this rule; its weights count as they are stored.
    momentum: if not 0, the optimizer keeps one value for each that learns.
    peak: the worst moment of the forward and backward pass, with all gradients there; a value is dropped after its last use.
    Raises ValueError for an unknown rule, rule "torch" with a QuantNet, a plan that does not fit net, and as layers.trace does.
    Sources: Lin et al. 2022 (MCUNetV3), Cai et al. 2020 (TinyTL). Unlike TinyTL's meter, a frozen GroupNorm is not free: the gradient
    below it needs its input. Max-pooling keeps one byte an output.
    """
    if rule not in RULES:
        raise ValueError(f'rule {rule!r} is unknown: use {" or ".join(map(repr, RULES))}')
    traced = layers.trace(net, x)
    if rule == "torch" and any(s.int8 for s in traced):
        raise ValueError('rule "torch" counts float32, and this net computes in int8: use rule="device"')
    if plan is None:
        channels, biases = {s.name: s.c_in for s in traced if s.weights}, {s.name for s in traced if s.bias}
    else:
        replace(plan, order="largest").chosen(net)      # raises if plan and net do not fit; which channels it is does not matter
        channels, biases = plan.channels, plan.biases
    steps = _steps(traced, x, channels, biases)
    kept = [RULES[rule][step.layer.kind](step) if step.carries else {} for step in steps]
    saved, workspace, moment = _worst_moments(steps, kept, x)
    owners = {s.name: s for s in traced if s.weights or s.kind == "batch_norm"}.values()      # a layer that runs twice has its weights once
    total = sum(_width(s) * s.weights + FLOAT * (s.biases + _constants(s)) for s in owners)
    weights = {s: s.weights // s.c_in * channels.get(s.name, 0) for s in owners}        # those that learn
    learning = sum(_width(s) * count + FLOAT * s.biases * (s.name in biases) for s, count in weights.items())
    counts = {s: s.weights * bool(count) for s, count in weights.items()} if rule == "torch" else weights
    gradients = FLOAT * sum(count + s.biases * (s.name in biases) for s, count in counts.items())
    optimizer = gradients if momentum else 0
    peak = total + gradients + optimizer + moment
    sram = peak if rule == "torch" else peak - (total - learning)
    return MemoryReport(total, saved, gradients, optimizer, workspace, peak, sram=sram)


def _width(layer):
    """Bytes of one weight of a layer, and of one value of its output."""
    return 1 if layer.int8 else FLOAT


def _constants(layer):
    """Numbers that never learn: the statistics of a norm, the multipliers of an integer layer."""
    return 2 * layer.c_in if layer.kind == "batch_norm" else layer.c_out if layer.int8 and layer.weights else 0


@dataclass(frozen=True)
class _Step:
    """A layer at work on n examples. place: in the list. channels: input channels whose weights learn. through: a gradient goes on below.

    source: place of the tensor that it reads, views looked through. source_bytes: of the whole tensor. carries: its output has a gradient.
    input(), output(), own(bytes), bits(), clamp() -> {key: bytes}, one key for one stored tensor.
    """
    layer: layers.Layer
    n: int
    place: int
    channels: int
    through: bool
    carries: bool
    source: int
    source_bytes: int

    @property
    def out_bytes(self):
        return _width(self.layer) * self.n * self.layer.out_elements

    def input(self, channels=None):
        """The input, or `channels` of its channels, copied."""
        if channels is None or channels == self.layer.c_in:
            return {self.source: self.source_bytes}
        return self.own(self.source_bytes // self.layer.c_in * channels)

    def output(self):
        return {self.place: self.out_bytes}

    def own(self, size):
        return {(self.place, "own"): size} if size else {}

    def bits(self):
        """One bit of each value of the output, rounded up to bytes once a batch."""
        return {(self.place, "bits"): -(-self.n * self.layer.out_elements // 8)}

    def clamp(self):
        """The mask of an integer layer's clamp."""
        return self.bits() if self.layer.int8 else {}


NOTHING = dict.fromkeys(("global_pool", "upsample", "flatten", "add", "identity", "quantize", "dequantize"), lambda s: {})
OUTPUT = dict.fromkeys(("sigmoid", "tanh", "softmax", "log_softmax"), _Step.output)
TORCH = {       # once the output has a gradient; found with torch.autograd.graph.saved_tensors_hooks, torch 2.13
    **NOTHING, **OUTPUT,
    "conv": _Step.input,
    "linear": lambda s: s.input() if s.channels else {},
    "embedding": _Step.input,
    "batch_norm": lambda s: s.input() | s.own(FLOAT * 2 * s.layer.c_in),                    # mean, 1 / deviation of each feature
    "group_norm": lambda s: s.input() | s.own(FLOAT * 2 * s.n * s.layer.groups),            # ... of each group of each example
    "relu": _Step.output,
    "relu6": _Step.input,
    "max_pool": lambda s: s.input() | s.own(INDEX * s.n * s.layer.out_elements),            # int64 places of the winners
    "avg_pool": _Step.input,
}
DEVICE = {      # what learners.saving keeps
    **NOTHING, **OUTPUT,
    "conv": lambda s: s.input(s.channels) | s.clamp(),
    "linear": lambda s: s.input(s.channels) | s.clamp(),
    "add": _Step.clamp,
    "embedding": _Step.input,
    "batch_norm": lambda s: s.own(FLOAT * (s.n * s.channels * s.layer.h_in * s.layer.w_in + s.layer.c_in * s.through)),
    "group_norm": lambda s: s.input() | s.own(FLOAT * 2 * s.n * s.layer.groups) if s.through or s.channels else {},
    "relu": _Step.bits,
    "relu6": _Step.bits,
    "max_pool": lambda s: s.own(s.n * s.layer.out_elements),                                # place in the window, one byte
    "avg_pool": lambda s: {},
}
RULES = {"torch": TORCH, "device": DEVICE}
VIEWS = ("flatten", "identity")


def _steps(traced, x, channels, biases):
    """One _Step a layer, with what flows where. The source of a view is the source of what it shows."""
    steps, root, carries = [], {-1: -1}, {-1: False}
    size = {-1: x.element_size() * prod(x.shape)}
    for i, layer in enumerate(traced):
        through, count = any(carries[j] for j in layer.inputs), channels.get(layer.name, 0)
        carries[i] = through or count > 0 or layer.name in biases
        root[i] = root[layer.inputs[0]] if layer.kind in VIEWS else i
        source = root[layer.inputs[0]]
        steps.append(_Step(layer, len(x), i, count, through, carries[i], source, size[source]))
        size[i] = steps[i].out_bytes
    return steps


def _worst_moments(steps, kept, x):
    """(saved, workspace, moment): the most bytes kept, the most bytes of all else that is passing through, the most of both together.

    Forward, at step i: what steps 0..i keep, and the values that exist and are still to be read. Backward, at step i: what steps 0..i
    keep, and the gradients of the same values.
    """
    root = [s.source if s.layer.kind in VIEWS else s.place for s in steps]
    size = {-1: x.element_size() * prod(x.shape)} | {s.place: s.out_bytes for s in steps}
    last = {root[-1]: len(steps) - 1}       # the last step that reads a value; the loss reads the output
    for s in steps:
        for j in s.layer.inputs:
            value = root[j] if j >= 0 else -1
            last[value] = max(last.get(value, s.place), s.place)
    so_far, passing, together = {}, [0], [0]
    for s, keeps in zip(steps, kept, strict=True):
        so_far |= keeps
        held = sum(so_far.values())
        live = [v for v, end in last.items() if v <= s.place <= end]
        forward = sum(size[v] for v in live if v not in so_far)
        backward = sum(FLOAT * s.n * steps[v].layer.out_elements for v in live if v >= 0 and steps[v].carries) if s.carries else 0
        passing += [forward, backward]
        together += [held + forward, held + backward]
    return sum(so_far.values()), max(passing), max(together)
