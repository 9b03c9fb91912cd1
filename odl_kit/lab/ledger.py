"""The student's record: one readable JSON file a lab in labs/ledger/ (ODL_LEDGER moves the folder), kept over restarts.

{"lab": name, "predictions": {id: {...}}, "quizzes": {id: {...}}, "checks": {id: {...}}}. Every write replaces the whole file at once.
"""
import datetime
import json
import os
import tempfile
from pathlib import Path

import odl_kit
from odl_kit.lab import show

KINDS = ("predictions", "quizzes", "checks")
_unsaved = {}       # lab -> record, where the folder cannot be written: the lab goes on and forgets at the end


def folder():
    """Where the ledgers lie: ODL_LEDGER, else labs/ledger of the checkout. It need not exist yet."""
    return Path(os.environ.get("ODL_LEDGER") or odl_kit.home() / "labs" / "ledger")


def read(lab):
    """The record of one lab, {"lab", "predictions", "quizzes", "checks"}; empty kinds if there is none.

    A damaged file is renamed to <lab>.damaged-N.json and said aloud, never overwritten.
    """
    path = folder() / f"{lab}.json"
    if lab in _unsaved:
        return _unsaved[lab]
    if not path.is_file():
        return _empty(lab)
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")), lab)
    except (ValueError, OSError) as error:
        aside = _set_aside(path)
        show.note("warn", "Your record of this lab could not be read",
                  f"{path.name}: {error}. It is kept as {aside.name} in {aside.parent}; a new record starts now.")
        return _empty(lab)


def record(lab, kind, id, *, once=False, **fields):
    """Add `fields` to entry `id` of `kind` (see KINDS) and write the file. Returns the entry.

    once=True: fields that the entry has already stay as they are; so the first prediction is locked.
    """
    if kind not in KINDS:
        raise ValueError(f"the ledger has no kind {kind!r}: it keeps {', '.join(KINDS)}")
    book = read(lab)
    old = book[kind].get(id, {})
    entry = {**fields, **old} if once else {**old, **fields}
    if entry != old:
        entry["when"] = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        book[kind][id] = entry
        _write(lab, book)
    return entry


def entry(lab, kind, id):
    """One entry of the ledger, {} if there is none."""
    return read(lab)[kind].get(id, {})


def every():
    """The records of all labs that have one: {lab: record}, each as `read` gives it."""
    return {p.stem: read(p.stem) for p in sorted(folder().glob("*.json")) if ".damaged-" not in p.name} | _unsaved


def export(path):
    """Write the records of all labs into one JSON file and return its path; `restore` reads it (here, or on another machine)."""
    path = Path(path)
    _replace(path, {"ledger": 1, "labs": every()})
    return path


def exported(path):
    """The records in a file that `export` wrote, {lab: record}, without taking them over. Raises ValueError if the file is none of ours."""
    try:
        labs = json.loads(Path(path).read_text(encoding="utf-8"))["labs"]
        return {lab: _checked(book, lab) for lab, book in labs.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not an exported ledger ({error}): make one with `odl ledger export FILE`") from None


def restore(path):
    """Take over the records in a file that `export` wrote. Returns the names of the labs that gained something.

    What is recorded here stays (a first prediction is locked), except that a passed check replaces one that has not passed.
    Raises ValueError if the file is none of ours.
    """
    gained = []
    for lab, theirs in exported(path).items():
        mine = read(lab)
        kept = {kind: {id: e for id, e in mine[kind].items() if not _better(theirs[kind].get(id), e)} for kind in KINDS}
        merged = {kind: {**theirs[kind], **kept[kind]} for kind in KINDS}
        if any(merged[kind] != mine[kind] for kind in KINDS):
            _write(lab, {"lab": lab, **merged})
            gained.append(lab)
    return gained


def _better(theirs, mine):
    return bool(theirs and theirs.get("passed") and not mine.get("passed"))


def _empty(lab):
    return {"lab": lab, **{kind: {} for kind in KINDS}}


def _checked(book, lab):
    if not isinstance(book, dict) or book.get("lab") != lab:
        raise ValueError(f"this is not the record of lab {lab}")
    for kind in KINDS:
        entries = book.setdefault(kind, {})
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise ValueError(f"its {kind} are not a table of entries")
    return book


def _set_aside(path):
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}.json")).exists():
        number += 1
    return path.rename(aside)


def _write(lab, book):
    path = folder() / f"{lab}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, book)
    except OSError as error:
        if lab not in _unsaved:
            show.note("warn", "Your record cannot be saved",
                      f"{path}: {error}. The lab goes on; set ODL_LEDGER to a folder that you can write to.")
        _unsaved[lab] = book


def _replace(path, content):
    """Write JSON beside `path`, then put it in its place in one step: a crash leaves the old file or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
