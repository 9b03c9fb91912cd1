"""What a net's layers bring along: weights in the engine's order, scales, and what the engine cannot take."""
from dataclasses import dataclass

import numpy as np
import torch

from odl_kit.models import quant
from odl_kit.models.quantnet import QuantNet

MOST = 65535        # products, of at most 255 * 127, that an int32 can sum, a bias of 2^23 included


def check(net, precision):
    """Raises ValueError unless the net is of the kind that the precision asks for."""
    if precision not in ("int8", "float32"):
        raise ValueError(f'precision {precision!r} is unknown: use "int8" or "float32"')
    if precision == "int8" and not isinstance(net, QuantNet):
        raise ValueError(f'precision="int8" needs a QuantNet, this is a {type(net).__name__}: make one with quantize.quantize_model(net, '
                         'calibration), where calibration are examples that show the ranges, or compile with precision="float32"')
    if precision == "float32" and isinstance(net, QuantNet):
        raise ValueError('precision="float32" with a QuantNet: compile it with precision="int8", or give the float net')
    if any(p.dtype != torch.float32 for p in net.parameters()):
        raise ValueError("the net holds weights that are not float32: call net.float() first")


@dataclass(frozen=True)
class Weighed:
    """What the engine knows of one layer with weights. w, b: tensor numbers (b may be None). chw: (C, H, W) of the map that a linear
    layer reads flattened, else None. s_w (O,) float32, s_x: the scales of an integer layer, else None."""
    name: str
    w: int
    b: int | None
    chw: tuple | None
    s_w: np.ndarray | None = None
    s_x: float | None = None


def of_layer(g, module, step, chw):
    """The Weighed of one layer, its const tensors appended to g. chw: the map that a linear layer reads flattened, or None."""
    if step.kind == "linear" and step.h_in > 1:
        raise ValueError(f"layer {step.name!r} is linear on {step.h_in} rows an example: flatten them first")
    w, b = module.weight.detach(), module.bias
    b = None if b is None else b.detach()
    if not all(v.isfinite().all() for v in (w, b) if v is not None):
        raise ValueError(f"layer {step.name!r} holds weights that are not finite numbers: train it again with a smaller lr")
    scales = {}
    if step.int8:
        if (module.bits, module.weight_bits) != (8, 8):
            raise ValueError(f"layer {step.name!r} has weights of {module.weight_bits}, outputs of {module.bits} bits: the engine stores 8")
        quant.check_sums(step.name, w, b, module.z_x)
        if w[0].numel() > MOST:
            raise ValueError(f"layer {step.name!r} sums {w[0].numel()} products an output, which an int32 may not hold: use fewer inputs")
        w, b, scales = w.round(), None if b is None else b.round(), {"s_w": module.s_w.numpy().copy(), "s_x": module.s_x}
    w = to_engine(w.numpy(), chw)
    number = g.const(f"{step.name}.weight", "s8" if step.int8 else "f32", w, pairs=step.int8 and step.groups == 1 and paired(w.shape))
    bias = None if b is None else g.const(f"{step.name}.bias", "s32" if step.int8 else "f32", b.numpy())
    return Weighed(step.name, number, bias, chw, **scales)


def paired(dims):
    """A weight (O, kh, kw, I) that a device can store in pairs of rows: O even, a row a multiple of 8."""
    return dims[0] % 2 == 0 and dims[1] * dims[2] * dims[3] % 8 == 0


def to_engine(w, chw=None):
    """torch's weight (O, I, kh, kw), or (O, F) with the columns in the order of chw, as (O, kh, kw, I): a NumPy array."""
    if w.ndim == 4:
        return w.transpose(0, 2, 3, 1)
    return w.reshape(len(w), *(chw or (w.shape[1], 1, 1))).transpose(0, 2, 3, 1).reshape(len(w), 1, 1, -1)


def to_torch(w, shape, chw=None):
    """Back from to_engine: w (O, kh, kw, I) in torch's `shape`."""
    if len(shape) == 2 and chw:
        w = w.reshape(len(w), chw[1], chw[2], chw[0])
    return w.transpose(0, 3, 1, 2).reshape(shape)


def columns(channels, chw=None):
    """The plan's input channels, in torch's order, as ascending columns of to_engine's weight: (n,) int64."""
    channels = np.asarray(channels, dtype=np.int64)
    if chw is None:
        return channels
    c, place = np.divmod(channels, chw[1] * chw[2])
    return np.sort(place * chw[0] + c)
