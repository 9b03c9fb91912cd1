"""A perceptual hash: 64 bits that a picture shares with its copies, also brighter, noisy or recompressed ones, and not with other pictures.

It finds known pictures without keeping them, by a list of hashes of images that must not be learned from. PhotoDNA, which the chapter
names, is not public; the DCT hash (pHash, Zauner 2010) stands in for it. It is no cryptographic hash: who knows it can move a picture past
it.
"""
import math

import torch

SIDE = 8       # of the square of low frequencies: 64 bits


def dct_hash(images):
    """images (N, H, W), one channel, H and W at least 9 -> (N, 64) bool: is each low-frequency DCT coefficient above their median?

    Deviation: pHash first shrinks to 32 x 32. Here the same low frequencies are taken from the whole image, so nothing is resampled.
    Raises ValueError for another shape, and for nan or infinite pixels.
    """
    if images.dim() != 3 or min(images.shape[1:]) <= SIDE:
        raise ValueError(f"images {tuple(images.shape)}: give (N, H, W) with H and W above {SIDE}; enlarge smaller ones")
    if not torch.isfinite(images).all():
        raise ValueError("images have nan or infinite pixels: hold them against their contract first")
    x = images.double()
    low = (_cosines(x.shape[1]) @ x @ _cosines(x.shape[2]).T).flatten(1)
    # torch's median is the lower of the two values in the middle; above it lie the same 32 as above their mean
    return low > low.median(1, keepdim=True).values


def hamming(a, b):
    """(N, M) int64: in how many bits each hash of a (N, 64) differs from each of b (M, 64). Unrelated pictures differ in about 32."""
    return (a[:, None] != b[None]).sum(2)


def spot_check(images, known, *, share, within, rng):
    """Hash a random `share` of images (N, H, W) and look for copies of known (M, 64) -> (looked (n,) int64, hit (n,) bool).

    n = ceil(share * N) rows, drawn without replacement and sorted. hit: the nearest known hash is at most `within` bits away.
    A planted picture is seen with chance `share`: of k copies, all are missed with chance about (1 - share)^k.
    Raises ValueError unless 0 < share <= 1 and known has a hash.
    """
    if not 0 < share <= 1 or len(known) == 0:
        raise ValueError(f"share={share}, {len(known)} known hashes: give a share above 0, at most 1, and a hash to look for")
    looked = torch.randperm(len(images), generator=rng)[:math.ceil(share * len(images))].sort().values
    return looked, hamming(dct_hash(images[looked]), known).amin(1) <= within


def _cosines(n):
    """(SIDE, n) float64: D[k, i] = cos(pi k (2 i + 1) / (2 n)), the first rows of the DCT-II."""
    k, i = torch.arange(SIDE).double()[:, None], torch.arange(n).double()
    return torch.cos(math.pi * k * (2 * i + 1) / (2 * n))
