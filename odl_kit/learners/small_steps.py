"""One SGD step in less memory: the batch in small pieces (fewer activations at a time), or each weight as soon as its gradient is known."""
import torch

from odl_kit.learners import train


def gradient(net, x, y, *, size):
    """The gradient of the mean loss over the batch (x, y), computed `size` examples at a time: (P,), in the order of flat.ravel(net).

    Only `size` examples' activations are kept at a time; the sum of gradients, one number a weight, is kept all along.
        g = sum_k (n_k / N) g_k,   g_k the gradient of the mean loss of piece k with its n_k examples (the last may have fewer)
    Equal to the gradient of the whole batch up to rounding, unless net has a BatchNorm in training mode, which would see `size` examples:
    then ValueError. x: (N, ...); y: (N,) int64, or float. Raises ValueError for size < 1.
    """
    if size < 1:
        raise ValueError(f"size={size}: a piece needs at least one example")
    if any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.training for m in net.modules()):
        raise ValueError("a BatchNorm in training mode takes the mean over a piece, not the batch: fold it (models.fold), or net.eval()")
    weights, total = list(net.parameters()), None
    for a, b in zip(x.split(size), y.split(size), strict=True):
        pieces = torch.autograd.grad(train.loss_of(net(a), b), weights)
        g = torch.cat([piece.reshape(-1) for piece in pieces]) * (len(a) / len(x))
        total = g if total is None else total.add_(g)
    return total


def in_place(net, x, y, *, lr):
    """One SGD step w = w - lr * g on the batch (x, y), each weight updated, and its gradient dropped, as soon as the gradient is known.

    Gives the weights of the ordinary step, bit for bit: nothing further down asks for the weights above. Returns the most bytes of
    gradients that existed at any one moment (in the ordinary step: those of all weights). The whole gradient is never there: it cannot be
    summed over pieces as `gradient` does, nor clipped by its norm.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.3, on operator reordering and in-place update.
    """
    now, most = 0, 0

    def update(p):
        nonlocal now, most
        now += p.grad.nelement() * p.grad.element_size()
        most = max(most, now)
        with torch.no_grad():
            p.sub_(p.grad, alpha=lr)
        now -= p.grad.nelement() * p.grad.element_size()
        p.grad = None

    hooks = [p.register_post_accumulate_grad_hook(update) for p in net.parameters()]
    try:
        train.loss_of(net(x), y).backward()
    finally:
        for hook in hooks:
            hook.remove()
    return most
