"""Points given by hand, as CSVs that go out, are filled in, and come back: reflection questions with a rubric, and regrade requests."""
from dataclasses import replace

from odl_kit.grading import build, pages, tables

RUBRIC = ("numbers", "why", "trade_off")        # 0 to 2 each: are there numbers, a reason, what it costs
RUBRIC_MAX = 2


def with_manual(rows, path):
    """The rows with the points of a manual.csv (see write_manual) in them. Raises ValueError with the line of what does not fit."""
    table = {}
    for number, entry in tables.read(path, ("student", "lab", *RUBRIC)):
        marks = [entry[name].strip() for name in RUBRIC]
        if not any(marks):
            continue
        if not all(mark in ("0", "1", "2") for mark in marks):
            raise ValueError(f"{path.name}, line {number}: {', '.join(RUBRIC)} are {marks}; each is 0, 1 or 2, or all are empty")
        table[entry["student"], entry["lab"]] = sum(map(int, marks)) / (RUBRIC_MAX * len(RUBRIC)), entry.get("comment") or ""
    return [_given(r, *table[r.student, r.lab]) if (r.student, r.lab) in table and "reflection" in r.possible else r for r in rows]


def _given(r, share, comment):
    return replace(r, earned=r.earned | {"reflection": round(share * r.possible["reflection"], 4)}, comment=comment)


def write_manual(rows, path):
    """Write manual.csv: a line for each row with a reflection, what was filled in before kept. An instructor fills in 0, 1 or 2."""
    old = {(e["student"], e["lab"]): e for _, e in tables.read(path, ("student", "lab"))} if path.is_file() else {}
    lines = [[r.student, r.lab, *(old.get((r.student, r.lab), {}).get(name, "") for name in (*RUBRIC, "comment"))]
             for r in rows if "reflection" in r.possible]
    if lines:
        tables.write(path, ["student", "lab", *RUBRIC, "comment"], lines)


def with_regrades(rows, path):
    """(rows with the decisions of a regrade.csv, requests that wait for one). Its columns: student, lab, question, request, points, answer.

    A request without points is open. Raises ValueError with the line of a request for something that there is not.
    """
    table, waiting = {(r.student, r.lab): r for r in rows}, []
    for number, entry in tables.read(path, ("student", "lab", "question", "request")):
        key, question, points = (entry["student"], entry["lab"]), entry["question"], (entry.get("points") or "").strip()
        if key not in table or question not in table[key].possible:
            raise ValueError(f"{path.name}, line {number}: no question {question!r} of {key[0]!r} in {key[1]!r}")
        r = table[key]
        if not points:
            waiting.append(entry)
            continue
        try:
            value = float(points)
        except ValueError:
            value = -1.0
        if not 0 <= value <= r.possible[question]:
            raise ValueError(f"{path.name}, line {number}: points are {points!r}, {question} has 0 to {r.possible[question]:g}")
        said = f"regraded from {pages.number(r.earned[question])} to {value:g}. {entry.get('answer') or ''}".strip()
        table[key] = replace(r, earned=r.earned | {question: value}, decisions=r.decisions | {question: said})
    return list(table.values()), waiting


def write_regrade(rows, path, given=None):
    """Write regrade.csv for the instructor: the requests in `given` (path or None), each with what was earned and why beside it."""
    table = {(r.student, r.lab): r for r in rows}
    lines = []
    for _, e in (tables.read(given, ("student", "lab", "question", "request")) if given else ()):
        r = table[e["student"], e["lab"]]
        said = r.result.questions.get(e["question"], {}).get("message", "")
        earned = r.earned[e["question"]]
        lines.append([e["student"], e["lab"], e["question"], e["request"], e.get("points", ""), e.get("answer", ""),
                      "" if earned is None else f"{earned:g}", f"{r.possible[e['question']]:g}", said])
    tables.write(path, ["student", "lab", "question", "request", "points", "answer", "earned", "of", "what the check said"], lines)


def reflections(rows, out):
    """Write out/reflections.html: what every student wrote in Markdown, to read beside manual.csv; nothing if there is none."""
    said = []
    for r in sorted((r for r in rows if "reflection" in r.possible), key=lambda r: (r.lab, r.student)):
        texts = "".join(f'<pre tabindex="0">{pages.escape(text)}</pre>' for text in r.result.texts) or "<p>Nothing was written.</p>"
        said.append(f"<h2>{pages.escape(r.student)}, lab {pages.escape(r.lab[:2])}</h2>{texts}")
    if said:
        lead = "Give 0, 1 or 2 in manual.csv for: numbers (are there any, and do they fit?), why (a reason), trade_off (what it costs)."
        build.write(out / "reflections.html", pages.page("Answers to the questions", "\n".join(said), lead=lead))
