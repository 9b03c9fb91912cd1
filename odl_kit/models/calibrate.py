"""Which range does an activation have, which step a weight? Ranges and scales for quantization, from example data.

A range is (low, high) of real numbers: minmax, percentile, mse. A scale is the step of a channel's weights: largest, least_error.
"""
import torch

from odl_kit.models.quant import span

SHRINK = torch.linspace(0.2, 1.0, 41)       # parts of the full range that mse and least_error try


def minmax(v, bits=8):
    """Everything that was seen: (least, most) of v, a tensor of any shape."""
    return v.min().item(), v.max().item()


def percentile(v, bits=8, share=0.999):
    """Without the outermost values: `share` of v lies below high, as much above low (of 100,000 values of v at most)."""
    v = v.flatten()[::max(1, v.numel() // 100_000)]
    return v.quantile(1 - share).item(), v.quantile(share).item()


def mse(v, bits=8):
    """The part of the full range with the least squared error of quantization: clips outliers where all others gain from smaller steps."""
    v = v.flatten()[::max(1, v.numel() // 20_000)]
    low, high = minmax(v)

    def error(part):
        return (v - fake(v, *affine(part * low, part * high, bits), bits)).square().sum()
    best = min(SHRINK.tolist(), key=error)
    return best * low, best * high


def affine(low, high, bits=8):
    """(scale, zero point) of the range (low, high), widened so that it holds 0, since 0 must be exact: floats, the second one whole."""
    low, high = min(low, 0.0), max(high, 0.0)
    least, most = span(bits)
    scale = max(high - low, 1e-8) / (most - least)
    return scale, float(min(max(round(least - low / scale), least), most))


def fake(v, scale, zero_point, bits=8):
    """Quantized and back: the real numbers that are left of v."""
    return ((v / scale).round() + zero_point).clamp(*span(bits)).sub(zero_point) * scale


def largest(w, bits=8):
    """s_w (O,) of w (O, ...): max|W_c| / 127 for each output channel, so that nothing is cut off. As published."""
    return w.detach().flatten(1).abs().amax(1) / span(bits)[1]


def least_error(w, bits=8):
    """s_w (O,) of w (O, ...): for each output channel the part of `largest` with the least squared error. Pays with few bits."""
    w, most = w.detach().flatten(1), span(bits)[1]
    tried = SHRINK[:, None] * largest(w, bits).clamp_min(1e-12)                                         # (tries, O)
    back = (w / tried[:, :, None]).round().clamp(-most, most) * tried[:, :, None]
    return tried.gather(0, (back - w).square().sum(2).argmin(0, keepdim=True))[0]
