import os
import socket
import subprocess
import sys

import psutil
import pytest

from odl_kit.federation import loopback

FAMILY = """import subprocess, sys, time
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)
time.sleep(600)"""


def test_ports_are_free_and_differ():
    ports = loopback._free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


@pytest.mark.skipif(os.name != "posix", reason="children of children end with their parent only where there are process groups")
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_processes_and_their_children_end_whatever_happens(tmp_path, error):
    with pytest.raises(error), loopback._processes(tmp_path) as start:
        (tmp_path / "python.log").touch()
        parent = start(sys.executable, "-c", FAMILY, log="python")
        while not (text := (tmp_path / "python.log").read_text()).endswith("\n"):
            assert parent.poll() is None
        child = psutil.Process(int(text))
        raise error
    assert parent.poll() is not None
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_flower_is_started_without_telemetry_and_with_a_home_of_its_own(tmp_path):
    with loopback._processes(tmp_path) as start:
        code = "import os; print(*(os.environ[k] for k in ('FLWR_TELEMETRY_ENABLED', 'FLWR_DISABLE_UPDATE_CHECK', 'FLWR_HOME')))"
        start(sys.executable, "-c", code, log="python").wait(30)
    assert (tmp_path / "python.log").read_text() == f"0 1 {tmp_path}\n"


def test_without_flower_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(loopback.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"flower-superlink is not installed: .*odl-kit\[flower\]"):
        loopback.federate(tmp_path, nodes=2)


def test_no_node_is_refused():
    with pytest.raises(ValueError, match="nodes=0"):
        loopback.federate("app", nodes=0)


def finished(code, folder):
    with open(folder / "flwr.log", "ab") as log:
        run = subprocess.Popen([sys.executable, "-c", code], stdout=log)
    return run


@pytest.mark.parametrize("code", ["import sys; print('boom'); sys.exit(3)", "print('ServerApp raised an exception: boom')"])
def test_a_run_that_fails_raises_with_the_end_of_its_log(tmp_path, code):
    with pytest.raises(RuntimeError, match="boom"):
        loopback._follow(finished(code, tmp_path), tmp_path, print, 60)


def test_the_lines_of_the_app_are_handed_on_once_and_to_the_last(tmp_path):
    lines = []
    code = "import time; print('round 0: a', flush=True); time.sleep(0.5); print('noise'); print('round 1: b')"
    loopback._follow(finished(code, tmp_path), tmp_path, lines.append, 60)
    assert lines == ["round 0: a", "round 1: b"]


def test_a_run_that_does_not_end_is_given_up(tmp_path):
    run = finished("import time; time.sleep(600)", tmp_path)
    with pytest.raises(TimeoutError, match="longer than 0.5 s"):
        loopback._follow(run, tmp_path, print, 0.5)
    run.kill()
    run.wait()
