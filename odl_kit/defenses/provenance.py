"""What a data set can promise about its origins: nobody gives much of it, and what is downloaded is what was listed.

Hashes recorded with the list refuse what was changed behind an address afterwards, and all of it (Carlini et al. 2023, sec. 7). What was
poisoned before the list was made has a right hash. A cap on each source bounds what any one of them can do, whoever owns it.
"""
import hashlib

import torch


def capped(source, *, most):
    """(N,) bool: the first `most` examples of each source, in their order. source (N,) int64: a domain, or a user of a stream.

    Raises ValueError for most < 1.
    """
    if most < 1:
        raise ValueError(f"most={most}: at 0 nothing is left to learn from")
    order = source.argsort(stable=True)
    counts = torch.bincount(source.unique(return_inverse=True)[1])
    rank = torch.empty_like(source)
    rank[order] = torch.arange(len(source)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return rank < most


def fingerprints(x, y):
    """One SHA-256 (hex) for each example and its label: list of N. Bit for bit: a picture saved anew is another one."""
    return [hashlib.sha256(f"{row.dtype} {tuple(row.shape)} {int(label)} ".encode() + row.contiguous().numpy().tobytes()).hexdigest()
            for row, label in zip(x, y, strict=True)]


def unchanged(x, y, recorded):
    """(N,) bool: the example is what it was when `recorded` (N fingerprints) was made. Raises ValueError for another number of examples."""
    if len(recorded) != len(x):
        raise ValueError(f"{len(x)} examples, {len(recorded)} fingerprints: give one each, in the order of the list")
    return torch.tensor([now == then for now, then in zip(fingerprints(x, y), recorded, strict=True)], dtype=torch.bool)
