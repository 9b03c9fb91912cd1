"""grades.csv, and the same for a learning platform to import: Canvas, Moodle, Gradescope's columns, or a plain id, score, max, comment."""
from odl_kit.grading import tables


def write(rows, out):
    """Write out/grades.csv and out/lms/*.csv. A grade that is open (ours, or still to be given by hand) is left empty, never 0."""
    rows = sorted(rows, key=lambda r: (r.lab, r.student))
    questions = list(dict.fromkeys((r.lab, q) for r in rows for q in r.possible))
    heading = ["student", "name", "lab", "total", "max", "late_days", "penalty_percent", "attempts", "blame", "problem", "file"]
    lines = [[r.student, r.submission.name, r.lab, _number(r.total), r.maximum, r.late_days, 100 * r.penalty, r.attempts,
              r.result.blame or "graded", r.result.problem, r.submission.path,
              *(_number(r.earned.get(q)) if r.lab == lab else "" for lab, q in questions)] for r in rows]
    tables.write(out / "grades.csv", [*heading, *(f"{lab[:2]} {q}" for lab, q in questions)], lines)
    labs = sorted({r.lab for r in rows if r.lab})
    _canvas(rows, labs, out / "lms" / "canvas.csv")
    for lab in labs:
        mine = [r for r in rows if r.lab == lab]
        plain = [[r.student, _number(r.total), r.maximum, comment(r)] for r in mine]
        tables.write(out / "lms" / f"plain_{lab}.csv", ["id", "score", "max", "comment"], plain)
        moodle = [[f"Participant {r.student}", r.submission.name, _number(r.total), r.maximum, comment(r)] for r in mine]
        tables.write(out / "lms" / f"moodle_{lab}.csv", ["Identifier", "Full name", "Grade", "Maximum grade", "Feedback comments"], moodle)
        scope = [[*_two_names(r.submission.name), r.student, _number(r.total), r.maximum] for r in mine]
        tables.write(out / "lms" / f"gradescope_{lab}.csv", ["First Name", "Last Name", "SID", "Total Score", "Max Points"], scope)


def comment(row):
    """One line for the student: what failed, and what lateness took."""
    if row.result.blame:
        return row.result.problem
    failed = [q for q, verdict in row.result.questions.items() if not verdict["passed"]]
    said = f"not yet: {', '.join(failed)}" if failed else "all checks passed"
    return f"{said}; {row.late_days} day(s) late, {100 * row.penalty:g} % off" if row.late_days else said


def _canvas(rows, labs, path):
    """One line a student, one column a lab, as Canvas imports it: the second line has the points possible."""
    table = {(r.student, r.lab): r for r in rows}
    people = dict.fromkeys((r.student, r.submission.name) for r in rows)
    highest = [max((r.maximum for r in rows if r.lab == lab), default=0) for lab in labs]
    lines = [["    Points Possible", "", "", "", "", *highest]]
    lines += [[name, student, "", "", "", *(_number(table[student, lab].total) if (student, lab) in table else "" for lab in labs)]
              for student, name in people]
    tables.write(path, ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *labs], lines)


def _two_names(name):
    first, _, last = name.rpartition(" ")
    return (first, last) if first else (last, "")


def _number(value):
    return "" if value is None else round(value, 4)
