"""How long a class takes to grade, in what memory, and what the warm process saves.

    python benchmarks/grading.py [STUDENTS]         200 students on 2 workers, under four minutes on two quiet cores

The class is made: of every exercise of lab 11 each student has the solution, one of the two wrong answers, or the untouched stub, drawn at
random with a comment of their own. Clock times depend on what else the computer does: its load stands beside them.
"""
import csv
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import record

from odl_kit.grading import answers, build, convert, course, jail, judge, warm
from odl_kit.lab import judging

LAB, WORKERS = "11_fedavg", 2
PROBES = 3                  # runs of one submission by a warm worker and by cold ones


def make(folder, students):
    """Write the class into `folder`. Returns {student: points that the answers must earn}."""
    stub = convert.student(build.sources([LAB])[0])
    checks, rng, points = judging.load(LAB).checks, random.Random(0), {}
    for number in range(students):
        name, book, earned = f"student{number:03}", stub, 0
        for exercise, check in checks.items():
            kind = rng.choices(("solution", "wrong", "stub"), (7, 2, 1))[0]
            if kind != "stub":
                source = check.solution if kind == "solution" else rng.choice(check.wrong)
                book = answers.replaced(book, exercise, f"{source}    # {name}\n")
                earned += check.points * (kind == "solution")
        (folder / name).mkdir(parents=True)
        nbformat.write(book, folder / name / f"{LAB}.ipynb")
        points[name] = earned
    return points


def grade(folder, out):
    """Run `odl grade` on a class: (seconds on the clock, processor seconds, peak MB of all its processes together)."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = psutil.Popen([sys.executable, "-m", "odl_kit.cli", "grade", str(folder), "--out", str(out), "-j", str(WORKERS)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"odl grade ended with {process.returncode}: see {out}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu, peak / 2**20


def memory(process):
    """Bytes that a process and its descendants hold, pages that they share counted once (PSS)."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            pass
    return total


def probe(forks):
    """Median seconds to grade one solved notebook, answer and judge, after the first."""
    lab = course.lab(course.Course(), LAB)
    raw, worker = nbformat.writes(convert.key(lab.student)).encode(), warm.Worker("", forks=forks)
    try:
        seconds = [judge.grade(raw, lab, worker, jail.Limits(), seed=str(n)).seconds for n in range(PROBES + 1)]
    finally:
        worker.stop()
    return statistics.median(seconds[1:])


def main():
    """Measure, compare every grade with what it must be, record."""
    students = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    load = os.getloadavg()[0]
    one = {"warm_s": round(probe(True), 2), "cold_s": round(probe(False), 2)}
    with tempfile.TemporaryDirectory(prefix="odl-class-") as folder:
        points = make(Path(folder) / "class", students)
        clock_s, cpu_s, peak_mb = grade(Path(folder) / "class", Path(folder) / "out")
        with open(Path(folder) / "out" / "grades.csv", encoding="utf-8", newline="") as file:
            found = {line["student"]: float(line["total"]) for line in csv.DictReader(file)}
    if wrong := [name for name in points if found.get(name) != points[name]]:
        raise SystemExit(f"{len(wrong)} students got other points than their answers earn: {wrong[:5]}")
    figures = {"students": students, "workers": WORKERS, "clock_s": round(clock_s), "cpu_s": round(cpu_s), "peak_mb": round(peak_mb),
               "cpu_s_each": round(cpu_s / students, 2), "one_submission": one, "load_before": round(load, 1),
               "load_after": round(os.getloadavg()[0], 1)}
    print("\n".join(f"{name:<16} {value}" for name, value in figures.items()))
    print(record.write("grading", **figures))


if __name__ == "__main__":
    main()
