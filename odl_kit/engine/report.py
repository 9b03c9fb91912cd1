"""What a Program holds in memory, by purpose: the same MemoryReport as the analytic meter's and the board's, from the planned arena."""
from dataclasses import dataclass

from odl_kit.budget import MemoryReport
from odl_kit.engine import pack


def report(program, *, flash=False):
    """MemoryReport of a Program that is pushed to a device: its bytes lie in RAM and are trained where they are, beside the arena.

    flash: of one that is compiled into the firmware: constants and tables stay in flash, the state is copied to RAM at the start.
    weights: constants, state without velocity, and the tables of tensors and ops. saved_activations: what the forward pass leaves for the
    backward pass. gradients: of weights, where they are not updated in place. workspace: all else in the arena, and its gaps.
    """
    blob, state = program.nbytes, program.state_bytes
    velocity = sum(program.tensors[n].nbytes for n in {op["velocity"] for op in program.ops if "velocity" in op.operands()})
    most, moment = _most(program)
    gaps = program.arena_bytes - moment
    parts = {"weights": blob - velocity, "saved_activations": most["saved"], "gradients": most["gradient"], "optimizer": velocity,
             "workspace": most["passing"] + gaps, "peak": blob + program.arena_bytes}
    if flash:
        return MemoryReport(**parts, flash=blob, sram=state + program.arena_bytes)
    return MemoryReport(**parts, flash=0)


@dataclass(frozen=True)
class Slot:
    """Where and when one tensor lies in the arena: bytes offset .. offset + nbytes, during ops first .. last. purpose: see `purposes`."""
    name: str
    purpose: str
    first: int
    last: int
    offset: int
    nbytes: int


def timeline(program):
    """The Slots of a Program's arena, by offset."""
    spans, kind = pack.lifetimes(program), purposes(program)
    slots = [Slot(program.tensors[n].name, kind[n], *spans[n], program.tensors[n].offset, pack.room(program.tensors[n])) for n in spans]
    return sorted(slots, key=lambda slot: (slot.offset, slot.first))


def purposes(program):
    """{arena tensor, no view: "saved" (from the forward for the backward pass), "gradient" (of a weight), or "passing"}."""
    spans, found = pack.lifetimes(program), {}
    gradients = {op[role] for op in program.ops for role in ("dw", "db") if role in op.operands()}
    for n, (first, last) in spans.items():
        saved = first < program.num_forward <= last and n not in program.kept
        found[n] = "gradient" if n in gradients else "saved" if saved and _reads_back(program, n) else "passing"
    return found


def _reads_back(program, n):
    behind = program.ops[program.num_forward:]
    return any(program.root(m) == n for op in behind for m in op.reads() if op.kind != "LOSS")


def _most(program):
    """({purpose: the most bytes at one op}, the most bytes of all at one op)."""
    spans, kind = pack.lifetimes(program), purposes(program)
    most, moment = dict.fromkeys(("saved", "gradient", "passing"), 0), 0
    for i in range(len(program.ops)):
        now = dict.fromkeys(most, 0)
        for n, (first, last) in spans.items():
            if first <= i <= last:
                now[kind[n]] += pack.room(program.tensors[n])
        most, moment = {key: max(most[key], now[key]) for key in most}, max(moment, sum(now.values()))
    return most, moment
