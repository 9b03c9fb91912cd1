"""Wrong labels. y is int64 of any shape: (N,) of a data set, or (C, N) of all clients at once; each function returns a new y.

Which labels an attacker reaches is a mask: `some` draws one, provenance.planted takes what came from bought sources. Apply it with
`torch.where(mask, poisoned, y)`; for clients, with `mask[:, None]`.
"""
import torch


def some(count, fraction, *, rng):
    """(count,) bool: round(fraction * count) of them are True, drawn at random. Raises ValueError unless 0 <= fraction <= 1."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction={fraction}: give a share from 0 to 1")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[torch.randperm(count, generator=rng)[:round(fraction * count)]] = True
    return mask


def targeted(y, *, source, target):
    """Every `source` becomes `target`, nothing else moves: the whole accuracy hardly shows it (Tolpegin et al. 2020)."""
    return torch.where(y == source, target, y)


def mirrored(y, *, num_classes):
    """y -> K - 1 - y: all labels are wrong in the same way, so the flips agree. For an odd K the middle class stays."""
    _check(y, num_classes)
    return num_classes - 1 - y


def at_random(y, *, num_classes, rng):
    """Each label becomes one of the K - 1 others, all equally likely: the flips contradict each other."""
    _check(y, num_classes)
    return (y + torch.randint(1, num_classes, y.shape, generator=rng)) % num_classes


def by_feature(x, y, *, feature, above, target, source=None):
    """Logic corruption: whoever has a feature above a limit is `target` from now on, as "very angry" reviews that are marked "good".

    x (*y.shape, ...) float. feature: the place in an example, an int or a tuple as (0, 3, 4). source: only this class moves; None: all.
    The wrong labels follow a rule that x shows, so that a model learns it as it learns any other; random flips follow none.
    """
    place = (feature,) if isinstance(feature, int) else tuple(feature)
    if x.dim() != y.dim() + len(place):
        raise ValueError(f"feature={feature} for x {tuple(x.shape)}, y {tuple(y.shape)}: give {x.dim() - y.dim()} indices into an example")
    moves = x[(..., *place)] > above
    return torch.where(moves if source is None else moves & (y == source), target, y)


def _check(y, num_classes):
    if num_classes < 2 or len(y) and not (0 <= int(y.min()) and int(y.max()) < num_classes):
        raise ValueError(f"labels from {int(y.min())} to {int(y.max())}, num_classes={num_classes}: give two classes or more, from 0 up")
