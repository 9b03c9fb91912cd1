"""Similarity unpairing: a published copy whose input gradients point elsewhere is a poor map of the model that it was made from.

Fine-tune a copy of the big model with the penalty, then make the device's net of it (models.quantize). What the penalty does not promise:
that an attacker finds no way back, for gradients may shrink as well as turn; or that the copy itself is hard to fool (lab 18).
Source: Hong, Carlini and Kurakin 2023.
"""
import torch
from torch.nn import functional as F

from odl_kit.threats import evasion


def penalty(reference, x, y, *, weight, batch_size=None, rng=None):
    """A penalty for train.fit: function of net -> weight * mean of max(0, cosine of the input gradients of net and reference), a scalar.

    x (N, ...) float32, y (N,) int64: where the gradients are compared: at all of them, or at batch_size drawn with rng for each step.
    The cosine is cut at 0, since gradients that point the other way are a map too, read backwards. `reference` stays as it is.
    Raises ValueError for a batch_size without rng, or below 1.
    """
    if batch_size is not None and (batch_size < 1 or rng is None):
        raise ValueError(f"batch_size={batch_size}, rng={rng}: at least 1, with an rng that draws the examples; or None, all of them")

    def value(net):
        some = slice(None) if batch_size is None else torch.randperm(len(x), generator=rng)[:batch_size]
        return weight * alignment(net, reference, x[some], y[some], create_graph=True).clamp(min=0).mean()
    return value


def alignment(net, reference, x, y, *, create_graph=False):
    """The cosine between the input gradients of two nets: x (N, ...), y (N,) -> (N,), from -1 to 1.

    It fades to 0 where a gradient is shorter than 1e-8, so it is blind where a net is very sure. Without that limit training made
    gradients smaller still, and the copy read less well (tried on three seeds).
    create_graph: keep the graph of net, to train on it; the gradient of reference is a constant.
    """
    own = evasion.input_gradient(net, x, y, create_graph=create_graph)
    # cos = <g, h> / (|g| |h|)
    return F.cosine_similarity(own.flatten(1), evasion.input_gradient(reference, x, y).flatten(1), dim=1, eps=1e-8)
