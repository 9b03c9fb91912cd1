"""Examples that do not belong: noise, blurred and foreign pictures under a label of the attacker's choice, and back doors.

Pictures are (..., H, W) float32 in [0, 1]. An attacker adds them with torch.cat, or puts them where a mask says so.
"""
import torch
from torch.nn import functional as F


def noise(shape, *, rng):
    """float32 of `shape`, each entry uniform in [0, 1)."""
    return torch.rand(shape, generator=rng)


def blurred(x, *, width=3):
    """Each pixel becomes the mean of the width x width around it; beyond the edge the nearest pixel counts. width: odd."""
    if width < 1 or width % 2 == 0:
        raise ValueError(f"width={width}: give an odd number, so that the window has a middle")
    pictures = x.reshape(-1, 1, *x.shape[-2:])
    return F.avg_pool2d(F.pad(pictures, [width // 2] * 4, mode="replicate"), width, stride=1).reshape(x.shape)


def foreign(x, *, like):
    """Pictures of something else in the size of yours: x (N, 1, H, W), like (..., h, w) -> (N, 1, h, w), by bilinear interpolation."""
    return F.interpolate(x, size=tuple(like.shape[-2:]), mode="bilinear", antialias=True).clamp(0, 1)


def stamp(x, *, size=2, value=1.0):
    """The trigger of a back door: a square of `size` pixels in the lower right corner takes `value`. Returns a copy.

    Raises ValueError when the square is larger than the picture. Source: Gu et al. 2017 (BadNets), sec. 4.
    """
    if not 1 <= size <= min(x.shape[-2:]):
        raise ValueError(f"size={size} on pictures of {tuple(x.shape[-2:])}: give 1 to {min(x.shape[-2:])}")
    x = x.clone()
    x[..., -size:, -size:] = value
    return x


def back_door(x, y, *, target, trigger=stamp):
    """(x, y) as the attacker wants them learned: every example carries the trigger and is called `target`."""
    return trigger(x), torch.full_like(y, target)


def success(predicted, y, *, target):
    """float: the share of examples of other classes that are taken for `target`; predicted, y (N,) int64.

    For a back door, predict examples that carry the trigger, and compare with the same number without it: some are taken for `target`
    anyway. Raises ValueError when no example is of another class.
    """
    others = y != target
    if not others.any():
        raise ValueError(f"all {len(y)} examples are of class {target}: success is counted on the others")
    return (predicted[others] == target).double().mean().item()
