"""reveal: the measurement beside the prediction. It waits for a prediction that is still open, but never stops a run of the whole lab."""
import html
import math

from odl_kit.lab import ledger, session, show
from odl_kit.lab.predict import skip
from odl_kit.viz import number as as_text


def reveal(id, number, unit="", figure=None):
    """Show what was measured beside what was predicted, mark the option that holds it, and keep it in the ledger.

    number: int, float, 0-dimensional tensor, or None for "never" (infinite). unit: in words; the prediction's own if left out. figure: a
    viz.Figure that gives the answer away and is shown with it. Without a prediction nothing is shown but the offer to skip it; in builds
    and on pages all is shown. A number that no option holds, or NaN, is the lab's mistake: ValueError under ODL_TEST=1, else a warning.
    """
    now, value = session.current(), show.as_number(number)
    if id not in now.asked:
        show.complain(f"lab.reveal({id!r}): no prediction of that name has been asked; run its cell first", KeyError)
    elif math.isnan(value) or (now.asked[id].ranges and now.asked[id].holding(value) is None):
        show.complain(f"lab.reveal({id!r}): measured {as_text(value, 4)} {unit}, which none of the options holds: {_ranges(now.asked[id])}")
    kept = {"measured": value if math.isfinite(value) else as_text(value)}
    if said_in := unit or (now.asked[id].unit if id in now.asked else ""):
        kept["unit"] = said_in
    if id in now.asked and now.asked[id].ranges:
        kept["holds"] = now.asked[id].holding(value)      # for who reads the ledger without the lab
    entry = ledger.record(now.lab, "predictions", id, **kept)

    def opened():
        content, text = compare(now.asked.get(id), ledger.entry(now.lab, "predictions", id), value, unit)
        return (content + figure._repr_html_(), f"{text}\n{figure!r}") if figure is not None else (content, text)

    if show.revealed() or "answer" in entry or entry.get("skipped"):
        show.out(*opened())
    else:
        _wait(now, id, opened)


def _wait(now, id, opened):
    """Show that a prediction is open, with a way round it; `now.waiting[id]` opens the reveal."""
    question = now.asked[id].text if id in now.asked else f"run the cell with lab.predict({id!r}, ...)"
    title, lines = "The measurement is ready. Your prediction is still open:", [question, "Answer it above, and the result opens here."]
    plain = f'{title} {question}\n  Answer with lab.answer("{id}", ...), or lab.skip("{id}") shows the result.'
    if not show.has_widgets():
        now.waiting[id] = lambda: show.out(*opened())
        show.out(show.card("ask", title, [question, f'Answer with `lab.answer("{id}", ...)`, or `lab.skip("{id}")`.']), plain)
        return
    box = show.form(show.heading(title, lines), show.button("Skip and show", lambda: skip(id, aloud=False)))
    now.waiting[id] = lambda: show.turn(box, opened()[0])
    show.widget(box, plain)


def compare(asked, entry, value, unit):
    """(HTML, text) of a measurement beside a prediction. asked: forms.Question or None; entry: of the ledger; value: inf for never."""
    unit = unit or (asked.unit if asked else "")
    measured = _say(value, unit)
    title = asked.text if asked else f"Measured: {measured}"
    if asked and asked.ranges:
        return _beside_options(asked, entry.get("answer"), asked.holding(value), measured, title)
    if "answer" not in entry:
        word = "" if show.revealed() else "You skipped this one. "
        return show.card("plain", title, [f"{word}Measured: {measured}"]), f"{title}\n  {word}Measured: {measured}"
    said = entry["answer"]
    near, how = distance(said, value)
    text = f"you said {_say(said, unit)}, measured {measured}: {how}"
    body = f'<p class="odl-big">{html.escape(text)}</p>{_two_bars(said, value, unit)}'
    return show.card("good" if near else "ask", title, body, "Close:" if near else ""), f"{title}\n  {text}"


def distance(said, value):
    """(near, words): how far a measured number lies from the predicted one; near is within a tenth."""
    if said == value:
        return True, "exactly"
    if not (math.isfinite(value) and min(said, value) > 0):
        return False, f"off by {as_text(abs(value - said))}" if math.isfinite(value) else "never"
    factor = max(said, value) / min(said, value)
    if factor <= 1.1:
        return True, "within 10 %"
    times = f"{factor:.1f}x" if factor < 10 else f"{factor:,.0f}x"
    return False, times if value > said else f"{times} less"


def _beside_options(asked, said, holds, measured, title):
    items, lines = "", []
    for option in asked.options:
        tags = ["you said"] * (option == said) + [f"✓ measured {measured}"] * (option == holds)
        tag = f'<span class="odl-tag">{html.escape(" · ".join(tags))}</span>' if tags else ""
        items += f'<li{" class=odl-hit" if option == holds else ""}>{tag}{html.escape(option)}</li>'
        lines.append(f"  {'*' if option == holds else ' '} {option}" + (f"   <- {', '.join(tags)}" if tags else ""))
    skipped = "" if show.revealed() else "You skipped this one."
    text = f"you said {said}, measured {measured}" if said else f"{skipped} Measured {measured}".strip()
    right = said is not None and said == holds
    kind, word = ("plain", "") if said is None else ("good", "As you said:") if right else ("ask", "Not as you said:")
    body = f'<p class="odl-big">{html.escape(text)}</p><ul class="odl-options">{items}</ul>'
    return show.card(kind, title, body, word), "\n".join([f"{word} {title}".strip(), f"  {text}", *lines])


def _two_bars(said, value, unit):
    """Prediction and measurement as two bars of one scale."""
    if not (math.isfinite(value) and min(said, value) >= 0 and max(said, value) > 0):
        return ""
    rows = ""
    for name, size, colour in (("you said", said, "var(--odl-mute)"), ("measured", value, "var(--odl-mark)")):
        bar = f'<div style="width:{max(0.5, 100 * size / max(said, value)):.1f}%;height:12px;border-radius:2px;background:{colour}"></div>'
        rows += (f'<div style="width:6em" class="odl-mute">{name}</div><div>{bar}</div>'
                 f'<div style="white-space:nowrap">{html.escape(_say(size, unit))}</div>')
    return f'<div style="display:grid;grid-template-columns:auto 1fr auto;gap:4px 12px;align-items:center;max-width:560px">{rows}</div>'


def _say(value, unit):
    return "never" if value == math.inf else f"{as_text(value)} {unit}".strip()


def _ranges(asked):
    return "; ".join(f"{option}: {as_text(low)} to {as_text(high)}" for option, (low, high) in asked.ranges.items()) or "a number was asked"
