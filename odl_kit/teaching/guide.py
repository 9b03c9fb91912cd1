"""instructor/labs/<lab>.md: one page a lab for who teaches it. The head is written here, from the syllabus, the source and the checks; the
rest by a person, and is never touched.
"""
import re
import sys

import odl_kit
from odl_kit.grading import build, syllabus
from odl_kit.teaching import outline

START = "<!-- written by `odl build` from labs/syllabus.toml, labs/src and labs/checks; what stands below the end mark is yours -->"
END = "<!-- end of what `odl build` writes -->"
TO_WRITE = "TO WRITE"
PLAN, MISTAKES = "## A plan for 50 minutes", "## Common mistakes"
ASK, REFLECT = "## Questions to ask", "## Reflection: what a good answer has"
MINUTES = 50


def path(lab):
    """Where the page of a lab is: instructor/labs/<lab>.md."""
    return odl_kit.home() / "instructor" / "labs" / f"{lab}.md"


def head(lab):
    """What `odl build` writes of the page of `lab` (a syllabus.Lab): Markdown, without the marks."""
    found = outline.read(lab.name)
    facts = {"Part": lab.part, "Minutes": f"{lab.minutes}, an estimate for a student who works alone",
             "Chapter": f"section {', '.join(lab.section)}; in volume 2, *Edge Intelligence*: {lab.volume2}",
             "First do": ", ".join(name[:2] for name in lab.prerequisites) or "nothing", "Data": ", ".join(lab.data) or "made in the lab",
             "Student's notebook": f"[labs/{lab.name}.ipynb](../../labs/{lab.name}.ipynb)",
             "Answers": f"`build/key/{lab.name}.ipynb`, made by `odl build {lab.name[:2]}`; hints, judges, quizzes: "
                        f"[labs/checks/{lab.name}.py](../../labs/checks/{lab.name}.py)"}
    points = {id: f"`{id}` ({_points(found.exercises[id])})" for id in found.exercises}
    rows = [(f"{section.number} · {section.title}" if section.number else section.title, str(section.minutes or ""),
             _code(section.predictions), ", ".join(points[id] for id in section.exercises), _code(section.quizzes))
            for section in found.sections]
    total = _points(sum(found.exercises.values()))
    rows.append((f"{len(rows)} sections", str(sum(section.minutes for section in found.sections)), str(len(found.predictions)), total,
                 str(len(found.quizzes))))
    asked = "\n".join(f"{number}. {question}" for number, question in enumerate(found.questions, 1))
    return "\n".join([_table(("", ""), facts.items()), "",
                      _table(("Section", "Minutes", "Predictions", "Exercises", "Quizzes"), rows), "",
                      "**Reflection questions**", "", asked])


def page(text, lab):
    """`text` (a page) with the head of `lab` between its marks, under the lab's title. Raises ValueError if a mark is not there once."""
    for mark in (START, END):
        if text.count(mark) != 1:
            raise ValueError(f"{path(lab.name).name} has the line {mark!r} {text.count(mark)} times, it must stand there once")
    return f"# {lab.name[:2]} · {lab.title}\n\n{START}\n\n{head(lab)}\n\n{END}{text.split(END)[1]}"


def skeleton(lab):
    """A new page of `lab`: its head, and what a person has to write."""
    found = outline.read(lab.name)
    steps = {"0-5": "predictions, hands up", "5-45": "the sections that matter most", "45-50": "what to keep"}
    plan = _table(("Minutes", "What"), [(span, f"{TO_WRITE}: {what}") for span, what in steps.items()])
    mistakes = "\n".join(f"- `{id}`: {TO_WRITE}" for id in found.exercises)
    reflect = "\n".join(f"{number}. {TO_WRITE}" for number, _ in enumerate(found.questions, 1))
    parts = [(PLAN, plan), (MISTAKES, mistakes), (ASK, f"- {TO_WRITE}"), (REFLECT, reflect)]
    return page(f"{START}{END}\n\n" + "\n\n".join(f"{heading}\n\n{body}" for heading, body in parts) + "\n", lab)


def problems(lab):
    """What the page of `lab` lacks: list of sentences, none if it is there, current, and written to its end."""
    if not path(lab.name).is_file():
        return [f"{path(lab.name).name} is not there: run `odl build {lab.name[:2]}`, then write its parts"]
    text, outlined = path(lab.name).read_text(encoding="utf-8"), outline.read(lab.name)
    found = [] if page(text, lab) == text else [f"its head is not current: run `odl build {lab.name[:2]}`"]
    found += [f"{text.count(TO_WRITE)} places still say {TO_WRITE!r}"] if TO_WRITE in text else []
    parts = {heading: "\n".join(re.findall(rf"^{re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)).strip()
             for heading in (PLAN, MISTAKES, ASK, REFLECT)}
    found += [f"nothing stands under {heading!r}" for heading, body in parts.items() if not body]
    spans = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)-(\d+) \|", parts[PLAN], re.M)]
    if [0, *(b for _, b in spans)] != [*(a for a, _ in spans), MINUTES]:
        found.append(f"its plan goes {spans}: every row begins where the last ends, from 0 to {MINUTES}")
    found += [f"no mistake of exercise {id!r} is named" for id in outlined.exercises if f"`{id}`" not in parts[MISTAKES]]
    answers = len(re.findall(r"^\d+\. ", parts[REFLECT], re.M))
    if answers != len(outlined.questions):
        found.append(f"{answers} answers for {len(outlined.questions)} reflection questions")
    return found


def write():
    """Bring the heads of all pages up to date, and begin those that are missing. Returns False, with a line, if a lab cannot be read."""
    well = True
    for lab in syllabus.load():
        try:
            file = path(lab.name)
            build.write(file, page(file.read_text(encoding="utf-8"), lab) if file.is_file() else skeleton(lab))
        except Exception as error:          # a lab that somebody is still writing must not keep the others from their pages
            print(f"instructor/labs/{lab.name}.md: not written: {type(error).__name__}: {error}", file=sys.stderr)
            well = False
    return well


def _points(points):
    return f"{points:g} point{'' if points == 1 else 's'}"


def _code(ids):
    return ", ".join(f"`{id}`" for id in ids)


def _table(names, rows):
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
