"""Data that come day by day, while the world changes: what is said (label drift) or how it sounds (covariate drift).

A day's share of the change is a number from 0 to 1, drawn up by `ramp`; what 1 means, the caller's `change` says.
"""
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Stream:
    """x (N, ...) float32, y (N,) int64 as in the data set, in the order in which they come; day (N,) int64 from 0."""
    x: torch.Tensor
    y: torch.Tensor
    day: torch.Tensor

    def on(self, day):
        """(x, y) of one day."""
        return self.x[self.day == day], self.y[self.day == day]


def ramp(days, *, start, full):
    """The share of a change on each of `days` days: 0 before day `start`, 1 from day `full` on, even steps between: (days,) float32.

    full = start: a sudden change. Raises ValueError unless 0 <= start <= full.
    """
    if not 0 <= start <= full:
        raise ValueError(f"start={start}, full={full}: a change starts on day 0 or later, and is full on that day or later")
    return ((torch.arange(days) - start + 1) / (full - start + 1)).clamp(0, 1)


def draw(x, y, *, days, per_day, shares=None, change=None, rng):
    """A Stream of `per_day` examples a day, drawn from x (N, ...), y (N,) int64 with replacement: few clips must do for many days.

    shares: (days, K), how often each class is said on a day (rows need not sum to 1); None: as often as in y.
    change: function (x, day) -> x of that day's examples: how the world alters them; None: not at all.
    Raises ValueError for shares of another number of days, and for a class that is to be said and has no example.
    """
    classes = int(y.max()) + 1
    counts = torch.bincount(y, minlength=classes).float()
    shares = counts.expand(days, -1) if shares is None else shares
    if shares.shape != (days, classes) or (shares < 0).any():
        raise ValueError(f"shares are {tuple(shares.shape)}: give ({days}, {classes}), one row a day, none below 0")
    if ((shares > 0) & (counts == 0)).any():
        raise ValueError(f"class {int(((shares > 0) & (counts == 0)).any(0).nonzero()[0])} is to be said and has no example")
    found = []
    for day, share in enumerate(shares):
        chosen = torch.multinomial((share / counts.clamp(min=1))[y], per_day, replacement=True, generator=rng)
        seen = x[chosen]
        found.append((seen if change is None else change(seen, day), y[chosen], torch.full((per_day,), day)))
    return Stream(*(torch.cat(part) for part in zip(*found, strict=True)))
