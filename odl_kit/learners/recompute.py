"""Train with less memory: forget what a segment of the net keeps, and run the segment again when the backward pass needs it.

A schedule is a nested tuple over the units of a net (models.chain.units): a number is a unit whose activations are kept; a tuple is a
segment of which only the input is kept. The segment is run again in the backward pass, by the schedule that the tuple is.

    (0, 1, 2, 3, 4)           plain backpropagation: everything is kept
    ((0, 1), (2, 3), 4)       two segments, each run once more
    (((0,), 1), (2, 3), 4)    unit 0 is even run three times

learners.schedules makes some, learners.tradeoff finds the best.
Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", sec. 4.
"""
import time
import weakref
from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd import Function

from odl_kit.learners.schedules import flat


def run(units, schedule, x):
    """The output of the net: x (N, ...) -> what units[-1] gives. Gradients are those of plain backpropagation, bit for bit.

    units: list of modules; schedule: nested tuple, see above. Differentiable once: torch.autograd.grad and backward both work.
    Raises ValueError for a schedule that does not name every unit once and in order, and for a BatchNorm in training mode that would run
    twice, since its running statistics would count the batch twice.
    """
    if flat(schedule) != list(range(len(units))):
        raise ValueError(f"schedule {schedule} must name the units 0 to {len(units) - 1}, each once and in order")
    for item in schedule:
        for i in flat(item) if isinstance(item, tuple) else ():
            for module in units[i].modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and module.track_running_stats:
                    raise ValueError(f"unit {i} has a BatchNorm in training mode, which would count the batch twice: keep the unit, fold "
                                     "the norm (models.fold), or call net.eval()")
    return _run(units, schedule, x)


def _run(units, schedule, x):
    for item in schedule:
        if isinstance(item, int):
            x = units[item](x)
        else:
            weights = [p for i in flat(item) for p in units[i].parameters() if p.requires_grad]
            x = _Again.apply(x, units, item, *weights)
    return x


class _Again(Function):
    """A segment that keeps only its input. The weights are arguments, so that autograd asks for their gradients."""

    @staticmethod
    def forward(ctx, x, units, schedule, *weights):
        ctx.save_for_backward(x)
        ctx.units, ctx.schedule, ctx.weights = units, schedule, weights
        for i in flat(schedule):        # autograd is off in here: nothing else is kept
            x = units[i](x)
        return x

    @staticmethod
    def backward(ctx, g):
        need_x, (x,) = ctx.needs_input_grad[0], ctx.saved_tensors
        x = x.detach().requires_grad_(need_x)
        with torch.enable_grad():
            y = _run(ctx.units, ctx.schedule, x)
        found = torch.autograd.grad(y, [x] * need_x + list(ctx.weights), g)
        return (found[0] if need_x else None), None, None, *found[need_x:]


@dataclass(frozen=True, eq=False)
class Measured:
    """held_bytes: the most that was kept for the backward pass at any one moment. seconds: processor time of one pass forward and back.

    gradients: of the sum of the outputs, one tensor a weight, in the order of the units.
    """
    held_bytes: int
    seconds: float
    gradients: tuple


def measure(units, schedule, x, *, repeats=3):
    """Run forward and back on the batch x (N, ...): Measured. repeats: runs with the clock on, after one with the byte counter.

    The clock counts the processor time of this program, so that a busy computer does not disturb it; with 0 repeats seconds is nan.
    Counted by torch.autograd.graph.saved_tensors_hooks: each stored tensor once while anything refers to it, the batch too, weights not.
    What is passing through (outputs just made, gradients on their way down) is not counted. The loss is not part of it.
    """
    weights = [p for unit in units for p in unit.parameters()]
    weightless = {t.untyped_storage().data_ptr() for unit in units for t in (*unit.parameters(), *unit.buffers())}
    x, users, held, most = x.clone(), Counter(), 0, 0      # a slice of a data set would count as the whole of it

    def let_go(place, size):
        nonlocal held
        users[place] -= 1
        held -= size if users[place] == 0 else 0

    def pack(t):
        nonlocal held, most
        place, size, box = t.untyped_storage().data_ptr(), t.untyped_storage().nbytes(), lambda: t
        if place not in weightless:
            held += size if users[place] == 0 else 0
            users[place] += 1
            most = max(most, held)
            weakref.finalize(box, let_go, place, size)
        return box

    def once():
        y = run(units, schedule, x)
        return torch.autograd.grad(y, weights, torch.ones_like(y))

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box()):
        gradients = once()
    start = time.process_time()
    for _ in range(repeats):
        once()
    return Measured(most, (time.process_time() - start) / repeats if repeats else float("nan"), gradients)
