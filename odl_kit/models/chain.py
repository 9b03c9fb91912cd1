"""A net as a chain of units: what recomputation runs again, and what layer-wise training trains alone."""
from collections import OrderedDict

from torch import nn

WEIGHED = (nn.Conv2d, nn.Linear, nn.Embedding)


def units(net, *, blocks=False):
    """{name: unit} in the order in which they run, unit an nn.Sequential that shares the weights of net.

    A unit begins with a layer that has weights (convolution, linear, embedding) and goes on to the next one, so that norms, ReLUs and
    pooling stand behind the layer that they belong to. Its name is that of the layer. Plain nn.Sequential blocks are taken apart, unless
    blocks=True; a block of any other class, such as nets.Residual, stays whole.
    net: nn.Sequential whose first layer has weights (an nn.Flatten before it does no harm). Raises ValueError for any other net.
    """
    if type(net) is not nn.Sequential:
        raise ValueError(f"{type(net).__name__} is no chain: give an nn.Sequential, as those of models.nets are")
    found, before = [], []
    for name, module in _modules(net, "", blocks):
        if any(isinstance(m, WEIGHED) for m in module.modules()):
            found.append([*before, (name, module)])
            before = []
        elif found:
            found[-1].append((name, module))
        elif isinstance(module, (nn.Flatten, nn.Identity)):
            before.append((name, module))
        else:
            raise ValueError(f"{name!r} stands before all layers with weights: put a convolution, linear layer or embedding first")
    if not found:
        raise ValueError("the net has no layer with weights")
    first = (next(name for name, m in unit if not isinstance(m, (nn.Flatten, nn.Identity))) for unit in found)
    return {name: nn.Sequential(OrderedDict((n.replace(".", "_"), m) for n, m in unit)) for name, unit in zip(first, found, strict=True)}


def _modules(net, prefix, blocks):
    """(name, module), plain blocks taken apart unless `blocks`."""
    for name, module in net.named_children():
        if type(module) is nn.Sequential and not blocks:
            yield from _modules(module, f"{prefix}{name}.", blocks)
        else:
            yield prefix + name, module
