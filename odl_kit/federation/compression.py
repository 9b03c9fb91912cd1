"""Fewer bytes up: uplink stages that send an approximation of each update and count its bytes on the wire.

top_k, random_k, sign, quantise and low_rank compress a row (P,); `error_feedback` around one of them keeps what was not sent for the
client's next round; `only` compresses the weights that learn. Bytes are those of the encoding that each docstring states, packed to the
bit; lengths, ranks and bits are agreed beforehand and cost nothing. Each counts all it sends, so put one in a run. Floats travel in the
dtype of the updates. A row with NaN or Inf goes through as NaN: the round's quarantine takes it out.
"""
import math
from dataclasses import replace

import torch

from odl_kit.models import flat


def top_k(share):
    """The largest entries of an update by absolute value: share * P of them, at least one. Biased. Source: Aji & Heafield 2017.

    On the wire: the values, and their places as indices of ceil(log2 P) bits or as a bitmap of P bits, whichever is shorter.
    """
    _check_share(share)

    def compress(rows, rng):
        k = _count(share, rows.shape[1])
        places = rows.abs().topk(k, dim=1).indices
        return _kept(rows, places), k * rows.element_size() + _places_bytes(k, rows.shape[1])
    return _stage(compress)


def random_k(share, *, unbiased=True):
    """share * P entries drawn at random, for each client others, times P / k: right on average. Source: Konecny et al. 2016, "random mask".

    unbiased=False leaves the factor out, as error_feedback needs it. On the wire: the values, and 8 bytes: the seed that draws the places.
    """
    _check_share(share)

    def compress(rows, rng):
        size = rows.shape[1]
        k = _count(share, size)
        seeds = torch.randint(2 ** 62, (len(rows),), generator=rng).tolist()
        places = torch.stack([torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:k] for seed in seeds])
        return _kept(rows, places.to(rows.device)) * (size / k if unbiased else 1), k * rows.element_size() + 8
    return _stage(compress)


def sign():
    """Plus or minus the mean absolute entry: one bit each, and one float. Biased. Source: Karimireddy et al. 2019, "scaled sign".

    On the wire there is no third sign: 0 is sent as plus.
    """
    def compress(rows, rng):
        size = rows.abs().mean(1, keepdim=True)
        return torch.where(rows < 0, -size, size), math.ceil(rows.shape[1] / 8) + rows.element_size()
    return _stage(compress)


def quantise(bits, *, stochastic=True):
    """Whole multiples of max|u| / (2^(bits-1) - 1), rounded up or down by chance: right on average. bits: 2 to 16.

    Source: QSGD, Alistarh et al. 2017, with the norm max|u|, which the paper's experiments take too; all numbers get the same bits, not its
    Elias code.
    stochastic=False rounds to the nearest, as error_feedback needs it. On the wire: the multiples, `bits` each, and one float.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits={bits}: give 2 to 16 (for one bit take compression.sign)")

    def compress(rows, rng):
        levels = 2 ** (bits - 1) - 1
        step = rows.abs().amax(1, keepdim=True) / levels
        multiple = rows / step.clamp(min=torch.finfo(rows.dtype).tiny)
        multiple = (multiple + torch.rand(rows.shape, generator=rng).to(rows.device)).floor() if stochastic else multiple.round()
        return multiple.clamp(-levels, levels) * step, math.ceil(rows.shape[1] * bits / 8) + rows.element_size()
    return _stage(compress)


def low_rank(net, rank):
    """Each weight matrix of the update as a product of two thin ones, the best of this rank (Eckart & Young); biases as they are.

    net: says where in P the matrices are; a convolution is (c_out, the rest). On the wire: rank * (rows + columns) floats where that is
    less than the matrix, else the matrix. Source: Konecny et al. 2016, with the SVD in place of their random factor. Biased.
    """
    if rank < 1:
        raise ValueError(f"rank={rank} must be at least 1")
    shapes = [p.shape for p in net.parameters()]

    def compress(rows, rng):
        flat.unravel(net, rows)                                            # raises where P does not fit the net
        pieces, floats = [], 0
        for piece, shape in zip(rows.split([s.numel() for s in shapes], dim=1), shapes, strict=True):
            height, width = shape[0], shape[1:].numel()
            thin = rank * (height + width)
            if len(shape) > 1 and thin < height * width:
                u, s, v = torch.linalg.svd(piece.view(-1, height, width), full_matrices=False)
                piece = (u[..., :rank] * s[:, None, :rank] @ v[:, :rank]).flatten(1)
            pieces.append(piece)
            floats += min(thin, shape.numel()) if len(shape) > 1 else shape.numel()
        return torch.cat(pieces, 1), floats * rows.element_size()
    return _stage(compress)


def error_feedback(stage):
    """What `stage` did not send, a client adds to its next update. Its state: (state of stage, {client id: residual (P,)}).

    For stages that leave less than they found (top_k, sign, low_rank, random_k and quantise with chance left out). Where a stage can leave
    more than it found, as the unbiased ones may, the residuals grow without end. Sources: Seide et al. 2014; Karimireddy et al. 2019.
    """
    def compensated(uplink, state, rng):
        inner, residuals = (None, {}) if state is None else state
        ids, nothing = uplink.ids.tolist(), torch.zeros(uplink.updates.shape[1]).to(uplink.updates)
        wanted = uplink.updates + torch.stack([residuals.get(client, nothing) for client in ids])
        sent, inner = stage(replace(uplink, updates=wanted), inner, rng)
        left = wanted - sent.updates
        kept = {client: row.clone() for client, row in zip(ids, left, strict=True) if row.isfinite().all()}
        return sent, (inner, {**residuals, **kept})
    return compensated


def only(mask, stage):
    """`stage` on the entries where mask (P,) bool is True, such as plan.mask(net): the others are 0, and nothing is sent for them."""
    def partly(uplink, state, rng):
        sent, state = stage(replace(uplink, updates=uplink.updates[:, mask]), state, rng)
        rows = torch.zeros_like(uplink.updates)
        rows[:, mask] = sent.updates
        return replace(sent, updates=rows), state
    return partly


def _stage(compress):
    """Lift `compress(rows (C, P), rng) -> (rows (C, P), bytes of one row)` to an uplink stage."""
    def stage(uplink, state, rng):
        good = uplink.updates.isfinite().all(1, keepdim=True)
        rows, nbytes = compress(torch.where(good, uplink.updates, 0), rng)
        return replace(uplink, updates=torch.where(good, rows, math.nan), nbytes=len(rows) * nbytes), state
    return stage


def _kept(rows, places):
    return torch.zeros_like(rows).scatter(1, places, rows.gather(1, places))


def _count(share, size):
    return max(1, round(share * size))


def _places_bytes(k, size):
    return math.ceil(min(k * math.ceil(math.log2(size)), size) / 8)


def _check_share(share):
    if not 0 < share <= 1:
        raise ValueError(f"share={share} must be above 0 and at most 1: it is the part of the entries that is sent")
