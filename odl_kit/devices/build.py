"""Compile hardware/: the firmware of the virtual board, or a library for this computer.

The firmware needs ziglang and is part of the package: the same sources and the same ziglang give the same bytes, wherever they lie.
python -m odl_kit.devices.build  writes devices/firmware.elf anew.
"""
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from odl_kit import home
from odl_kit.learners import native

STRICT = ("-std=c99", "-O2", "-g0", "-ffp-contract=off", "-fomit-frame-pointer", "-Wall", "-Wextra", "-Wconversion", "-Werror")
ZIG = (sys.executable, "-m", "ziglang", "cc")
CORTEX_M4F = ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp",      # without +vfp4d16sp zig computes floats in software
              "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-exceptions", "-ffunction-sections", "-fdata-sections")
LINK = ("-nostartfiles", "-Wl,--gc-sections", "-Wl,--entry=reset", "-Wl,-z,max-page-size=4", "-Wl,--build-id=none",
        "-Wno-unused-command-line-argument")


class NoCompiler(RuntimeError):
    """There is none, or it failed; the message says what to do."""


def core():
    """The C files of the core: hardware/odl/src/*.c, sorted."""
    return sorted((home() / "hardware" / "odl" / "src").glob("*.c"))


def firmware(*sources, defines=()):
    """bytes of an ELF file for the virtual board. sources: C files (default: the core and the server's main). defines: ("NAME", "NAME=2").

    Other sources must bring their own main; hardware/targets/virtual/start.c and link.ld are added. Raises NoCompiler.
    """
    if not importlib.util.find_spec("ziglang"):
        raise NoCompiler("compiling firmware needs ziglang: pip install 'odl-kit[build]'; the package brings a built firmware")
    virtual = home() / "hardware" / "targets" / "virtual"
    sources = sources or (*core(), virtual / "main.c")
    flags = (*CORTEX_M4F, *LINK, *(f"-D{define}" for define in defines))
    return compiled(ZIG, [*sources, virtual / "start.c"], flags, "elf", script=virtual / "link.ld").read_bytes()


def host_library(*sources, defines=()):
    """Path of a shared library for this computer. sources: C files (default: the core and hardware/targets/host).

    Any C compiler that is there will do: learners.native.compilers. Raises NoCompiler.
    """
    sources = sources or (*core(), home() / "hardware" / "targets" / "host" / "host.c")
    flags = ("-shared", *(() if os.name == "nt" else ("-fPIC",)), *(f"-D{define}" for define in defines))
    failures = []
    for compiler in native.compilers():
        try:
            return compiled(compiler, sources, flags, "dll" if os.name == "nt" else "so")
        except (NoCompiler, OSError) as error:
            failures.append(str(error))
    raise NoCompiler("; ".join(failures) or f"no C compiler is there: {native.HINT}")


def compiled(compiler, sources, flags, ending, *, script=None):
    """Path of what `compiler` makes of `sources`, in the user's cache; compiled once for the same sources, headers, flags and compiler."""
    include, sources = home() / "hardware" / "odl" / "src", [Path(source) for source in sources]
    read = [path.read_bytes() for path in (*sources, *sorted(include.glob("*.h")), *filter(None, [script]))]
    key = hashlib.sha256(repr((read, compiler, native.stamp(compiler), STRICT, flags)).encode()).hexdigest()[:20]
    result = native.cache_folder() / f"odl-{key}.{ending}"
    if not result.exists():
        result.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=result.parent) as folder:
            draft = Path(folder) / f"draft.{ending}"
            linked = ("-T", str(script)) if script else ()
            _run([*compiler, *STRICT, *flags, *linked, f"-I{include}", *map(str, sources), "-o", str(draft)])
            os.replace(draft, result)           # whole or not at all: another process may be doing the same
    return result


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise NoCompiler(f"{' '.join(command[:4])} ... failed:\n{done.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    from odl_kit.devices.virtual import FIRMWARE
    FIRMWARE.write_bytes(firmware())
    print(f"{FIRMWARE}: {FIRMWARE.stat().st_size:,} bytes")
