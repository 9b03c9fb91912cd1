"""`odl grade`: a class's submissions -> grades.csv, a page for every student, a report, a log.

    OUT/grades.csv, lms/*.csv       points by question; the same for Canvas, Moodle, Gradescope
    OUT/feedback/<student>.html     what was asked, what failed in words, a hint
    OUT/report.html, grade.log      the class on one page; what happened, line by line
    OUT/results/                    what was graded already; seed.txt: keep it, and keep it from students
    OUT/manual.csv, reflections.html, regrade.csv       points by hand: fill in, run again
"""
import argparse
import datetime
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from odl_kit.grading import batch, build, collect, course, feedback, gradebook, grades, inside, jail, manual, report


def grade(place, out, about, limits, *, workers=1, again=(), only=(), deadline=None, times=None, manual_csv=None, regrade_csv=None,
          bar=None):
    """Grade everything in `place` and write OUT. about: Course. only: stems of labs, all if empty. times: grades.times(...) or None.

    Returns the rows (list of grades.Row). Raises ValueError or OSError for what the instructor must mend first.
    """
    out.mkdir(parents=True, exist_ok=True)
    about = about if about.seed else replace(about, seed=_seed(out / "seed.txt"))
    names = [source.stem for source in build.sources(only)]
    everything = collect.collect(place, [source.stem for source in build.sources()])
    chosen, tries = batch.counting([s for s in everything if s.lab in names or not s.lab], about)
    if unknown := [student for student in again if student not in {s.student for s in chosen}]:
        raise ValueError(f"--again {', '.join(unknown)}: no such student; there are {', '.join(sorted({s.student for s in chosen})[:20])}")
    labs = {name: course.lab(about, name) for name in sorted({s.lab for s in chosen if s.lab})}
    with tqdm(total=len(chosen), unit="file", disable=bar is False) as shown, open(out / "grade.log", "a", encoding="utf-8") as log:
        def say(line):
            log.write(f"{datetime.datetime.now().isoformat(timespec='seconds')} {line}\n")
            log.flush()
        say(f"begin: {len(everything)} files in {place}, {len(chosen)} count; {limits}")
        results = batch.grade(chosen, labs, about, limits, out=out, workers=workers, again=again, progress=lambda: shown.update(1), say=say)
    rows = [grades.row(s, results[s.path], about, attempts=tries[s.path], deadline=deadline, when=_when(s, times)) for s in chosen]
    return _write(grades.best(rows), labs, about, out, manual_csv or out / "manual.csv", regrade_csv)


def _write(rows, labs, about, out, manual_csv, regrade_csv):
    if manual_csv.is_file():
        rows = manual.with_manual(rows, manual_csv)
    manual.write_manual(rows, out / "manual.csv")
    manual.reflections(rows, out)
    decided, waiting = manual.with_regrades(rows, regrade_csv) if regrade_csv else (rows, [])
    manual.write_regrade(rows, out / "regrade.csv", regrade_csv)
    rows = decided
    gradebook.write(rows, out)
    checks = {name: inside.checks_of(name, lab.private) for name, lab in labs.items()}
    report.write(rows, about, out, feedback=feedback.write(rows, labs, about, out), pairs=report.find_alike(rows, checks), waiting=waiting)
    return rows


def _when(submission, times):
    return (times or {}).get((submission.student, submission.lab)) or (times or {}).get((submission.student, ""))


def _seed(path):
    """The seed kept at `path`, made there the first time."""
    if not path.is_file():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(16) + "\n")
    return path.read_text(encoding="utf-8").strip()


def summary(rows, out, seconds):
    """The last line: what happened."""
    ours, broken = (sum(r.result.blame == blame for r in rows) for blame in ("ours", "file"))
    said = [f"{len(rows) - ours - broken} graded", *([f"{broken} could not be read (0 points, see the report)"] if broken else []),
            *([f"{ours} NOT GRADED, our failure (see the report, run again)"] if ours else [])]
    waiting = sum("reflection" in r.earned and r.earned["reflection"] is None for r in rows)
    return f"{', '.join(said)}{f', {waiting} wait for points in manual.csv' if waiting else ''}: {out / 'report.html'} ({seconds:.0f} s)"


def notice(rows):
    """What a submission could have done because a layer of the jail is missing here; "" if none is."""
    runs = [r.result.held for r in rows if r.result.questions]
    missing = [layer for layer in jail.LAYERS if not all(any(name.startswith(layer) for name in held) for held in runs)]
    return "\n".join(f"NOTICE: no {layer} on this computer: a submission could {jail.LAYERS[layer]}" for layer in missing)


def main(argv=None):
    """`odl grade SUBMISSIONS --out DIR ...`. Returns 0 if every file has its grade, 1 if one has none by our failure, 2 for a wrong
    command line or course, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="odl grade", description="Grade a class's notebooks; run again, it goes on.")
    parser.add_argument("submissions", help="a folder, a zip, or an export of Canvas, Moodle or Gradescope")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="where grades, pages and the log go; no student may read it")
    parser.add_argument("--course", metavar="FILE", help="points, deadlines, seed, private checks: see odl_kit/grading/course.py")
    parser.add_argument("--lab", action="append", default=[], help="only this lab; may be given again")
    parser.add_argument("-j", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N", help="submissions at a time (%(default)s)")
    parser.add_argument("--timeout", type=float, default=20, metavar="S", help="seconds of processor time for one exercise (20)")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB", help="memory of one submission (1024)")
    parser.add_argument("--deadline", type=_time, metavar="TIME", help="as 2027-03-01T23:59:00+01:00, where the course has none")
    parser.add_argument("--times", type=Path, metavar="CSV", help="student, lab, time: when each was handed in")
    parser.add_argument("--again", action="append", default=[], metavar="STUDENT", help="grade this student anew")
    parser.add_argument("--manual", type=Path, metavar="CSV", help="points for reflection questions (DIR/manual.csv)")
    parser.add_argument("--regrade", type=Path, metavar="CSV", help="regrade requests and their decisions")
    options = parser.parse_args(argv)
    begin = datetime.datetime.now()
    try:
        if options.j < 1 or options.timeout <= 0 or options.memory < 64:
            raise ValueError(f"-j {options.j} --timeout {options.timeout:g} --memory {options.memory}: at least 1, above 0 and at least 64")
        about = course.load(options.course) if options.course else course.Course()
        limits, times = jail.Limits(options.timeout, options.memory), grades.times(options.times) if options.times else None
        rows = grade(options.submissions, options.out, about, limits, workers=options.j, again=options.again, only=options.lab, times=times,
                     deadline=options.deadline, manual_csv=options.manual, regrade_csv=options.regrade)
    except (ValueError, OSError) as error:
        print(f"odl grade: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C; what was graded is kept: the same command goes on from here", file=sys.stderr)
        return 130
    if said := notice(rows):
        print(said)
    print(summary(rows, options.out, (datetime.datetime.now() - begin).total_seconds()))
    return int(any(r.result.blame == "ours" for r in rows))


def _time(text):
    when = datetime.datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone: add +01:00 or Z")
    return when
