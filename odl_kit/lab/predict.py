"""predict: the student commits to an answer before the experiment; the first one is locked and kept."""
import math

from odl_kit.lab import forms, ledger, session, show
from odl_kit.viz import number


def predict(id, question, *, options=None, unit=None):
    """Ask for a prediction, by widget or by `lab.answer(id, value)`. The first answer is locked, also over restarts.

    options: {text: (low, high)}, the numbers for which the option is right, both ends included; two options may share an end,
    then the first one has it. Or unit: the prediction is a number, in this unit. Raises ValueError for both or neither, and for
    ranges that overlap.
    """
    if (options is None) == (unit is None):
        raise ValueError(f"prediction {id!r}: give either options={{text: (low, high)}} or unit=...")
    asked = forms.Question(id, "predictions", question, None if options is None else tuple(options), unit or "",
                           "Lock in my prediction", _lock, ranges=_checked(id, options or {}))
    entry = ledger.entry(session.current().lab, "predictions", id)
    if ("answer" in entry or entry.get("skipped")) and not show.static():
        session.current().asked[id] = asked
        show.out(*locked(question, entry, unit or ""))
    else:
        asked.ask()


def skip(id, *, aloud=True):
    """Give no prediction: it is recorded as skipped, unless it was answered before, and its reveal opens. aloud: say so in this cell."""
    now = session.current()
    entry = ledger.entry(now.lab, "predictions", id)
    if "answer" not in entry:
        entry = ledger.record(now.lab, "predictions", id, skipped=True)
    content, text = locked(now.asked[id].text if id in now.asked else id, entry, "")
    if id in now.asked and now.asked[id].box is not None:
        show.turn(now.asked[id].box, content)
    if reveal := now.waiting.pop(id, None):
        reveal()
    elif aloud:
        show.out(content, text)


def locked(question, entry, unit, tried=None):
    """(HTML, text) of a prediction that can no longer change. tried: an answer that came too late."""
    if "answer" not in entry:
        return show.card("plain", question, ["You skipped this prediction."]), f"{question}\n  You skipped this prediction."
    said = entry["answer"] if isinstance(entry["answer"], str) else f"{number(entry['answer'], 4)} {unit}".strip()
    lines = [f"You said: {said}"] + ([f"The first answer counts: {tried} came later."] if tried not in (None, entry["answer"]) else [])
    return show.card("plain", question, lines, "Locked in:"), "\n  ".join([f"Locked in: {question}", *lines])


def _lock(asked, value):
    now = session.current()
    before = ledger.entry(now.lab, "predictions", asked.id)
    if not before.get("skipped"):
        before = ledger.record(now.lab, "predictions", asked.id, once=True, answer=value)
    return locked(asked.text, before, asked.unit, value)


def _checked(id, options):
    reached, last = -math.inf, ""
    for option, (low, high) in sorted(options.items(), key=lambda item: item[1][0]):
        if not low <= high:
            raise ValueError(f"prediction {id!r}: the option {option!r} goes from {low} to {high}: give (low, high) with low <= high")
        if low < reached:
            raise ValueError(f"prediction {id!r}: the options {last!r} and {option!r} overlap between {low} and {reached}")
        reached, last = high, option
    return dict(options)
