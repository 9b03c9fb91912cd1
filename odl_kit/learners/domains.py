"""Transductive transfer: the task stays, the domain changes, and the new domain has no labels. All that it gives are its examples.

A net with BatchNorm: adapt_norms (its statistics), tent (its gains and shifts, by entropy). Features of any net: match_moments, coral.
subspace.align is a third way for features, instances.density_ratio one for the source's examples. Not one of them can see whether it
was right: entropy falls for a wrong answer, too. Each assumes that the new domain has the classes in the old shares.
"""
import copy

import torch
from torch import nn

from odl_kit.learners import optimizers


@torch.no_grad()
def adapt_norms(net, x, *, source_examples=0):
    """A copy of `net` whose BatchNorms have the mean and variance of x (n, ...) from the new domain; no weight changes, nothing is learned.

    source_examples: N, how many examples the old statistics shall count for; 0: they are forgotten. With few x they steady the new ones:
        mean = N / (N + n) mean_old + n / (N + n) mean_new, and the variance alike.
    Layers adapt in their order, so a later norm sees what the adapted earlier ones make of x. The copy can be folded (models.fold).
    Raises ValueError for a net without BatchNorm2d that stores statistics, fewer than two examples, and a negative N.
    Sources: Li et al. 2017 (AdaBN), algorithm 1; Schneider et al. 2020, eq. 1 (N; their variance of the batch is the biased one, as here).
    """
    if len(x) < 2 or source_examples < 0:
        raise ValueError(f"{len(x)} examples, source_examples={source_examples}: give two examples or more, and 0 or more for the old")
    net, share = copy.deepcopy(net).eval(), len(x) / (source_examples + len(x))

    def blend(norm, inputs):
        norm.running_mean.lerp_(inputs[0].mean((0, 2, 3)), share)
        norm.running_var.lerp_(inputs[0].var((0, 2, 3), correction=0), share)
    hooks = [norm.register_forward_pre_hook(blend) for norm in _norms(net)]
    net(x)
    for hook in hooks:
        hook.remove()
    return net


def tent(net, x, *, epochs, batch_size, lr, optimizer=None, rng):
    """A copy of `net` adapted to x (N, ...) by entropy alone: its BatchNorms learn gain and shift until the net is sure of itself.

    Each batch is normalised by its own statistics, then one step goes down the mean entropy. optimizer: of learners.optimizers, None: adam.
    Deviation: the paper predicts each batch on the way, by the statistics of that batch. Here the norms at last take the statistics of all
    x, so that the result is a plain net, which reads one example at a time and can be folded.
    Raises ValueError as adapt_norms does, and unless epochs >= 1 and batch_size >= 2. Source: Wang et al. 2021 (Tent), sec. 3.
    """
    if epochs < 1 or not 2 <= batch_size or len(x) < 2:
        raise ValueError(f"{len(x)} examples, epochs={epochs}, batch_size={batch_size}: a batch needs two examples to have a variance")
    net = copy.deepcopy(net).train()
    learning = [p for norm in _norms(net) for p in (norm.weight, norm.bias)]
    step, states = optimizer or optimizers.adam(), [None] * len(learning)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=rng).split(batch_size):
            if len(batch) > 1:      # the last one may be a single example, which has no variance
                gradients = torch.autograd.grad(entropy(net(x[batch])).mean(), learning)
                with torch.no_grad():
                    states = [step(p, g, state, lr) for p, g, state in zip(learning, gradients, states, strict=True)]
    return adapt_norms(net, x)


def entropy(logits):
    """H = -sum_c p_c ln p_c of the classes that logits (N, C) stand for: (N,), from 0 (sure) to ln C (no idea), in nats."""
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def match_moments(x, like):
    """x (N, D) moved and stretched value by value, to the mean and the deviation that `like` (M, D) has: (N, D).

    What adapt_norms does, done once to the features of a net whose norms are folded, or which never had any. A device keeps 2 D numbers of
    the source, no examples. A value that does not change in x gets the mean of `like`. Raises ValueError as `coral` does.
    """
    _same_width(x, like)
    # (x - mean_x) / sd_x * sd_like + mean_like
    return (x - x.mean(0)) / x.std(0).clamp_min(1e-6) * like.std(0) + like.mean(0)


def coral(x, like, *, ridge=1.0):
    """x (N, D) with the mean and the covariance of `like` (M, D): correlation alignment, (N, D).

        (x - mean_x) (C_x + ridge I)^(-1/2) (C_like + ridge I)^(1/2) + mean_like
    coral(source, target) before a classifier is trained on the source is the paper's way. coral(target, source) leaves the classifier as it
    is: a device keeps the source's mean and covariance, D^2 + D numbers, and neither its examples nor its labels.
    ridge: 1 as in the paper, whose features have unit variance; give less for smaller ones, and more than 0 where N <= D.
    Deviation: the paper leaves means to a normalisation before; here they are moved as well.
    Raises ValueError for rows of unequal length, fewer than two rows, ridge < 0, and a covariance without inverse (ridge = 0).
    Source: Sun, Feng and Saenko 2016, algorithm 1.
    """
    _same_width(x, like)
    if ridge < 0:
        raise ValueError(f"ridge={ridge}: it is added to variances; give 0 or more")
    return (x - x.mean(0)) @ _power(x, ridge, -0.5) @ _power(like, ridge, 0.5) + like.mean(0)


def _power(x, ridge, exponent):
    """(C + ridge I)^exponent of the covariance C of x (N, D): (D, D)."""
    values, vectors = torch.linalg.eigh(torch.cov(x.T).view(x.shape[1], -1).double())
    values = values.clamp_min(0) + ridge
    if exponent < 0 and values[0] <= 1e-12 * values[-1]:
        raise ValueError(f"variances along the axes reach from {values[0]:.1e} to {values[-1]:.1e}: no inverse; give ridge=0.01")
    return (vectors * values ** exponent @ vectors.T).to(x.dtype)


def _norms(net):
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
    if not norms:
        raise ValueError(f"{type(net).__name__} has no BatchNorm2d with statistics: make it with norm=\"batch\" and do not fold it yet, or "
                         "adapt its features with match_moments")
    return norms


def _same_width(x, like):
    if x.dim() != 2 or like.dim() != 2 or x.shape[1] != like.shape[1] or min(len(x), len(like)) < 2:
        raise ValueError(f"x is {tuple(x.shape)}, like is {tuple(like.shape)}: give (N, D) and (M, D), at least two examples each")
