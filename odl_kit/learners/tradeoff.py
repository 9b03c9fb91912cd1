"""Bytes against MACs: what a schedule of learners.recompute holds and costs, and the best schedule for a budget of bytes."""
import copy
from dataclasses import dataclass

from torch import nn

from odl_kit.learners import memory, schedules
from odl_kit.models import layers


@dataclass(frozen=True)
class Cost:
    """One unit of a chain on one batch. Bytes of the batch, MACs of one example.

    in_bytes: its input. kept_bytes: what backpropagation keeps for it, its output included (the next unit reads it), its input not.
    last_bytes: the same where no unit follows that keeps the output. out_bytes: its output. macs: forward.
    """
    in_bytes: int
    kept_bytes: int
    last_bytes: int
    out_bytes: int
    macs: int


@dataclass(frozen=True)
class Choice:
    """A schedule, the most bytes that it holds for the backward pass, and the forward MACs of one example, repetitions included."""
    held_bytes: int
    macs: int
    schedule: tuple


def costs(units, x, *, rule="torch"):
    """The Cost of each of `units` (a list of modules) on the batch x (N, ...), from the table of learners.memory: nothing is measured.

    rule: "torch" for units as they are, "device" for units from train.planned. BatchNorm is counted as in training mode.
    """
    def kept(*run, x):
        return memory.memory_report(nn.Sequential(*run), x, rule=rule).saved_activations
    units, values = [copy.deepcopy(unit).to("meta") for unit in units], [x.to("meta")]      # shapes will do
    for unit in units:
        values.append(unit(values[-1]))
    size = [value.nelement() * value.element_size() for value in values]
    alone = [kept(unit, x=value) - bytes_in for unit, value, bytes_in in zip(units, values, size, strict=False)]
    found = []
    for i, unit in enumerate(units):
        # with the next unit: the input, what is inside this one, the output between them, what is inside the next one
        both = kept(*units[i:i + 2], x=values[i]) - size[i] - (alone[i + 1] if i + 1 < len(units) else 0)
        found.append(Cost(size[i], both, alone[i], size[i + 1], sum(layer.macs for layer in layers.trace(unit, values[i]))))
    return tuple(found)


def macs(costs, schedule):
    """Forward multiply-accumulates of one example under a schedule, each repetition counted."""
    return sum(costs[i].macs for what, i in schedules.steps(schedule) if what != "back")


def held_bytes(costs, schedule):
    """The most bytes that a schedule holds for the backward pass at any one moment, the input of the net included."""
    return costs[0].in_bytes + _beside_input(costs, schedule)


def _beside_input(costs, schedule):
    *items, last = schedule
    sizes = [costs[item].kept_bytes if isinstance(item, int) else costs[schedules.flat(item)[-1]].out_bytes for item in items]
    ends = costs[last].last_bytes if isinstance(last, int) else _beside_input(costs, last)
    segments = [sum(sizes[:k]) + _beside_input(costs, item) for k, item in enumerate(items) if isinstance(item, tuple)]
    return max(sum(sizes) + ends, *segments, 0)     # what stands behind a segment is forgotten before the segment is run again


def frontier(costs):
    """Every best schedule: a tuple of Choice, more and more bytes for fewer and fewer MACs; the last is `plain`.

    Exact dynamic programming over all nested schedules. For the units s to t, either s is kept, or s to k-1 are run again, for some k:
        keep s:     held = kept(s) + held(s+1..t)                          macs = macs(s) + macs(s+1..t)
        again to k: held = max(out(k-1) + held(k..t), held(s..k-1))        macs = forward(s..k-1) + macs(k..t) + macs(s..k-1)
    and of all these (held, macs) only those are kept that no other beats.
    Source: Gruslys et al. 2016, sec. 3, for equal steps; units of unequal size as in Beaumont et al. 2019 (rotor).
    Unlike theirs, bytes are not rounded to slots, and one run gives all budgets. Cost about n^3 / 6 times the length of the answer.
    """
    n = len(costs)
    best = {(s, s): [(costs[s].last_bytes, costs[s].macs, (s,))] for s in range(n)}       # (held, macs, how), how: see _built
    for length in range(2, n + 1):
        for s in range(n - length + 1):
            t, forward = s + length - 1, 0
            found = [(costs[s].kept_bytes + rest[0], costs[s].macs + rest[1], (s, rest)) for rest in best[s + 1, t]]
            for k in range(s + 1, t + 1):
                forward += costs[k - 1].macs
                found += _pairs(best[s, k - 1], best[k, t], costs[k - 1].out_bytes, forward)
            best[s, t] = _undominated(found)
    return tuple(Choice(costs[0].in_bytes + end[0], end[1], _built(end[2])) for end in best[0, n - 1])


def within(choices, budget):
    """The Choice with the fewest MACs that holds at most `budget` bytes. choices: what `frontier` returns.

    Raises ValueError, with the least that is possible, for a budget below it.
    """
    fitting = [choice for choice in choices if choice.held_bytes <= budget]
    if not fitting:
        least = choices[0].held_bytes
        raise ValueError(f"a budget of {budget:,} B is too small: no schedule of this net and batch holds less than {least:,} B; take a "
                         "smaller batch, or a net with smaller units")
    return min(fitting, key=lambda choice: choice.macs)


def _pairs(segments, rests, out, forward):
    """Undominated pairs of a way to run the segment again and a way to do the rest; both lists go up in bytes and down in MACs."""
    i, j = 0, 0
    for held in sorted({segment[0] for segment in segments} | {out + rest[0] for rest in rests}):
        while i + 1 < len(segments) and segments[i + 1][0] <= held:
            i += 1
        while j + 1 < len(rests) and out + rests[j + 1][0] <= held:
            j += 1
        if segments[i][0] <= held and out + rests[j][0] <= held:
            yield held, forward + segments[i][1] + rests[j][1], (segments[i], rests[j])


def _undominated(found):
    """Of (held, macs, how) those that no other beats, going up in bytes and down in MACs."""
    kept = []
    for one in sorted(found, key=lambda one: one[:2]):
        if not kept or one[1] < kept[-1][1]:
            kept.append(one)
    return kept


def _built(how):
    """The schedule of an entry of `frontier`: (s,) keeps the last unit, (s, rest) keeps s first, (segment, rest) runs the segment again."""
    first = (how[0],) if isinstance(how[0], int) else (_built(how[0][2]),)
    return first + (_built(how[1][2]) if len(how) > 1 else ())
