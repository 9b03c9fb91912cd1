import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from odl_kit.grading import nbval

FINE = {"seconds": 9.0, "cpu_s": 8.0, "peak_rss_mb": 300.0}
SOCKET = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
    connection.connect(("{}", 9))       # a datagram socket sends nothing here
"""


def test_a_lab_over_a_limit_fails_the_run_and_a_slow_clock_does_not():
    measured = {"01_a": FINE, "02_b": FINE | {"cpu_s": 61.0}, "03_c": FINE | {"peak_rss_mb": 1025.0}, "04_d": FINE | {"seconds": 300.0},
                "05_e": None}
    assert nbval.excess(measured) == [
        "02_b: 61 s of processor time, the limit is 60 s: compute less, or record it",
        "03_c: 1025 MB at its peak, the limit is 1024 MB",
        "05_e: no measurement, so lab.start did not run",
    ]


def test_the_table_has_a_row_a_lab_and_the_mean():
    rows = nbval.table({"01_a": FINE, "02_b": FINE | {"cpu_s": 20.0, "seconds": 90.0}, "03_c": None}).splitlines()
    assert rows[1].split() == ["01_a", "8.0", "9.0", "300"]
    assert rows[2].startswith("02_b") and "more than 60 s on this clock" in rows[2]
    assert rows[3].split()[:4] == ["mean", "of", "2", "labs"] and "14.0" in rows[3]
    assert nbval.table({"03_c": None}).count("\n") == 0


def leaving(cost, status):
    """A pytest that measures what it is told, and keeps what it was called with."""
    called = {}

    def pytest(*arguments, **environment):
        called.update(arguments=arguments, **environment)
        Path(environment["ODL_MEASURE"], "98_sample.json").write_text(json.dumps({"lab": "98_sample", **cost}))
        return status

    pytest.called = called
    return pytest


@pytest.mark.parametrize(("cost", "status", "result"), [(FINE, 0, 0), (FINE, 1, 1), (FINE | {"peak_rss_mb": 2000.0}, 0, 1), (FINE, 3, 3)])
def test_the_status_is_pytests_or_one_for_a_lab_over_its_limit(course, capsys, cost, status, result):
    fake = leaving(cost, status)
    (course.home / "labs" / "98_sample.ipynb").touch()
    assert nbval.run(fake) == result
    assert "98_sample" in capsys.readouterr().out
    assert fake.called["arguments"][0] == str(course.home / "labs" / "98_sample.ipynb") and fake.called["ODL_TEST"] == "1"
    assert json.loads((course.home / "build" / "labs.json").read_text())["98_sample"]["cpu_s"] == 8.0


def test_no_notebook_is_no_success(course, capsys):
    assert nbval.run(leaving(FINE, 0)) == 1 and "no notebook in labs/" in capsys.readouterr().out


@pytest.mark.slow
def test_an_error_a_socket_a_false_claim_and_a_number_in_no_option_fail_and_a_good_lab_passes(course, tmp_path, capsys):
    start = 'from odl_kit import lab\nrng = lab.start("00_start_here")'
    cells = {"00_start_here": [start, SOCKET.format("127.0.0.1")],
             "20_error": ["1 / 0"],
             "30_socket": [start, SOCKET.format("192.0.2.1")],
             "40_claims": [start, 'lab.claim(1 > 2, "one is more than two")',
                           'lab.predict("n", "?", options={"few": (0, 9), "many": (10, 99)})', 'lab.reveal("n", 100)']}
    said = {}

    def in_process(*arguments, **environment):
        done = subprocess.run([sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider", "-rA"], cwd=tmp_path,
                              env=os.environ | environment, capture_output=True, text=True)
        said["out"] = done.stdout
        return done.returncode

    for name, sources in cells.items():
        nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources]), tmp_path / f"{name}.ipynb")
    assert nbval.run(in_process, sorted(tmp_path.glob("*.ipynb")), workers=()) == 1
    failed = [line for line in said["out"].splitlines() if line.startswith("FAILED")]
    assert {re.search(r"(\w+)\.ipynb::Cell \d", line)[0] for line in failed} == {
        "20_error.ipynb::Cell 0", "30_socket.ipynb::Cell 1", "40_claims.ipynb::Cell 1", "40_claims.ipynb::Cell 3"}
    assert len(re.findall(r"^PASSED", said["out"], re.M)) == 5
    assert "labs run offline" in said["out"] and "one is more than two" in said["out"]
    cost = json.loads((course.home / "build" / "labs.json").read_text())["00_start_here"]
    assert cost["cpu_s"] > 0 and cost["seconds"] > 0 and cost["peak_rss_mb"] > 50
