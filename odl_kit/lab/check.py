"""check: is this exercise right? In under a second: what was expected, what came, one hint. The lab goes on in any case."""
import zlib

import torch

from odl_kit.lab import judging, ledger, session, show
from odl_kit.viz import number, source

MISSES = 2          # after so many, the solution can be shown


def check(id, obj):
    """Judge the student's `obj` on fresh inputs: `f = lab.check("f", f)`. Returns `obj` if it passes, else the kit's version.

    A stub (`...` still in it) is no miss. The first miss gives a hint, the second a stronger one and the offer of the solution. Tries,
    misses and points go to the ledger. Raises KeyError for an id that labs/checks/<lab>.py does not have.
    """
    now, exercise = session.current(), _exercise(id)
    before = ledger.entry(now.lab, "checks", id)
    if any(obj is kits for kits in now.handed_out.get(id, [])):
        show.note("plain", f"`{id}` is the kit's version, with which the lab went on.",
                  "Run the cell with your version again, then this one.")
        return obj
    tries = before.get("tries", 0)
    verdict = judging.run(exercise, obj, rng=torch.Generator().manual_seed(zlib.crc32(f"{now.lab} {id} {tries}".encode())))
    if verdict.passed:
        ledger.record(now.lab, "checks", id, tries=tries + 1, passed=True, points=exercise.points, of=exercise.points)
        show.note("good", f"`{id}` passes: {_points(exercise.points)}.", "The lab goes on with your version.", word="✓ Right.")
        return obj
    kits = judging.kit_version(now.lab, id)
    now.handed_out.setdefault(id, []).append(kits)
    if verdict.error == "unwritten":
        show.note("plain", f"`{id}` is not written yet: `...` still stands in it.", "The lab goes on with the kit's version.", word="○")
        return kits
    misses = before.get("misses", 0) + 1
    ledger.record(now.lab, "checks", id, tries=tries + 1, misses=misses, passed=before.get("passed", False),
                  points=before.get("points", 0), of=exercise.points)
    _missed(id, exercise, verdict, misses)
    return kits


def solution(id):
    """Show the kit's solution of an exercise; before the second miss only how to get there. The ledger keeps that it was shown."""
    now, exercise = session.current(), _exercise(id)
    entry = ledger.entry(now.lab, "checks", id)
    if not (show.revealed() or entry.get("passed") or entry.get("misses", 0) >= MISSES):
        show.note("plain", f"`{id}`: try it first.", f"The solution opens after {MISSES} misses; you have {entry.get('misses', 0)}.")
        return
    show.out(*_solution(now.lab, id, exercise))


def _exercise(id):
    lab = session.current().lab
    known = judging.load(lab).checks
    if id not in known:
        raise KeyError(f"labs/checks/{lab}.py has no check {id!r}; it has {', '.join(known) or 'none'}")
    return known[id]


def _missed(id, exercise, verdict, misses):
    title, word = f"`{id}` does not pass.", "✗ Not yet."
    lines = [f"Case {verdict.case_number}: {id}({verdict.given})" if verdict.case_number else "", _sentence(verdict.message),
             f"Hint: {exercise.hints[min(misses, MISSES) - 1]}", "The lab goes on with the kit's version."]
    if misses < MISSES:
        show.note("bad", title, *lines, word=word)
        return
    lines.append(f'`lab.solution("{id}")` shows the solution.')
    if not show.has_widgets():
        show.note("bad", title, *lines, word=word)
        return
    lab, card = session.current().lab, show.card("bad", title, lines[:-1], word)
    opener = show.button("Show the solution", lambda: show.turn(box, card + _solution(lab, id, exercise)[0]))
    box = show.form(show.heading(title, lines[:-1], word), opener, kind="bad")
    show.widget(box, "\n  ".join(filter(None, [f"{word} {title}", *lines])))


def _solution(lab, id, exercise):
    ledger.record(lab, "checks", id, solution_shown=True)
    figure = source(judging.kit_version(lab, id), title=f"One solution of {id}")
    return figure.html, exercise.solution


def _points(points):
    return f"{number(points)} point{'' if points == 1 else 's'}"


def _sentence(text):
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")
