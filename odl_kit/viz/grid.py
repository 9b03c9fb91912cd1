"""grid: which of many things is in which state at which step, a row a thing and a column a step."""
from itertools import groupby

from odl_kit.viz.page import HATCHES, draw, finish, row_axes, slots, table


def grid(rows, *, x, title, kinds=None, alt=None):
    """One bar a run of equal states. rows: {label: [state at step 1, state at step 2, ...]}, all equally long; None or "" is nothing.

    x: what the steps are. kinds: the states in the order of the legend (default: as they come), each with its colour and hatch.
    Returns a Figure. Raises ValueError for rows of unequal length, and for a state that `kinds` lacks.
    """
    lengths = {str(label): len(states) for label, states in rows.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the rows of a grid must be equally long, these are {lengths}")
    found = list(dict.fromkeys(state for states in rows.values() for state in states if state))
    kinds = found if kinds is None else list(kinds)
    if missing := [state for state in found if state not in kinds]:
        raise ValueError(f"states {missing} are not among the kinds {kinds}")
    style, total = slots(kinds), next(iter(lengths.values()))

    def paint(canvas, pen):
        ax = row_axes(canvas, x, [str(label) for label in rows], False)
        for kind in kinds:      # empty bars, for the order of the legend
            ax.barh(0, 0, **_look(pen, style[kind]), label=kind)
        for row, states in enumerate(rows.values()):
            for kind, start, width in _runs(states):
                ax.barh(row, width, left=start + 0.5, height=0.82, **_look(pen, style[kind]))
        ax.set_xlim(0.5, total + 0.5)
        if len(rows) > 24:
            ax.set_yticks(range(0, len(rows), 5), [str(label) for label in list(rows)[::5]])
        finish(canvas, ax)

    told = "; ".join(f"{label}: " + (", ".join(f"{kind} {start + 1}" + (f" to {start + width}" if width > 1 else "")
                                               for kind, start, width in _runs(states)) or "nothing")
                     for label, states in list(rows.items())[:12])
    numbers = table(["", "state", "from", "to"], [[str(label), kind, start + 1, start + width] for label, states in rows.items()
                                                  for kind, start, width in _runs(states)])
    return draw(paint, title, alt or f"Grid of {len(rows)} rows over {total} {x}. {told}.", numbers, height=1 + min(0.24 * len(rows), 3.4))


def _look(pen, slot):
    return {"color": pen.look(slot)["color"], "hatch": HATCHES[slot % 8], "edgecolor": pen.ink, "lw": 0.3}


def _runs(states):
    """(state, first place, length) of each run of equal states that are something."""
    start = 0
    for state, run in groupby(states):
        width = len(list(run))
        if state:
            yield state, start, width
        start += width
