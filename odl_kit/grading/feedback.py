"""One small page a student: what was asked, what failed in words, a hint. Never a check's code, and of a private check not its inputs."""
import ast

from odl_kit.grading import build, convert, inside, pages


def write(rows, labs, about, out):
    """Write out/feedback/<student>.html for every student in `rows`. labs {stem: judge.Lab}; about: Course. Returns {student: path}."""
    found = {}
    for student in sorted({r.student for r in rows}):
        mine = sorted((r for r in rows if r.student == student), key=lambda r: r.lab)
        path = out / "feedback" / f"{pages.file_name(student)}.html"
        build.write(path, page(student, mine, labs, about))
        found[student] = path
    return found


def page(student, rows, labs, about):
    """The page of one student as text."""
    name = next((r.submission.name for r in rows if r.submission.name), "")
    return pages.page(f"Feedback for {name or student}", "\n".join(_lab(r, labs.get(r.lab)) for r in rows), lead=about.title)


def _lab(row, lab):
    head = f"<h2>{pages.escape(pages.title(row.lab))}</h2>\n<p>File: <code>{pages.escape(row.submission.path)}</code></p>"
    if row.result.blame == "ours":
        return f"{head}\n<p>This lab could not be graded yet, and that is not your doing. You need not do anything.</p>"
    if row.result.blame:
        why = pages.escape(_sentence(row.result.problem))
        return (f'{head}\n<p class="bad">No answers could be read. {why}</p>\n<p>Open the notebook in JupyterLab. If it opens there, '
                " save it and hand that file in again.</p>")
    total = f"<p><strong>{pages.number(row.total)} of {pages.number(row.maximum)} points</strong>{_late(row)}</p>"
    lines = [(q, pages.Html(_mark(row, q)), f"{pages.number(row.earned[q])} of {pages.number(points)}")
             for q, points in row.possible.items()]
    overview = pages.table("Points by question", ("question", "result", "points"), lines, numbers=(2,))
    checks = inside.checks_of(row.lab, lab.private)
    cards = [_card(row, lab, q, checks) for q in row.result.questions if _worth(row, q)]
    decided = [f"<p>{pages.escape(q)}: {pages.escape(said)}</p>" for q, said in row.decisions.items()]
    said = f"<p>Comment on your answers to the questions: {pages.escape(row.comment)}</p>" if row.comment else ""
    return "\n".join([head, total, overview, *cards, *decided, said])


def _late(row):
    if not row.late_days:
        return ""
    return f", {row.late_days} day{'s' * (row.late_days > 1)} late: {100 * row.penalty:g} % of what was earned is taken off"


def _mark(row, question):
    if row.earned[question] is None:
        return '<span class="soft">not graded yet</span>'
    if question not in row.result.questions:
        return '<span class="soft">graded by hand</span>'
    if row.result.questions[question]["passed"]:
        return '<span class="good">✓ passed</span>'
    unwritten = row.result.questions[question]["error"] == "unwritten"
    return f'<span class="bad">{"○ not written" if unwritten else "✗ failed"}</span>'


def _worth(row, question):
    return not row.result.questions[question]["passed"] or row.result.questions[question]["note"]


def _card(row, lab, question, checks):
    verdict, (exercise, check) = row.result.questions[question], checks[question]
    said = [f"<h3>{pages.escape(question)}</h3>", f"<p>Asked: {pages.words(asked(lab.student, exercise))}</p>"]
    if not verdict["passed"]:
        if verdict["given"] and question == exercise:
            said.append(f"<p>Case {verdict['case']}: <code>{pages.escape(exercise)}({pages.escape(verdict['given'])})</code></p>")
        said.append(f"<p>What happened: {pages.escape(_sentence(verdict['message']))}</p>")
        if "is not defined" in verdict["message"] and f"{exercise} is not defined" not in verdict["message"]:
            said.append("<p>Only the import cell and your answers are run: a name from another cell of the lab is not there.</p>")
        said.append(f"<p>Hint: {pages.words(check.hints[0])}</p>")
        stronger = f"<summary>A stronger hint for {pages.escape(question)}</summary><p>{pages.words(check.hints[1])}</p>"
        said.append(f"<details>{stronger}</details>")
    if verdict["note"]:
        said.append(f"<p>Note: {pages.escape(_sentence(verdict['note']))}</p>")
    return f'<section class="card{" fine" if verdict["passed"] else ""}">{"".join(said)}</section>'


def asked(student_notebook, exercise):
    """What an exercise asks for: the docstring of its stub, or its first line of code."""
    cell = next(cell for cell in student_notebook.cells if convert.role(cell, "exercise") == exercise)
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            return f"`{node.name}`: {' '.join(ast.get_docstring(node).split())}"
    return f"`{cell.source.splitlines()[0]}`"


def _sentence(text):
    return text + ("" if text[-1:] in ".!?" else ".")
