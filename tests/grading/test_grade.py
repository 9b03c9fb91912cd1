"""`odl grade` as an instructor runs it, on lab 02, whose one exercise makes it quick."""
import csv
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import nbformat
import psutil
import pytest

from odl_kit import cli
from odl_kit.grading import answers, build, convert, grade
from odl_kit.lab import judging

from .classroom import row

LAB = "02_what_limits_it"
CHECK = judging.load(LAB).checks["training_bytes"]
slow = pytest.mark.slow


def notebook(source=CHECK.solution):
    return nbformat.writes(answers.replaced(convert.key(convert.student(build.sources(["02"])[0])), "training_bytes", source))


def put(folder, **students):
    for name, source in students.items():
        (folder / name).mkdir(parents=True)
        (folder / name / f"{LAB}.ipynb").write_text(notebook(source))
    return folder


def grades(out):
    with open(out / "grades.csv", encoding="utf-8", newline="") as file:
        return {line["student"]: line for line in csv.DictReader(file)}


def run(*arguments):
    return grade.main([*map(str, arguments), "--timeout", "8"])


@slow
def test_from_release_to_feedback(tmp_path, capsys):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / f"{LAB}.py").write_text(f"""
from odl_kit.lab.judging import Check, close
checks = {{"training_bytes": Check(points=1, cases=lambda rng: [(1, 1, 1)], judge=lambda case, out: close(out, 12),
                                  hints=("One of each.", "b"), solution={CHECK.solution!r}, wrong=("1", "2"))}}
""")
    (tmp_path / "course.toml").write_text(f"""
title = "Spring"
seed = "not for students"
private = "private"
[late]
per_day = 10
[labs.{LAB}]
deadline = 2027-03-01T12:00:00Z
points = {{ training_bytes = 4 }}
reflection = 3
""")
    assert cli.main(["release", "02", "--out", str(tmp_path / "release"), "--course", str(tmp_path / "course.toml")]) == 0
    handed_out = nbformat.read(tmp_path / "release" / f"{LAB}.ipynb", as_version=4)
    for name, source in (("ada", CHECK.solution), ("bob", CHECK.wrong[1])):
        book = answers.replaced(handed_out, "training_bytes", source)
        book.cells.append(nbformat.v4.new_markdown_cell(f"{name}: 12 bytes, because one of each."))
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(f"{LAB}.ipynb", nbformat.writes(book))
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for name in ("ada", "bob"):
            archive.write(tmp_path / f"{name}.zip", f"{name}.zip")
    (tmp_path / "times.csv").write_text("student,time\nada,2027-03-01T11:00:00Z\nbob,2027-03-02T11:00:00Z\n")
    command = ["grade", str(tmp_path / "class.zip"), "--out", str(tmp_path / "out"), "--course", str(tmp_path / "course.toml"),
               "--times", str(tmp_path / "times.csv"), "--timeout", "8"]
    assert cli.main(command) == 0
    assert "2 graded, 2 wait for points in manual.csv" in capsys.readouterr().out
    assert {s: (line["02 training_bytes"], line["02 training_bytes (private)"], line["total"]) for s,
            line in grades(tmp_path / "out").items()} == {
        "ada": ("4", "1", ""), "bob": ("0", "0", "")}
    assert "12 bytes, because one of each." in (tmp_path / "out" / "reflections.html").read_text()
    manual = tmp_path / "out" / "manual.csv"
    manual.write_text(manual.read_text().replace(f"ada,{LAB},,,,", f"ada,{LAB},2,2,0,Good.").replace(f"bob,{LAB},,,,", f"bob,{LAB},0,2,1,"))
    asked = f"student,lab,question,request,points,answer\nbob,{LAB},training_bytes,Half of it is right.,2,Half.\n"
    (tmp_path / "asked.csv").write_text(asked)
    assert cli.main([*command, "--regrade", str(tmp_path / "asked.csv")]) == 0
    assert {s: (line["total"], line["max"], line["late_days"]) for s, line in grades(tmp_path / "out").items()} == {
        "ada": ("7", "8", "0"), "bob": (f"{0.9 * (2 + 0 + 1.5):g}", "8", "1")}
    assert (tmp_path / "out" / "grade.log").read_text().count("was graded before") == 2
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "out" / "feedback" / "bob.html").read_text())
    for text in ("1 day late", "regraded from 0 to 2. Half.", "Hint: Weights and gradients", "One of each."):
        assert text in page, text
    ada = (tmp_path / "out" / "feedback" / "ada.html").read_text()
    assert "7 of 8 points" in ada and "Good." in ada and "not for students" not in ada


@slow
def test_two_runs_give_the_same_grades_and_again_grades_one_anew(tmp_path):
    submissions = put(tmp_path / "in", ada=CHECK.solution, bob=CHECK.wrong[0])
    (tmp_path / "course.toml").write_text('seed = "s"')
    texts = []
    for name in ("one", "two"):
        assert run(submissions, "--out", tmp_path / name, "--course", tmp_path / "course.toml", "-j", 2) == 0
        texts.append((tmp_path / name / "grades.csv").read_bytes() + b"".join(
            path.read_bytes() for path in sorted((tmp_path / name / "feedback").iterdir())))
    assert texts[0] == texts[1]
    assert run(submissions, "--out", tmp_path / "one", "--course", tmp_path / "course.toml", "--again", "bob") == 0
    log = (tmp_path / "one" / "grade.log").read_text().splitlines()
    assert sum(line.endswith("ada/02_what_limits_it.ipynb: was graded before") for line in log) == 1
    assert sum("bob/02_what_limits_it.ipynb: training_bytes failed (wrong)" in line for line in log) == 2
    assert run(submissions, "--out", tmp_path / "one", "--again", "eve") == 2


@slow
@pytest.mark.skipif(os.name != "posix", reason="signals as in a terminal")
def test_ctrl_c_leaves_no_process_and_the_next_run_goes_on(tmp_path):
    forever = "def training_bytes(inputs, outputs, batch):\n    import time\n    time.sleep(600)"
    submissions = put(tmp_path / "in", ada=CHECK.solution, zoe=forever)
    command = [sys.executable, "-m", "odl_kit.cli", "grade", str(submissions), "--out", str(tmp_path / "out"), "-j", "1"]
    with subprocess.Popen([*command, "--timeout", "500"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        log = tmp_path / "out" / "grade.log"
        while process.poll() is None and not (log.is_file() and "ada/02_what_limits_it.ipynb: training_bytes passed" in log.read_text()):
            time.sleep(0.1)
        time.sleep(2)                   # into zoe's sleep
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "the same command goes on from here" in said and "Traceback" not in said
    assert len(family) > 2 and psutil.wait_procs(family, timeout=10)[1] == []
    (submissions / "zoe" / f"{LAB}.ipynb").write_text(notebook())
    assert subprocess.run([*command, "--timeout", "500"], capture_output=True, timeout=300).returncode == 0
    assert "ada/02_what_limits_it.ipynb: was graded before" in log.read_text() and grades(tmp_path / "out")["zoe"]["total"] == "2"


@pytest.mark.parametrize(("arguments", "says"), [
    (["nowhere"], "there is no"), ([".", "-j", "0"], "-j 0"), ([".", "--timeout", "0"], "--timeout 0"),
                                                 ([".", "--memory", "1"], "--memory 1"),
    ([".", "--course", "no.toml"], "no.toml"), ([".", "--lab", "77"], "no lab '77'"), ([".", "--times", "no.csv"], "no.csv")])
def test_what_an_instructor_must_mend_is_status_2_and_a_sentence(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert grade.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err


def test_a_deadline_without_a_time_zone_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        grade.main([".", "--out", "x", "--deadline", "2027-03-01T12:00:00"])
    assert end.value.code == 2 and "no time zone" in capsys.readouterr().err


def test_nobody_is_a_class_too(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert run(tmp_path / "in", "--out", tmp_path / "out") == 0 and "0 graded" in capsys.readouterr().out


def test_the_last_line_counts_the_three_kinds(tmp_path):
    rows = [row(), row("bob"), row("eve", blame="ours"), row("kim", blame="file"),
            row("lin", possible={"reflection": 3}, earned={"reflection": None})]
    assert grade.summary(rows, tmp_path, 3).startswith(
        "3 graded, 1 could not be read (0 points, see the report), 1 NOT GRADED, our failure (see the report, run again), 1 wait for")


def test_a_seed_is_made_once_for_nobody_elses_eyes(tmp_path):
    first = grade._seed(tmp_path / "seed.txt")
    assert len(first) == 32 and grade._seed(tmp_path / "seed.txt") == first and (tmp_path / "seed.txt").stat().st_mode & 0o077 == 0


def test_a_missing_layer_of_the_jail_is_a_notice():
    weak = row()
    weak = dataclasses.replace(weak, result=dataclasses.replace(weak.result, held=("limits",)))
    said = grade.notice([row("bob"), weak]).splitlines()
    assert [line.split(" on this")[0] for line in said] == ["NOTICE: no namespaces", "NOTICE: no Landlock"] and "read solutions" in said[1]
    assert grade.notice([row(), row("kim", blame="file")]) == grade.notice([]) == ""
