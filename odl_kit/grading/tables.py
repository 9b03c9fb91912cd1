"""CSV in and out: what an instructor's spreadsheet writes is read with its faults named, and what it reads cannot run as a formula."""
import csv
import io

from odl_kit.grading import build


def read(path, needed):
    """[(number of the line, {column: text})] of a CSV with a heading. needed: columns that must be there, else ValueError."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in needed if name not in (reader.fieldnames or [])]:
            raise ValueError(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or []) or 'nothing'}")
        return [(reader.line_num, {k: v or "" for k, v in entry.items() if k}) for entry in reader]


def write(path, heading, lines):
    """Write a CSV whole or not at all. A text that a spreadsheet would take for a formula gets an apostrophe;
    a whole number is written as one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([[_safe(value) for value in line] for line in lines])
    build.write(path, text.getvalue())


def _safe(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    return ("'" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else "") + value.replace("\r\n", "\n").replace("\r", " ")
