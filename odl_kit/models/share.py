"""Weight sharing: the weights of a layer take one of a few values, a code book; a weight is then the number of its value, a few bits."""
import copy
import math

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn.utils import parametrize

from odl_kit.models.prune import FLOAT, PRUNED


class Book(nn.Module):
    """weight = book[index]: autograd adds up the gradients of all weights that share a value (Han et al. 2016, sec. 3.3).

    index: int64, shaped like the weight; 0 is a pruned weight, which stays zero, k + 1 is the k-th value of the book.
    """

    def __init__(self, index):
        super().__init__()
        self.register_buffer("index", index)

    def forward(self, book):
        return nn.functional.pad(book, (1, 0))[self.index]

    def right_inverse(self, weight):
        """The book of a weight that is shared this way: (k,) float, for each value the mean of the weights that take it."""
        used = self.index.unique()[int((self.index == 0).any()):]
        return torch.stack([weight[self.index == k].mean() for k in used]) if len(used) else weight.new_zeros(0)


def share(net, bits, *, layers=None):
    """A copy of `net` whose convolutions and linear layers take their weights from a code book of 2**bits values each (k-means).

    The copy computes and trains like any net, but its parameters are the books (and biases and norms): an update moves all weights that
    share a value, by the sum of their gradients, so a layer of n weights wants a rate some n / 2**bits times smaller. bits: 1 to 8.
    layers: names of the layers to share; None: all. Weights that are exactly zero (pruned) stay zero and need no value.
    A layer of fewer different weights than that gets a smaller book. The first values lie evenly between the least and the largest
    weight, which keeps the rare large weights; nothing is random. Raises ValueError for other bits, and for layers that are unknown or
    shared already.
    Source: Han et al. 2016, "Deep Compression", sec. 3 (linear initialisation, sec. 3.2).
    """
    if bits not in range(1, 9):
        raise ValueError(f"bits is {bits}: a code book has 1 to 8 bits, 2 to 256 values")
    net = copy.deepcopy(net)
    known = {name: m for name, m in net.named_modules() if isinstance(m, PRUNED)}
    if unknown := sorted(set(layers or ()) - set(known)):
        raise ValueError(f"{unknown[0]!r} is no convolution or linear layer: there are {', '.join(known) or 'none'}")
    if taken := sorted(set(books(net)) & set(known if layers is None else layers)):
        raise ValueError(f"{taken[0]!r} is shared already: share the plain net, or share.unshared(net)")
    for name in known if layers is None else layers:
        weight = known[name].weight.detach()
        parametrize.register_parametrization(known[name], "weight", Book(_index(weight, 2**bits)))
    return net


def _index(weight, size):
    """int64, shaped like weight: 0 where it is 0, else 1 + the number of the nearest of at most `size` values."""
    index, nonzero = torch.zeros(weight.shape, dtype=torch.int64), weight != 0
    values = weight[nonzero].numpy().astype(np.float64)[:, None]
    size = min(size, len(np.unique(values)))
    if size:
        start = np.linspace(values.min(), values.max(), size)[:, None]
        labels = KMeans(size, init=start, n_init=1).fit(values).labels_
        index[nonzero] = torch.from_numpy(np.unique(labels, return_inverse=True)[1]) + 1     # empty clusters leave the book
    return index


def unshared(net):
    """A copy of a shared net with plain weights of the same values, in the order of the net that was shared.

    (torch's remove_parametrizations would change the class that a deep copy has in common with its original, and break that.)
    """
    net = copy.deepcopy(net)
    for name in books(net):
        module = net.get_submodule(name)
        weight, bias = module.weight.detach(), module.bias
        module.__class__ = type(module).__bases__[0]
        del module.parametrizations, module.bias
        module.weight, module.bias = nn.Parameter(weight), bias
    return net


def books(net):
    """{layer name: (index, book)} of a shared net: int64 shaped like the weight (see `Book`), and (k,) float."""
    found = {name: m.parametrizations.weight for name, m in net.named_modules() if parametrize.is_parametrized(m, "weight")}
    return {name: (p[0].index, p.original.detach()) for name, p in found.items()}


def nbytes(net):
    """Bytes that a shared net stores: of each layer a float32 a value and an index a weight; biases and norms as float32.

    An index has the bits that the size of the book asks for. Where weights are pruned, a bitmap says where, and only the others have an
    index. Layers that are not shared count 4 bytes a weight.
    """
    total = 0
    for index, book in books(net).values():
        stored, bits = int((index > 0).sum()), math.ceil(math.log2(max(len(book), 2)))
        total += FLOAT * len(book) + math.ceil(bits * stored / 8) + (math.ceil(index.numel() / 8) if stored < index.numel() else 0)
    rest = sum(p.numel() for name, p in net.named_parameters() if not name.endswith("parametrizations.weight.original"))
    return total + FLOAT * rest
