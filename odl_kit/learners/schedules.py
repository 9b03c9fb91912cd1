"""Schedules for learners.recompute: which units of a net are kept, which segments are run again, what happens at every step.

A schedule is a nested tuple of unit numbers, see learners.recompute; learners.tradeoff says what one holds and costs, and finds the best.
"""
from math import isqrt


def plain(n):
    """Backpropagation that keeps all n units: the schedule (0, 1, ..., n-1)."""
    return tuple(range(n))


def in_segments(lengths):
    """Segments of so many units each; all but the last are run again. Example: in_segments([2, 2, 1]) is ((0, 1), (2, 3), 4).

    Raises ValueError for a length below 1.
    """
    if min(lengths) < 1:
        raise ValueError(f"segments of lengths {list(lengths)}: each needs at least one unit")
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    *again, last = (tuple(range(start, start + length)) for start, length in zip(starts, lengths, strict=True))
    return *again, *last


def sqrt(n):
    """About sqrt(n) segments of about sqrt(n) units: Chen et al. 2016, sec. 4.1. Holds O(sqrt(n)), for less than one more forward pass."""
    count = isqrt(n - 1) + 1        # ceil of the root
    return in_segments([len(range(k, n, count)) for k in range(count)])


def shrinking(n):
    """Segments that get shorter towards the end, the best for n equal units that run twice at most; holds about sqrt(2 n).

    The inputs of later segments are gone when an earlier one is run again, so that it may be longer by one: in B slots, one of them for x,
    there is room for B-1, B-2, ..., 1 units.
    """
    slots = next(slots for slots in range(2, n + 3) if slots * (slots - 1) // 2 >= n)
    return in_segments([n - (slots - 1) * (slots - 2) // 2, *range(slots - 2, 0, -1)])


def flat(schedule):
    """The units that a schedule names, as a list."""
    return [i for item in schedule for i in ([item] if isinstance(item, int) else flat(item))]


def steps(schedule):
    """What happens, in order: a list of (what, unit), what = "run" (forward, nothing kept), "keep" (forward) or "back"."""
    forward = [step for item in schedule for step in ([("keep", item)] if isinstance(item, int) else [("run", i) for i in flat(item)])]
    back = [step for item in reversed(schedule) for step in ([("back", item)] if isinstance(item, int) else steps(item))]
    return forward + back


def timeline(schedule):
    """What every unit does and holds at every step of `steps`: a list of lists, [unit][step], for a picture.

    "run", "keep", "back": at work. "held": its activations are kept. "input": only what it reads is kept, for a segment that it begins.
    """
    done = steps(schedule)
    rows = [["held" if done[:t].count(("keep", i)) > done[:t].count(("back", i)) else "" for t in range(len(done))] for i in flat(schedule)]

    def walk(level, t):
        begun = {}
        for place, item in enumerate(level):
            begun[place], t = t, t + (1 if isinstance(item, int) else len(flat(item)))
        for place, item in reversed(list(enumerate(level))):
            if isinstance(item, int):
                t += 1
            else:
                first, t = flat(item)[0], walk(item, t)
                rows[first] = [state or ("input" if begun[place] <= at < t else "") for at, state in enumerate(rows[first])]
        return t
    walk(schedule, 0)
    for t, (what, i) in enumerate(done):
        rows[i][t] = what
    return rows
