"""Is this computer ready for the labs? `odl doctor` in a terminal, `doctor.report()` in a notebook: one line a point, and its cure."""
import html
import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import odl_kit

OK, OPTIONAL, PROBLEM = "ok", "optional", "problem"
LAB_BYTES = 2**30       # a lab may use this much memory
INSTALL = 'pip install -c constraints.txt -e ".[lab,test]" in the folder of the course'

# programs, any of which will do -> what they are for, what to do where none is there
TOOLS = {
    ("chromium", "chromium-browser", "google-chrome"): ("tests that open labs in a browser", "Debian: apt install chromium"),
    ("cc", "gcc", "clang", "zig"): ("C for this computer", "Debian: apt install gcc"),
    ("arm-none-eabi-gcc",): ("C for a Cortex-M board", "Debian: apt install gcc-arm-none-eabi"),
    ("qemu-system-arm",): ("an emulated Cortex-M board", "Debian: apt install qemu-system-arm"),
    ("node",): ("JavaScript outside a browser", "Debian: apt install nodejs"),
    ("espeak-ng",): ("rebuilding the spoken words", "Debian: apt install espeak-ng"),
}


@dataclass(frozen=True)
class Line:
    """One point. state: OK, OPTIONAL (only some parts of the course want it) or PROBLEM. do: what to do about it, "" if nothing."""
    state: str
    name: str
    found: str
    do: str = ""

    def __str__(self):
        return f"{self.state:<9}{self.name:<18}{self.found}" + (f"\n{'':27}-> {self.do}" if self.do else "")


@dataclass(frozen=True)
class Report:
    """All lines; text in a terminal, a table in a notebook."""
    lines: tuple

    @property
    def problems(self):
        """The lines that stand in the way of a lab."""
        return tuple(line for line in self.lines if line.state == PROBLEM)

    def summary(self):
        """One sentence on the whole."""
        if not self.problems:
            return "Ready: nothing stands in the way of a lab."
        return f"{len(self.problems)} to mend first: {', '.join(line.name for line in self.problems)}."

    def __str__(self):
        return "\n".join([*map(str, self.lines), self.summary()])

    def _repr_html_(self):
        wanted = [line for line in self.lines if line.state != OPTIONAL]
        more = [line for line in self.lines if line.state == OPTIONAL]
        return (f"<p><b>{html.escape(self.summary())}</b></p>{_table(wanted)}"
                + (f"<details><summary>{len(more)} that only later labs want</summary>{_table(more)}</details>" if more else ""))


def _table(lines):
    marks, left = {OK: "✓", OPTIONAL: "○", PROBLEM: "✗"}, ' style="text-align: left; white-space: '
    rows = "".join(f'<tr><td{left}nowrap">{marks[line.state]} {line.state}</td><td{left}nowrap">{html.escape(line.name)}</td>'
                   f'<td{left}normal; overflow-wrap: anywhere">{html.escape(line.found)}'
                   + (f"<br>→ {html.escape(line.do)}" if line.do else "") + "</td></tr>" for line in lines)
    heads = "".join(f'<th{left}nowrap">{head}</th>' for head in ("State", "What", "Found"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def report():
    """Look at this computer: a Report. Takes about two seconds, mostly to import torch; changes nothing."""
    return Report((_python(), *_packages(), _threads(), _memory(), _kernel(), _widgets(), *_data(), _ledger(), _serial(), *_tools()))


def find_tool(*names):
    """The path of the first of these programs that is installed beside this Python or on PATH, else None."""
    beside = os.path.dirname(sys.executable)
    return next(filter(None, (shutil.which(name, path=path) for name in names for path in (beside, None))), None)


def _python():
    found = f"{sys.version.split()[0]} at {sys.executable}"
    return Line(OK, "Python", found) if sys.version_info >= (3, 11) else Line(PROBLEM, "Python", found, "install Python 3.11 or newer")


def _packages():
    """One line for all packages that the labs need, and one for each that is missing or too old; the ranges are those of pyproject.toml."""
    try:
        wanted = importlib.metadata.requires("odl-kit") or []
    except importlib.metadata.PackageNotFoundError:
        return [Line(OPTIONAL, "odl-kit", f"not installed, used from {Path(odl_kit.__file__).parents[1]}", INSTALL)]
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return [Line(PROBLEM, "packages", "packaging is missing", INSTALL)]
    fine, lines = [], []
    for need in map(Requirement, wanted):
        if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in ("", "lab")):
            continue
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(Line(PROBLEM, need.name, "missing", INSTALL))
            continue
        if need.specifier.contains(version, prereleases=True):
            fine.append(f"{need.name} {version}")
        else:
            lines.append(Line(PROBLEM, need.name, f"{version}, the course needs {need.specifier}", INSTALL))
    return [Line(OK, "packages", ", ".join(sorted(fine))), *lines]


def _threads():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        import torch
    except Exception as error:     # a broken torch fails in many ways (OSError, ImportError, RuntimeError); each belongs in the report
        return Line(PROBLEM, "torch", f"cannot be imported: {error}", INSTALL)
    gpu = "a CUDA device is there, the labs do not need it" if torch.cuda.is_available() else "no CUDA device, none is needed"
    return Line(OK, "processor", f"{cores} cores, torch threads: {torch.get_num_threads()}; {gpu}")


def _memory():
    """The smaller of what the computer and what its container (Linux, cgroup 2) allows."""
    try:
        import psutil
    except ImportError:
        return Line(PROBLEM, "memory", "psutil is missing, so it could not be measured", INSTALL)
    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        free, total = min(free, limit - used), min(total, limit)
    except (OSError, ValueError):
        pass        # no cgroup, or "max": no limit
    found = f"{free / 2**30:.1f} GiB free of {total / 2**30:.1f}"
    if free >= LAB_BYTES:
        return Line(OK, "memory", found)
    return Line(PROBLEM, "memory", found, "a lab may use 1 GiB: close other programs, or shut down kernels you no longer need")


def _kernel():
    """Labs ask for the kernel "python3"; it must be this very Python, or what is installed here is not what a lab sees."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Line(PROBLEM, "kernel", "jupyter_client is missing", INSTALL)
    mend = "python -m ipykernel install --sys-prefix"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Line(PROBLEM, "kernel", "no kernel named python3", mend)
    path = shutil.which(program) or program
    if os.path.basename(program) != program and os.path.abspath(path) != os.path.abspath(sys.executable) and not _same_home(path):
        return Line(PROBLEM, "kernel", f"python3 runs {program}, not {sys.executable}", mend)
    return Line(OK, "kernel", f"python3 runs {sys.executable if os.path.basename(program) == program else program}")


def _same_home(program):
    """Do `program` and this Python stand in the same environment, perhaps as python and python3?"""
    return os.path.realpath(os.path.dirname(program)) == os.path.realpath(os.path.dirname(sys.executable))


def _widgets():
    """Sliders need a half in the browser as well: JupyterLab's extension, installed in this environment."""
    if any((Path(base) / "labextensions" / "@jupyter-widgets" / "jupyterlab-manager").is_dir() for base in _jupyter_paths()):
        return Line(OK, "widgets", "JupyterLab has its extension for widgets")
    return Line(OPTIONAL, "widgets", "JupyterLab's extension for widgets is missing: no sliders, the labs work as plain text",
                "pip install jupyterlab_widgets, then reload the page (Colab and JupyterHub may bring their own)")


def _jupyter_paths():
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return ()
    return jupyter_path()


def _data():
    try:
        from odl_kit.data import datasets
        names = datasets.names()
    except Exception as error:      # whatever it is, it belongs in the report
        return [Line(PROBLEM, "data sets", str(error), "clone the course again, or set ODL_HOME to a clone")]
    fine, lines = [], []
    for name in names:
        try:
            fine.append(f"{name} ({len(datasets.load(name))})")
        except Exception as error:  # the message of datasets.load says how to mend it
            lines.append(Line(PROBLEM, f"data {name}", str(error), "see the message"))
    return [Line(OK, "data sets", ", ".join(fine) or "none"), *lines]


def _ledger():
    """Where a student's answers are kept must be a folder that can be written to, or one that can be made."""
    try:
        folder = Path(os.environ.get("ODL_LEDGER") or odl_kit.home() / "labs" / "ledger")
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        with tempfile.TemporaryFile(dir=there):
            return Line(OK, "ledger", f"answers are kept in {folder}")
    except OSError as error:
        return Line(PROBLEM, "ledger", str(error), "make the folder writable, or set ODL_LEDGER to one that is")


def _serial():
    try:
        ports = importlib.import_module("serial.tools.list_ports").comports()
    except ImportError:
        return Line(OPTIONAL, "serial ports", "pyserial is not installed", "only to talk to a real board: pip install pyserial")
    return Line(OK, "serial ports", ", ".join(f"{port.device} ({port.description})" for port in ports) or "none in use")


def _tools():
    for names, (purpose, hint) in TOOLS.items():
        if path := find_tool(*names):
            yield Line(OK, names[0], f"{path}: {purpose}")
        else:
            yield Line(OPTIONAL, names[0], f"not found: {purpose}", hint)
