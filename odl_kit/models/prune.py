"""Magnitude pruning: the smallest weights become zero and stay zero. Zeros save bytes where they are many; models.channels saves time."""
import copy
import math
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

PRUNED = (nn.Conv2d, nn.Linear)
FLOAT = 4       # bytes of a float32
RUN = 15        # the longest run of zeros that 4 bits can count


@torch.no_grad()
def magnitude(net, amount, *, scope="global"):
    """Which weights to keep: {parameter name: bool mask, shaped like it}. Biases and norms are not pruned. Nothing in `net` changes.

    amount: the share of weights to drop, 0 <= amount < 1: those with the smallest |w|, of all layers together (scope="global") or of each
    layer by itself (scope="layer"). Raises ValueError for another scope or amount, and for a net without convolutions and linear layers.
    Source: Han et al. 2015, "Learning both Weights and Connections"; they take one threshold a layer, a multiple of its standard deviation.
    """
    if scope not in ("global", "layer"):
        raise ValueError(f'scope {scope!r} is unknown: use "global" or "layer"')
    if not 0 <= amount < 1:
        raise ValueError(f"amount is {amount}: give the share of weights to drop, from 0 to below 1")
    weights = {f"{name}.weight".lstrip("."): m.weight for name, m in net.named_modules() if isinstance(m, PRUNED)}
    if not weights:
        raise ValueError(f"{type(net).__name__} has no weights to prune: use a net with convolutions or linear layers")
    if scope == "layer":
        return {name: _largest(w.abs().flatten(), amount).view_as(w) for name, w in weights.items()}
    kept = _largest(torch.cat([w.abs().flatten() for w in weights.values()]), amount).split([w.numel() for w in weights.values()])
    return {name: mask.view_as(w) for (name, w), mask in zip(weights.items(), kept, strict=True)}


def _largest(size, amount):
    """Bool mask (n,): True for all but the round(amount * n) smallest of size (n,)."""
    mask = torch.ones_like(size, dtype=torch.bool)
    mask[size.argsort(stable=True)[:round(amount * len(size))]] = False
    return mask


@contextmanager
def held(net, masks):
    """Write the zeros into `net`; inside the block they stay zero under train.fit, since their gradients are zero.

    masks: of `magnitude`. An optimizer that moves a weight without a gradient (weight decay does not: 0 shrinks to 0) is not held.
    """
    params, hooks = dict(net.named_parameters()), []
    for name, mask in masks.items():
        with torch.no_grad():
            params[name].mul_(mask)
        hooks.append(params[name].register_hook(lambda gradient, mask=mask: gradient * mask))
    try:
        yield net
    finally:
        for hook in hooks:
            hook.remove()


def iterative(net, amounts, tune, *, scope="global", progress=True):
    """Prune a little, fine-tune, prune more: a copy of `net` with the last of `amounts` pruned, and its masks.

    amounts: rising shares, e.g. (0.5, 0.75, 0.9). tune(net): trains in place, e.g. partial(train.fit, x=x, y=y, ...).
    One amount is one-shot pruning. Raises ValueError as `magnitude` does, and when the amounts fall.
    Source: Han et al. 2015, sec. 3.
    """
    if list(amounts) != sorted(amounts) or not amounts:
        raise ValueError(f"amounts are {amounts}: a zero stays a zero, so give at least one, and let them rise")
    net = copy.deepcopy(net)
    for amount in tqdm(amounts, desc="prune", disable=None if progress else True):
        masks = magnitude(net, amount, scope=scope)       # zeros are the smallest, so what was dropped is dropped again
        with held(net, masks):
            tune(net)
    return net, masks


def sparse_bytes(matrix, *, value_bytes=FLOAT):
    """Bytes of a weight tensor (c_out, ...) in each way to store it: {"dense", "list", "bitmap", "runs"}.

    dense: every value. list: compressed sparse rows: of each nonzero its value and its column (1 byte up to 256 columns, else 2), and for
    each row where it begins (2 bytes up to 65,535 nonzeros, else 4). bitmap: a bit for each place, then the values. runs: of each stored
    value how many zeros stand before it, in 4 bits; a longer run takes a stored zero of its own. Biases are not counted.
    Source of the runs: Han et al. 2016, "Deep Compression", sec. 2 (they take 8 bits in convolutions, 5 in dense layers).
    """
    rows = matrix.detach().flatten(1)
    nonzero = int((rows != 0).sum())
    column, start = 1 if rows.shape[1] <= 256 else 2, 2 if nonzero < 2**16 else 4
    places = F.pad((rows.flatten() != 0).nonzero().flatten(), (1, 0), value=-1)
    fillers = int(((places.diff() - 1) // (RUN + 1)).sum())       # a filler is RUN zeros and one stored zero
    stored = nonzero + fillers
    return {"dense": value_bytes * rows.numel(),
            "list": (value_bytes + column) * nonzero + start * (len(rows) + 1),
            "bitmap": math.ceil(rows.numel() / 8) + value_bytes * nonzero,
            "runs": value_bytes * stored + math.ceil(stored / 2)}


def nbytes(net, *, value_bytes=FLOAT):
    """Bytes of all that a net stores, {format: bytes}: its convolutions and linear layers as in `sparse_bytes`, all else as it is."""
    pruned = [m.weight for m in net.modules() if isinstance(m, PRUNED)]
    rest = value_bytes * (sum(p.numel() for p in net.parameters()) - sum(w.numel() for w in pruned))
    sizes = [sparse_bytes(w, value_bytes=value_bytes) for w in pruned]
    return {form: rest + sum(size[form] for size in sizes) for form in sizes[0]}
