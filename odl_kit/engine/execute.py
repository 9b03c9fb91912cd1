"""Run a Program in NumPy, op by op, inside an arena of the predicted size: the reference, which other executors equal bit for bit."""
from dataclasses import dataclass, field

import numpy as np

from odl_kit.engine.gradients import BACKWARD, UPDATES, Rule
from odl_kit.engine.graph import DTYPES
from odl_kit.engine.kernels import FORWARD
from odl_kit.engine.math32 import rint

PLAIN = FORWARD | BACKWARD


@dataclass(frozen=True)
class State:
    """What a device remembers between steps. values: {number of a state tensor: its array}. step: training steps so far."""
    values: dict = field(repr=False)
    step: int = 0


def start(program):
    """The State of a Program that was just loaded."""
    return State({n: t.data.copy() for n, t in enumerate(program.tensors) if t.place == "state"})


def step(program, state, x, y, lr):
    """(state, loss): one training step on one batch, and the mean cross-entropy before it, a float.

    state: None for the Program's own; it is not changed. x: (batch, C, H, W) or (batch, F) float32, torch or NumPy. y: (batch,) classes.
    Raises ValueError for another shape, a label that is no class, and a Program that only predicts.
    """
    if program.loss is None:
        raise ValueError("this Program only predicts: compile it with a plan that learns something")
    state = start(program) if state is None else state
    x, y = encode(program, x), np.asarray(y).reshape(-1)
    classes = program.tensors[program.logits].dims[3]
    if len(x) != program.batch or len(y) != program.batch:
        raise ValueError(f"{len(x)} examples and {len(y)} labels for a Program of batch {program.batch}: give as many of both")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels go from {y.min()} to {y.max()}: this net has the classes 0 to {classes - 1}")
    arrays = _arrays(program, {n: v.copy() for n, v in state.values.items()})
    arrays[program.input][...] = x
    arrays[program.labels][...] = y.reshape(-1, 1, 1, 1)
    run(program, arrays, program.ops, Rule(lr, program.rounding, program.seed, state.step))
    values = {n: arrays[n] for n in state.values}
    return State(values, state.step + 1), float(arrays[program.loss].item())


def predict(program, state, x):
    """Logits (n, classes) float32 of n examples, batch by batch; the last batch is filled up with zeros. state, x: as for `step`."""
    arrays, x = _arrays(program, (start(program) if state is None else state).values), encode(program, x)
    found = []
    for at in range(0, len(x), program.batch):
        part = x[at:at + program.batch]
        arrays[program.input][...] = 0
        arrays[program.input][:len(part)] = part
        run(program, arrays, program.ops[:program.num_forward], None)
        found.append(arrays[program.logits].reshape(program.batch, -1)[:len(part)].copy())
    return np.concatenate(found) if found else np.zeros((0, program.tensors[program.logits].dims[3]), np.float32)


def encode(program, x):
    """What the host writes into the input: x, (n, C, H, W) or (n, F), as (n, H, W, C), float32 or int8: clamp(rint(x / scale) + zero).

    Raises ValueError for another shape.
    """
    t, x = program.tensors[program.input], np.asarray(x, dtype=np.float32)
    want = (t.dims[3], *t.dims[1:3])
    if x.shape[1:] != want and (x.shape[1:], want[1:]) != ((want[0],), (1, 1)):
        raise ValueError(f"an example shaped {x.shape[1:]} for a Program of {want}: give (n, {want[0]}, {want[1]}, {want[2]})")
    x = x.reshape(-1, *want).transpose(0, 2, 3, 1)
    return x if t.dtype == "f32" else np.clip(rint(x / np.float32(t.scale)) + np.float32(t.zero), -128, 127).astype(np.int8)


def run(program, arrays, ops, rule):
    """Execute ops on arrays {tensor number: array}, in place."""
    with np.errstate(over="ignore", invalid="ignore"):      # a training that diverges does so on a device too
        for op in ops:
            operands = op.operands()
            t, a = ({role: table[n] for role, n in operands.items()} for table in (program.tensors, arrays))
            if op.kind in UPDATES:
                UPDATES[op.kind](op, t, a, rule)
            else:
                PLAIN[op.kind](op, t, a)


def _arrays(program, state):
    """{tensor number: array}: state as given, const as it is, all else a view into one arena, which begins as rubbish."""
    arena, found = np.full(program.arena_bytes, 0xA5, np.uint8), {}
    for n, t in enumerate(program.tensors):
        if t.place == "arena":
            part = arena[t.offset:t.offset + t.nbytes].view(DTYPES[t.dtype])
            found[n] = part if t.dtype == "bits" else part.reshape(t.dims)
        else:
            found[n] = state[n] if t.place == "state" else t.data
    return found
