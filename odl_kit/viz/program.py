"""program: the arena of a training step over time, before and after the passes that made it smaller."""
from odl_kit.viz.page import HATCHES, draw, finish, number, slots, table

PURPOSES = {"saved": "saved for the backward pass", "gradient": "gradients of weights", "passing": "passing through"}


def program(p, *, title, passes=("autodiff", "prune", "reorder", "in place", "pack"), alt=None):
    """One panel a pass: ops from left to right, bytes of the arena upwards, a bar for each tensor while it lives. Returns a Figure.

    p: an engine Program, or anything with its `passes` (records with name, program and bound), `timeline`, `ops` and `arena_bytes`; one
    without passes is drawn alone. passes: which to show. A dotted line stands where the forward pass ends, a dashed one at the bound: no
    arena can be smaller. Raises ValueError for a pass that p has not gone through.
    """
    stages = {stage.name: (stage.program, stage.bound) for stage in p.passes} or {"": (p, None)}
    if p.passes and (missing := [name for name in passes if name not in stages]):
        raise ValueError(f"passes {missing} are not among those of this Program: {', '.join(stages)}")
    shown = {name: stages[name] for name in passes} if p.passes else stages
    style = slots(list(PURPOSES.values()))
    top = max(made.arena_bytes for made, _ in shown.values())

    def paint(canvas, pen):
        panels = canvas.subplots(len(shown), 1, squeeze=False)[:, 0]
        for ax, (name, (made, bound)) in zip(panels, shown.items(), strict=True):
            for kind in PURPOSES.values():      # empty bars, for the order of the legend
                ax.barh(0, 0, label=kind, **_look(pen, style[kind]))
            for slot in made.timeline:
                ax.barh(slot.offset / 1024, slot.last - slot.first + 1, left=slot.first - 0.5, height=slot.nbytes / 1024, align="edge",
                        **_look(pen, style[PURPOSES[slot.purpose]]))
            ax.axvline(made.num_forward - 0.5, color=pen.mute, ls=":", lw=1.2)
            if bound:
                ax.axhline(bound / 1024, color=pen.mute, ls=(0, (5, 3)), lw=1.2)
            ax.set(xlim=(-0.5, len(made.ops) - 0.5), ylim=(0, 1.04 * top / 1024), ylabel="KiB")
            ax.set_title(_words(name, made), loc="left", fontsize=10, color=pen.ink)
            ax.tick_params(length=3)
        panels[-1].set_xlabel("op of one training step, in the order in which they run")
        finish(canvas, panels[0])

    rows = [[name, len(made.ops), made.arena_bytes, bound] for name, (made, bound) in shown.items()]
    told = "; ".join(_words(name, made) for name, (made, _) in shown.items())
    numbers = table(["pass", "ops", "arena, bytes", "bound, bytes"], rows)
    return draw(paint, title, alt or f"Arena over the ops of a training step. {told}.", numbers, height=0.9 + 1.35 * len(shown))


def _words(name, made):
    return f"{name + ': ' if name else ''}{len(made.ops)} ops, {number(made.arena_bytes / 1024)} KiB"


def _look(pen, slot):
    return {"color": pen.look(slot)["color"], "hatch": HATCHES[slot % 8], "edgecolor": pen.ink, "lw": 0.15}
