"""What a ledger says in numbers.

The student's computer wrote it, and a file can be edited: any field may be missing, or of any type.
"""
import functools
import math
import re

import odl_kit
from odl_kit.lab.reveal import distance
from odl_kit.teaching import outline


def points(book):
    """(points, of how many) that a record claims; what is no number counts as 0."""
    pairs = [(entry.get("points"), entry.get("of")) for entry in book["checks"].values()]
    return tuple(sum(pair[k] for pair in pairs if is_number(pair[k])) for k in (0, 1))


def made(book):
    """(predictions made, of these came true)."""
    entries = [entry for entry in book["predictions"].values() if "answer" in entry]
    return len(entries), sum(map(came_true, entries))


def came_true(entry):
    """True if a prediction was right: its option holds what was measured, or the number is within a tenth of it."""
    return (verdict(entry) or (False, ""))[0]


def verdict(entry):
    """(right, words) about a prediction that was made and measured: (False, "2.8x"); None if nothing can be said."""
    answer, measured = entry.get("answer"), math.inf if entry.get("measured") == "infinite" else entry.get("measured")
    if isinstance(answer, str):
        return (answer == entry["holds"], str(entry["holds"])) if "holds" in entry else None
    return distance(answer, measured) if is_number(answer) and (is_number(measured) or measured == math.inf) else None


def is_number(value):
    """True for an int or float that can be shown and added up: no bool, no NaN, none beyond 1e15."""
    return type(value) in (int, float) and abs(value) <= 1e15


def question(lab, id):
    """What prediction `id` asks in `lab`; the id itself where this course has no such lab or prediction."""
    return _predictions(lab).get(id, id) if is_lab(lab) else id


def is_lab(name):
    """True if this course has a lab of that name; the name may come out of a ledger, so it is no path."""
    return bool(re.fullmatch(r"\d\d_\w+", name)) and (odl_kit.home() / "labs" / "src" / f"{name}.py").is_file()


@functools.cache
def _predictions(lab):
    return outline.read(lab).predictions
