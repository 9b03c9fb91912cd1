"""Where a student's code runs: a process that can hurt nobody, by as many layers as this computer has.

    namespaces     no network, no other process in sight, every file system read-only but its box (see `namespaces`)
    Landlock       reads the kit and Python, writes its box, nothing else (see `landlock`)
    limits         memory, processor time, size of a file, open files, processes (setrlimit)
    watched        clock, memory of all its processes together, disk, number of processes (see `warm`)

Each layer that is missing is said aloud in the report. What none of them covers: a Unix socket with a path that the grading user may
open, Docker's for example. Grade as a user who may not.
"""
import contextlib
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import odl_kit
from odl_kit.grading import landlock, namespaces

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
          "/proc/sys/vm", "/System", "/Library")
KEPT = ("PATH", "LANG", "ODL_HOME", "ODL_LIMITS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONHASHSEED", "SYSTEMROOT", "COMSPEC")
HIDDEN = ("labs/checks", "labs/src", "build", ".git", "tests", "instructor")        # of the course, should one of the above hold the course
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
LAYERS = {"namespaces": "use the network, see and signal other processes, change permissions of the grader's files",
          "Landlock": "read solutions, checks and other submissions, write outside its box, open TCP ports",
          "limits": "map all memory, write files without end, start processes without end"}
KIT = ("odl_kit", "datasets", "benchmarks/results", "labs/syllabus.toml")       # of the course; not labs/src, labs/checks, build, .git


@dataclass(frozen=True)
class Limits:
    """What one submission may use: processor time for one exercise, memory beyond what Python and torch take, processes, disk."""
    seconds: float = 20
    memory_mb: int = 1024
    processes: int = 64
    disk_mb: int = 200


def readable():
    """What a student's code may read: Python, its packages, the kit and the data. List of paths."""
    python = {sys.prefix, sys.base_prefix, *(entry for entry in sys.path if "site-packages" in entry)}
    return [*SYSTEM, *sorted(python), *(str(odl_kit.home() / name) for name in KIT)]


def fork(box, limits, main, *, more=(), stdin=None):
    """Run main() in a jailed child, whose folder is `box` (path; empty, ours). Returns (pid of the child as this process sees it, pid of
    the process to wait for, names of the layers that hold). more: further paths that it may read. stdin: an open file's number; its other
    standard streams lead nowhere.

    Raises OSError if the child did not get as far as main().
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    outer = os.fork()
    if not outer:
        _guarded(lambda: _outer(Path(box), limits, main, more, stdin, writer))
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = [json.loads(line) for line in pipe]
    if len(said) != 2 or "failed" in said[-1]:
        os.waitpid(outer, 0)
        raise OSError(f"the jail could not be closed: {said[-1].get('failed') if said else 'its process ended'}")
    return next(s["pid"] for s in said if "pid" in s), outer, next(s["held"] for s in said if "held" in s)


def _guarded(run):
    """Run and end this process; no frame of the parent goes on in a forked child."""
    status = 97
    try:
        status = run() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


def _outer(box, limits, main, more, stdin, writer):
    """Waits for the jailed process. It alone stands between the two worlds: its child is process 1 of the inner one."""
    held = []
    os.setsid()
    if os.geteuid() == 0 and _nobody_can_read():
        os.chown(box, namespaces.NOBODY, namespaces.NOBODY)
        namespaces.become_nobody()
    with contextlib.suppress(OSError):
        hidden = [odl_kit.home() / name for name in HIDDEN]
        namespaces.unshare(box, [path for path in hidden if not any(Path(m).is_relative_to(path) for m in more)])
        held.append("namespaces")
    namespaces.die_with_parent(signal.SIGKILL)
    inner = os.fork()
    if not inner:
        _guarded(lambda: _inner(box, limits, main, more, stdin, writer, held))
    os.write(writer, json.dumps({"pid": inner}).encode() + b"\n")
    _only_standard_streams()
    status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    return status if status >= 0 else 128 - status


def _inner(box, limits, main, more, stdin, writer, held):
    try:
        os.setsid()
        namespaces.die_with_parent(signal.SIGKILL)
        environment(box)
        if "namespaces" not in held:
            os.chdir(box)
        if limit(limits, own_users="namespaces" in held):
            held.append("limits")
        with contextlib.suppress(OSError):
            landlock.restrict(read=[*readable(), *more], write=[box], devices=DEVICES)
            held.append(f"Landlock {landlock.version()}")
        with contextlib.suppress(OSError, AttributeError):
            namespaces.drop_capabilities()
    except BaseException as error:
        os.write(writer, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        return 97
    os.write(writer, json.dumps({"held": held}).encode() + b"\n")
    _only_standard_streams(stdin)
    return main()


def limit(limits, *, own_users=False):
    """setrlimit for this process, for good. own_users: its user runs nothing else, so that processes can be counted. True if that is
    possible here."""
    try:
        import resource  # not on Windows
    except ImportError:
        return False
    wanted = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": limits.disk_mb * 2**20, "RLIMIT_NOFILE": 256}
    if own_users:
        wanted["RLIMIT_NPROC"] = limits.processes
    for name, value in wanted.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    limit_memory(limits.memory_mb)
    return True


def limit_memory(megabytes):
    """Let this process map so many MB beyond what it has. Linux only: macOS does not keep this limit."""
    status = Path("/proc/self/statm")
    if status.is_file():
        import resource
        value = int(status.read_text().split()[0]) * resource.getpagesize() + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (value, value))


def environment(box):
    """Nothing of the grader's environment goes in, and what writes to a home writes to the box."""
    keep = {name: os.environ[name] for name in KEPT if name in os.environ}
    folders = {name: str(box) for name in ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR", "ODL_LEDGER", "XDG_CACHE_HOME")}
    os.environ.clear()
    os.environ.update(keep, OMP_NUM_THREADS="1", **folders)
    tempfile.tempdir = None
    os.umask(0o022)


def _only_standard_streams(stdin=None):
    """Close every file that was open before the fork; the standard streams lead nowhere, but for `stdin` (the number of an open file)."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number, file in enumerate((nowhere if stdin is None else stdin, nowhere, nowhere)):
        os.dup2(file, number)
    os.closerange(3, 4096)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", closefd=False), open(2, "w", closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def _nobody_can_read():
    """May the user `nobody` read Python and the kit? Asked of the permissions of every folder on the way."""
    paths = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, odl_kit.__file__)]
    return all(folder.stat().st_mode & 0o005 == 0o005 for path in paths for folder in (path, *path.parents) if folder.is_dir())
