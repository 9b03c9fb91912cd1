"""Records of a lab's checks and quizzes, and the judge's run of a student's function. No screen here: the notebook and the grader share it.

A file `labs/checks/<lab>.py` defines `checks = {id: Check(...)}` and `quizzes = {id: Quiz(...)}`; it uses NumPy on plain values and
nothing of the kit that a student could replace.
"""
import ast
import functools
import inspect
import linecache
import re
import runpy
import textwrap
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

import odl_kit
from odl_kit.lab.values import article, close, copies, describe, holds, plain, plain_input

__all__ = ["Check", "LabChecks", "Quiz", "Verdict", "call", "close", "define", "import_cell", "judged", "kit_version", "load", "plain",
           "plain_input", "run", "unwritten"]


@dataclass(frozen=True)
class Check:
    """One exercise; its function is named like the check.

    cases(rng) yields argument tuples; judge(case, output) returns None or a sentence, both on plain copies; the second
    of the two hints is the stronger; `solution` and the two `wrong` answers are source texts of the whole exercise cell.
    """
    points: float
    cases: Callable
    judge: Callable
    hints: tuple[str, str]
    solution: str
    wrong: tuple[str, str]

    def __post_init__(self):
        for name in ("hints", "wrong"):
            texts = getattr(self, name)
            if len(texts) != 2 or not all(isinstance(t, str) and t.strip() for t in texts):
                raise ValueError(f"a check needs two texts as {name}, this one has {texts!r}")
        if not self.points > 0:
            raise ValueError(f"a check needs points above 0, this one has {self.points}")


@dataclass(frozen=True)
class Quiz:
    """One question. options: {text: (is_right, reason)}; exactly one is right and each has a reason, else ValueError."""
    question: str
    options: dict[str, tuple[bool, str]]

    def __post_init__(self):
        right = [text for text, (is_right, _) in self.options.items() if is_right]
        if len(right) != 1 or len(self.options) < 2:
            count = f"{len(self.options)} options, {len(right)} of them right"
            raise ValueError(f"quiz {self.question!r} has {count}: it needs two or more, exactly one of them right")
        for text, (_, reason) in self.options.items():
            if not (isinstance(reason, str) and reason.strip()):
                raise ValueError(f"quiz {self.question!r}: the option {text!r} has no reason")

    @property
    def right(self):
        """The text of the right option."""
        return next(text for text, (is_right, _) in self.options.items() if is_right)


@dataclass(frozen=True)
class LabChecks:
    """What `load` returns: checks {id: Check} and quizzes {id: Quiz} of one lab."""
    checks: dict[str, Check] = field(default_factory=dict)
    quizzes: dict[str, Quiz] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """passed; case_number of the first case that failed (from 1; 0 if none did or none ran); message for the student ("" when passed);
    error: "" (judged), "unwritten", "not a function", "raised" or "not plain"; given: the inputs of the failed case, in words."""
    passed: bool
    case_number: int = 0
    message: str = ""
    error: str = ""
    given: str = ""


def load(lab_name):
    """The checks and quizzes of a lab, read fresh from labs/checks/<lab_name>.py; a lab without that file has none of either."""
    path = odl_kit.home() / "labs" / "checks" / f"{lab_name}.py"
    found = runpy.run_path(str(path)) if path.is_file() else {}
    return LabChecks(checks=dict(found.get("checks", {})), quizzes=dict(found.get("quizzes", {})))


def run(check, fn, *, rng):
    """Judge the student's `fn` on the cases of `check`, made with `rng` (torch.Generator). Returns a Verdict; stops at the first miss.

    All cases exist before `fn` first runs; `fn` gets copies of its own, the judge plain copies that were made before. Whatever `fn` raises
    becomes a sentence with the student's own line; only KeyboardInterrupt passes through.
    """
    if fn is ... or unwritten(fn):
        return Verdict(False, message="not written yet: `...` still stands in it", error="unwritten")
    if not callable(fn):
        what = f"expected a function, got {article(type(fn).__name__)}: hand over its name without calling it"
        return Verdict(False, message=what, error="not a function")
    cases = [copies(case) for case in check.cases(rng)]
    if not cases:
        raise ValueError("this check has no cases, so everything would pass: let cases(rng) yield at least one")
    for number, (arguments, given) in enumerate(cases, 1):
        inputs = ", ".join(map(describe, given))
        missed, output = call(fn, arguments, number)
        if missed:
            return replace(missed, given=inputs)
        if message := judged(check, given, output):
            return Verdict(False, number, message, given=inputs)
    return Verdict(True)


def call(fn, arguments, number=1):
    """One case, the number-th, without its judge: (None, plain copy of what `fn` returned), or (Verdict, None): nothing to judge.

    Whatever `fn` raises becomes a sentence with the student's own line; only KeyboardInterrupt passes through.
    """
    only_torch = holds(arguments, torch.Tensor) and not holds(arguments, np.ndarray)
    try:
        output = fn(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:                  # SystemExit and odd classes too: a student's function must not end the lab
        return Verdict(False, number, _stopped(fn, error), "raised"), None
    try:
        copied = plain(output)
        if only_torch and holds(output, np.ndarray):
            raise TypeError("the result holds a NumPy array, the inputs are torch tensors: return torch tensors too")
    except Exception as error:
        return Verdict(False, number, str(error), "not plain"), None
    return None, copied


def judged(check, case, output):
    """What the check's judge says about one plain output: None or a sentence, also where the judge cannot use the output."""
    try:
        message = check.judge(case, output)
    except Exception as error:                      # a judge may take the type of the output for granted
        return f"the check cannot use what came back, {describe(output)} ({type(error).__name__}: {error})"
    if message is not None and not (isinstance(message, str) and message.strip()):
        raise TypeError(f"a judge returns None or a sentence, this one returned {message!r}")
    return message


def _stopped(fn, error):
    """One sentence: the student's own line (the last one in the file that holds `fn`) and what Python says about it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = [f for f in frames if inspect.isfunction(fn) and f.filename == fn.__code__.co_filename] or frames
    where = f" in line {own[-1].lineno}, `{own[-1].line}`," if own and own[-1].line else ""
    try:
        said = str(error)
    except Exception:
        said = ""
    return f"your function stopped{where} with {type(error).__name__}{': ' + said.splitlines()[0][:300] if said else ''}"


def unwritten(fn):
    """True if `...` still stands in the source of `fn`, other than inside square brackets, as in `x[..., 0]` or `tuple[int, ...]`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except Exception:                               # no source to be had (typed at a prompt, a builtin, not a function): let it run
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            node.slice = ast.Constant(0)
    return any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(tree))


def define(source, namespace, name):
    """Execute `source` in `namespace` (changed in place, returned) under a file name, so that tracebacks and inspect can show its lines."""
    filename = f"<{name} {zlib.crc32(source.encode()):08x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)
    return namespace


def import_cell(lab_name):
    """The text of the cell tagged "imports" of labs/src/<lab_name>.py (jupytext percent format), "" if the lab has none."""
    path = odl_kit.home() / "labs" / "src" / f"{lab_name}.py"
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8") if path.is_file() else "", flags=re.M)[1:]
    tagged = [cell.split("\n", 1)[1] for cell in cells if re.search(r'tags=\[[^\]]*"imports"', cell.split("\n", 1)[0])]
    return "".join(tagged)


@functools.cache
def _solved(lab_name, imports, solution):
    namespace = define(imports, {"__name__": f"kit_{lab_name}"}, f"imports of {lab_name}")
    return define(solution, namespace, f"solution in {lab_name}")


def kit_version(lab_name, id):
    """The kit's object for an exercise: what its solution defines as `id` in a namespace made from the lab's import cell.

    Raises KeyError for an unknown id, or if the solution does not define it.
    """
    check = load(lab_name).checks[id]
    namespace = _solved(lab_name, import_cell(lab_name), check.solution)
    if id not in namespace:
        raise KeyError(f"the solution of check {id!r} in lab {lab_name} does not define {id!r}")
    return namespace[id]
