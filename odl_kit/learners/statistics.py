"""Adaptation by statistics: no labels, no backward pass, no loss. A new user's values are moved to where the net expects them.

match corrects every convolution of a net, standardise only what goes into it. Both hand back a plain net, or plain inputs.
"""
import copy

import torch
from torch import nn


@torch.no_grad()
def match(net, old, new, *, amount=1.0, eps=1e-5):
    """A copy of `net` whose convolutions have on `new` the mean and the spread, channel by channel, that they have in `net` on `old`.

        z' = (z - mean_new) * s + mean_old,   s = spread_old / spread_new;      so  W' = s W,  b' = s (b - mean_new) + mean_old

    One convolution after the other, first to last, since each correction changes what the next one sees. amount: 0 leaves the net as it
    is, 1 believes the new statistics wholly, between them they are mixed with the old. old, new: (N, ...), unlabelled, the same kind
    of input; few clips are enough, since every place of a map counts. It needs new inputs of all classes in about the usual shares:
    a change of what is said looks like a change of how it sounds.
    This is what fresh BatchNorm statistics do (domains.adapt_norms; Li et al. 2017, AdaBN), for a net whose norms were folded.
    Raises ValueError for a net without convolutions, or one that still has BatchNorm.
    """
    convs = [name for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)]
    if not convs or any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        raise ValueError("match is for a net of convolutions without BatchNorm: fold its norms first (models.fold)")
    if not 0 <= amount <= 1 or min(len(old), len(new)) == 0:
        raise ValueError(f"amount={amount}, {len(old)} old and {len(new)} new examples: amount is 0 to 1, and one of each is the least")
    made = copy.deepcopy(net)
    for name in convs:
        # the old values come from the old net: only what is new has to change
        mean_old, var_old = _moments(net, name, old)
        mean_new, var_new = _moments(made, name, new)
        mean = amount * mean_new + (1 - amount) * mean_old
        var = amount * var_new + (1 - amount) * var_old
        conv, s = made.get_submodule(name), ((var_old + eps) / (var + eps)).sqrt()
        conv.weight.mul_(s.view(-1, 1, 1, 1))
        conv.bias = nn.Parameter(s * ((0 if conv.bias is None else conv.bias) - mean) + mean_old)
    return made


def _moments(net, name, x):
    """(mean (C,), variance (C,)) of what the convolution `name` gives for x, over all examples and places."""
    seen = []
    handle = net.get_submodule(name).register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        net(x)
    finally:
        handle.remove()
    var, mean = torch.var_mean(seen[0], (0, 2, 3), correction=0)
    return mean, var


def standardise(x, old, new, *, eps=1e-5):
    """x as if `new` were `old`: each band of x (N, 1, frames, bands) gets the mean and the spread that old has where new has its own.

    The old remedy of speech recognition, cepstral mean and variance normalisation (Viikki and Laurila 1998), on log-mel bands. It undoes
    another microphone or loudness, which add a constant to a band.
    """
    (var_old, mean_old), (var_new, mean_new) = (torch.var_mean(part, (0, 1, 2), correction=0) for part in (old, new))
    return (x - mean_new) * ((var_old + eps) / (var_new + eps)).sqrt() + mean_old
