"""Arithmetic of int8 nets, in float32 numbers that carry integers: the values that NumPy and C get too, gradients straight through.

A real number v stands as q = round(v / s) + z, with the scale s and the zero point z. Weights are symmetric (z = 0) with a scale for each
output channel, activations have one scale and zero point a tensor, a bias is an int32 in steps of s_x * s_w. ReLU is the clamp at z = -128.
Every rounding is half to even and passes the gradient on; a clamp passes it where it did not cut. Latent weights, floats between
integers, are rounded first.
Source: Lin et al. 2022 (MCUNetV3), sec. 3.1; Jacob et al. 2018, sec. 2.
"""
import numpy as np
import torch
from torch.autograd import Function
from torch.nn import functional as F

EXACT = 2**24       # float32 counts every whole number up to here


def span(bits=8):
    """(least, most) of a signed integer of `bits` bits: (-128, 127). Raises ValueError unless 2 <= bits <= 8."""
    if not 2 <= bits <= 8:
        raise ValueError(f"bits={bits}: an activation or a weight has 2 to 8 bits here")
    return -2 ** (bits - 1), 2 ** (bits - 1) - 1


def conv2d_int8(x, w, b, *, m, z_x, z_y, stride=1, padding=0, groups=1, bits=8, name="conv2d_int8"):
    """An integer convolution: x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None, all float32 -> (N, O, H', W') float32.

    m: (O,) float32, s_x * s_w / s_y of each output channel. z_x, z_y: zero points of input and output. bits: of the output.
    Padding is a real 0. Raises ValueError, with `name`, if a sum could leave the whole numbers of float32 (see check_sums).
    """
    check_sums(name, w, b, z_x, bits)
    # acc = sum (x - z_x) * w + b
    acc = F.conv2d(x - z_x, rounded(w), None if b is None else rounded(b), stride, padding, groups=groups)
    # y = clamp(rint(acc * m) + z_y, -128, 127)
    return requantize(acc * m.view(-1, 1, 1), z_y, bits)


def linear_int8(x, w, b, *, m, z_x, z_y, bits=8, name="linear_int8"):
    """An integer linear layer: x (N, ..., F), w (O, F), b (O,) or None, all float32 -> (N, ..., O) float32. Otherwise as conv2d_int8."""
    check_sums(name, w, b, z_x, bits)
    return requantize(F.linear(x - z_x, rounded(w), None if b is None else rounded(b)) * m, z_y, bits)


def add_int8(a, b, *, m_a, m_b, z_a, z_b, z_y, bits=8):
    """The sum of two int8 tensors of one shape. m_a, m_b: s_a / s_y and s_b / s_y, float32.

    y = clamp(rint((a - z_a) * m_a + (b - z_b) * m_b) + z_y): two products and one sum, each rounded to float32 (no fused multiply-add).
    """
    return requantize((a - z_a) * m_a + (b - z_b) * m_b, z_y, bits)


def mean_int8(sums, count, z):
    """The mean of `count` int8 values, in the scale of these values: sums, float32, are those of (value - z). No clamp can cut here.

    y = rint(sums * float32(1 / count)) + z
    """
    return rounded(sums * float32(1 / count)) + z


def requantize(v, z, bits=8):
    """v, real numbers in steps of the output -> clamp(rint(v) + z, *span(bits)). Keeps one bit an element for the backward pass."""
    return _Clamp.apply(v, z, *span(bits))


def rounded(v):
    """rint(v), half to even; the gradient passes straight through. Keeps nothing. Source: Bengio et al. 2013."""
    return _Round.apply(v)


def check_sums(name, w, b, z_x, bits=8):
    """Raises ValueError, naming the layer, if  max|x - z_x| * sum|w| + |b|  of an output channel reaches 2^24: the sum could be inexact."""
    if w.is_meta:
        return
    low, high = span(bits)
    with torch.no_grad():
        bound = max(high - z_x, z_x - low) * w.round().abs().flatten(1).sum(1) + (0 if b is None else b.round().abs())
        if (worst := bound.max().item()) >= EXACT:
            raise ValueError(f"layer {name!r}: a sum can reach {worst:,.0f}, float32 counts to {EXACT:,} only: fewer input channels, or "
                             "a smaller bias (a bias that grew in training wants a smaller lr)")


def qas_scale(grad, scale):
    """Quantization-aware scaling of a gradient taken in integer units: G / scale^2, for each output channel.

    grad: (O, ...) of a weight, with scale (O,) = s_w, or (O,) of a bias, with scale (O,) = s_w * s_x. A step of SGD along the result, in
    integer units, is the step of SGD along the gradient of the real number scale * q: d(q) = d(v) / scale, dL/dq = scale * dL/dv.
    Source: Lin et al. 2022, eq. 4.
    """
    return grad / scale.view(-1, *[1] * (grad.dim() - 1)) ** 2


def pack(mask):
    """A bool tensor as bits: (ceil(n / 8),) uint8 on its device."""
    return torch.from_numpy(np.packbits(mask.cpu().numpy())).to(mask.device)


def unpack(bits, shape):
    """What `pack` packed, 0 and 1 as uint8, in its shape."""
    return torch.from_numpy(np.unpackbits(bits.cpu().numpy(), count=shape.numel())).to(bits.device).view(shape)


def float32(value):
    """The float32 next to a number, as a Python float: torch, NumPy and C then multiply by the same one."""
    return float(np.float32(value))


class _Round(Function):

    @staticmethod
    def forward(ctx, v):
        return v.round()

    @staticmethod
    def backward(ctx, g):
        return g


class _Clamp(Function):

    @staticmethod
    def forward(ctx, v, z, low, high):
        y = v.round() + z
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(pack((y >= low) & (y <= high)))
        return y.clamp(low, high)

    @staticmethod
    def backward(ctx, g):
        return g * unpack(ctx.saved_tensors[0], g.shape), None, None, None
