"""Ops that keep, for the backward pass, only what an UpdatePlan needs. torch keeps a
convolution's input even where its weight is frozen.

One autograd.Function an op. What each keeps is the "device" rule of learners.memory; learners.train puts them into a net.
The channel numbers of the plan are not counted: they belong to the plan, not to a batch.
Conv and Linear also make the sums of integer layers (models.quantnet): with `zero`, the zero point of x, they keep x as int8, one byte a
value, and round latent weights.
"""
import torch
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from odl_kit.models.quant import pack, unpack


class Conv(Function):
    """Keeps the input channels whose weights learn, and the weight if a gradient goes further down."""

    @staticmethod
    def forward(ctx, x, weight, bias, channels, stride, padding, groups, zero=None):
        _keep(ctx, x, weight, channels, 1, zero)
        ctx.groups, ctx.how = groups, {"stride": stride, "padding": padding}
        return F.conv2d(*_integers(x, weight, bias, zero), groups=groups, **ctx.how)

    @staticmethod
    def backward(ctx, g):
        kept, weight = _kept(ctx)
        need_x, need_w, need_b = ctx.needs_input_grad[:3]
        gx = conv2d_input(ctx.x_shape, weight, g, groups=ctx.groups, **ctx.how) if need_x else None
        gw = _conv_weight_gradient(kept, g, ctx) if need_w else None
        return gx, gw, g.sum((0, 2, 3)) if need_b else None, None, None, None, None, None


def _conv_weight_gradient(kept, g, ctx):
    """The gradient of the weight (c_out, c_in/groups, kh, kw), 0 outside ctx.channels; computed for these channels only."""
    shape, channels, groups = ctx.w_shape, ctx.channels, ctx.groups
    if channels is None:
        return conv2d_weight(kept, shape, g, groups=groups, **ctx.how)
    if groups == 1:
        gw = g.new_zeros(shape)
        gw[:, channels] = conv2d_weight(kept, (shape[0], len(channels), *shape[2:]), g, **ctx.how)
        return gw
    if groups == ctx.x_shape[1]:        # depthwise: channel c is read by the filters c*each ... c*each + each - 1
        gw, each = g.new_zeros(shape), shape[0] // groups
        rows = (channels[:, None] * each + torch.arange(each)).flatten()
        gw[rows] = conv2d_weight(kept, (len(rows), *shape[1:]), g[:, rows], groups=len(channels), **ctx.how)
        return gw
    x = g.new_zeros(ctx.x_shape)        # several groups: put the kept channels back in their places
    x[:, channels] = kept
    return conv2d_weight(x, shape, g, groups=groups, **ctx.how)


class Linear(Function):
    """Keeps the inputs whose weights learn, and the weight if a gradient goes further down."""

    @staticmethod
    def forward(ctx, x, weight, bias, channels, zero=None):
        _keep(ctx, x, weight, channels, -1, zero)
        return F.linear(*_integers(x, weight, bias, zero))

    @staticmethod
    def backward(ctx, g):
        kept, weight = _kept(ctx)
        need_x, need_w, need_b = ctx.needs_input_grad[:3]
        gw, rows = None, g.flatten(0, -2)
        if need_w:
            gw = rows.T @ kept.flatten(0, -2)
            if ctx.channels is not None:
                gw = g.new_zeros(ctx.w_shape).index_copy_(1, ctx.channels, gw)
        return g @ weight if need_x else None, gw, rows.sum(0) if need_b else None, None, None


class GroupNorm(Function):
    """Keeps its whole input, mean and 1 / deviation, if the gain learns or a gradient goes further down: there it needs every value."""

    @staticmethod
    def forward(ctx, x, weight, bias, channels, groups, eps):
        ctx.shape, ctx.channels = (len(x), x.shape[1], x[0, 0].numel(), groups), channels
        y, mean, rstd = torch.native_group_norm(x, weight, bias, *ctx.shape, eps)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            ctx.save_for_backward(x, mean, rstd, weight)
        return y

    @staticmethod
    def backward(ctx, g):
        if not ctx.saved_tensors:
            return None, None, g.transpose(0, 1).flatten(1).sum(1), None, None, None
        need = list(ctx.needs_input_grad[:3])
        gx, gw, gb = torch.ops.aten.native_group_norm_backward(g.contiguous(), *ctx.saved_tensors, *ctx.shape, need)
        if need[1] and ctx.channels is not None:
            gw = torch.zeros_like(gw).index_copy_(0, ctx.channels, gw[ctx.channels])
        return gx if need[0] else None, gw if need[1] else None, gb if need[2] else None, None, None, None


class ReLU(Function):
    """min(max(x, 0), top). Keeps one bit an element: was it strictly between."""

    @staticmethod
    def forward(ctx, x, top):
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(pack((x > 0) & (x < top)))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx, g):
        return g * unpack(ctx.saved_tensors[0], g.shape), None


class MaxPool(Function):
    """Keeps one byte an output: which place of the window won."""

    @staticmethod
    def forward(ctx, x, kernel, stride, padding):
        if kernel[0] * kernel[1] > 256:
            raise ValueError(f"a pooling window of {kernel} has over 256 places, more than one byte can name: use a smaller one")
        y, index = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
        ctx.x_shape, ctx.window = x.shape, (kernel, stride, padding)
        if ctx.needs_input_grad[0]:
            row, column = _corner(y.shape, stride, padding)
            place = (index // x.shape[3] - row) * kernel[1] + (index % x.shape[3] - column)
            ctx.save_for_backward(place.to(torch.uint8))
        return y

    @staticmethod
    def backward(ctx, g):
        (place,), (kernel, stride, padding) = ctx.saved_tensors, ctx.window
        row, column = _corner(g.shape, stride, padding)
        index = (row + place // kernel[1]) * ctx.x_shape[3] + column + place % kernel[1]
        gx = g.new_zeros(ctx.x_shape)
        gx.flatten(2).scatter_add_(2, index.flatten(2), g.flatten(2))
        return gx, None, None, None


class AvgPool(Function):
    """Keeps nothing: the gradient needs shapes only. (torch keeps the input.)"""

    @staticmethod
    def forward(ctx, x, kernel, stride, padding, divisor=None):
        ctx.x_shape, ctx.window, ctx.divisor = x.shape, (kernel, stride, padding), divisor
        return F.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor)

    @staticmethod
    def backward(ctx, g):
        shape_only = g.new_empty(()).expand(ctx.x_shape)
        return torch.ops.aten.avg_pool2d_backward(g, shape_only, *ctx.window, False, True, ctx.divisor), None, None, None, None


def _batch_norm(x, weight, bias, channels, module, window):
    """With the stored statistics a norm is one scale and shift a feature: a depthwise 1x1 convolution. Keeps 1 / deviation besides."""
    if module.running_var is None:
        raise ValueError("a BatchNorm without stored statistics cannot train by a plan: use GroupNorm, or track_running_stats=True")
    unit = (x - module.running_mean[:, None, None]) * (module.running_var + module.eps).rsqrt()[:, None, None]
    return unit if weight is None else Conv.apply(unit, weight[:, None, None, None], bias, channels, (1, 1), (0, 0), len(weight))


def _embedding(x, weight, bias, channels, module, window):
    """torch's own, which keeps the tokens only. The gradient of frozen rows is set to 0."""
    if channels is not None and weight.requires_grad:
        learns = torch.zeros(len(weight), 1, device=weight.device).index_fill_(0, channels, 1.0)
        weight = weight.view_as(weight)
        weight.register_hook(lambda g: g * learns)
    return F.embedding(x, weight, module.padding_idx)


LAYERS = {      # kind: function of (x, weight, bias, channels that learn or None for all, module, window)
    "conv": lambda x, weight, bias, channels, module, window:
        Conv.apply(x, weight, bias, channels, *window[1:], module.groups, getattr(module, "z_x", None)),
    "linear": lambda x, weight, bias, channels, module, window: Linear.apply(x, weight, bias, channels, getattr(module, "z_x", None)),
    "group_norm": lambda x, weight, bias, channels, module, window:
        GroupNorm.apply(x, weight, bias, channels, module.num_groups, module.eps),
    "batch_norm": _batch_norm,
    "embedding": _embedding,
}
OPS = {
    "relu": lambda x, window: ReLU.apply(x, float("inf")),
    "relu6": lambda x, window: ReLU.apply(x, 6.0),
    "max_pool": lambda x, window: MaxPool.apply(x, *window),
    "avg_pool": lambda x, window: AvgPool.apply(x, *window),
}


def _keep(ctx, x, weight, channels, dim, zero):
    """Save the part of x whose weights learn, and the weight if the input needs a gradient. Shapes and channel numbers stand in ctx."""
    need_x, need_w = ctx.needs_input_grad[:2]
    ctx.x_shape, ctx.w_shape, ctx.channels, ctx.zero = x.shape, weight.shape, channels, zero
    part = x if channels is None or not need_w else x.index_select(dim, channels)
    part = part if zero is None or not need_w else part.to(torch.int8)
    ctx.save_for_backward(part if need_w else None, weight if need_x else None)


def _kept(ctx):
    """(x, weight) as `_keep` saved them, ready for the gradient of float sums; of what was not saved, None."""
    x, weight = ctx.saved_tensors
    if ctx.zero is None:
        return x, weight
    return None if x is None else x.float() - ctx.zero, None if weight is None else weight.round()


def _integers(x, weight, bias, zero):
    """What is multiplied: floats as they are; of integers, x without its zero point and rounded weights."""
    return (x, weight, bias) if zero is None else (x - zero, weight.round(), None if bias is None else bias.round())


def _corner(shape, stride, padding):
    """Row (H, 1) and column (W,) of the first place of each window of an output shaped (N, C, H, W)."""
    return torch.arange(shape[2])[:, None] * stride[0] - padding[0], torch.arange(shape[3]) * stride[1] - padding[1]
