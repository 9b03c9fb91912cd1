"""Does a board compute the very bits that NumPy does? Small nets, dense and convolutional, float32 and int8, trained on both."""
from dataclasses import dataclass

import torch

from odl_kit.engine import execute, program
from odl_kit.models import nets, quantize

STEPS, BATCH, LR = 12, 2, 0.05


@dataclass(frozen=True)
class Check:
    """One comparison. ok: all losses, weights and logits have the same bits. note: how far apart they are, if not."""
    name: str
    ok: bool
    note: str

    def __str__(self):
        return f"{'ok  ' if self.ok else 'FAIL'} {self.name}: {self.note}"


def programs(seed=0):
    """{name: (Program, x, y)}: what `run` trains, on data drawn from `seed`."""
    rng, made = torch.Generator().manual_seed(seed), {}
    x, y = torch.randn(STEPS * BATCH, 1, 8, 8, generator=rng), torch.randint(0, 4, (STEPS * BATCH,), generator=rng)
    for name, net in (("dense", nets.mlp(64, 16, 4, rng=rng)), ("conv", nets.ds_cnn(1, 4, width=8, norm=None, rng=rng))):
        for precision, rounding in (("float32", "nearest"), ("int8", "nearest"), ("int8", "stochastic")):
            ready = net if precision == "float32" else quantize.quantize_model(net, x)
            compiled = program.compile(ready, x, None, precision=precision, batch=BATCH, rounding=rounding)
            made[f"{name} {precision} {rounding}"] = compiled, x, y
    return made


def run(board, seed=0):
    """Train each of `programs` on a Board and in NumPy; yields a Check for each."""
    for name, (made, x, y) in programs(seed).items():
        board.load(made)
        losses = board.train(x, y, lr=LR)
        state, wanted = None, []
        for part in torch.arange(len(x)).split(BATCH):
            state, loss = execute.step(made, state, x[part], y[part], LR)
            wanted.append(loss)
        pairs = {"losses": (losses, torch.tensor(wanted)), "weights": (board.weights(), made.weights(state.values)),
                 "logits": (board.predict(x), torch.from_numpy(execute.predict(made, state, x)))}
        wrong = {what: (a - b).abs().max().item() for what, (a, b) in pairs.items() if not torch.equal(a, b)}
        note = ", ".join(f"{what} differ by up to {most:.3g}" for what, most in wrong.items())
        yield Check(name, not wrong, note or f"{len(wanted)} steps, {len(made.weights()):,} weights, the same bits")
