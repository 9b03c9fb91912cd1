"""A few old examples kept in so many bytes, as a fair sample of all that came by: reservoir sampling.

    buffer = replay.reservoir(30_000, x[:0], scale=4 / 127)
    buffer = replay.add(buffer, x, y, rng=rng)      # as they come, one or many at a time
    old_x, old_y = replay.examples(buffer)
"""
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, eq=False)
class Buffer:
    """x: (room, ...) int8, value = x * scale; y: (room,) uint8 classes. seen: examples that came by; min(seen, room) are filled."""
    x: torch.Tensor
    y: torch.Tensor
    scale: float
    seen: int = 0

    def __len__(self):
        return min(self.seen, len(self.y))

    @property
    def num_bytes(self):
        """Bytes of x and y, filled or not."""
        return self.x.nbytes + self.y.nbytes


def reservoir(budget, like, *, scale):
    """An empty Buffer for as many examples as `budget` bytes hold, each with a label of one byte.

    like: (N, ...), only the shape of one example counts. scale: of the int8 values. Raises ValueError if not one example fits.
    """
    each = like[0].numel() + 1 if len(like) else like.new_empty(like.shape[1:]).numel() + 1
    if budget < each:
        raise ValueError(f"a budget of {budget} B, and one example with its label takes {each} B: give that much at least")
    room = budget // each
    return Buffer(torch.zeros(room, *like.shape[1:], dtype=torch.int8), torch.zeros(room, dtype=torch.uint8), scale)


def add(buffer, x, y, *, rng):
    """A Buffer that has seen x (N, ...) float32, y (N,) int64 as well, one after the other.

    Every example that ever came by is in it with the same probability, room / seen: the first fill it, then the n-th takes a random place
    with probability room / n. Source: Vitter 1985, algorithm R. Raises ValueError for what int8 times scale, or a byte, cannot hold.
    """
    values = (x / buffer.scale).round()
    if len(x) and (values.abs().max() > 127 or y.min() < 0 or y.max() > 255):
        raise ValueError(f"x reaches {float(x.abs().max()):.3g}, int8 at scale {buffer.scale:.3g} holds {127 * buffer.scale:.3g}, and a "
                         "label 0 to 255: give a larger scale, or clamp x before")
    kept_x, kept_y, room = buffer.x.clone(), buffer.y.clone(), len(buffer.y)
    for n, (value, label) in enumerate(zip(values.to(torch.int8), y, strict=True), start=buffer.seen):
        place = n if n < room else int(torch.randint(n + 1, (), generator=rng))      # n came before it, so it is number n + 1
        if place < room:
            kept_x[place], kept_y[place] = value, label
    return replace(buffer, x=kept_x, y=kept_y, seen=buffer.seen + len(x))


def examples(buffer):
    """(x (n, ...) float32, y (n,) int64): what the buffer holds, ready for training."""
    return buffer.x[:len(buffer)] * buffer.scale, buffer.y[:len(buffer)].long()
