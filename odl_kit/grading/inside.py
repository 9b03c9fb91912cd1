"""What runs inside the kernels of the grader: the student's function on the check's cases in one, the judge in the other.

The first has no check in memory and none that it could read: its cases were made elsewhere and lie in its box as a pickle. It leaves
plain values as text. The second reads that text and never meets an object of the student's.
"""
import contextlib
import json
import os
import pickle
import runpy
import signal
import stat
from pathlib import Path

import torch

from odl_kit.grading import copied, jail
from odl_kit.lab import judging
from odl_kit.lab.values import copies, describe

OUTPUT_CHARACTERS = 200_000
CLOCK = 3                               # seconds on the clock for one of processor time
_now = {"error": None, "box": None, "seconds": 0.0}


class TimeIsUp(KeyboardInterrupt):
    """The exercise has used its time. Like Ctrl-C it goes through `except Exception` and through judging.call."""


# ---- where the cases are made: a process that ends right after

def checks_of(lab, private):
    """{question: (exercise, Check)} of a lab: the course's, and those of the instructor's private file as "exercise (private)"."""
    found = {name: (name, check) for name, check in judging.load(lab).checks.items()}
    if private:
        for name, check in runpy.run_path(private)["checks"].items():
            found[f"{name} (private)"] = (name, check)
    return found


def generator(seed, question):
    """The torch.Generator of one question of one student: the same for the answer and for the judge. seed: text."""
    import hashlib
    digest = hashlib.sha256(f"{seed}\0{question}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def write_cases(box, lab, private, seed, questions):
    """Leave the arguments of every question's cases in box/cases-N, pickles. Raises whatever a check raises."""
    checks = checks_of(lab, private)
    for number, question in enumerate(questions):
        cases = [copies(case)[0] for case in checks[question][1].cases(generator(seed, question))]
        if not cases:
            raise ValueError(f"the check {question!r} of {lab} yields no cases")
        (box / f"cases-{number}").write_bytes(pickle.dumps(cases))


# ---- the student's kernel

def begin(box, seconds):
    """First cell: cut the output short, give every cell its time, remember how a cell ended."""
    import sys

    from IPython import get_ipython
    _now.update(box=Path(box), seconds=seconds)
    sys.stdout = _Short(sys.stdout)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):                           # what is written past Python's streams is not listened to
        os.dup2(nowhere, number)
    if limits := os.environ.pop("ODL_LIMITS", ""):  # a kernel without a jail: see run.run_cold
        jail.limit(jail.Limits(**json.loads(limits)))
        os.chdir(box)
    events = get_ipython().events
    events.register("post_run_cell", _ended)
    if hasattr(signal, "setitimer"):                # not on Windows, where nbval's own limit is the first
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, _time_is_up)
        events.register("pre_run_cell", lambda info: _clocks(_now["seconds"]))


def answer(number, exercise, namespace):
    """Run namespace[exercise] on the cases of question `number`; leave what came back in box/answer-N."""
    error, _now["error"] = _now["error"], None
    found = _answer(number, exercise, namespace, error)
    path = _now["box"] / f"answer-{number}"
    path.with_suffix(".part").write_text(json.dumps(found), encoding="utf-8")
    path.with_suffix(".part").replace(path)


def _answer(number, exercise, namespace, error):
    if exercise not in namespace:
        return {"error": "missing", "message": error or f"{exercise} is not defined"}
    fn = namespace[exercise]
    if judging.unwritten(fn) or fn is ...:
        return {"error": "unwritten", "message": "not written yet: `...` still stands in it"}
    outputs = []
    for arguments in pickle.loads((_now["box"] / f"cases-{number}").read_bytes()):
        try:
            verdict, output = judging.call(fn, arguments, len(outputs) + 1)
        except TimeIsUp:
            return {"error": "time", "message": f"still running after {_now['seconds']:g} s", "case": len(outputs) + 1, "outputs": outputs}
        if verdict:
            return {"error": verdict.error, "message": verdict.message, "case": verdict.case_number, "outputs": outputs}
        outputs.append(copied.encode(output))
    return {"error": "", "outputs": outputs, "note": error or ""}


def _time_is_up(number, frame):
    raise TimeIsUp(f"still running after {_now['seconds']:g} s")


def _clocks(seconds):
    """Set both: processor time, so that a busy computer costs nobody a point, and for who only sleeps CLOCK times as much by the clock."""
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
    signal.setitimer(signal.ITIMER_REAL, CLOCK * seconds, 0.5)


def _ended(result):
    if hasattr(signal, "setitimer"):
        _clocks(0)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        with contextlib.suppress(Exception):
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            name = "" if isinstance(error, TimeIsUp) else f"{type(error).__name__}{line}: "
            _now["error"] = f"{name}{error.msg if isinstance(error, SyntaxError) else error}"[:500]


class _Short:
    """A stream that passes on the first OUTPUT_CHARACTERS and drops the rest."""

    def __init__(self, stream):
        self._stream, self._left = stream, OUTPUT_CHARACTERS

    def write(self, text):
        if self._left > 0:
            self._stream.write(text[:self._left])
            self._left -= len(text)
        return len(text)

    def __getattr__(self, name):
        return getattr(self._stream, name)


# ---- the judge's kernel

def judge(box, number):
    """Judge question `number` of box/judge.json on the answers there; leave the verdict in box/verdict-N. AssertionError if it fails."""
    job = json.loads((Path(box) / "judge.json").read_text(encoding="utf-8"))
    question = job["questions"][number]
    verdict = _verdict(checks_of(job["lab"], job["private"])[question][1], generator(job["seed"], question), job["answers"][number])
    (Path(box) / f"verdict-{number}").write_text(json.dumps(verdict), encoding="utf-8")
    assert verdict["passed"], verdict["message"]


def _verdict(check, rng, found):
    """{"passed", "message", "error", "case", "given"} on outputs that were copied out of the student's process."""
    cases = [copies(case)[1] for case in check.cases(rng)]
    for number, (given, text) in enumerate(zip(cases, found["outputs"], strict=False), 1):
        try:
            message = judging.judged(check, given, copied.decode(text))
        except ValueError as error:
            message = str(error)
        if message:
            return {"passed": False, "message": message, "error": "", "case": number, "given": _words(given)}
    if not found["error"] and len(found["outputs"]) == len(cases):
        return {"passed": True, "message": "", "error": "", "case": 0, "given": ""}
    case = found.get("case", 0)
    return {"passed": False, "message": found.get("message") or "not all answers came back", "error": found["error"] or "missing",
            "case": case, "given": _words(cases[case - 1]) if 0 < case <= len(cases) else ""}


def _words(given):
    return ", ".join(map(describe, given))


def read_answer(path):
    """What the student's kernel left at `path`, checked: {"error", "message", "case", "note", "outputs": list of texts}, None if nothing
    readable is there. The file is not trusted: no link is followed, no pipe waited for, no more than 16 MiB read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        about = os.fstat(handle)
        usable = stat.S_ISREG(about.st_mode) and about.st_size <= copied.BYTES
        raw = os.read(handle, copied.BYTES) if usable else b""
        os.close(handle)
    except OSError:
        return None
    try:
        found = json.loads(raw)
        kept = {name: str(found.get(name, ""))[:1000] for name in ("error", "message", "note")}
        outputs = [text for text in found.get("outputs", []) if isinstance(text, str)]
        return kept | {"outputs": outputs, "case": int(found.get("case", 0))}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
