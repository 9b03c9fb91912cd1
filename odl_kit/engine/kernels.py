"""The forward ops in NumPy, in the order of summation that every executor keeps: loops run over what is summed, arrays over the rest.

Each takes (op, t, a): the Op, its Tensors by role and their arrays by role, and writes its outputs in place. Integer sums are exact, in
float64, so that their order is free; every float32 product and sum is rounded on its own.
"""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from odl_kit.engine import math32

F = np.float32


def conv(op, t, a):
    """y = clamp(rint(m * acc) + zero) of int8, clamp(acc, lo, hi) of float32, with  acc = b + sum over kh, kw, c of x * w."""
    w = by_group(a["w"], op.groups)
    if t["x"].dtype == "s8":
        x = windows(a["x"].astype(np.float64) - t["x"].zero, op)
        acc = np.einsum("nhwgcij,goijc->nhwgo", x, w.astype(np.float64), optimize=True).reshape(a["y"].shape)
        acc = wrapped(acc if a.get("b") is None else acc + a["b"].reshape(-1))
        requantize(acc * a["m"].reshape(-1), t, a)
        return
    x, acc = windows(a["x"], op), np.zeros((*a["y"].shape[:3], *w.shape[:2]), F)
    if a.get("b") is not None:
        acc += a["b"].reshape(w.shape[:2])
    for i, j, c in np.ndindex(*op.kernel, w.shape[-1]):
        acc += x[..., c, i, j, None] * w[:, :, i, j, c]
    clamp(acc.reshape(a["y"].shape), op, a)


def add(op, t, a):
    """y = a + b, clamped; of int8: clamp(rint((a - za) * lo + (b - zb) * hi) + zero)."""
    if t["y"].dtype == "s8":
        left, right = (a[role].astype(F) - F(t[role].zero) for role in "ab")
        requantize(left * F(op.lo) + right * F(op.hi), t, a)
    else:
        clamp(a["a"] + a["b"], op, a)


def relu(op, t, a):
    """y = clamp(x, lo, hi); of int8: clamp(rint((x - zero of x) * lo) + zero)."""
    if t["y"].dtype == "s8":
        requantize((a["x"].astype(F) - F(t["x"].zero)) * F(op.lo), t, a)
    else:
        clamp(a["x"], op, a)


def dequantize(op, t, a):
    """y = (x - zero) * scale."""
    a["y"][...] = (a["x"].astype(F) - F(t["x"].zero)) * F(t["x"].scale)


def avg_pool(op, t, a):
    """y = the sum over kh, kw, times float32(1 / (kh kw)); padding counts as real zeros. int8 stays in its scale: rint, + zero."""
    zero = t["x"].zero if t["x"].dtype == "s8" else 0
    x, total = windows(a["x"].astype(F) - F(zero), op, grouped=False), np.zeros(a["y"].shape, F)
    for i, j in np.ndindex(*op.kernel):
        total += x[..., i, j]
    mean = total * F(1 / (op.kernel[0] * op.kernel[1]))
    a["y"][...] = mean if t["x"].dtype == "f32" else math32.rint(mean) + F(zero)


def max_pool(op, t, a):
    """y = the largest of a window, place = its number kh * width + kw; of equal ones the first, a NaN before all. Padding never wins."""
    x = windows(a["x"].astype(F), op, grouped=False)
    inside = windows(np.ones((1, *a["x"].shape[1:3], 1), bool), op, grouped=False)
    best, place = np.full(a["y"].shape, -np.inf, F), np.full(a["y"].shape, -1)
    for i, j in np.ndindex(*op.kernel):
        v = x[..., i, j]
        wins = inside[..., i, j] & ((place < 0) | (v > best) | np.isnan(v) & ~np.isnan(best))
        best, place = np.where(wins, v, best), np.where(wins, i * op.kernel[1] + j, place)
    a["y"][...] = best
    if "place" in a:
        a["place"][...] = place


def loss(op, t, a):
    """The mean cross-entropy of the batch: loss_n = log(sum of exp(l - M)) - (l[y] - M), d logits = (softmax - onehot) / N."""
    logits, labels = a["logits"].reshape(len(a["logits"]), -1), a["labels"].reshape(-1)
    rows, share = np.arange(len(logits)), F(1 / len(logits))
    shifted = logits - logits.max(1, keepdims=True)
    e, total = math32.exp(shifted), np.zeros(len(logits), F)
    for c in range(logits.shape[1]):
        total += e[:, c]
    each, mean = math32.log(total) - shifted[rows, labels], F(0)
    for value in each:
        mean = F(mean + value)
    a["loss"][...] = mean * share
    if "dlogits" in a:
        p = e / total[:, None]
        p[rows, labels] -= F(1)
        a["dlogits"][...] = (p * share).reshape(a["dlogits"].shape)


def gather(op, t, a):
    """y = the named channels of x."""
    a["y"][...] = a["x"][..., a["channels"].reshape(-1)]


FORWARD = {"CONV": conv, "ADD": add, "AVG_POOL": avg_pool, "MAX_POOL": max_pool, "RELU": relu, "DEQUANTIZE": dequantize, "LOSS": loss,
           "GATHER": gather}


def windows(x, op, grouped=True):
    """What each output sees: (N, Ho, Wo, C, kh, kw), or (N, Ho, Wo, groups, C/groups, kh, kw). Outside the map there are zeros."""
    (ph, pw), (sh, sw) = op.padding, op.stride
    seen = sliding_window_view(np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0))), op.kernel, axis=(1, 2))[:, ::sh, ::sw]
    return seen.reshape(*seen.shape[:3], op.groups, -1, *op.kernel) if grouped else seen


def by_group(w, groups):
    """A weight (O, kh, kw, C/groups) as (groups, O/groups, kh, kw, C/groups)."""
    return w.reshape(groups, -1, *w.shape[1:])


def requantize(v, t, a):
    """y = clamp(rint(v) + zero, -128, 127); the mask says where the clamp did not cut. v: float32."""
    r = math32.rint(v) + F(t["y"].zero)
    a["y"][...] = np.clip(r, -128, 127)
    if "mask" in a:
        a["mask"][...] = to_bits((r >= -128) & (r <= 127))


def clamp(v, op, a):
    """y = v between lo and hi; the mask says where v lies strictly between them. NaN stays NaN."""
    if "mask" in a:
        a["mask"][...] = to_bits((v > F(op.lo)) & (v < F(op.hi)))
    low = np.where(v < F(op.lo), F(op.lo), v)
    a["y"][...] = np.where(low > F(op.hi), F(op.hi), low)


def wrapped(acc):
    """Exact sums as float32, by way of an int32, which wraps as the processor's does."""
    return acc.astype(np.int64).astype(np.int32).astype(F)


def to_bits(mask):
    """Element i is bit i % 8 of byte i // 8."""
    return np.packbits(mask.reshape(-1), bitorder="little")


def from_bits(data, dims):
    """What to_bits packed, as bool of these dims."""
    return np.unpackbits(data, count=int(np.prod(dims)), bitorder="little").reshape(dims).astype(bool)
