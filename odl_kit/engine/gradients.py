"""The backward ops and the updates in NumPy, in the order of summation that every executor keeps; otherwise as kernels.

An update takes one more argument, a Rule: the learning rate, and what the rounding of stored integers needs.
"""
from dataclasses import dataclass

import numpy as np

from odl_kit.engine import math32
from odl_kit.engine.graph import weight_index
from odl_kit.engine.kernels import by_group, from_bits, windows

F = np.float32
MOST = {"s8": 127, "s32": 2**23}        # stored weights and biases saturate here


@dataclass(frozen=True)
class Rule:
    """lr: of this step. rounding: "nearest" or "stochastic", drawn from seed, the number of the step and that of the weight's tensor."""
    lr: float
    rounding: str = "nearest"
    seed: int = 0
    step: int = 0


def scale_grad(op, t, a):
    """g = gy * m of its channel (or * lo) where the forward clamp did not cut, else +0."""
    g = a["gy"] * (a["m"].reshape(-1) if "m" in a else F(op.lo))
    a["g"][...] = np.where(from_bits(a["mask"], g.shape), g, F(0)) if "mask" in a else g


def conv_dx(op, t, a):
    """dx[place] = sum over kernel positions, and inside over o, of g[o] * w[o]: each output sends its gradient back through its window."""
    w, (ph, pw), (sh, sw) = by_group(a["w"], op.groups).astype(F), op.padding, op.stride
    n, h, width, c = a["dx"].shape
    g = a["g"].reshape(*a["g"].shape[:3], op.groups, -1)
    framed = np.zeros((n, h + 2 * ph, width + 2 * pw, op.groups, c // op.groups), F)
    for i, j in np.ndindex(*op.kernel):
        window = framed[:, i:i + (g.shape[1] - 1) * sh + 1:sh, j:j + (g.shape[2] - 1) * sw + 1:sw]
        for o in range(g.shape[4]):
            window += g[..., o, None] * w[:, o, i, j]
    a["dx"][...] = framed[:, ph:ph + h, pw:pw + width].reshape(a["dx"].shape)


def conv_dw(op, t, a):
    """dw[o, kh, kw, c] = sum over places of g[o] * x[c]. Of chosen channels only their columns (weight_index); hi is C/groups then."""
    per = int(op.hi) if "channels" in a else t["x"].dims[3] // op.groups
    a["dw"][...] = _weight_gradient(op, t, a, per).reshape(a["dw"].shape)


def _weight_gradient(op, t, a, per):
    """per: input channels of a group."""
    x = a["x"].astype(F) - F(t["x"].zero) if t["x"].dtype == "s8" else a["x"]
    x = np.moveaxis(windows(x, op, grouped=False), 3, 5)                                        # (N, Ho, Wo, kh, kw, n)
    x, g = x.reshape(-1, *x.shape[3:]), a["g"].reshape(-1, op.groups, a["g"].shape[3] // op.groups)
    depthwise = op.groups > 1 and per == g.shape[2] == 1
    if "channels" in a or depthwise:            # column j reads channel c, which belongs to group c // (C/groups)
        channels = a["channels"].reshape(-1) if "channels" in a else np.arange(op.groups)
        g, x = g[:, channels // per].transpose(0, 2, 1)[:, :, None, None], x[:, None]           # (places, O/groups, kh, kw, n)
    else:
        g, x = g[..., None, None, None], x.reshape(*x.shape[:3], op.groups, per).transpose(0, 3, 1, 2, 4)[:, :, None]
    dw = np.zeros(np.broadcast_shapes(g.shape[1:], x.shape[1:]), F)
    for there, here in zip(g, x, strict=True):
        dw += there * here
    return dw.transpose(3, 1, 2, 0) if depthwise else dw


def conv_db(op, t, a):
    """db[o] = sum over places of g[o]."""
    a["db"][...] = _bias_gradient(a).reshape(a["db"].shape)


def _bias_gradient(a):
    g = a["g"].reshape(-1, a["g"].shape[3])
    return np.add.accumulate(np.concatenate([np.zeros((1, g.shape[1]), F), g]), axis=0)[-1]     # one after the other, from +0


def avg_pool_dx(op, t, a):
    """Each input of a window gets g / (kh kw)."""
    share = a["g"] * F(1 / (op.kernel[0] * op.kernel[1]))
    _scatter(op, a["dx"], lambda i, j: share)


def max_pool_dx(op, t, a):
    """The winner of a window gets g."""
    _scatter(op, a["dx"], lambda i, j: np.where(a["place"] == i * op.kernel[1] + j, a["g"], F(0)), a["place"])


def accumulate(op, t, a):
    """a += b."""
    a["a"][...] += a["b"]


def update(op, t, a, rule):
    """w -= lr * gradient; with momentum v = lo * v + gradient, w -= lr * v."""
    _step(op, t["w"], op.t[0], a["w"], a["grad"], a, rule)


def conv_dw_update(op, t, a, rule):
    """conv_dw and update in one: no gradient tensor, the same bits."""
    _step(op, t["w"], op["w"], a["w"], _weight_gradient(op, t, a, t["w"].dims[3]), a, rule)


def conv_db_update(op, t, a, rule):
    """conv_db and update in one."""
    _step(op, t["b"], op["b"], a["b"], _bias_gradient(a), a, rule)


BACKWARD = {"SCALE_GRAD": scale_grad, "CONV_DX": conv_dx, "CONV_DW": conv_dw, "CONV_DB": conv_db, "AVG_POOL_DX": avg_pool_dx,
            "MAX_POOL_DX": max_pool_dx, "ACCUMULATE": accumulate}
UPDATES = {"UPDATE": update, "CONV_DW_UPDATE": conv_dw_update, "CONV_DB_UPDATE": conv_db_update}


def _step(op, tensor, number, w, gradient, a, rule):
    """Move the weights whose gradient this is. w: the array of the whole tensor, changed in place."""
    index = weight_index(tensor.dims, op.groups, a.get("channels"))
    gradient = gradient.reshape(index.shape) if gradient.size == index.size else gradient.reshape(-1)[index]   # some of it learns
    if "r" in a:                                        # G / s^2 of its output channel
        gradient = gradient * a["r"].reshape(-1)[index // (tensor.size // tensor.dims[0])]
    if "velocity" in a:                                 # v = momentum * v + G
        a["velocity"][...] = F(op.lo) * a["velocity"] + gradient.reshape(a["velocity"].shape)
        gradient = a["velocity"].reshape(index.shape)
    moved = w.reshape(-1)[index].astype(F) - F(rule.lr) * gradient
    if tensor.dtype != "f32":
        if rule.rounding == "stochastic":
            moved = np.floor(moved + math32.uniform(rule.seed, rule.step, number, index))
        moved = np.clip(math32.rint(moved), -MOST[tensor.dtype], MOST[tensor.dtype])
    w.reshape(-1)[index] = moved


def _scatter(op, dx, values, place=None):
    """dx[input] = sum over the windows that hold it, in the order of the outputs, of values(kh, kw) (N, Ho, Wo, C)."""
    (ph, pw), (sh, sw), (n, h, w, c) = op.padding, op.stride, dx.shape
    framed = np.zeros((n, h + 2 * ph, w + 2 * pw, c), F)
    for i, j in reversed(list(np.ndindex(*op.kernel))):         # the later position of a window belongs to the earlier output
        value = values(i, j)
        framed[:, i:i + (value.shape[1] - 1) * sh + 1:sh, j:j + (value.shape[2] - 1) * sw + 1:sw] += value
    dx[...] = framed[:, ph:ph + h, pw:pw + w]
