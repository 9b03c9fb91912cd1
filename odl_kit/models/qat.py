"""Quantization-aware training: the weights stay real and learn, the forward pass computes with the integers that they would become.

prepare -> train.fit (plan=None, any optimizer) -> convert. What convert returns computes, value for value, what the last forward pass did.
"""
import copy

import torch
from torch import nn

from odl_kit.models import calibrate, flat, fold, quantize
from odl_kit.models.quantnet import QConv2d, QLinear


class _Real:
    """An integer layer whose weight and bias are real numbers. The step s_w follows the weights, no gradient goes through it."""
    int8, layer_kind = False, None      # the tracer does not know it: this trains on a computer, not on a device

    def integers(self):
        """(w, b, m) of the weights as they are now: conv2d_int8 rounds w and b and passes their gradients straight through."""
        with torch.no_grad():
            s_w = quantize.steps(self.weight, self.bias, self.s_x, self.s_y, self.scales, self.weight_bits)
        return *quantize.integers(self.weight, self.bias, s_w, self.s_x, self.weight_bits), self.multiplier(s_w)


class RealConv2d(_Real, QConv2d):
    """A convolution of real weights that computes with their integers."""


class RealLinear(_Real, QLinear):
    """A linear layer of real weights that computes with their integers."""


def prepare(net, calibration, *, scales=calibrate.largest, **options):
    """A net for train.fit: its weights, in the order of flat.ravel, are those of fold.fold(net), and it computes like the QuantNet of them.

    Arguments and errors as for quantize.quantize_model. The ranges of the activations are those of the calibration, and stay.
    Source: Jacob et al. 2018, sec. 3 (there the ranges follow by moving averages; norms are folded in each step).
    """
    made = quantize.quantize_model(net, calibration, scales=scales, **options)
    for layer in made.integer_layers().values():
        layer.__class__, layer.scales = RealConv2d if isinstance(layer, nn.Conv2d) else RealLinear, scales
    return flat.assign(made, flat.ravel(fold.fold(net)))


@torch.no_grad()
def convert(net):
    """The QuantNet of a net that `prepare` made, whose weights have learned; `net` stays as it is."""
    made = copy.deepcopy(net)
    for name, layer in made.named_modules():
        if isinstance(layer, _Real):
            w, b, m = layer.integers()
            s_w = quantize.steps(layer.weight, layer.bias, layer.s_x, layer.s_y, layer.scales, layer.weight_bits)
            layer.__class__ = QConv2d if isinstance(layer, nn.Conv2d) else QLinear
            layer.scaled(name, s_w, (layer.s_x, layer.z_x), (layer.s_y, layer.z_y), layer.bits, layer.weight_bits)
            for p, value in zip(layer.parameters(), (w, b), strict=False):
                p.copy_(value.round())
    return made
