"""A jailed child tells what it could do through a file in its box."""
import os
import subprocess
import sys
import threading

import pytest

from odl_kit.grading import jail, namespaces

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux's")
LIMITS = jail.Limits(memory_mb=300, processes=16, disk_mb=5)


@pytest.fixture
def jailed(tmp_path):
    """jailed(work) -> (text that work() returned in the jail, or the name of what it raised; the layers that held)."""
    box = tmp_path / "box"
    box.mkdir()

    def run(work):
        def main():
            try:
                said = str(work())
            except BaseException as error:
                said = type(error).__name__
            (box / "said").write_text(said)
        _, outer, held = jail.fork(box, LIMITS, main)
        os.waitpid(outer, 0)
        return (box / "said").read_text(), held
    return run


def need(held, layer):
    if not any(name.startswith(layer) for name in held):
        pytest.skip(f"no {layer} here")


def test_the_box_is_home_and_can_be_written(jailed, tmp_path):
    said, held = jailed(lambda: open("a", "w").write("xyz") and os.environ["HOME"])
    assert said == str(tmp_path / "box") and (tmp_path / "box" / "a").read_text() == "xyz" and "limits" in held


def test_nothing_of_the_graders_environment_and_no_open_file_goes_in(jailed, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    with open(tmp_path / "open", "w") as file:
        number = file.fileno()
        assert jailed(lambda: "SECRET" in os.environ)[0] == "False"
        assert jailed(lambda: os.write(number, b"x"))[0] == "OSError"


def test_outside_is_read_only(jailed, tmp_path):
    said, held = jailed(lambda: os.chmod(tmp_path, 0o700))
    need(held, "namespaces")
    assert said == "OSError"
    assert jailed(lambda: open(tmp_path / "b", "w"))[0] in ("OSError", "PermissionError") and not (tmp_path / "b").exists()


def test_solutions_cannot_be_read_and_the_kit_can(jailed):
    import odl_kit
    _, held = jailed(lambda: None)
    need(held, "Landlock")
    for name in ("labs/checks", "labs/src", "tests", "build", ".git"):
        assert jailed(lambda name=name: os.listdir(odl_kit.home() / name))[0] in ("PermissionError", "FileNotFoundError"), name
    assert jailed(lambda: (odl_kit.home() / "odl_kit" / "budget.py").read_text()[:3])[0] == '"""'


def test_it_is_alone_with_no_network(jailed):
    said, held = jailed(os.getpid)
    need(held, "namespaces")
    assert said == "1"
    assert jailed(lambda: os.kill(-1, 0))[0] == "ProcessLookupError"
    import socket
    assert jailed(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)))[0] == "OSError"


def test_memory_and_files_have_a_limit(jailed):
    assert jailed(lambda: len(bytearray(200 * 2**20)))[0] == str(200 * 2**20)
    assert jailed(lambda: len(bytearray(400 * 2**20)))[0] == "MemoryError"
    assert jailed(lambda: open("big", "wb").write(bytes(6 * 2**20)))[0] == "OSError"


def test_processes_have_a_limit_where_the_grader_is_not_root(jailed):
    if os.geteuid() == 0 and not jail._nobody_can_read():
        pytest.skip("root's processes are counted by grading.warm, since `nobody` may not read this Python")

    def many():
        for _ in range(100):
            if os.fork() == 0:
                threading.Event().wait(5)
                os._exit(0)
    said, held = jailed(many)
    need(held, "namespaces")
    assert said == "BlockingIOError"


def test_what_it_started_ends_with_it(jailed, tmp_path):
    def leave():
        if os.fork() == 0:
            os.setsid()
            os.execv(sys.executable, [sys.executable, "-c", f"import time; time.sleep(77)  # {tmp_path}"])
    _, held = jailed(leave)
    need(held, "namespaces")
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_a_jail_that_cannot_be_closed_raises_and_runs_nothing(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("no limits today")
    monkeypatch.setattr(jail, "limit", broken)
    with pytest.raises(OSError, match="could not be closed: RuntimeError: no limits today"):
        jail.fork(tmp_path, LIMITS, lambda: (tmp_path / "ran").touch())
    assert not (tmp_path / "ran").exists()


def test_without_namespaces_and_landlock_the_rest_holds_and_is_named(jailed, monkeypatch, tmp_path):
    def forbidden(*arguments, **options):
        raise OSError("not here")
    monkeypatch.setattr(namespaces, "unshare", forbidden)
    monkeypatch.setattr(jail.landlock, "restrict", forbidden)
    said, held = jailed(lambda: len(bytearray(400 * 2**20)))
    assert said == "MemoryError" and held == ["limits"]


def test_the_courses_solutions_are_hidden_also_where_landlock_is_not(jailed, monkeypatch):
    import odl_kit

    def forbidden(*arguments, **options):
        raise OSError("not here")
    monkeypatch.setattr(jail.landlock, "restrict", forbidden)
    said, held = jailed(lambda: os.listdir(odl_kit.home() / "labs" / "checks"))
    need(held, "namespaces")
    assert said == "[]" and (odl_kit.home() / "labs" / "checks" / "11_fedavg.py").is_file()
    assert jailed(lambda: len(os.listdir(odl_kit.home() / "odl_kit")) > 5)[0] == "True"
