"""What stands in a lab, read from its source and its checks: sections, predictions, exercises, quizzes, questions. Nothing is run."""
import ast
import re
from dataclasses import dataclass

import jupytext

import odl_kit
from odl_kit.lab import judging

HEADING = re.compile(r"^## (?:(\d+) · )?(.+?)(?: · (\d+) min)?\s*$", re.M)


@dataclass(frozen=True)
class Section:
    """A section of a lab: its number (0: it has none, as "Questions"), title, minutes (0: not said), and the ids that stand in it."""
    number: int
    title: str
    minutes: int
    predictions: tuple
    exercises: tuple
    quizzes: tuple


@dataclass(frozen=True)
class Outline:
    """sections; predictions {id: question}, exercises {id: points}, quizzes {id: question}, all in order; questions: those at the end."""
    lab: str
    sections: tuple
    predictions: dict
    exercises: dict
    quizzes: dict
    questions: tuple


def read(lab):
    """The Outline of labs/src/<lab>.py. A prediction whose question is no plain text is given as its id."""
    cells = jupytext.read(odl_kit.home() / "labs" / "src" / f"{lab}.py", fmt="py:percent").cells
    known, headed = judging.load(lab), _by_heading(cells)
    calls = [call for _, calls in headed for call in calls]
    sections = tuple(Section(int(number or 0), title, int(minutes or 0),
                             *(tuple(id for verb, id, _ in calls if verb == wanted) for wanted in ("predict", "check", "quiz")))
                     for (number, title, minutes), calls in headed)
    return Outline(lab, sections, {id: question for verb, id, question in calls if verb == "predict"},
                   {id: known.checks[id].points for verb, id, _ in calls if verb == "check"},
                   {id: known.quizzes[id].question for verb, id, _ in calls if verb == "quiz"},
                   questions(next((cell.source for cell in reversed(cells) if cell.cell_type == "markdown"), "")))


def questions(text):
    """The numbered questions under a heading "Questions" in a Markdown cell, each on one line: tuple of texts."""
    found = re.search(r"^#+ Questions\s*$(.*?)(?=^#|^\*\*|\Z)", text, re.M | re.S)
    items = re.split(r"^\d+\. ", found.group(1) if found else "", flags=re.M)[1:]
    return tuple(" ".join(item.split()) for item in items)


def _by_heading(cells):
    """[((number, title, minutes) as text, [(verb, id, question)])] of every heading of level 2, with the calls of `lab` that follow it."""
    found = []
    for cell in cells:
        if cell.cell_type == "markdown":
            found += [(match.groups(), []) for match in HEADING.finditer(cell.source)]
        elif found:
            found[-1][1].extend(_calls(cell.source))
    return found


def _calls(code):
    """(verb, id, question) of each lab.<verb>("id", ...) in a cell, in its order; the question is the id where it is no plain text."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("lab.")]
    for node in sorted(nodes, key=lambda node: node.lineno):
        texts = [arg.value if isinstance(arg, ast.Constant) and isinstance(arg.value, str) else None for arg in node.args]
        if texts and texts[0] is not None:
            yield ast.unparse(node.func)[4:], texts[0], texts[1] if len(texts) > 1 and texts[1] else texts[0]
