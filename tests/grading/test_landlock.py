"""Each test forks, since what a process gives up it never gets back; the child says what happened through its exit status."""
import os
import signal
import socket
import sys

import pytest

from odl_kit.grading import landlock

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def in_a_child(work):
    """The exit status of a child that runs work(): 0, or 1 if it raised OSError."""
    child = os.fork()
    if not child:
        status = 2
        try:
            work()
            status = 0
        except OSError:
            status = 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def restricted(box, work):
    def run():
        try:
            landlock.restrict(read=[sys.prefix, sys.base_prefix, "/usr", "/nowhere/at/all"], write=[box], devices=["/dev/null"])
        except OSError:
            os._exit(3)
        work()
    return in_a_child(run)


@needs_landlock
def test_what_is_listed_can_be_read_and_written_and_nothing_else(tmp_path):
    box, secret = tmp_path / "box", tmp_path / "secret"
    box.mkdir()
    secret.write_text("x")
    assert restricted(box, lambda: (box / "a").write_text("x")) == 0 and (box / "a").read_text() == "x"
    assert restricted(box, lambda: open("/dev/null", "w").close()) == 0
    assert restricted(box, lambda: os.listdir(sys.prefix)) == 0
    assert restricted(box, lambda: secret.read_text()) == 1
    assert restricted(box, lambda: secret.write_text("y")) == 1 and secret.read_text() == "x"
    assert restricted(box, lambda: os.listdir(tmp_path)) == 1
    assert restricted(box, lambda: os.symlink(secret, box / "way") or (box / "way").read_text()) == 1
    assert restricted(box, lambda: os.link(secret, box / "second")) == 1


@pytest.mark.skipif(landlock.version() < 4, reason="this kernel's Landlock knows no ports")
def test_no_port_can_be_opened(tmp_path):
    assert restricted(tmp_path, lambda: socket.socket().bind(("127.0.0.1", 0))) == 1
    assert restricted(tmp_path, lambda: socket.socket().connect(("127.0.0.1", 9))) == 1


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock knows no signals")
def test_nobody_outside_can_be_signalled(tmp_path):
    assert in_a_child(lambda: os.kill(os.getppid(), 0)) == 0
    assert restricted(tmp_path, lambda: os.kill(os.getppid(), 0)) == 1
    assert restricted(tmp_path, lambda: os.kill(os.getppid(), signal.SIGTERM)) == 1


def test_a_kernel_without_it_is_said(monkeypatch):
    monkeypatch.setattr(landlock, "_libc", None)
    assert landlock.version() == 0
    with pytest.raises(OSError, match="no Landlock"):
        landlock.restrict(read=[], write=[])
