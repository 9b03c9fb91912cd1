"""A data set in few bytes: what is left of it, and what it takes. Formats differ; a budget is filled with as many examples as fit.

    stored = storage.in_bits(x, 2)
    n = stored.room(12 * 1024, label_bits=4)        # then learn from stored.x[:n]
"""
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from odl_kit.data import bits as levels
from odl_kit.data import dictionary


@dataclass(frozen=True, eq=False)
class Stored:
    """x: (N, ...) float32, the examples as read back. fixed: bytes whatever N is. each: bytes an example, on average."""
    x: torch.Tensor
    fixed: int
    each: float

    def room(self, budget, *, label_bits):
        """How many of the N examples, with a label of so many bits each, fit into `budget` bytes."""
        return max(0, min(len(self.x), int((budget - self.fixed) / (self.each + label_bits / 8))))


def in_bits(x, bits, *, low=0.0, high=1.0):
    """Every number in so many bits, even levels from low to high."""
    return Stored(levels.rounded(x, bits, low=low, high=high), 0, x[0].numel() * bits / 8)


def in_half(x, bits, *, low=0.0, high=1.0):
    """Half the resolution: means of neighbours, in so many bits; read back, each stands for all its neighbours again.

    x: (N, C, H, W), H and W even, a fourth of the numbers is left; or signals (N, C, L), L even, half of them.
    """
    if x.dim() not in (3, 4) or any(side % 2 for side in x.shape[2:]):
        raise ValueError(f"x is {tuple(x.shape)}: images (N, C, H, W) or signals (N, C, L) with even sides are wanted")
    small = F.avg_pool2d(x, 2) if x.dim() == 4 else F.avg_pool1d(x, 2)
    stored = in_bits(small, bits, low=low, high=high)
    return Stored(F.interpolate(stored.x, scale_factor=2, mode="nearest"), 0, stored.each)


def in_dictionary(x, atoms, *, count, error=0.0, block=1, value_bits=8):
    """Sparse codes (`dictionary.pursue`) with values of so many bits; the atoms, 8 bits a number, are the fixed bytes."""
    atoms = levels.rounded(atoms, 8, low=-1.0)
    codes = dictionary.pursue(x, atoms, count=count, error=error, block=block).rounded(value_bits)
    return Stored(dictionary.restore(codes, atoms).view_as(x), atoms.numel(), codes.num_bytes(value_bits) / len(x))
