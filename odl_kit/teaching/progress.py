"""`odl progress`: what a ledger says, as a page: predictions beside measurements, exercises, quizzes. Of one student, or of a class.

What stands in a ledger was claimed by the student's own computer: it is no grade. Nothing is sent anywhere.
"""
import argparse
import html
import sys
from collections import Counter
from pathlib import Path

import odl_kit
from odl_kit.grading import build, syllabus
from odl_kit.lab import judging, ledger
from odl_kit.teaching import pages, records
from odl_kit.viz import number

LONGEST = 200       # characters of a student's text that are shown
NO_GRADE = ("Read from the ledger, a file that its owner can edit. It shows how the work went and is no grade; "
            "<code>odl grade</code> runs the answers again.")


def of_student(books, *, level=1):
    """The HTML of one ledger. books: {lab: record} (see lab.ledger); level: of its highest heading. All text of the ledger is escaped."""
    labs, parts = {lab.name: lab for lab in syllabus.load()}, []
    for name, book in sorted(books.items()):
        title = f"{name[:2]} · {labs[name].title}" if name in labs else name
        tables = [_predictions(name, book["predictions"]), _checks(book["checks"]), _quizzes(name, book["quizzes"])]
        parts.append(f"<h{level + 1}>{html.escape(title)}</h{level + 1}>\n<p>{_summary(book)}</p>\n" + "\n".join(filter(None, tables)))
    if len(parts) > 1:
        parts.insert(0, f"<p><b>{len(parts)} labs:</b> {_summary(*books.values())}</p>")
    return "\n".join(parts) or "<p>There is nothing in it yet: open lab 00 with <code>odl lab</code>.</p>"


def of_class(students):
    """The HTML of a class: a table of students and labs, then each student's own ledger, folded.

    students: {name: {lab: record}}; in place of the records the text of an error, if the file could not be read.
    """
    read = {name: books for name, books in students.items() if isinstance(books, dict)}
    names = sorted({lab for books in read.values() for lab in books})
    rows, place = [], {name: f"student-{number}" for number, name in enumerate(sorted(students), 1)}
    for name, books in sorted(students.items()):
        cells = [_cell(books.get(lab)) for lab in names] if name in read else [""] * len(names)
        total = number(sum(records.points(book)[0] for book in books.values())) if name in read else '<span class="bad">not read</span>'
        rows.append([f'<a href="#{place[name]}">{_text(name)}</a>' if name in read else _text(name), *cells, total])
    parts = [pages.table(("Student", *(lab[:2] for lab in names), "Points"), rows),
             '<p class="mute">In a lab\'s column: points of its exercises; then predictions that came true, of those that were made.</p>',
             *(f'<p class="bad">{_text(name)}: {_text(why)}</p>' for name, why in sorted(students.items()) if name not in read),
             "<h2>What the class predicted</h2>", _guesses(read)]
    for name, books in sorted(read.items()):
        whole = f"<details><summary>the whole ledger</summary>\n{of_student(books, level=2)}</details>"
        parts.append(f'<h2 id="{place[name]}">{_text(name)}</h2>\n{whole}')
    return "\n".join(parts)


def _guesses(read):
    """A table of all predictions of a class: how many made them, how many came true, and the commonest answers."""
    made = {}
    for books in read.values():
        for lab, book in books.items():
            for id, entry in book["predictions"].items():
                if "answer" in entry:
                    made.setdefault((lab, id), []).append(entry)
    rows = []
    for (lab, id), entries in sorted(made.items()):
        common = Counter(_with_unit(entry["answer"], entry) for entry in entries).most_common(4)
        answers = "; ".join(f"{count} x {answer}" for answer, count in common)
        true = sum(map(records.came_true, entries))
        rows.append([_text(lab[:2]), _text(records.question(lab, id)), str(len(entries)), str(true), answers])
    return pages.table(("Lab", "Prediction", "Made", "Came true", "Answers"), rows, numbers=(2, 3)) if rows else "<p>Nobody made one.</p>"


def main(argv=None):
    """`odl progress [FILE ...] [--out PAGE]`. Returns the exit status: 1 if a file could not be read (the others are on the page)."""
    parser = argparse.ArgumentParser(prog="odl progress", description="Your own ledger as a page; or, with FILES, that of a class.")
    parser.add_argument("file", nargs="*", type=Path, help="made by `odl ledger export`, one a student, named after the student")
    parser.add_argument("--out", type=Path, metavar="PAGE", help="the page (build/progress.html, of a class build/class.html)")
    options = parser.parse_args(argv)
    if options.file:
        students = {}
        for path in options.file:
            name = path.stem if path.stem not in students else str(path)
            try:
                students[name] = ledger.exported(path)
            except (OSError, ValueError) as error:
                students[name] = str(error)
                print(f"odl progress: {path}: {error}", file=sys.stderr)
        title, content = f"{len(students)} ledgers", of_class(students)
    else:
        students, title, content = {}, "Your progress", of_student(ledger.every())
    out = options.out or odl_kit.home() / "build" / ("class.html" if options.file else "progress.html")
    content = f'<h1>{title}</h1>\n<p class="note">{NO_GRADE}</p>\n{content}'
    build.write(out, pages.whole(title, content, bar="<b>On-Device Learning Lab</b>"))
    print(f"open {out}")
    return int(any(isinstance(books, str) for books in students.values()))


def _predictions(lab, entries):
    rows = []
    for id, entry in entries.items():
        said = _with_unit(entry["answer"], entry) if "answer" in entry else "skipped" if entry.get("skipped") else "no answer yet"
        measured = _with_unit(entry["measured"], entry) if "measured" in entry else "not yet"
        rows.append([_text(records.question(lab, id)), said, measured, _verdict(entry)])
    return pages.table(("Predicted", "You said", "Measured", ""), rows) if rows else ""


def _verdict(entry):
    """How far a prediction was: right or not where options were offered, else the factor between the two numbers."""
    if (found := records.verdict(entry)) is None:
        return ""
    right, words = found
    if isinstance(entry["answer"], str):
        return '<span class="good">✓ as you said</span>' if right else f'<span class="bad">✗ it was:</span> {_text(words)}'
    return f'<span class="{"good" if right else "bad"}">{"✓ " if right else ""}{words}</span>'


def _checks(entries):
    rows = [[f"<code>{_text(id)}</code>", '<span class="good">✓ passed</span>' if entry.get("passed") is True else "not yet",
             f"{_number(entry.get('points'))} of {_number(entry.get('of'))}", _number(entry.get("tries")),
             "yes" if entry.get("solution_shown") else "no"] for id, entry in entries.items()]
    return pages.table(("Exercise", "", "Points", "Tries", "Solution shown"), rows, numbers=(2, 3)) if rows else ""


def _quizzes(lab, entries):
    rows, known = [], judging.load(lab).quizzes if records.is_lab(lab) else {}
    for id, entry in entries.items():
        asked = known.get(id)
        right = "" if entry.get("right") is True else f"right is: {_text(asked.right)}" if asked else ""
        mark = '<span class="good">✓</span>' if entry.get("right") is True else '<span class="bad">✗</span>'
        rows.append([_text(asked.question if asked else id), f"{mark} {_text(entry.get('answer', ''))}", right])
    return pages.table(("Quiz", "You said", ""), rows) if rows else ""


def _summary(*books):
    (got, of), (made, true) = (map(sum, zip(*map(count, books), strict=True)) for count in (records.points, records.made))
    quizzes = [entry.get("right") is True for book in books for entry in book["quizzes"].values()]
    return (f"{number(got)} of {number(of)} points · {true} of {made} predictions came true · "
            f"{sum(quizzes)} of {len(quizzes)} quizzes right at the first answer")


def _cell(book):
    if book is None:
        return '<span class="mute">not begun</span>'
    made, true = records.made(book)
    return f"{number(records.points(book)[0])}&nbsp;p., {true}&nbsp;of&nbsp;{made}"


def _with_unit(value, entry):
    return f"{_number(value)} {_text(entry.get('unit') or '')}".strip() if records.is_number(value) else _text(value)


def _number(value):
    return number(value) if records.is_number(value) else _text("" if value is None else value)


def _text(value):
    return html.escape(str(value)[:LONGEST])
