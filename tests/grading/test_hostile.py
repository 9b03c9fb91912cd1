"""The hostile class, graded in one batch by the real command: everybody gets exactly what hostile/expected.toml says."""
import csv
import html
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from odl_kit.grading import jail, landlock

HERE = Path(__file__).parent / "hostile"
EXPECTED = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
ANSWERS = {path.stem for path in (HERE / "answers").glob("*.py")}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the expected table is that of Linux's whole jail")]


def layers(folder):
    """The layers that this computer's jail has."""
    box = folder / "box"
    box.mkdir()
    _, outer, held = jail.fork(box, jail.Limits(), lambda: None)
    os.waitpid(outer, 0)
    return held


@pytest.fixture(scope="module")
def graded():
    """{"rows": {student: line of grades.csv}, "said": {student: text of its feedback page}, "out": Path, "status", "last": last line}."""
    folder = Path(tempfile.mkdtemp(prefix="odl-hostile-"))       # short: a kernel's sockets lie below it
    try:
        held = layers(folder)
        if "namespaces" not in held or landlock.version() < 6:
            reason = f"the whole jail is needed, this computer has {', '.join(held)}"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        kinds = runpy.run_path(str(HERE / "make_class.py"))["make"](folder / "class")
        command = [sys.executable, "-m", "odl_kit.cli", "grade", str(folder / "class"), "--out", str(folder / "out"), "-j", "2",
                   "--timeout", "4", "--memory", "700"]
        (folder / "tmp").mkdir()
        done = subprocess.run(command, env=os.environ | {"TMPDIR": str(folder / "tmp")}, capture_output=True, text=True, timeout=1800)
        with open(folder / "out" / "grades.csv", encoding="utf-8", newline="") as file:
            rows = {row["student"]: row for row in csv.DictReader(file)}
        said = {name: html.unescape(re.sub(r"<(?!script>|/script>)[^>]+>", " ", path.read_text(encoding="utf-8")))
                for name in kinds if (path := folder / "out" / "feedback" / f"{name}.html").is_file()}
        yield {"rows": rows, "said": said, "out": folder / "out", "status": done.returncode, "last": done.stdout.splitlines()[-1:],
               "kinds": kinds, "left": list((folder / "tmp").iterdir()), "pages": folder / "out" / "feedback"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_table_has_every_kind_and_no_other(graded):
    assert sorted(EXPECTED) == graded["kinds"] == sorted(graded["rows"])


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_a_kind_gets_what_the_table_says(graded, kind):
    row, expected = graded["rows"][kind], EXPECTED[kind]
    assert (row["blame"], float(row["total"])) == (expected.get("blame", "graded"), expected.get("points", 0)), row
    says = expected.get("says", "") + ("|still (running|ran) after" if expected.get("busy") else "")
    assert re.search(says, graded["said"][kind], re.M | re.S), graded["said"][kind]


def test_the_command_says_what_happened(graded):
    files = sum("blame" in entry for entry in EXPECTED.values())
    assert graded["status"] == 0
    assert graded["last"][0].startswith(f"{len(EXPECTED) - files} graded, {files} could not be read (0 points, see the report): ")


def test_nothing_is_left_behind(graded):
    assert graded["left"] == []
    assert not Path("/tmp/odl-hostile-was-here").exists()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "odl-hostile-left-behind" not in running


def test_no_page_shows_a_checks_code_or_runs_a_students_text(graded):
    for path in [*graded["pages"].glob("*.html"), graded["out"] / "report.html"]:
        text = path.read_text(encoding="utf-8")
        ours = re.sub(r"<pre.*?</pre>", "", text, flags=re.S)        # the report shows students' own answers
        assert "<script" not in text and "_judge(" not in text and "num_examples / num_examples.sum()" not in ours


def test_every_layer_of_the_jail_held(graded):
    text = (graded["out"] / "report.html").read_text(encoding="utf-8")
    assert [re.search(rf"<td>{layer}</td><td>held</td>", text) is not None for layer in jail.LAYERS] == [True] * len(jail.LAYERS)
