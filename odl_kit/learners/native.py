"""C of this package, compiled for this very processor on first use by whichever compiler is there, and kept for the next time.

The compiled file lies in a folder of the user's own, ~/.cache/odl_kit or what the system has in its place; ODL_CACHE moves it. Its name
is a hash of the source, the compiler, its flags and the processor: a change of any of them compiles anew. ODL_NATIVE=0 switches it off.
"""
import atexit
import ctypes
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

HINT = "install one, on Debian: apt install gcc; on macOS: xcode-select --install; anywhere: pip install ziglang"
# No -ffast-math: it hides NaN, and GCC then links code that switches denormal numbers off for the whole process. a * b + c may be one
# operation; explicit vectors do the rest.
FLAGS = ("-O3", "-ffp-contract=fast", "-shared", *(() if os.name == "nt" else ("-fPIC",)))
X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")
FOR_THIS_PROCESSOR = ("-march=native", "-mprefer-vector-width=512") if X86 else ("-mcpu=native",)
_one_at_a_time = threading.Lock()


class Unavailable(RuntimeError):
    """There is no compiled code, and the message says why."""


def compilers():
    """The C compilers of this machine, as the beginnings of commands: ("/usr/bin/cc",), ("/usr/bin/zig", "cc"), ... Best first."""
    found = [(path,) for path in map(shutil.which, ("cc", "gcc", "clang")) if path and not _asks_to_be_installed(path)]
    if zig := shutil.which("zig"):
        found.append((zig, "cc"))
    if importlib.util.find_spec("ziglang"):
        found.append((sys.executable, "-m", "ziglang", "cc"))
    return found


def _asks_to_be_installed(path):
    """Is this macOS's stand-in for a compiler, which opens a window that offers to install one?"""
    stands_in = sys.platform == "darwin" and path.startswith("/usr/bin/")
    return stands_in and subprocess.run(["xcode-select", "-p"], capture_output=True).returncode != 0


def library(source):
    """The C file `source`, compiled -> ctypes.CDLL. Raises Unavailable. Threads and processes may ask for the same file at once."""
    if os.environ.get("ODL_NATIVE") == "0":
        raise Unavailable("ODL_NATIVE=0 switches compiled code off")
    with _one_at_a_time:
        found = _library(Path(source), cache_folder())
    if isinstance(found, str):
        raise Unavailable(found)
    return found


@lru_cache
def _library(source, folder):
    """The CDLL, or why there is none: tried once in a process."""
    failures = []
    for compiler in compilers():
        try:
            return _compiled(source, compiler, folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", None) or error).strip().splitlines() or ["no message"]
            failures.append(f"{' '.join(compiler)} failed: {next((line for line in said if 'error' in line), said[-1])[:200]}")
    return "; ".join(failures) or f"no C compiler is there: {HINT}"


def _compiled(source, compiler, folder):
    key = hashlib.sha256(repr((source.read_bytes(), compiler, stamp(compiler), FLAGS, FOR_THIS_PROCESSOR, processor())).encode())
    target = folder / f"{source.stem}-{key.hexdigest()[:20]}.{'dll' if os.name == 'nt' else 'so'}"
    try:
        return ctypes.CDLL(str(target))
    except OSError:
        pass                                                            # not there yet, or damaged
    name = "zig" if "ziglang" in compiler else Path(compiler[0]).name
    print(f"odl_kit: compiling {source.name} for this processor with {name}, once, a few seconds ...", file=sys.stderr)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(target.suffix, f"{source.stem}-", folder)
    except OSError:                                                     # nowhere to keep it: for this process alone
        target = Path(_own_folder()) / target.name
        handle, draft = tempfile.mkstemp(target.suffix, dir=target.parent)
    os.close(handle)
    try:
        _compile(compiler, source, draft)
        os.replace(draft, target)                                       # whole or not at all: another process may be doing the same
    except PermissionError:
        if not target.exists():                                         # Windows: another process was first, and uses it
            raise
    finally:
        Path(draft).unlink(missing_ok=True)
    return ctypes.CDLL(str(target))


def _compile(compiler, source, target):
    libraries = () if os.name == "nt" else ("-lm",)
    for tuning in (FOR_THIS_PROCESSOR, ()):                             # an old compiler may not know the processor
        command = [*compiler, *FLAGS, *tuning, str(source), "-o", target, *libraries]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if not done.returncode:
            return
    done.check_returncode()


def stamp(compiler):
    """What changes when the compiler is updated, without the time it takes to ask it."""
    program = os.path.realpath(importlib.util.find_spec("ziglang").origin if "ziglang" in compiler else compiler[0])
    about = os.stat(program)
    return program, about.st_size, about.st_mtime_ns


@lru_cache
def processor():
    """The processor's name and the instructions it knows, as far as the system tells."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", errors="replace") as file:
            first = file.read(8192).split("\n\n")[0]
        tells = ("model name", "model", "flags", "Features", "CPU part")
        return tuple(line for line in first.splitlines() if line.split(":")[0].strip() in tells)
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return platform.machine(), asked.stdout
    return platform.machine(), platform.processor()


def cache_folder():
    """Where compiled files are kept: a folder that need not be there yet."""
    if moved := os.environ.get("ODL_CACHE"):
        return Path(moved).absolute()
    home = os.path.expanduser("~")
    places = {"win32": os.environ.get("LOCALAPPDATA") or f"{home}/AppData/Local", "darwin": f"{home}/Library/Caches"}
    return Path(places.get(sys.platform) or os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "odl_kit"


def _own_folder():
    """A folder that only this user may enter, gone when the process ends."""
    folder = tempfile.mkdtemp(prefix="odl_kit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
