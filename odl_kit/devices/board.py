"""A board: load a Program, train, predict, weights. The same verbs for the virtual board, this computer, QEMU and a real Arduino.

    with board.open_board("virtual") as b:
        b.load(program)
        losses = b.train(x, y, lr=0.01)
"""
import struct
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from odl_kit.budget import Over, in_kib
from odl_kit.devices import links, records, transfer, wire
from odl_kit.engine import execute, layout
from odl_kit.engine.blob import pack_tensor

WORK_S = 60.0           # a frame of training may take so long on a slow board


def open_board(url="virtual", *, timeout_s=2.0):
    """A Board. url: "virtual", "virtual?board=uno_r4", "host" (this computer), "qemu", or a serial port: "/dev/ttyACM0", "COM5".

    timeout_s: how long to wait for an answer before asking again. Raises ValueError for an unknown url, wire.LinkError for a silent port.
    """
    link, hint = links.open_link(url)
    try:
        return Board(link, url, hint=hint, timeout_s=timeout_s)
    except BaseException:
        link.close()
        raise


class Board:
    """A board at the other end of a link (links.open_link). A context manager: leaving it closes the link.

    program: the Program that `load` brought, or None. boot_id_before: 0 if the board had been reset when this Board said hello.
    """

    def __init__(self, link, name, *, hint="", timeout_s=2.0):
        self.link, self.name, self.program = link, name, None
        self.wire, self._timeout_s = wire.Wire(link, name, hint=hint), timeout_s
        self._payload, self.boot_id_before = self.wire.hello(timeout_s=timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the link. What the board has learned stays on it until it loses power."""
        self.link.close()

    def info(self):
        """records.Info: memory, and what is loaded."""
        return records.info(self._ask("info"), self._ask("memory"))

    def load(self, program):
        """Send a Program and have the board check it; it starts from the program's weights, at step 0.

        Raises ValueError if the board is too small, by how much; wire.Refused if the board finds the program invalid.
        """
        self._payload, self.boot_id_before = self.wire.hello(timeout_s=self._timeout_s)
        data, room, self.program = program.to_bytes(), self.info().room, None
        need = -(-len(data) // 8) * 8 + program.arena_bytes
        if need > room:
            raise ValueError(f"{self.name}: " + str(Over("sram", need, room, f"the program has {in_kib(len(data))}, its arena "
                                                         f"{in_kib(program.arena_bytes)}: learn fewer layers, or take a smaller batch")))
        transfer.load(self._ask, self._payload, data, program.arena_bytes)
        self.program = program
        return self

    def train(self, x, y, *, lr, steps=None):
        """SGD on the board, batch after batch in the order of the data -> (steps,) float32, the loss of each batch before its step.

        x: (N, ...) float32 and y: (N,) int64, torch or NumPy. steps: begins again with the first example after the last; None: one pass.
        Raises ValueError for a pass that is no whole number of batches, for labels or lr that cannot be.
        """
        batch, x, y = self._loaded().batch, *self._encoded(x, y)
        if steps is None:
            if len(x) % batch:
                raise ValueError(f"{len(x)} examples are no whole number of batches of {batch}: "
                                 f"give steps=, or {len(x) // batch * batch} examples")
            steps = len(x) // batch
        if not np.isfinite(lr):
            raise ValueError(f"lr = {lr}: it must be a finite number")
        places, losses = np.arange(steps * batch).reshape(steps, batch) % len(x), []
        examples = [x[p].tobytes() + y[p].tobytes() for p in places]
        for answer in self._run("train", struct.pack("<f", lr), examples):
            losses.append(np.frombuffer(answer, "<f4"))
        return torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *losses]))

    def predict(self, x):
        """Logits (N, classes) float32 of x (N, ...) float32."""
        program = self._loaded()
        x, logits = self._encoded(x)[0], program.tensors[program.logits]
        batches = self._batches(x)
        answers = self._run("predict", b"", [part.tobytes() for part in batches], logits.nbytes)
        found = np.frombuffer(b"".join(answers), "<f4").reshape(-1, logits.dims[3])
        return torch.from_numpy(found[:len(x)].copy())

    def evaluate(self, x, y):
        """{"accuracy": share of right classes, "loss": mean cross-entropy} of x (N, ...), y (N,), as learners.train.evaluate."""
        program, right, total = self._loaded(), 0, 0.0
        x, y = self._encoded(x, y)
        whole = len(x) // program.batch * program.batch
        for part, labels, count in ((x[:whole], y[:whole], program.batch), (x[whole:], y[whole:], len(x) - whole)):
            examples = [a.tobytes() + b.tobytes() for a, b in zip(self._batches(part), self._batches(labels), strict=True)]
            for answer in self._run("evaluate", struct.pack("<I", count), examples, 8):
                correct, loss = struct.unpack("<If", answer)
                right, total = right + correct, total + loss
        return {"accuracy": right / len(x), "loss": total / len(x)}

    def weights(self):
        """w (P,) float32 in the order of models.flat.ravel: what is stored as integers times its scale, frozen weights included."""
        program, state = self._loaded(), self.checkpoint().state
        return program.weights({n: state[t.offset:t.offset + t.nbytes] for n, t in _state(program)})

    def set_weights(self, w):
        """Train on from w (P,): stored as the Program stores them, rounded to nearest and saturated; momentum starts from 0.

        Raises ValueError, naming the layer, if a frozen weight differs.
        """
        program = self._loaded()
        values, state = layout.state_of(program, w), bytearray(program.state_bytes)
        for n, t in _state(program):
            if n in values:
                state[t.offset:t.offset + t.nbytes] = pack_tensor(t, values[n])
        self._write_state(bytes(state))

    def update(self, w, x, y, *, lr, steps=None):
        """What a client does in a round: set_weights(w), train -> (update (P,) = weights after - w, num_examples)."""
        w = torch.as_tensor(w, dtype=torch.float32)
        self.set_weights(w)
        self.train(x, y, lr=lr, steps=steps)
        return self.weights() - w, len(x)

    def checkpoint(self):
        """records.Checkpoint of what the board has learned."""
        program, info = self._loaded(), self.info()
        state = transfer.read(self._ask, self._payload, transfer.WHOLE_STATE, program.state_bytes, "reading weights")
        return records.Checkpoint(info.program, info.step, info.seed, state)

    def restore(self, checkpoint):
        """Go on from a checkpoint of the same Program. Raises ValueError for one of another Program."""
        self._loaded()
        if (have := self.info().program) != checkpoint.program:
            raise ValueError(f"the checkpoint belongs to program {checkpoint.program:08x}, loaded is {have:08x}: load that one first")
        self._write_state(checkpoint.state)
        self._ask("seek", struct.pack("<II", checkpoint.step, checkpoint.seed))

    def memory(self):
        """MemoryReport: the Program's parts as planned; sram and flash as the board finds them.

        sram: blob, arena, the firmware's variables, and the most stack used so far. flash: the firmware.
        """
        info = self.info()
        return replace(self._loaded().report, peak=info.blob + info.arena, flash=info.flash,
                       sram=info.blob + info.arena + info.static + info.stack_peak)

    def ticks(self):
        """(ticks of the last train, predict or evaluate command, ticks a second); 0 where there is no clock.

        The virtual board's clock ticks once an instruction while machine.counting() is open, and stands still otherwise.
        """
        return struct.unpack("<II", self._ask("counters"))

    def _loaded(self):
        if self.program is None:
            raise ValueError(f"no program is on {self.name}: call load(program) first")
        return self.program

    def _encoded(self, x, y=None):
        """(x as the input tensor stores it, labels int32), checked."""
        x = execute.encode(self.program, x)
        if y is None:
            return x, None
        y, classes = np.asarray(y).reshape(-1), self.program.tensors[self.program.logits].dims[3]
        if len(x) != len(y) or not len(x):
            raise ValueError(f"{len(x)} examples and {len(y)} labels: give as many of both, and at least one")
        if y.min() < 0 or y.max() >= classes:
            raise ValueError(f"labels go from {y.min()} to {y.max()}: this net has the classes 0 to {classes - 1}")
        return np.ascontiguousarray(x), y.astype("<i4")

    def _batches(self, x):
        """x in batches, the last one filled up with zeros."""
        batch, missing = self.program.batch, -len(x) % self.program.batch
        x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)]) if missing else x
        return [np.ascontiguousarray(x[at:at + batch]) for at in range(0, len(x), batch)]

    def _run(self, kind, head, batches, answer_bytes=4):
        ask = partial(self._ask, timeout_s=WORK_S)
        return transfer.run(ask, self._payload, kind, head, batches, answer_bytes, self.program)

    def _write_state(self, state):
        transfer.write(self._ask, self._payload, transfer.WHOLE_STATE, state, "writing weights")

    def _ask(self, kind, payload=b"", *, timeout_s=None):
        try:
            return self.wire.ask(kind, payload, timeout_s=max(timeout_s or 0, self._timeout_s))
        except wire.Rebooted as error:
            self.program = None
            why = "another program talks to it" if error.need else "it was reset, and what it had learned is lost"
            raise wire.Rebooted(f"{self.name}: {why}; load(program) begins anew", error.status, error.need, error.have) from None


def _state(program):
    return [(n, t) for n, t in enumerate(program.tensors) if t.place == "state"]
