"""compile: a torch net, an example and an UpdatePlan become a Program, which is data: ops over a table of tensors, in one arena."""
import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from odl_kit.budget import in_kib
from odl_kit.engine import blob, forward, layout, pack, parameters, report, schedule, verify
from odl_kit.engine.autodiff import autodiff
from odl_kit.engine.graph import Graph
from odl_kit.learners import plan as plans


@dataclass(frozen=True, repr=False, eq=False)
class Program:
    """A training step as data. It runs in NumPy (engine.execute), on a board (hardware/odl) and as emitted C, with the same bits.

    tensors, ops: see engine.graph; ops[:num_forward] predict. input, labels, logits, loss: tensor numbers (loss is None if nothing learns).
    layout: the parameters of the net in the order of models.flat.ravel, None if the Program came from bytes. kept: what the host reads.
    passes: the Stages through which compile came here.
    """
    precision: str
    batch: int
    tensors: tuple
    ops: tuple
    num_forward: int
    input: int
    labels: int | None
    logits: int
    loss: int | None
    arena_bytes: int
    kept: tuple
    rounding: str = "nearest"
    seed: int = 0
    layout: tuple | None = None
    passes: tuple = field(default=(), repr=False)

    root = Graph.root

    def to_bytes(self):
        """The Program as bytes: see engine.blob."""
        return self._bytes

    @cached_property
    def _bytes(self):
        verify.check(self)
        return blob.write(self)

    @property
    def nbytes(self):
        """Length of to_bytes()."""
        return blob.HEADER.size + blob.TENSOR.size * len(self.tensors) + blob.OP.size * len(self.ops) + self.const_bytes + self.state_bytes

    @property
    def const_bytes(self):
        return sum(pack.room(t) for t in self.tensors if t.place == "const")

    @property
    def state_bytes(self):
        """Bytes of all that learns, and of its velocities."""
        return sum(pack.room(t) for t in self.tensors if t.place == "state")

    @property
    def digest(self):
        """The first 16 hex digits of the SHA-256 of the bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    @property
    def report(self):
        """MemoryReport of the Program pushed to a device, all of it in RAM."""
        return report.report(self)

    @property
    def flash_report(self):
        """MemoryReport of the Program in a device's flash: what does not learn stays there."""
        return report.report(self, flash=True)

    @property
    def timeline(self):
        """When and where each tensor lies in the arena: a list of report.Slot, which viz.program draws."""
        return report.timeline(self)

    def weights(self, values=None):
        """w (P,) float32: see engine.layout.weights."""
        return layout.weights(self, values)

    def set_weights(self, w):
        """The Program that starts from w (P,): see engine.layout.with_weights."""
        return layout.with_weights(self, w)

    def __repr__(self):
        return _table(self)


@dataclass(frozen=True, repr=False)
class Stage:
    """The graph after one pass, as a Program that can be run, packed as an allocator at run time would. bound: no arena can be smaller."""
    name: str
    program: Program
    bound: int

    @property
    def ops(self):
        return len(self.program.ops)

    @property
    def arena_bytes(self):
        return self.program.arena_bytes

    def __repr__(self):
        return f"{self.name}: {self.ops} ops, arena {self.arena_bytes:,} B (bound {self.bound:,} B)"


PASSES = (("prune", schedule.prune), ("reorder", schedule.reorder), ("in place", schedule.in_place))


def compile(net, example, plan, *, precision="int8", batch=1, budget=None, rounding="nearest", momentum=0.0, seed=0):
    """A Program that trains what `plan` names by SGD, and predicts.

    net: a QuantNet (models.quantize) for precision="int8", a float net for "float32"; norms folded (models.fold). It stays as it is.
    example: (N, C, H, W) or (N, F) float32, of which only the shape counts. plan: UpdatePlan; None: everything learns; UpdatePlan():
    nothing does, the Program predicts and measures the loss. batch: examples of one step, fixed in the Program.
    budget: a Budget that the pushed Program must keep. rounding: of stored integers, "nearest" or "stochastic" (drawn from seed and step).
    momentum: v = momentum * v + gradient. seed: also for a plan of order="random", and for the packer.
    Raises ValueError, naming the layer and what to use instead, for what the engine cannot run, and for a broken budget.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.
    """
    _options(batch, rounding, momentum, seed)
    parameters.check(net, precision)
    options = {"precision": precision, "batch": batch, "rounding": rounding, "seed": seed}
    graph, weighed = forward.build(net, example, batch=batch)
    options["layout"] = layout.parts(net, weighed)
    stages = [_stage("forward", graph, options)]
    graph = autodiff(graph, weighed, _learns(net, plan, weighed, seed), momentum=momentum)
    stages.append(_stage("autodiff", graph, options))
    for name, step in PASSES:
        graph = step(graph)
        stages.append(_stage(name, graph, options))
    graph, options["layout"] = _renumbered(graph, options["layout"])
    graph = pack.with_scratch(graph)
    made = _program(graph, *pack.pack(graph, seed=seed), options)
    stages.append(Stage("pack", made, pack.bound(graph)))
    made = _program(graph, {n: t.offset for n, t in enumerate(made.tensors)}, made.arena_bytes, options | {"passes": tuple(stages)})
    verify.check(made)
    if budget and (over := budget.check(made.report)):
        raise ValueError(f"{'; '.join(map(str, over))} (in flash it would take {in_kib(made.flash_report.sram)} of RAM)")
    return made


def from_bytes(data):
    """The Program that to_bytes made, without layout and passes. Raises ValueError that names what is wrong with the bytes.

    Every offset, shape, operand and size is checked before anything is used, by the rules of engine.verify.
    """
    data = bytes(data)
    h = blob.header(data)
    tensors, ops = blob.tables(data, h)
    ends = {key: None if h[key] == blob.NONE else h[key] for key in ("input", "labels", "logits", "loss")}
    made = Program(blob.PRECISIONS[h["precision"]], h["batch"], tuple(tensors), tuple(ops), h["num_forward"], **ends,
                   arena_bytes=h["arena_bytes"], kept=tuple(n for n in (ends["logits"], ends["loss"]) if n is not None),
                   rounding=blob.ROUNDINGS[h["rounding"]], seed=h["seed"])
    verify.check(made)
    return replace(made, tensors=_with_views(made))


def _with_views(program):
    """The tensors, with the base of each view, which bytes do not name: an arena tensor that is read before any op has written it shows the
    tensor at its place that was written last."""
    tensors, written = list(program.tensors), {program.tensors[n].offset: n for n in (program.input, program.labels) if n is not None}
    known = set(written.values())
    for op in program.ops:
        for n in op.reads():
            t = tensors[n]
            if t.place == "arena" and n not in known and t.base is None and t.offset in written:
                tensors[n] = replace(t, base=written[t.offset])
        for n in op.writes():
            if tensors[n].place == "arena" and tensors[n].base is None:
                written[tensors[n].offset] = n
                known.add(n)
    return tuple(tensors)


def _options(batch, rounding, momentum, seed):
    if not 1 <= batch <= 1024:
        raise ValueError(f"batch={batch}: give 1 to 1024 examples a step")
    if rounding not in blob.ROUNDINGS:
        raise ValueError(f'rounding {rounding!r} is unknown: use "nearest" or "stochastic"')
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: it must be at least 0 and below 1")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed}: give 0 to 2^32 - 1")


def _learns(net, plan, weighed, seed):
    """{layer: (columns of the engine's weight that learn, None for all, whether the bias learns)}."""
    plan = plans.full(net) if plan is None else plan
    chosen, modules, found = plan.chosen(net, torch.Generator().manual_seed(seed)), dict(net.named_modules()), {}
    for name, own in weighed.items():
        channels = chosen.get(name, ())
        whole = len(channels) == plans.num_channels(modules[name])
        found[name] = (None if whole else parameters.columns(channels, own.chw), name in plan.biases)
    return found


def _stage(name, graph, options):
    graph, parts = _renumbered(graph, options["layout"])
    graph = pack.with_scratch(graph)
    return Stage(name, _program(graph, *pack.by_birth(graph), options | {"layout": parts}), pack.bound(graph))


def _program(graph, offsets, arena_bytes, options):
    trains = any(op.kind == "LOSS" for op in graph.ops)
    return Program(tensors=tuple(pack.placed(graph, offsets)), ops=tuple(graph.ops), num_forward=graph.num_forward, input=graph.input,
                   labels=graph.labels if trains else None, logits=graph.logits, loss=graph.loss if trains else None,
                   arena_bytes=arena_bytes, kept=graph.kept, **options)


def _renumbered(graph, parts):
    """The graph without unused tensors, and the layout with the new numbers."""
    made, new = pack.compact(graph)
    return made, tuple(layout.replace(part, number=new[part.number]) for part in parts)


def _table(program):
    lines = [f"Program {program.precision}, batch {program.batch}: {len(program.ops)} ops, {program.num_forward} of them forward; "
             f"{in_kib(program.nbytes)} of bytes ({in_kib(program.state_bytes)} learn), arena {in_kib(program.arena_bytes)}"]
    for i, op in enumerate(program.ops):
        named = ", ".join(f"{role}={program.tensors[n].name}" for role, n in op.operands().items() if role != "ws")
        lines.append(f"{i:>4} {op.kind:<15}{named}")
    return "\n".join(lines)
