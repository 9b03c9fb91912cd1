"""The process that forks, with notebooks of its own; what it keeps away from students is in test_jail and test_hostile."""
import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat import v4

from odl_kit.grading import convert, jail, warm

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="forks")]


@pytest.fixture(scope="module")
def worker():
    made = warm.Worker("import math")
    yield made
    made.stop()


@pytest.fixture
def folder():
    """Short, because a kernel's sockets lie in it."""
    made = Path(tempfile.mkdtemp(prefix="odl-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def job(folder, *sources, wall_s=60, **limits):
    (folder / "box").mkdir(mode=0o700, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=list(map(v4.new_code_cell, sources)), metadata=convert.KERNEL), folder / "notebook.ipynb")
    return {"notebook": str(folder / "notebook.ipynb"), "box": str(folder / "box"),
            "limits": asdict(jail.Limits(**{"seconds": 10} | limits)),
            "cases": None, "more": [], "wall_s": wall_s}


def test_a_notebook_runs_in_a_kernel_that_has_its_imports(worker, folder):
    found = worker.run(job(folder, "import sys; assert 'torch' in sys.modules", "open('a', 'w').write('x')", "1 / 0"))
    assert found["ended"] == "done" and found["status"] == 1 and "limits" in found["held"]
    text = (folder / "junit.xml").read_text()
    assert 'tests="3"' in text and 'failures="1"' in text and "ZeroDivisionError" in text and (folder / "box" / "a").read_text() == "x"


@pytest.mark.parametrize(("source", "ended", "limits"), [
    ("import os; os._exit(0)", "died", {}),
    ("while True: pass", "time", {"seconds": 60}),
    ("import time\nfor i in range(9): open(str(i), 'wb').write(bytes(2**20))\ntime.sleep(50)", "disk", {"disk_mb": 5}),
    ("import os, time\nfor i in range(4):\n    if os.fork() == 0:\n        x = b'x' * (150 * 2**20); time.sleep(50)\ntime.sleep(50)",
     "memory",
     {"memory_mb": 400}),
    ("import os, time\nfor i in range(30):\n    if os.fork() == 0:\n        time.sleep(50)\ntime.sleep(50)", "processes",
     {"processes": 5})])
def test_a_run_that_goes_too_far_is_ended_for_that_reason(worker, folder, source, ended, limits):
    if ended == "processes" and os.geteuid() != 0:
        pytest.skip("the jail's own limit comes first")
    assert worker.run(job(folder, source, wall_s=8 if ended == "time" else 60, **limits))["ended"] == ended
    assert worker.run(job(folder, "1 + 1"))["ended"] == "done"


def test_nothing_of_a_run_outlives_it(worker, folder):
    code = f"import time; time.sleep(99)  # {folder}"
    source = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)"
    assert worker.run(job(folder, source))["ended"] == "done"
    assert [p for p in psutil.process_iter(["cmdline"]) if any(str(folder) in part for part in p.info["cmdline"] or [])] == []


def test_a_worker_that_was_killed_is_started_again(worker, folder):
    assert worker.run(job(folder, "1"))["ended"] == "done"
    worker._process.kill()
    worker._process.wait()
    assert worker.run(job(folder, "1"))["ended"] == "done"


def test_a_worker_that_dies_in_a_run_is_broken_and_takes_the_run_with_it(folder):
    made = warm.Worker()
    with contextlib.closing(_Stop(made)):
        made.run(job(folder, "1"))
        victim = psutil.Process(made._process.pid)
        threading.Timer(2, victim.kill).start()
        assert made.run(job(folder, f"import time; time.sleep(60)  # {folder}"))["ended"] == "broken"
        gone, alive = psutil.wait_procs(victim.children(recursive=True) if victim.is_running() else [], timeout=5)
        assert alive == []
        assert made.run(job(folder, "1"))["ended"] == "done"


def test_stop_from_another_thread_ends_a_run(folder):
    made = warm.Worker()
    made.run(job(folder, "1"))
    family = psutil.Process(made._process.pid)
    threading.Timer(1.5, made.stop).start()
    begin = time.monotonic()
    with pytest.raises(InterruptedError):
        made.run(job(folder, "import time; time.sleep(60)"))
    assert time.monotonic() - begin < 30 and not family.is_running()


def test_without_a_fork_the_same_notebook_gives_the_same(folder):
    made = warm.Worker(forks=False)
    with contextlib.closing(_Stop(made)):
        found = made.run(job(folder, "1 + 1", "1 / 0"))
    assert found["ended"] == "done" and found["held"] == ["limits"] and 'failures="1"' in (folder / "junit.xml").read_text()


class _Stop:
    def __init__(self, worker):
        self.close = worker.stop


def test_any_folder_can_be_removed(folder):
    here = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    warm.remove(folder / "d")
    assert list(folder.iterdir()) == []
