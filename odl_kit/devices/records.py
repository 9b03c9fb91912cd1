"""What a board tells: Info, and Checkpoint, all that it has learned."""
import struct
from dataclasses import dataclass, field

from odl_kit.budget import in_kib


@dataclass(frozen=True)
class Info:
    """What a board says of itself; bytes.

    room: for a Program and its arena. blob, arena: of the Program that is loaded. program: its checksum, 0: none. step: training steps
    since it was loaded. seed: of its stochastic rounding. static, stack_size, flash: of the firmware. stack_peak: the most stack used
    so far, found by painting it. 0 where nobody can look.
    """
    name: str
    room: int
    blob: int
    arena: int
    program: int
    step: int
    seed: int
    static: int
    stack_size: int
    stack_peak: int
    flash: int

    def __str__(self):
        loaded = (f"program {self.program:08x}: {in_kib(self.blob)}, arena {in_kib(self.arena)}, step {self.step}" if self.program
                  else "no program")
        return (f"{self.name}: {loaded}; room for {in_kib(self.room)}; firmware: {in_kib(self.flash)} flash, {self.static:,} B static, "
                f"stack {self.stack_peak:,} of {self.stack_size:,} B")


def info(about, memory):
    """Info from the answers to the commands info and memory (hardware/odl/src/odl_server.h)."""
    room, blob, arena, program, step, seed = struct.unpack_from("<6I", about)
    _, _, static, stack_size, stack_peak, flash, _ = struct.unpack("<7I", memory)
    return Info(about[24:].decode("ascii", "replace"), room, blob, arena, program, step, seed, static, stack_size, stack_peak, flash)


@dataclass(frozen=True)
class Checkpoint:
    """All that a board has learned: with it, training goes on bit by bit, on another board too.

    program: checksum of the Program. step: training steps so far. state: weights that learn and their velocities, as the board stores them.
    """
    program: int
    step: int
    seed: int
    state: bytes = field(repr=False)
