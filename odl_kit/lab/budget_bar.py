"""budget_bar: does it fit? What a model needs of a board's flash and SRAM, in bars and in words."""
import html

from odl_kit.budget import BOARDS, in_kib
from odl_kit.viz import frame

HATCH = "repeating-linear-gradient(135deg, rgba(255,255,255,.55) 0 3px, transparent 3px 9px)"


def budget_bar(report, board, *, title=None):
    """Two bars, flash and SRAM: used, limit, "fits, 40.0 KiB free" or "OVER by 12.0 KiB" (red, hatched, and in words).

    report: budget.MemoryReport; board: budget.Board or its name in BOARDS. Returns a viz.Figure, which `lab.explore` can redraw in place.
    Raises KeyError for an unknown board.
    """
    if isinstance(board, str):
        if board not in BOARDS:
            raise KeyError(f"no board {board!r}; there are {', '.join(BOARDS)}")
        board = BOARDS[board]
    limits = board.budget()
    rows = [("flash", report.flash, limits.flash), ("SRAM", report.sram, limits.sram)]
    said = [f"{name}: {_fill(used, limit)}, {verdict(used, limit)}" for name, used, limit in rows]
    over = [name for name, used, limit in rows if limit and used > limit]
    found = f"it does not fit, too little {' and '.join(over)}" if over else "it fits"
    sizes = {**report.parts(), "peak": report.peak, "flash": report.flash, "sram": report.sram}
    numbers = "\n".join(f"{name.replace('_', ' '):<20}{size:>14,} B" for name, size in sizes.items())
    body = f'<div role="img" aria-label="{html.escape("; ".join(said))}">{"".join(_bar(*row) for row in rows)}</div>'
    return frame(title or f"{board.title}: {found}", body, f"{'; '.join(said)}.", numbers)


def verdict(used, limit):
    """In words: "fits, 40.0 KiB free" or "OVER by 12.0 KiB". used, limit: bytes; limit None: storage on a card of any size."""
    if limit is None:
        return "fits on a card"
    return f"fits, {in_kib(limit - used)} free" if used <= limit else f"OVER by {in_kib(used - limit)}"


def _fill(used, limit):
    return in_kib(used) if limit is None else f"{in_kib(used)} of {in_kib(limit)}"


def _bar(name, used, limit):
    """One bar: as long as the limit, or as what is used where that is more; then a mark stands at the limit."""
    over, whole = limit is not None and used > limit, max(used, limit or 0, 1)
    colour = f"background:{HATCH},var(--odl-bad)" if over else "background:var(--odl-mark)"
    mark = (f'<div style="position:absolute;left:{100 * limit / whole:.1f}%;top:-4px;bottom:-4px;border-left:3px solid var(--odl-ink)">'
            "</div>") if over else ""
    width = f"max(2px,{100 * used / whole:.2f}%)" if limit is not None else "2px"
    return (f'<div style="display:flex;flex-wrap:wrap;gap:0 14px;margin:10px 0 5px"><b style="width:3.2em">{name}</b>'
            f'<span style="flex:1">{_fill(used, limit)}</span>'
            f'<b style="color:var(--odl-{"bad" if over else "good"})">{verdict(used, limit)}</b></div>'
            f'<div style="position:relative;height:16px;border-radius:3px;box-shadow:0 0 0 1px rgba(128,128,128,.55)">'
            f'<div style="width:{width};height:100%;border-radius:3px;{colour}"></div>{mark}</div>')
