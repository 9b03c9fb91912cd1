"""CUSUM: small steps in one direction add up to an alarm. For a stream of numbers: a loss, a share of refused examples, a score.

Source: Page 1954; tables in Montgomery, "Introduction to Statistical Quality Control", ch. 9. x may be (T,) or many streams (S, T).
"""
import torch


def upper(x, *, mean, std, slack=0.5):
    """S (..., T): S_t = max(0, S_(t-1) + (x_t - mean) / std - slack), from S = 0. For a fall, pass -x and -mean.

    mean, std: of clean data, a number or one a stream, (S, 1). slack: half of the shift, in std, that is to be found soonest.
    Raises ValueError unless std > 0.
    """
    std = torch.as_tensor(std, dtype=torch.float64)
    if not (std > 0).all():
        raise ValueError(f"std={std.flatten()[:3].tolist()}: a stream that never moved has no unit; give one above 0")
    # S_t = C_t - min(0, C_1, ..., C_t) with C_t = sum of (x - mean) / std - slack: the same numbers without a loop
    total = ((x.double() - mean) / std - slack).cumsum(-1)
    return total - total.cummin(-1).values.clamp(max=0)


def alarm(s, *, limit):
    """The first place at which S (..., T) is above `limit`: int64 (...), and T where it never is."""
    above = s > limit
    return torch.where(above.any(-1), above.int().argmax(-1), s.shape[-1])


def calibrate(clean):
    """(mean, std) of clean numbers (..., n), each (..., 1), std with n - 1: for `upper`. Raises ValueError for fewer than two."""
    if clean.shape[-1] < 2:
        raise ValueError(f"{clean.shape[-1]} clean number: two at least are needed to know a deviation")
    return clean.double().mean(-1, keepdim=True), clean.double().std(-1, keepdim=True)


def false_alarms(*, limit, length, clean=None, slack=0.5, streams=2000, rng):
    """The share of `streams` normal streams without any change that ring within `length` numbers: float.

    clean: mean and std are estimated on so many numbers before; None: they are known. An estimate that is off by a tenth of a deviation
    looks like a shift that never ends, so that short calibration costs false alarms.
    """
    x = torch.randn(streams, length, generator=rng)
    mean, std = (0.0, 1.0) if clean is None else calibrate(torch.randn(streams, clean, generator=rng))
    return (alarm(upper(x, mean=mean, std=std, slack=slack), limit=limit) < length).double().mean().item()
