"""One submission: the student's run, the judge's run, a verdict a question. Blame is given three ways and never guessed.

    student   the answer is wrong, raises, takes too long, ends its process: no points for that question, the others are graded
    file      no notebook could be read out of what was handed in: no points, and the file wants a look
    ours      the cases, the jail, the judge or this computer failed: no grade at all, until it is graded again
"""
import contextlib
import json
import os
import tempfile
import xml.etree.ElementTree as xml
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import nbformat

from odl_kit.grading import graft, inside, jail, warm

REASONS = {"died": "its process ended while this exercise ran: it left Python, crashed, or was out of memory",
           "time": "it still ran after {seconds:g} s and could not be interrupted",
           "memory": "it used more than {memory_mb} MB of memory",
           "processes": "it started more than {processes} processes",
           "disk": "it wrote more than {disk_mb} MB or too many files",
           "output": "it printed so much, or such garbage, that nothing could be read any more",
           "broken": "it ended the process that ran it",
           "done": "no answer came back: the cell that asks for it did not get to its end"}
OURS = {"jail": "the jail could not be closed: {log}", "cases": "a check could not make its cases: {log}"}


@dataclass(frozen=True)
class Lab:
    """What a lab is graded with. questions {question: exercise}; student and reference: notebooks (nbformat); private: path of the
    instructor's checks or None; more: paths that only the judge may read; digest: of all that a verdict rests on."""
    name: str
    questions: dict
    student: nbformat.NotebookNode
    reference: nbformat.NotebookNode
    private: str | None
    more: tuple
    digest: str


@dataclass(frozen=True)
class Result:
    """Of one file. blame: "" (graded), "file" or "ours", with problem as its sentence. questions {question: {"passed", "error", "message",
    "case", "given", "note"}}. held: the layers of the jail that held in every run. seconds: on the clock."""
    lab: str
    blame: str = ""
    problem: str = ""
    questions: dict = field(default_factory=dict)
    held: tuple = ()
    seconds: float = 0.0
    cells: dict = field(default_factory=dict)
    texts: tuple = ()


def grade(raw, lab, worker, limits, *, seed):
    """The Result of the notebook file `raw` (bytes) for `lab`. worker: a warm.Worker. seed: text that the cases are drawn from."""
    try:
        given = graft.answers(raw, lab.student)
    except ValueError as error:
        return Result(lab.name, "file", str(error))
    found, held, seconds, problem = _answer(given, lab, worker, limits, seed)
    if not problem:
        found, more, took, problem = _judge(found, lab, worker, limits, seed)
        held, seconds = [layer for layer in held if layer in more], seconds + took
    if problem:
        return Result(lab.name, "ours", problem, held=tuple(held), seconds=seconds)
    questions = {q: verdict | {"note": " ".join(filter(None, [given.notes[lab.questions[q]], verdict["note"]]))}
                 for q, verdict in found.items()}
    return Result(lab.name, "", "", questions, tuple(held), round(seconds, 2), given.cells, given.texts)


def _answer(given, lab, worker, limits, seed):
    """Run the answers, again without the culprit if a run was ended: ({question: what came back}, layers, seconds, problem of ours)."""
    found, todo, seconds, held = {}, dict(enumerate(lab.questions.items())), 0.0, None
    while todo:
        begun = min(todo)

        def job(folder, todo=todo):
            box = folder / "box"
            nbformat.write(graft.notebook(lab.reference, given.cells, todo, box=box, seconds=limits.seconds), folder / "notebook.ipynb")
            return {"cases": {"lab": lab.name, "private": lab.private, "seed": seed, "questions": list(lab.questions)}, "more": [],
                    "wall_s": 60 + 2 * len(todo) * (inside.CLOCK * limits.seconds + 1)}

        with _run(job, worker, limits) as (ended, box):
            seconds, held = seconds + ended["seconds"], ended["held"] if held is None else [x for x in held if x in ended["held"]]
            if ended["ended"] in OURS:
                return {}, held, seconds, OURS[ended["ended"]].format(log=ended["log"])
            for number in list(todo):
                if (answer := inside.read_answer(box / f"answer-{number}")) is not None:
                    found[todo.pop(number)[0]] = answer
            slow = any("Timeout of" in text for _, text in _junit(box.parent / "junit.xml"))
        if todo and (begun == min(todo) or slow or ended["ended"] == "done"):
            how = "time" if slow else ended["ended"]
            found |= _failed(todo, how, REASONS[how].format(**asdict(limits)))
    return found, held or [], seconds, ""


def _failed(todo, how, message):
    """Take the first exercise out of `todo`, the one during which the run ended: {question: what stands for its answer}.

    Only where it was the first of its run, or nbval names it: else one before it may have done the harm, and it gets a run of its own.
    """
    culprit = todo[min(todo)][1]
    numbers = [number for number, (_, exercise) in todo.items() if exercise == culprit]
    return {todo.pop(number)[0]: {"error": how, "message": message, "case": 0, "note": "", "outputs": []} for number in numbers}


def _judge(found, lab, worker, limits, seed):
    """Judge what came back: ({question: verdict}, layers, seconds, problem of ours). A question passes if its cell passed in nbval."""
    questions = list(lab.questions)
    todo = {"lab": lab.name, "private": lab.private, "seed": seed, "questions": questions, "answers": [found[q] for q in questions]}

    def job(folder):
        box = folder / "box"
        (box / "judge.json").write_text(json.dumps(todo), encoding="utf-8")
        nbformat.write(graft.judges(range(len(questions)), box=box), folder / "notebook.ipynb")
        return {"cases": None, "more": list(lab.more), "wall_s": 60 + len(questions) * inside.CLOCK * limits.seconds}

    with _run(job, worker, replace(limits, memory_mb=max(limits.memory_mb, jail.Limits.memory_mb))) as (ended, box):
        passed = _junit(box.parent / "junit.xml")
        if ended["ended"] != "done" or len(passed) != len(questions):
            return {}, ended["held"], ended["seconds"], f"the judge's run did not end well ({ended['ended']}): {ended['log']}"
        verdicts = {}
        for number, question in enumerate(questions):
            path = box / f"verdict-{number}"
            if not path.is_file():
                return {}, ended["held"], ended["seconds"], f"the check {question!r} itself failed: {passed[number][1][-300:]}"
            verdict = json.loads(path.read_text(encoding="utf-8"))
            verdicts[question] = verdict | {"passed": verdict["passed"] and passed[number][0], "note": found[question]["note"]}
        return verdicts, ended["held"], ended["seconds"], ""


@contextlib.contextmanager
def _run(job, worker, limits):
    """Run job(folder) in a temporary folder that is gone afterwards, whatever lies in it: yields (how it ended, its box)."""
    folder = Path(tempfile.mkdtemp(prefix="odl-"))
    box = folder / "box"
    try:
        os.chmod(folder, 0o711)                     # its name is the key: the jail's user passes through and lists nothing
        paths = {"notebook": str(folder / "notebook.ipynb"), "box": str(box), "limits": asdict(limits)}
        for _ in range(2):                          # a worker that is gone is asked once more: another submission may have hurt it
            warm.remove(box)
            box.mkdir(mode=0o700)
            ended = worker.run(job(folder) | paths)
            if ended["ended"] != "broken":
                break
        yield ended | {"log": _tail(folder)}, box
    finally:
        warm.remove(folder)


def _tail(folder):
    """The last words of a run that failed."""
    files = [path for path in (folder / "jail.json", folder / "run.log") if path.is_file()]
    said = [path.read_text(encoding="utf-8", errors="replace")[-400:] for path in files]
    return " ".join(" ".join(said).split())[-600:]


def _junit(path):
    """[(passed, text of the failure)] of the cells in a junit.xml, in order; empty if there is none, or one that is no reasonable size."""
    if not path.is_file() or path.stat().st_size > 16 * 2**20:
        return []
    found = []
    for case in xml.parse(path).getroot().iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
        found.append((not bad, " ".join((child.text or "") for child in bad)))
    return found
