"""What every figure is: a title that states the finding, a picture for light and one for dark pages, alt text, the numbers a click away.

Colours are those of Okabe and Ito (2008), told apart by markers and hatches as well.
"""
import base64
import html
import io
import math
from dataclasses import dataclass

import numpy as np

from odl_kit.viz.style import STYLE

# name, on light pages, on dark pages: blue and sky, black and white change places; some are lighter or darker than the originals, so that
# a line has a contrast of 2 or more (yellow 3) against its page
COLOURS = (("blue", "#0072B2", "#56B4E9"), ("vermillion", "#D55E00", "#E8702A"), ("green", "#009E73", "#1FB98C"),
           ("purple", "#B35C92", "#CC79A7"), ("orange", "#E69F00", "#E69F00"), ("black", "#222222", "#EEEEEE"),
           ("sky", "#56B4E9", "#0A84C6"), ("yellow", "#A99A00", "#F0E442"))
MARKERS, HATCHES = "osD^vPX*", ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo")

# the same look in all labs; methods that share a slot are seldom seen in one figure
METHODS = {"fedavg": 0, "fedsgd": 1, "fedprox": 2, "scaffold": 3, "local": 4, "alone": 4, "central": 5,
           "mean": 0, "median": 1, "krum": 2, "trimmedmean": 3, "full": 0, "headonly": 1, "biasonly": 2, "sparse": 3}


@dataclass(frozen=True)
class Pen:
    """The colours of one kind of page: text, quiet text, grid lines, and which column of COLOURS to take."""
    ink: str
    mute: str
    grid: str
    column: int

    def look(self, slot):
        """{"color", "marker"} of a slot, as matplotlib wants them."""
        return {"color": COLOURS[slot % 8][self.column], "marker": MARKERS[(slot + slot // 8) % 8]}


PAGES = {"light": Pen("#1f2328", "#5c6670", "#e1e5ea", 1), "dark": Pen("#e8e8e8", "#a8b0b8", "#32373d", 2)}


@dataclass(frozen=True, repr=False)
class Figure:
    """html: for a notebook or page; alt: what the picture shows, in words; table: the numbers behind it, as text; title: the finding."""
    html: str
    alt: str
    table: str
    title: str = ""

    def _repr_html_(self):
        return self.html

    def __repr__(self):
        return f"{self.title}\n{self.alt}" if self.title else self.alt


def slots(names):
    """{name: slot}, the colour, marker and hatch of each name: a method of METHODS has its own in all labs, others take what is left."""
    taken = {}
    for name in names:
        fixed = METHODS.get("".join(filter(str.isalnum, str(name).lower())))
        if fixed is not None and fixed not in taken.values():
            taken[name] = fixed
    free = (slot for slot in range(2 * len(names) + 8) if slot not in taken.values())
    return {name: taken[name] if name in taken else next(free) for name in names}


def number(value, digits=3):
    """A number as text: 1,437 or 0.853; "none" for None and NaN, "infinite" for infinity."""
    value = math.nan if value is None else float(value)
    if not math.isfinite(value):
        return "none" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 10 ** digits else f"{value:.{digits}g}"


def table(head, rows):
    """Names and rows of text and numbers as aligned text; of more than 60 rows only every n-th and the last."""
    every = max(1, -(-len(rows) // 60))
    shown = rows if every == 1 else [*rows[:-1:every], rows[-1]]
    cells = [[str(name) for name in head]] + [[c if isinstance(c, str) else number(c, 4) for c in row] for row in shown]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(row, wide, strict=True))).rstrip() for row in cells]
    return "\n".join(lines + ([f"(of {len(rows)} rows, 1 in {every} and the last)"] if every > 1 else []))


def frame(title, body, alt, numbers=""):
    """A Figure of any HTML `body`, with the title above it and `numbers`, a text, one click away."""
    head = f'<div class="odl-title">{html.escape(title)}</div>' if title else ""
    more = ('<details><summary>the numbers behind this figure</summary>'
            f'<pre class="odl-pre" tabindex="0">{html.escape(numbers)}</pre></details>') if numbers else ""
    return Figure(f'{STYLE}<div class="odl">{head}{body}{more}</div>', alt, numbers, title)


def draw(paint, title, alt, numbers, *, height=3.4, photos=False):
    """A Figure from paint(canvas, pen), called with a matplotlib figure for a light and for a dark page.

    height: inches, of a width of 7.4. photos: keep all colours; else 256 of them, a third of the bytes, will do.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas  # not pyplot: nothing stays open
    from PIL import Image

    body = ""
    for theme, pen in PAGES.items():
        look = {"font.size": 10, "text.color": pen.ink, "text.parse_math": False, "axes.edgecolor": pen.mute, "axes.linewidth": 0.8,
                "axes.labelcolor": pen.ink, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
                "grid.color": pen.grid, "xtick.color": pen.mute, "ytick.color": pen.mute, "xtick.labelcolor": pen.ink,
                "ytick.labelcolor": pen.ink, "hatch.color": pen.ink, "hatch.linewidth": 0.5, "lines.linewidth": 2,
                "lines.markersize": 6, "legend.frameon": False, "axes.facecolor": "none"}
        with matplotlib.rc_context(look):
            canvas = Canvas(figsize=(7.4, height), dpi=144, facecolor="none", layout="constrained")
            agg = FigureCanvasAgg(canvas)
            paint(canvas, pen)
            agg.draw()
        picture, png = Image.fromarray(np.asarray(agg.buffer_rgba())), io.BytesIO()
        if not photos:
            picture = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        picture.save(png, "png", optimize=True)
        hidden = ' style="display:none"' if theme == "dark" else ""
        body += (f'<img class="odl-{theme[0]}" alt="{html.escape(alt)}" width="{round(7.4 * 96)}"{hidden} '
                 f'src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}">')
    return frame(title, body, alt, numbers)


def axes(canvas, log, *, whole=False, **labels):
    """One set of axes with a quiet grid and plain numbers along them. log: "", "x", "y", "xy"; whole: only whole numbers along x."""
    from matplotlib import ticker
    ax = canvas.subplots()
    ax.set(**labels)
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        if name in log:
            getattr(ax, f"set_{name}scale")("log")
            axis.set_minor_formatter(ticker.NullFormatter())
        else:
            only = whole and name == "x"
            axis.set_major_locator(ticker.MaxNLocator(7, steps=[1, 2, 5, 10] if only else [1, 2, 2.5, 5, 10], integer=only))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: number(value)))
    ax.grid(True, lw=0.7)
    ax.tick_params(length=3)
    return ax


def row_axes(canvas, y, labels, log):
    """Axes for one named row under the other, the numbers along x."""
    ax = axes(canvas, "x" if log else "", xlabel=y)
    ax.grid(False, axis="y")
    ax.spines.left.set_visible(False)
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    return ax


def finish(canvas, ax):
    """What can be said only when all is drawn: ticks along logarithmic axes, and a legend above the axes, each name once."""
    from matplotlib import ticker
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() == "log":
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high / low < 40 else (1,), numticks=12))
    named = {name: mark for mark, name in zip(*ax.get_legend_handles_labels(), strict=True) if name}
    if named:
        wide = {n: sum(max(map(len, list(named)[k::n])) + 7 for k in range(n)) for n in range(1, len(named) + 1)}
        columns = max(n for n in wide if n == 1 or wide[n] <= 88)
        names = [name for k in range(columns) for name in list(named)[k::columns]]     # matplotlib fills columns, we read rows
        canvas.legend([named[name] for name in names], names, loc="outside upper left", ncols=columns, borderaxespad=0.2, handlelength=2.2)
