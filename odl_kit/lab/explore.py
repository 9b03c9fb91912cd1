"""explore: sliders and menus around a function of the lab; its figure is redrawn in place."""
import asyncio
import contextlib
import html
import inspect
import io
import math
import traceback

from odl_kit.lab import show

KEPT = 200          # results that are remembered, so that going back is instant
PAUSE_S = 0.12      # a key held down moves a slider many times: only the last place is computed


def explore(fn, **params):
    """Controls for the arguments of `fn`, and its result below, redrawn when one changes.

    params: a list is a menu, (low, high) or (low, high, step) a slider (of whole numbers if all are whole), a bool a box to tick.
    Menus and sliders begin at the default that `fn` gives the argument, else at the first or low value. fn(**values) returns a
    viz.Figure, or anything a notebook can show; its error is shown in words. Without widgets the result for the first values is
    shown. Raises ValueError for a parameter that is none of these.
    """
    defaults = {name: p.default for name, p in inspect.signature(fn).parameters.items() if p.default is not p.empty}
    first, kept = {name: _first(name, choice, defaults.get(name)) for name, choice in params.items()}, {}

    def result(values):
        key = tuple(map(repr, values.values()))
        if key not in kept:
            if len(kept) >= KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = _run(fn, values)
        return kept[key]

    words = "In a notebook with widgets you can change " + "; ".join(f"{_label(name)}: {_choices(c)}" for name, c in params.items()) + "."
    if not show.has_widgets():
        content, text = result(first)
        show.out(f'{content}{show.STYLE}<div class="odl odl-mute">{html.escape(words)}</div>', f"{text}\n{words}")
        return
    import ipywidgets as widgets

    wide = f"{0.55 * max(len(_label(name)) for name in params) + 1:.1f}em"       # one width for all labels, so that the controls line up
    controls = {name: _control(widgets, name, choice, first[name], wide) for name, choice in params.items()}
    view, busy, planned = widgets.HTML(result(first)[0]), widgets.HTML(), []

    def update():
        view.value = result({name: control.value for name, control in controls.items()})[0]
        busy.value = ""

    def changed(_):
        busy.value = f'{show.STYLE}<div class="odl odl-mute" role="status">computing ...</div>'
        for plan in planned:
            plan.cancel()
        try:
            planned[:] = [asyncio.get_running_loop().call_later(PAUSE_S, update)]
        except RuntimeError:                                    # no loop runs: nobody holds a key down
            update()

    for control in controls.values():
        control.observe(changed, "value")
    *above, last = controls.values()
    show.widget(widgets.VBox([*above, widgets.HBox([last, busy]), view]), f"{result(first)[1]}\n{words}")


def _first(name, choice, default):
    if isinstance(choice, bool):
        return choice
    if isinstance(choice, list) and choice:
        return default if default in choice else choice[0]
    if isinstance(choice, tuple) and len(choice) in (2, 3) and choice[0] < choice[1] and (len(choice) == 2 or choice[2] > 0):
        return choice[0] if default is None else min(max(default, choice[0]), choice[1])
    raise ValueError(f"explore: {name}={choice!r} is no control: give a list, (low, high), (low, high, step) or True/False")


def _control(widgets, name, choice, first, wide):
    look = {"description": _label(name), "style": {"description_width": wide}, "layout": widgets.Layout(width="min(100%, 480px)")}
    if isinstance(choice, bool):
        return widgets.Checkbox(value=choice, indent=False, **look)
    if isinstance(choice, list):
        return widgets.Dropdown(options=[(_text(value), value) for value in choice], value=first, **look)
    low, high, *step = choice
    if all(isinstance(bound, int) for bound in choice):
        return widgets.IntSlider(value=first, min=low, max=high, step=step[0] if step else 1, continuous_update=False, **look)
    step = step[0] if step else 10.0 ** math.floor(math.log10((high - low) / 20))
    shown = f".{max(0, math.ceil(-math.log10(step) - 1e-9))}f"
    return widgets.FloatSlider(value=first, min=low, max=high, step=step, readout_format=shown, continuous_update=False, **look)


def _run(fn, values):
    """(HTML, text) of fn(**values); what it prints is shown below; an error becomes a sentence with the line that it came from."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            value = fn(**values)
    except Exception as error:
        if show.strict():
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = ", ".join(f"{_label(name)} = {_text(value)}" for name, value in values.items())
        sentence = f"{type(error).__name__}: {error} (`{at.line}`)" if at.line else f"{type(error).__name__}: {error}"
        return show.card("bad", f"No result for {said}", [sentence], "✗"), f"No result for {said}: {sentence}"
    below = printed.getvalue()
    if hasattr(value, "_repr_html_"):
        content = value._repr_html_()
    else:
        content = f'{show.STYLE}<div class="odl"><pre class="odl-pre">{html.escape(str(value))}</pre></div>' if value is not None else ""
    content += f'{show.STYLE}<div class="odl"><pre class="odl-pre">{html.escape(below)}</pre></div>' if below else ""
    return content, "\n".join(filter(None, [repr(value) if value is not None and not isinstance(value, str) else value, below]))


def _label(name):
    return name.replace("_", " ")


def _text(value):
    return str(getattr(value, "__name__", value))


def _choices(choice):
    if isinstance(choice, bool):
        return "yes or no"
    return " | ".join(map(_text, choice)) if isinstance(choice, list) else f"{choice[0]} to {choice[1]}"
