"""A process that has imported everything and forks for every notebook: torch, pytest and nbval load once, not 400 times a class.

It also watches what it forked: the clock, and the memory, processes, disk and output of the kernel in its jail. Where there is no fork that
one may trust (Windows; macOS, whose system libraries do not survive it), a new Python is started for each notebook, and the jail is left
with the limits that a process can set for itself.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from odl_kit.grading import jail, namespaces, run

FORKS = sys.platform == "linux"
LOOK_S = 0.15                           # between two looks at memory, disk and processes
OUTPUT_MB = 256                         # that nbval may hold of a notebook's output
COLD_MB = 512                           # that Python and torch take in a kernel that was not forked
ENTRIES = 5000                          # files that a box may hold
ENDS = {run.DIED: "died", run.JAIL: "jail", run.CASES: "cases"}


class Worker:
    """A client's end. run(job) is for one thread; stop() may come from any. A worker that broke is started anew by the next run."""

    def __init__(self, imports="", *, forks=FORKS):
        self._imports, self._forks, self._process, self._stopped = imports, forks, None, threading.Event()

    def run(self, job):
        """Run a job (see grading.run; and "wall_s"): {"ended", "status", "seconds", "held"}. ended is "done", "died" (the kernel), "time",
        "memory", "disk", "processes", "output", "jail", "cases", or "broken": the worker itself is gone. InterruptedError after stop()."""
        begin = time.perf_counter()
        try:
            if self._process is None or self._process.poll() is not None:
                self._start()
            found = self._ask(job)
        except (OSError, ValueError):
            self._kill()
            found = {"ended": "broken", "status": -1, "held": []}
        if self._stopped.is_set():
            raise InterruptedError
        return found | {"seconds": round(time.perf_counter() - begin, 3)}

    def stop(self):
        """End the process and all that it started."""
        self._stopped.set()
        self._kill()

    def _start(self):
        command = [sys.executable, "-m", "odl_kit.grading.warm", *([] if self._forks else ["--cold"])]
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MALLOC_ARENA_MAX": "1"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                         encoding="utf-8", start_new_session=True, env=environment)
        self._ask({"imports": self._imports})

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def _kill(self):
        if self._process is not None:
            family = []
            with contextlib.suppress(psutil.Error):
                family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            self._process.kill()
            for process in family:                  # gone by now, where there are signals
                with contextlib.suppress(psutil.Error):
                    process.kill()


def serve(requests, replies, *, forks):
    """Answer each line of `requests` with one line in `replies`, until the first ends."""
    for line in requests:
        job = json.loads(line)
        replies.write(json.dumps(_warm_up(job["imports"]) if "imports" in job else _run(job, forks)) + "\n")
        replies.flush()


def _warm_up(imports):
    """Import what the runs will need. An import cell that fails here fails again where it is seen."""
    import ipykernel.kernelapp  # noqa: F401
    import nbval.plugin  # noqa: F401
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(Exception):
        exec(imports, {"__name__": "warm"})
    return {"warm": True}


def _run(job, forks):
    end = time.monotonic() + job["wall_s"]
    child, folder, look = _begin(job) if forks else _begin_cold(job), Path(job["notebook"]).parent, 0.0
    ended = None
    try:
        while (status := child.poll()) is None and ended is None:
            time.sleep(0.01)
            if time.monotonic() >= end:
                ended = "time"
            elif time.monotonic() >= look:
                ended, look = _over(job, folder, child.pid), time.monotonic() + LOOK_S
    finally:
        _end(child, folder)
    return {"ended": ended or ENDS.get(status, "done" if status in (0, 1) else "output"), "status": status,
            "held": _jail(folder).get("held", ["limits"] if os.name == "posix" else [])}


def _begin(job):
    limits = jail.Limits(**job["limits"])
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setsid()
            namespaces.die_with_parent(signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with open(Path(job["notebook"]).parent / "run.log", "wb", buffering=0) as log:
                for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), log.fileno(), log.fileno())):
                    os.dup2(file, number)
            jail.limit_memory(limits.memory_mb + OUTPUT_MB)
            status = run.run(job)
        finally:
            os._exit(status)
    return _Child(pid)


class _Child:
    """A forked child with the two things of subprocess.Popen that are used here."""

    def __init__(self, pid):
        self.pid, self._status = pid, None

    def poll(self):
        if self._status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if done else None
        return self._status


def _begin_cold(job):
    path = Path(job["notebook"]).with_name("job.json")
    path.write_text(json.dumps(job), encoding="utf-8")
    with open(path.with_name("run.log"), "wb") as log:
        return subprocess.Popen([sys.executable, "-m", "odl_kit.grading.run", str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _over(job, folder, runner):
    """What a run uses too much of: "memory", "processes", "disk", "output", or None."""
    limits, kernel = jail.Limits(**job["limits"]), _jail(folder).get("pid")
    with contextlib.suppress(psutil.Error):
        everybody = psutil.Process(kernel or runner).children(recursive=True)
        if len(everybody) > limits.processes:
            return "processes"
        family = ([psutil.Process(kernel)] if kernel else []) + everybody
        if sum(map(_own_bytes, family)) > (limits.memory_mb + (0 if kernel else COLD_MB)) * 2**20:
            return "memory"
        if kernel and _own_bytes(psutil.Process(runner)) > OUTPUT_MB * 2**20:
            return "output"
    return "disk" if _too_full(Path(job["box"]), limits.disk_mb * 2**20) else None


def _own_bytes(process):
    """Memory of a process that no other shares with it: not what it was forked with and left as it was."""
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        return process.memory_full_info().uss
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def _too_full(box, limit):
    total, todo, seen = 0, [box], 0
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                seen += 1
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_size
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                if seen > ENTRIES or total > limit:
                    return True
    return False


def _jail(folder):
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "jail.json").read_text(encoding="utf-8"))
    return {}


def _end(child, folder):
    """Nothing of a run outlives it: the kernel first, then whoever ran it."""
    everybody = [_jail(folder).get("pid")]
    with contextlib.suppress(psutil.Error):
        everybody += [p.pid for p in psutil.Process(child.pid).children(recursive=True)]
    for pid in [*filter(None, everybody), *([child.pid] if child.poll() is None else [])]:
        with contextlib.suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    while child.poll() is None:
        time.sleep(0.005)


def remove(folder):
    """Delete the folder of a run, whatever lies in it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:                          # folders in folders, thousands deep
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def main():
    """`python -m odl_kit.grading.warm [--cold]`: for Worker only."""
    def ended(number, frame):
        raise SystemExit(0)                         # through the `finally` that ends the run

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    namespaces.die_with_parent(signal.SIGTERM)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies, forks="--cold" not in sys.argv)


if __name__ == "__main__":
    main()
