"""Numbers in few bits: rounded to 2^bits even levels, packed without gaps, and back."""
import numpy as np
import torch


def quantise(x, bits, *, low=0.0, high=1.0):
    """The level of each number: int64 in 0 ... 2^bits - 1, shaped as x. x: float; below `low` or above `high` it is cut off.

    Level 0 stands for `low`, the last level for `high`. Raises ValueError unless 1 <= bits <= 16 and low < high.
    """
    top = _top(bits)
    if not low < high:
        raise ValueError(f"levels from {low} to {high}: low must be below high")
    # q = round((x - low) / (high - low) * (2^bits - 1))
    return ((x - low) / (high - low) * top).round().clamp(0, top).to(torch.int64)


def restore(levels, bits, *, low=0.0, high=1.0):
    """What the levels stand for: float32, shaped as levels. The error of a number between low and high is at most half a step."""
    return low + levels.to(torch.float32) * ((high - low) / _top(bits))


def rounded(x, bits, *, low=0.0, high=1.0):
    """What is left of x once it was stored in so many bits: restore(quantise(x))."""
    return restore(quantise(x, bits, low=low, high=high), bits, low=low, high=high)


def pack(levels, bits):
    """Levels as bytes without gaps between them: (num_bytes(levels.numel(), bits),) uint8, most significant bit first.

    Raises ValueError for a level that does not fit into so many bits.
    """
    top, flat = _top(bits), levels.reshape(-1).numpy()
    if flat.size and not 0 <= flat.min() <= flat.max() <= top:
        raise ValueError(f"levels from {flat.min()} to {flat.max()} do not fit into {bits} bits: 0 to {top} do")
    single = flat[:, None] >> np.arange(bits - 1, -1, -1) & 1
    return torch.from_numpy(np.packbits(single.astype(np.uint8)))


def unpack(packed, bits, shape):
    """The levels that were packed: int64 of this shape. Raises ValueError when `packed` is not as long as that takes."""
    _top(bits)
    count = int(np.prod(shape))
    if len(packed) != num_bytes(count, bits):
        raise ValueError(f"{count} levels of {bits} bits take {num_bytes(count, bits)} bytes, not {len(packed)}")
    single = np.unpackbits(packed.numpy())[:count * bits].reshape(count, bits).astype(np.int64)
    return torch.from_numpy(single @ (1 << np.arange(bits - 1, -1, -1))).reshape(shape)


def num_bytes(count, bits):
    """Bytes of `count` numbers of so many bits each, packed: ceil(count * bits / 8)."""
    return -(-count * bits // 8)


def _top(bits):
    if not (isinstance(bits, int) and 1 <= bits <= 16):
        raise ValueError(f"bits = {bits}: a whole number from 1 to 16 is wanted")
    return 2 ** bits - 1
