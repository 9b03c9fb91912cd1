"""Charts of numbers: curve (lines), bars, spread (recorded seeds and the live run)."""
import math

import numpy as np

from odl_kit.viz.page import HATCHES, axes, draw, finish, number, row_axes, slots, table

DASHES = {"ls": (0, (5, 3)), "lw": 1.2}


def curve(series, *, x, y, title, spread=None, target=None, log="", alt=None):
    """Lines. series: {label: [y, ...]} (x is 1, 2, ...), {label: {x: y}}, {label: (xs, ys)}, or one of these without a label.

    None and NaN are gaps. spread: {label: [run, run, ...]}, each run a list of y: a band from the least to the most. target: a
    dashed line at this y. log: "", "x", "y" or "xy". x, y: the names of the axes, with units. Returns a Figure.
    """
    lines = _series(series)
    bands = {label: np.array([_floats(run) for run in runs]) for label, runs in (spread or {}).items()}
    style = slots([*lines, *(label for label in bands if label not in lines)])

    def paint(canvas, pen):
        ax = axes(canvas, log, xlabel=x, ylabel=y, whole=all(at == round(at) for xs, _ in lines.values() for at in xs))
        for label, runs in bands.items():
            xs = lines[label][0][:runs.shape[1]] if label in lines else range(1, runs.shape[1] + 1)
            name = f"{label}: {len(runs)} runs" if label else f"{len(runs)} runs"
            ax.fill_between(xs, runs.min(0), runs.max(0), color=pen.look(style[label])["color"], alpha=0.22, lw=0, label=name)
        for label, line in lines.items():
            ax.plot(*line, markevery=max(1, len(line[0]) // 12), label=label, **pen.look(style[label]))
        if target is not None:
            ax.axhline(target, color=pen.mute, label=f"target {number(target)}", **DASHES)
        finish(canvas, ax)

    told = [_in_words(label, *line, x, target) for label, line in lines.items()]
    ends = sorted(((line[1][-1], label) for label, line in lines.items() if line[1] and math.isfinite(line[1][-1])), reverse=True)
    if len(ends) > 1:
        told.append(f"At the end, from high to low: {', '.join(label for _, label in ends)}.")
    told += [f"{f'Band of {label}' if label else 'Band'} at its end: {number(runs[:, -1].min())} to {number(runs[:, -1].max())}."
             for label, runs in bands.items()]
    return draw(paint, title, alt or f"Line chart of {y} over {x}. {' '.join(told)}", _lines_table(lines, x, y))


def bars(values, *, y, title, target=None, log=False, stacked=False, alt=None):
    """Horizontal bars. values: {label: number}, or {group: {part: number}}, the parts hatched and side by side or `stacked`.

    y: what the numbers are, with their unit. target: a dashed line there. log: a logarithmic axis. Returns a Figure.
    """
    flat = not any(isinstance(value, dict) for value in values.values())
    groups = {str(group).replace("_", " "): {"": value} if flat else value for group, value in values.items()}
    style = slots(list(dict.fromkeys(part for group in groups.values() for part in group)))
    lanes = 1 if stacked else len(style)

    def paint(canvas, pen):
        ax, left = row_axes(canvas, y, groups, log), np.zeros(len(groups))
        for k, (part, slot) in enumerate(style.items()):
            sizes = np.array(_floats([group.get(part) for group in groups.values()]))
            places = np.arange(len(groups)) + (0 if stacked else ((k + 0.5) / lanes - 0.5) * 0.8)
            drawn = ax.barh(places, sizes, left=left if stacked else None, height=0.64 / lanes, color=pen.look(slot)["color"],
                            hatch=HATCHES[slot % 8], edgecolor=pen.ink, lw=0.5, label=str(part).replace("_", " "))
            left = left + np.nan_to_num(sizes)
            if not stacked or part == list(style)[-1]:
                ax.bar_label(drawn, [number(v) for v in (left if stacked else sizes)], padding=5, fontsize=9.5)
        if target is not None:
            ax.axvline(target, color=pen.mute, label=f"target {number(target)}", **DASHES)
        ax.margins(x=0.1)
        finish(canvas, ax)

    rows = [[group, str(part).replace("_", " "), value] for group, parts in groups.items() for part, value in parts.items()]
    told = "; ".join(f"{group} {part}".strip() + f" {number(value)}" for group, part, value in rows[:24])
    numbers = table(["", y], [[group, value] for group, _, value in rows]) if flat else table(["", "", y], rows)
    return draw(paint, title, alt or f"Bar chart of {y}: {told}.", numbers, height=0.9 + len(groups) * (0.2 + 0.2 * lanes))


def spread(recorded, *, y, title, live=None, log=False, alt=None):
    """How recorded numbers scatter over seeds, and where this run falls. recorded: {label: [one number a seed]} or {group: {label: [...]}}.

    live: {label: number} or {group: {label: number}}, for some of them. y: what the numbers are, with their unit. Returns a Figure.
    """
    if not any(isinstance(runs, dict) for runs in recorded.values()):
        recorded, live = {"": recorded}, {"": live or {}}
    labels = list(dict.fromkeys(label for runs in recorded.values() for label in runs))
    style, live = slots(recorded), live or {}

    def paint(canvas, pen):
        ax = row_axes(canvas, y, labels, log)
        for k, (group, runs) in enumerate(recorded.items()):
            for label, seeds in runs.items():
                look, at = pen.look(style[group]), labels.index(label) + ((k + 0.5) / len(recorded) - 0.5) * 0.7
                ax.plot([min(seeds), max(seeds)], [at, at], color=look["color"], lw=7, alpha=0.3, solid_capstyle="round")
                ax.plot(seeds, [at] * len(seeds), ls="", ms=5, label=f"{group or 'recorded'}, {len(seeds)} seeds", **look)
                if (now := live.get(group, {}).get(label)) is not None:
                    ax.plot([now], [at], ls="", marker="|", ms=16, mew=2.5, color=pen.ink)
        if any(live.values()):
            ax.plot([], [], ls="", marker="|", ms=12, mew=2.5, color=pen.ink, label="this run")
        finish(canvas, ax)

    rows = [[f"{group} {label}".strip(), min(seeds), float(np.median(seeds)), max(seeds), live.get(group, {}).get(label)]
            for group, runs in recorded.items() for label, seeds in runs.items()]
    told = "; ".join(f"{name} {number(low)} to {number(high)}, this run {number(now)}" for name, low, _, high, now in rows)
    numbers = table(["", "least", "median", "most", "this run"], rows)
    return draw(paint, title, alt or f"Ranges of {y} over recorded seeds: {told}.", numbers, height=1 + 0.3 * len(rows))


def _floats(values):
    return [math.nan if v is None else float(v) for v in values]


def _series(data):
    """{label: (xs, ys)} of any form that `curve` takes; ValueError for anything else."""
    if not isinstance(data, dict) or not any(isinstance(v, dict | tuple) or np.ndim(v) for v in data.values() if v is not None):
        data = {"": data}
    found = {}
    for label, line in data.items():
        pair = line if isinstance(line, tuple) and len(line) == 2 else (range(1, len(line) + 1), line)
        pair = (line.keys(), line.values()) if isinstance(line, dict) else pair
        try:
            found[str(label)] = xs, ys = tuple(map(_floats, pair))
        except ValueError as error:
            raise ValueError(f"a curve needs numbers along x and y ({error}): for named values take viz.bars") from None
        if len(xs) != len(ys):
            raise ValueError(f"the curve {label!r} has {len(xs)} x and {len(ys)} y")
    return found


def _in_words(label, xs, ys, x, target):
    seen = [(at, value) for at, value in zip(xs, ys, strict=True) if math.isfinite(value)]
    if not seen:
        return f"{label}: nothing to draw."
    (first, start), (last, end), (where, top) = seen[0], seen[-1], max(seen, key=lambda point: point[1])
    told = f"{label or 'It'} goes from {number(start)} at {x} {number(first)} to {number(end)} at {number(last)}"
    told += f", highest {number(top)} at {number(where)}"
    if target is None:
        return told + "."
    hit = next((at for at, value in seen if (value >= target) != (start >= target)), None)
    return f"{told}; it {'never crosses' if hit is None else 'crosses'} {number(target)}{'' if hit is None else f' at {number(hit)}'}."


def _lines_table(lines, x, y):
    columns = [dict(zip(*line, strict=True)) for line in lines.values()]
    places = sorted({at for column in columns for at in column})
    return table([x, *(label or y for label in lines)], [[at, *(column.get(at) for column in columns)] for at in places])
