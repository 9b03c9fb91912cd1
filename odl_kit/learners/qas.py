"""Training a QuantNet: an optimizer around an optimizer that scales gradients (quantization-aware scaling) and keeps weights integer.

The gradient with respect to an integer weight q = w / s is s times that of w, and a step of q is worth s in w: without scaling, SGD on q
steps s^2 times as far as SGD on w would. With s about 0.005 nothing moves. QAS divides by s^2 (quant.qas_scale).
"""
import torch

from odl_kit.learners import optimizers, train
from odl_kit.models import quant

BIAS = 2.0**23      # integer biases stay within +-BIAS, so that sums stay exact


def optimizer(net, inner=None, *, scale="qas", store="latent", rng=None):
    """An optimizer for train.fit that trains a QuantNet, with inner = optimizers.sgd(0.9), adam(), lars() ... (None: sgd()).

    scale: what a gradient is multiplied by before the inner optimizer sees it. "qas": 1 / s_w^2 a channel for weights, 1 / (s_w s_x)^2 for
    biases. A number: the same for all integer layers (1: plain int8 SGD). Float layers, as the head, are never scaled.
    store: what is left of an integer weight after a step, one of STORE. "latent" keeps floats between the integers, 4 bytes a weight, as
    simulators do; the others keep what fits into int8. All saturate, weights at +-127.
    rng: torch.Generator, for store="stochastic".
    Raises ValueError if net has no integer layer, for an unknown scale or store, for a missing rng, and in the first step on a parameter
    that is not of this net: scaling never is silently off.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.1.
    """
    integer = net.integer_layers() if hasattr(net, "integer_layers") else {}
    if not integer:
        raise ValueError(f"{type(net).__name__} has no integer layers, nothing would be scaled: make net with quantize.quantize_model")
    if scale != "qas" and not isinstance(scale, int | float):
        raise ValueError(f'scale {scale!r} is unknown: use "qas" or a number')
    if store not in STORE:
        raise ValueError(f"store {store!r} is unknown: use one of {', '.join(STORE)}")
    if store == "stochastic" and rng is None:
        raise ValueError('store="stochastic" draws: pass rng, a torch.Generator')
    inner, keep = inner or optimizers.sgd(), STORE[store]
    known = {id(p): None for p in net.parameters()}
    for layer in integer.values():
        known |= {id(layer.weight): (layer.s_w, quant.span(layer.weight_bits)[1]), id(layer.bias): (layer.s_w * layer.s_x, BIAS)}

    def step(p, g, state, lr):
        if id(p) not in known:
            raise ValueError("a parameter that is not of the net for which this optimizer was made: make it for the net that is trained")
        if known[id(p)] is None:
            return inner(p, g, state, lr)
        s, most = known[id(p)]
        state = inner(p, quant.qas_scale(g, s) if scale == "qas" else g * scale, state, lr)
        p.copy_(keep(p, rng).clamp(-most, most))
        return state
    return step


def _stochastic(q, rng):
    """Up with the probability of the part behind the point, else down: right on average."""
    return (q + torch.rand(q.shape, generator=rng)).floor()


STORE = {"latent": lambda q, rng: q,
         "nearest": lambda q, rng: q.round(),
         "stochastic": _stochastic,
         # A mistake, for lessons. int8 -= float in C cuts toward zero: the least push toward 0 costs a whole step, a push away is lost. The
         # published kernels do this (tinyengine, 2024), and wrap at 127 besides, which is not shown here.
         "truncate": lambda q, rng: q.trunc()}


def norm_ratios(net, x, y, *, scale="qas"):
    """log10 of |W| / |G| for each tensor of the layers before the head, weight and bias in turn: how far a step of SGD would get.

    One backward pass on the batch x (N, ...), y (N,). net: a float net, or a QuantNet, whose gradients are scaled if scale is "qas".
    Returns floats, in the order of the layers. Source: Lin et al. 2022, figure 3.
    """
    names = [name for name, _ in net.named_parameters()][:-2]
    weights = [net.get_parameter(name) for name in names]
    integer = net.integer_layers() if hasattr(net, "integer_layers") else {}
    found = []
    for name, p, g in zip(names, weights, torch.autograd.grad(train.loss_of(net(x), y), weights), strict=True):
        layer, _, kind = name.rpartition(".")
        if layer in integer and scale == "qas":
            own = integer[layer]
            g = quant.qas_scale(g, own.s_w if kind == "weight" else own.s_w * own.s_x)
        found.append((p.detach().norm() / g.norm()).log10().item())
    return found
