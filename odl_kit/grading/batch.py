"""A class: every submission graded once, whatever happens to the others, and nothing graded twice after Ctrl-C or a crash.

A result lies in OUT/results under the hash of all that it rests on: the file, the lab with its checks and the kit, the student's seed, the
limits, the grader. So a changed file, check or limit is graded anew, and nothing else is. Results that are our failure are never kept.
"""
import hashlib
import json
import queue
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict

import nbformat

from odl_kit.grading import build, convert, course, judge, warm


def counting(submissions, about):
    """The submissions that count: of each student and lab the last, or all where the best is kept; files beyond `attempts` do not.

    about: the course's Course. Returns (list of Submission, {path: how many attempts there were}).
    """
    groups, chosen, tries = {}, [], {}
    for s in submissions:
        groups.setdefault((s.student, s.lab), []).append(s)
    for (_, lab), files in groups.items():
        rules = about.labs.get(lab, {})
        allowed = files[:rules.get("attempts", len(files))]
        kept = allowed if rules.get("keep") == "best" else allowed[-1:]
        chosen += kept
        tries |= {s.path: len(files) for s in kept}
    return chosen, tries


def control(lab, worker, limits):
    """Why `lab` cannot be graded on this computer, "" if it can: its solutions must earn everything, its stubs nothing.

    Whatever fails here is ours: a check, the jail, the limits, an installation. So a failure later is the student's.
    """
    for what, notebook, wanted in (("the solutions", convert.key(lab.student), True), ("the untouched stubs", lab.student, False)):
        result = judge.grade(nbformat.writes(notebook).encode(), lab, worker, limits, seed="control")
        if result.blame:
            return f"{what} of {lab.name} could not be graded: {result.problem}"
        if wrong := [f"{q} ({v['message'] or 'passes'})" for q, v in result.questions.items() if v["passed"] != wanted]:
            return f"{what} of {lab.name} do not get what they should: {'; '.join(wrong)}"
    return ""


def grade(submissions, labs, about, limits, *, out, workers=1, again=(), progress=lambda: None, say=lambda line: None):
    """{path: judge.Result} of all submissions. labs: {stem: judge.Lab}. about: Course. out: folder (Path). again: students to grade anew.

    progress() is called after each submission, say(line) is the log. Ctrl-C ends every process, keeps what was graded, and goes on as
    KeyboardInterrupt; nothing that a submission does raises here.
    """
    found, todo = {}, {}
    for s in submissions:
        kept = None
        if s.problem or s.lab not in labs:
            kept = judge.Result(s.lab, "file", s.problem or f"{s.lab} is not graded here")
        elif s.student not in again and (kept := _kept(_place(s, labs, about, limits, out))):
            say(f"{s.path}: was graded before")
        if kept:
            found[s.path] = kept
            progress()
        else:
            todo.setdefault(s.lab, []).append(s)
    for name, files in sorted(todo.items()):
        for s, result in _grade_lab(labs[name], files, about, limits, out, workers, say):
            found[s.path] = result
            say(f"{s.path}: {words(result)}")
            progress()
    return found


def _grade_lab(lab, files, about, limits, out, workers, say):
    """Yields (submission, result) as they come. Every worker has the lab's imports in memory."""
    imports = "".join(cell.source for cell in lab.reference.cells if convert.role(cell, "imports"))
    team, idle = [warm.Worker(imports) for _ in range(min(workers, len(files)))], queue.SimpleQueue()
    try:
        if problem := control(lab, team[0], limits):
            say(f"{lab.name}: OURS: {problem}")
            yield from ((s, judge.Result(lab.name, "ours", problem)) for s in files)
            return
        for worker in team:
            idle.put(worker)
        with ThreadPoolExecutor(len(team)) as pool:
            futures = {pool.submit(_one, s, lab, idle, limits, about): s for s in files}
            try:
                for future in as_completed(futures):
                    s, result = futures[future], future.result()
                    if not result.blame:
                        build.write(_place(s, {lab.name: lab}, about, limits, out), json.dumps(asdict(result)) + "\n")
                    yield s, result
            except BaseException:
                for future in futures:
                    future.cancel()
                for worker in team:
                    worker.stop()
                raise
    finally:
        for worker in team:
            worker.stop()


def _one(s, lab, idle, limits, about):
    """The result of one submission; whatever goes wrong in our own code is ours."""
    worker = idle.get()
    try:
        return judge.grade(s.raw, lab, worker, limits, seed=course.seed_of(about, lab.name, s.student))
    except InterruptedError:
        raise
    except Exception:
        return judge.Result(lab.name, "ours", f"the grader failed: {traceback.format_exc(limit=-3)}")
    finally:
        idle.put(worker)


def _place(s, labs, about, limits, out):
    """Where the result of a submission lies."""
    total = hashlib.sha256(s.raw)
    total.update(json.dumps([labs[s.lab].digest, course.seed_of(about, s.lab, s.student), asdict(limits)]).encode())
    return out / "results" / f"{total.hexdigest()[:40]}.json"


def _kept(path):
    """The result at `path`, None if there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return judge.Result(**{name: tuple(v) if name in ("held", "texts") else v for name, v in found.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def words(result):
    """A result as one line of the log."""
    if result.blame:
        return f"{'no notebook could be read' if result.blame == 'file' else 'OUR FAILURE'}: {result.problem}"
    said = ", ".join(f"{q} {'passed' if v['passed'] else 'failed (' + (v['error'] or 'wrong') + ')'}" for q, v in result.questions.items())
    return f"{said}; {result.seconds:.1f} s"
