"""A quantized net: integer layers that are torch layers too, and QuantNet, which holds them under the names of the float net.

`weight` carries int8, `bias` carries int32, as float32, so that flat.ravel, plans and the tracer work as ever. `int8` tells the tracer
that a layer's output is int8; `sums`, where a forward takes it, computes the integer sums in its place (learners.saving keeps less).
"""
import torch
from torch import fx, nn
from torch.nn import functional as F

from odl_kit.models import quant


class _Weighed:
    """What an integer layer knows besides weight and bias, set by `scaled`.

    s_x, z_x, s_y, z_y: scale and zero point of input and output. bits, weight_bits. Buffers: s_w (O,), m (O,) = s_x * s_w / s_y, float32.
    """
    int8 = True

    def scaled(self, name, s_w, x, y, bits=8, weight_bits=8):
        """Set the scales: s_w (O,), x and y = (scale, zero point). Returns self."""
        self.name, self.bits, self.weight_bits = name, bits, weight_bits
        (self.s_x, self.z_x), (self.s_y, self.z_y) = x, y
        self.register_buffer("s_w", s_w.float())
        self.register_buffer("m", self.multiplier(self.s_w))
        return self

    def multiplier(self, s_w):
        """m (O,) = s_x * s_w / s_y, computed in float64, stored as float32."""
        return (s_w.double() * self.s_x / self.s_y).float()

    def integers(self):
        """(w, b, m): integer weight, integer bias (or None) and multiplier of the forward pass."""
        return self.weight, self.bias, self.m

    @property
    def nbytes(self):
        """Bytes on a device: weights of weight_bits, int32 biases, and a float32 multiplier for each output channel."""
        return -(-self.weight.numel() * self.weight_bits // 8) + 4 * (0 if self.bias is None else len(self.bias)) + 4 * len(self.m)

    def _again(self, sums, shape):
        quant.check_sums(self.name, self.weight, self.bias, self.z_x, self.bits)
        return quant.requantize(sums * self.m.view(shape), self.z_y, self.bits)


class QConv2d(_Weighed, nn.Conv2d):
    """quant.conv2d_int8 as a layer."""

    def forward(self, x, sums=None):
        if sums is not None:
            return self._again(sums(x), (-1, 1, 1))
        w, b, m = self.integers()
        return quant.conv2d_int8(x, w, b, m=m, z_x=self.z_x, z_y=self.z_y, stride=self.stride, padding=self.padding, groups=self.groups,
                                 bits=self.bits, name=self.name)


class QLinear(_Weighed, nn.Linear):
    """quant.linear_int8 as a layer."""

    def forward(self, x, sums=None):
        if sums is not None:
            return self._again(sums(x), (-1,))
        w, b, m = self.integers()
        return quant.linear_int8(x, w, b, m=m, z_x=self.z_x, z_y=self.z_y, bits=self.bits, name=self.name)


class _Scaled(nn.Module):
    """An integer layer without weights. x, y: (scale, zero point) of what comes and of what goes."""
    int8 = True

    def __init__(self, x=None, y=None, bits=8):
        super().__init__()
        self.x, self.y, self.bits = x, y, bits


class Quantize(_Scaled):
    """float32 -> int8: clamp(rint(v / s) + z)."""
    layer_kind = "quantize"

    def forward(self, v):
        return quant.requantize(v / quant.float32(self.y[0]), self.y[1], self.bits)


class Dequantize(_Scaled):
    """int8 -> float32: (q - z) * s."""
    layer_kind, int8 = "dequantize", False

    def forward(self, q):
        return (q - self.x[1]) * quant.float32(self.x[0])


class QReLU(_Scaled):
    """A ReLU or ReLU6 that no layer before it could take over: its output gets a range of its own, which begins at 0."""
    layer_kind = "relu"

    def forward(self, q):
        return quant.requantize((q - self.x[1]) * quant.float32(self.x[0] / self.y[0]), self.y[1], self.bits)


class QAdd(_Scaled):
    """quant.add_int8 as a layer. x: a pair of (scale, zero point), one for each input."""
    layer_kind = "add"

    def forward(self, a, b):
        (s_a, z_a), (s_b, z_b), (s_y, z_y) = *self.x, self.y
        return quant.add_int8(a, b, m_a=quant.float32(s_a / s_y), m_b=quant.float32(s_b / s_y), z_a=z_a, z_b=z_b, z_y=z_y, bits=self.bits)


class QGlobalPool(_Scaled):
    """The mean over all places, in the scale of its input. keepdim: (N, C, 1, 1), else (N, C)."""
    layer_kind = "global_pool"

    def __init__(self, x, keepdim):
        super().__init__(x, x)
        self.keepdim = keepdim

    def forward(self, q):
        return quant.mean_int8((q - self.x[1]).sum((2, 3), keepdim=self.keepdim), q.shape[2] * q.shape[3], self.x[1])


class QAvgPool(nn.AvgPool2d):
    """The mean over a window, in the scale of its input; padding counts as real zeros."""
    int8 = True

    def __init__(self, x, kernel, stride, padding):
        super().__init__(kernel, stride, padding)
        self.x = self.y = x

    def forward(self, q, sums=None):
        v = q - self.x[1]
        total = F.avg_pool2d(v, self.kernel_size, self.stride, self.padding, divisor_override=1) if sums is None else sums(v)
        return quant.mean_int8(total, self.kernel_size[0] * self.kernel_size[1], self.x[1])


class QuantNet(fx.GraphModule):
    """A quantized net: x (N, ...) float32 -> outputs float32, int8 in between. quantize.quantize_model makes it."""

    def integer_layers(self):
        """{name: layer} of the convolutions and linear layers that hold integers, in the order of named_modules."""
        return {name: m for name, m in self.named_modules() if isinstance(m, _Weighed) and m.int8}

    @property
    def nbytes(self):
        """Bytes of all weights, biases and multipliers on a device; a float head counts 4 bytes a number."""
        own = self.integer_layers()
        rest = sum(4 * p.numel() for name, p in self.named_parameters() if name.rpartition(".")[0] not in own)
        return rest + sum(layer.nbytes for layer in own.values())

    def scales(self):
        """{layer: {"s_x", "z_x", "s_y", "z_y": floats, "s_w", "m": (O,) float32, "bits": int}}: what an engine needs beside weights."""
        return {name: {key: getattr(layer, key) for key in ("s_x", "z_x", "s_y", "z_y", "s_w", "m", "bits")}
                for name, layer in self.integer_layers().items()}

    @torch.no_grad()
    def dead(self):
        """{layer: (k,) int64}: output channels whose weights have all become 0, for layers that have some. Their bias is left."""
        found = {name: layer.weight.round().flatten(1).any(1).logical_not().nonzero() for name, layer in self.integer_layers().items()}
        return {name: channels[:, 0] for name, channels in found.items() if len(channels)}
