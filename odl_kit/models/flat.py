"""A model is one vector w (P,): training, attacks, compression, aggregation and the serial line all speak it."""
import torch
from torch.func import functional_call
from torch.nn import functional as F


def ravel(net):
    """The weights of `net` as one vector: (P,), a copy, in the order of `net.named_parameters()`. Buffers are not part of w."""
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


def unravel(net, w):
    """w (P,) or (C, P) -> {parameter name: view of w, shaped (..., *parameter.shape)}, ready for torch.func.functional_call.

    Raises ValueError when the last dimension of w is not the number of weights of `net`.
    """
    params = dict(net.named_parameters())
    need = sum(p.numel() for p in params.values())
    if w.shape[-1] != need:
        raise ValueError(f"w has {w.shape[-1]} weights, {type(net).__name__} has {need}: make w with flat.ravel of the same net")
    pieces = w.split([p.numel() for p in params.values()], dim=-1)
    return {name: piece.view(*w.shape[:-1], *p.shape) for (name, p), piece in zip(params.items(), pieces, strict=True)}


@torch.no_grad()
def assign(net, w):
    """Write w (P,) into the weights of `net`, in place; returns `net`."""
    for p, value in zip(net.parameters(), unravel(net, w).values(), strict=True):
        p.copy_(value)
    return net


def flat_loss(net):
    """`loss(w, x, y) -> scalar`: the mean cross-entropy of `net` carrying the weights w (P,). Differentiable in w, under torch.func too."""
    def loss(w, x, y):
        return F.cross_entropy(functional_call(net, unravel(net, w), (x,)), y)
    return loss
