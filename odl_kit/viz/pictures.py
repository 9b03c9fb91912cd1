"""Pictures: label_histograms (who owns what), images, source (the kit's own code)."""
import collections
import functools
import html
import inspect
from pathlib import Path

import numpy as np

import odl_kit
from odl_kit.viz.page import Figure, axes, draw, table
from odl_kit.viz.style import STYLE


def label_histograms(owner, y, *, title, classes=None, alt=None):
    """Which client owns how many examples of which class: one dot for each pair, its area the count.

    owner, y: (N,) int, of tensor, array or list; classes: the names of the classes. Returns a Figure.
    """
    counts = collections.Counter(zip(map(int, owner), map(int, y), strict=True))
    clients = range(max(client for client, _ in counts) + 1)
    names = classes or range(max(label for _, label in counts) + 1)
    grid, most = [[counts[client, label] for label in range(len(names))] for client in clients], max(counts.values())

    def paint(canvas, pen):
        ax = axes(canvas, "", xlabel=f"client   (area of a dot: its examples, the largest {most})", ylabel="" if classes else "class")
        room = 0.95 * min(470 / len(clients), 190 / len(names))         # points between two neighbours
        ax.scatter(*zip(*counts, strict=True), s=[room ** 2 * n / most for n in counts.values()], color=pen.look(0)["color"], lw=0)
        ax.set_yticks(range(len(names)), names)
        ax.set(xlim=(-0.8, len(clients) - 0.2), ylim=(-0.7, len(names) - 0.3))

    sizes, kinds = [sum(row) for row in grid], [sum(map(bool, row)) for row in grid]
    told = f"{len(clients)} clients own {min(sizes)} to {max(sizes)} examples of {min(kinds)} to {max(kinds)} classes each"
    return draw(paint, title, alt or f"One dot for each client and class: {told}; there are {len(names)} classes.",
                table(["client", *names], [[client, *row] for client, row in enumerate(grid)]))


def images(x, *, title, titles=None, columns=10, alt=None):
    """Small pictures, `columns` in a row, values in [0, 1]: (N, H, W) or (N, 1, H, W) drawn in ink, (N, 3, H, W) in colour.

    titles: N texts to stand above them. Returns a Figure.
    """
    x = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=float)
    if len(x) == 0 or x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[1] not in (1, 3)):
        raise ValueError(f"images are (N, H, W), (N, 1, H, W) or (N, 3, H, W) with N > 0, these are {x.shape}")
    x, names = x[:, None] if x.ndim == 3 else x, [""] * len(x) if titles is None else [str(name) for name in titles]
    columns, (low, high) = min(columns, max(len(x), 5)), (min(0, x.min()), max(1, x.max()))

    tall = 0.88 * x.shape[2] / x.shape[3]                           # of a picture, in widths of a column
    line, rows = tall + 0.12 + (0 if titles is None else 0.02 + 0.034 * columns), -(-len(x) // columns)

    def paint(canvas, pen):
        canvas.set_layout_engine("none")
        ax = canvas.add_axes((0, 0, 1, 1))                          # one for all pictures: a hundred axes take seconds
        for k, (picture, name) in enumerate(zip(x, names, strict=True)):
            seen, left, bottom = np.moveaxis((picture - low) / (high - low), 0, -1), k % columns, -(k // columns) * line
            ax.imshow(seen if len(picture) == 3 else seen[..., 0], cmap=("gray_r", "gray")[pen.column - 1], vmin=0, vmax=1,
                      extent=(left + 0.06, left + 0.94, bottom + 0.06, bottom + 0.06 + tall), interpolation="nearest")
            corners = (left + 0.06, left + 0.94, left + 0.94, left + 0.06, left + 0.06)
            ax.plot(corners, [bottom + 0.06 + tall * side for side in (0, 0, 1, 1, 0)], color=pen.grid, lw=0.8)
            ax.text(left + 0.5, bottom + tall + 0.08, name, ha="center", va="bottom", fontsize=10)
        ax.set(xlim=(0, columns), ylim=(line - rows * line, line), aspect="auto")
        ax.axis("off")

    told = f"{len(x)} pictures of {x.shape[2]} by {x.shape[3]} pixels" + ("" if titles is None else f": {', '.join(names[:40])}")
    return draw(paint, title, alt or f"{told}.", "", height=7.4 / columns * rows * line, photos=x.shape[1] == 3)


def source(fn, *, title=None):
    """The source of a function or class as it stands in its file, with line numbers. Returns a Figure of text.

    title: the name of the file and the lines, if left out.
    """
    fn = inspect.unwrap(fn.func if isinstance(fn, functools.partial) else fn)
    (lines, first), kit = inspect.getsourcelines(fn), Path(odl_kit.__file__).parent
    text, file = "".join(lines), Path(inspect.getsourcefile(fn))
    place = file.relative_to(kit.parent).as_posix() if kit in file.parents else "in this notebook"
    try:
        from pygments import formatters, highlight, lexers
        marked = highlight(text, lexers.PythonLexer(stripnl=False), formatters.HtmlFormatter(nowrap=True))
    except ImportError:
        marked = html.escape(text)
    numbered = "\n".join(f'<i class="odl-no">{n}</i>{line}' for n, line in enumerate(marked.rstrip("\n").split("\n"), first))
    title = title or f"{place}, lines {first} to {first + len(lines) - 1}"
    body = f'<div class="odl-mute">{html.escape(title)}</div><pre class="odl-pre" tabindex="0">{numbered}</pre>'
    return Figure(f'{STYLE}<div class="odl odl-wide">{body}</div>', text, "", title)
