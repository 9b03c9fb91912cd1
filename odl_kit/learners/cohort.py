"""C copies of a net trained at once. Federated clients, shadow models, the seeds of an experiment: all are cohorts.

The plain version that reads like the paper is federation.local.client_update; a test ties the two. The work is done by one of
    cohort_native    nets of Linear and ReLU, in C that is compiled on first use, where a compiler is there
    cohort_batched   nets of Linear and ReLU, as stacked matrices
    cohort_vmap      any net that torch.func accepts
    cohort_loop      one client after the other, a thread per core: big steps, and whatever vmap refuses
"""
import copy
import os
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from odl_kit.learners import cohort_batched, cohort_loop, cohort_native, cohort_vmap
from odl_kit.learners.cohort_steps import Job

PATHS = {"native": cohort_native.train, "batched": cohort_batched.train, "vmap": cohort_vmap.train, "loop": cohort_loop.train}
NATIVE_FROM = 1_000_000     # weights x examples of all clients; with less, compiling for seconds would save milliseconds
LOOP_FROM = 2_500_000       # floating-point operations of one client's forward pass; with more, torch fills a core without vmap's help
_chosen = WeakKeyDictionary()


@dataclass(frozen=True)
class Uplink:
    """What a server receives in one round.

    updates: (C, P) float, one row a client: what one adds to w. num_examples: (C,) int64. ids: (C,) int64, who sent the row.
    nbytes: int, bytes of all rows on the wire. failed: ((client id, why), ...): was asked, sent nothing. note: how it was computed.
    bytes_down: int, what was sent to all who were asked; None: w as it is, to each.
    """
    updates: torch.Tensor
    num_examples: torch.Tensor
    ids: torch.Tensor
    nbytes: int
    failed: tuple = ()
    note: str = ""
    bytes_down: int | None = None


def batch_order(num_examples, epochs, *, rng):
    """The order in which each client sees its examples: (C, epochs, Nmax) int64, drawn once, so that every path takes the same batches.

    num_examples: (C,) int64. Client c takes order[c, e, :num_examples[c]], a permutation of its examples; what is behind it is unused.
    """
    num_examples = num_examples.cpu()
    longest = int(num_examples.max())
    place = torch.arange(longest)
    keys = torch.rand(len(num_examples), epochs, longest, generator=rng).masked_fill_(place >= num_examples[:, None, None], 2)
    # Sorting random keys shuffles; keys of 2 go last. A key is a multiple of 2^-24: as an integer, with its place in the low 32 bits, NumPy
    # sorts it three times faster than torch.argsort.
    keys = keys.mul_(2**24).to(torch.int64).mul_(2**32).add_(place)
    keys.numpy().sort(axis=2)
    return keys.bitwise_and_(2**32 - 1)


def train_cohort(net, w, x, y, num_examples, *, epochs, batch_size, lr, momentum=0.0, prox=0.0, plan=None, rng, method="auto", device=None,
                 rows=None):
    """Train C copies of `net` by SGD on the mean cross-entropy, each from its start on its examples -> updates (C, P) = w after - w before.

    w: (P,) one start for all, or (C, P) one each; the weights that `net` itself holds play no part. x (C, N, ...), y (C, N) int64 and
    num_examples (C,) int64: client c owns the first num_examples[c] of its N rows. batch_size: int, or None for all of a client's examples
    in one batch (FedSGD). The last batch of an epoch may be short; its loss is the mean over what is there.
    momentum: v = momentum * v + gradient, from v = 0. prox: FedProx's mu, adds prox * (w - start) to the gradient (Li et al. 2020, eq. 2).
    plan: only the weights in plan.mask(net) learn. rng: torch.Generator on the CPU, draws the batch order.
    method: "native", "batched", "vmap", "loop", or "auto" (see `choose`); they agree to 1e-6 in float32.
    device: where to compute, e.g. "cuda"; None: where w is. The updates come back to where w is.
    rows: (C,) int64: client c works on row rows[c] of x, y and num_examples; None: on row c. Nothing is copied. A row may repeat, say for
    C seeds of one experiment.
    A client that diverges comes back as NaN or Inf, nothing is hidden. Raises ValueError for what does not fit together.
    """
    rows = torch.arange(len(x)) if rows is None else torch.as_tensor(rows)
    _check(net, w, x, y, num_examples, rows, epochs, batch_size)
    if method == "auto":
        method, _ = choose(net, w, x, batch_size=batch_size, device=device)
    if method not in PATHS:
        raise ValueError(f"method {method!r} is unknown: use auto, {', '.join(PATHS)}")
    refused = _refusal(net, method, w, x, w.device if device is None else torch.device(device))
    if refused:
        raise ValueError(f'method="{method}" cannot train this {type(net).__name__}: {refused}; use method="auto"')
    num_examples = num_examples[rows.to(num_examples.device)]
    order = batch_order(num_examples, epochs, rng=rng)
    start = w.detach().to(device).expand(len(rows), -1)
    mask = None if plan is None else plan.mask(net).to(start.device)
    x, y, rows, num_examples, order = (tensor.to(start.device) for tensor in (x, y, rows, num_examples, order))
    return PATHS[method](net, start, Job(x, y, rows, num_examples, order, batch_size, lr, momentum, prox, mask)).to(w.device)


def choose(net, w, x, *, batch_size, device=None):
    """The path that method="auto" takes, and why: (method, sentence). Arguments as for train_cohort.

    Work is counted, not timed: a run takes the same path again, on a busy machine too, and a resumed one gives the same bits.
    The native path is taken from NATIVE_FROM on, where a C compiler is there; ODL_NATIVE=0 in the environment switches it off.
    """
    device = w.device if device is None else torch.device(device)
    key = (x.shape, x.dtype, w.dtype, batch_size, device.type, net.training, os.environ.get("ODL_NATIVE"))
    known = _chosen.setdefault(net, {})
    if key not in known:
        known[key] = _choose(net, w, x, batch_size, device)
    return known[key]


def _choose(net, w, x, batch_size, device):
    if not _refusal(net, "batched"):
        work, why_not = w.shape[-1] * x.shape[0] * x.shape[1], "little work"
        if work >= NATIVE_FROM:
            why_not = _refusal(net, "native", w, x, device)
            if not why_not:
                return "native", "native: only Linear and ReLU layers, so compiled C trains each client in one go"
        return "batched", f"batched: only Linear and ReLU layers, so C clients are stacked matrices; not native: {why_not}"
    net, w, example = copy.deepcopy(net).cpu(), w[:1].cpu() if w.dim() == 2 else w.cpu()[None], x[:1, :batch_size].cpu()
    refused = _refusal(net, "vmap") or cohort_vmap.refusal(net, w, example)
    if refused:
        return "loop", f"loop: vmap refuses, {refused}"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cohort_vmap.forward(net, w[0], example[0])
    flops = counter.get_total_flops()
    if flops >= LOOP_FROM and device.type == "cpu":
        return "loop", f"loop: a client's forward pass takes {flops / 1e6:.1f} MFLOP, enough to fill a core"
    return "vmap", f"vmap: a client's forward pass takes {flops / 1e6:.1f} MFLOP, too little to fill a {device.type}"


def _refusal(net, method, w=None, x=None, device=None):
    """Why `method` cannot train `net`, as far as its layers tell; None if they do not. w, x, device: for "native" alone."""
    if method == "native":
        return cohort_native.refusal(net, w, x, device)
    if method == "batched" and cohort_batched.dense_layers(net) is None:
        return "it has other layers than Flatten, Linear and ReLU"
    mixes = [name for name, m in net.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    if method == "vmap" and mixes:
        return f"BatchNorm {mixes[0]!r} mixes the examples of a batch"


def _check(net, w, x, y, num_examples, rows, epochs, batch_size):
    if y.dtype != torch.int64:
        raise ValueError(f"y is {y.dtype}: a cohort trains classifiers, make y int64 class numbers")
    if x.shape[:2] != y.shape or num_examples.shape != y.shape[:1]:
        raise ValueError(f"x {tuple(x.shape)}, y {tuple(y.shape)}, num_examples {tuple(num_examples.shape)} do not fit: "
                         "give x (C, N, ...), y (C, N), num_examples (C,)")
    if w.dim() not in (1, 2) or w.dim() == 2 and len(w) != len(rows):
        raise ValueError(f"w {tuple(w.shape)} for {len(rows)} clients: give one start (P,), or one for each client (C, P)")
    if len(rows) == 0:
        raise ValueError("no client chosen: rows is empty")
    claimed = num_examples[rows.to(num_examples.device)]
    wrong = ((claimed < 1) | (claimed > y.shape[1])).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(f"client row {int(rows[wrong[0]])} claims {int(claimed[wrong[0]])} examples, there is room for 1 to {y.shape[1]}: "
                         "leave empty clients out")
    if epochs < 1 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"epochs={epochs}, batch_size={batch_size}: both are at least 1 (batch_size=None takes a client as one batch)")
    random = [name for name, m in net.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.training and m.p > 0]
    if random:
        raise ValueError(f"Dropout {random[0]!r} draws from torch's global state, so no two runs agree: call net.eval() or leave it out")
