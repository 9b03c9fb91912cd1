"""`odl build`: one source -> the student's notebook, the executed twin for the site, the instructor's key, the grading reference.

    labs/src/NN_title.py -> labs/NN_title.ipynb              committed; outputs only in cells tagged nbval-check-output
                            build/site/NN_title.ipynb        the same with all outputs
                            build/key/NN_title.ipynb         solutions and quiz answers, not run
                            build/reference/NN_title.ipynb   import cell and exercise cells, for the grader

The other outputs would give predictions away. A lab is run once, strictly (ODL_TEST=1, an empty ledger), and only if something that it
rests on has changed.
"""
import argparse
import copy
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat

import odl_kit
from odl_kit.grading import convert, needs
from odl_kit.grading.execute import CellFailed, execute


def sources(names=()):
    """Paths of labs/src/NN_title.py, sorted: all, or those named ("11", "11_fedavg"). Raises ValueError for a name that fits none."""
    every = sorted((odl_kit.home() / "labs" / "src").glob("[0-9][0-9]_*.py"))
    chosen = set()
    for name in names:
        fits = [path for path in every if path.stem == Path(name).stem or path.stem.startswith(f"{name}_")]
        if not fits:
            raise ValueError(f"no lab {name!r} in labs/src; there are {', '.join(path.stem for path in every) or 'none'}")
        chosen.update(fits)
    return sorted(chosen) if names else every


def products(source):
    """Where the four notebooks of a lab go: {"student", "site", "key", "reference": path}."""
    home, file = odl_kit.home(), f"{source.stem}.ipynb"
    return {"student": home / "labs" / file} | {kind: home / "build" / kind / file for kind in ("site", "key", "reference")}


def stale(source):
    """Why the committed notebook of a lab is not what its source gives: sentences (see convert.differences), none if it is current."""
    path = products(source)["student"]
    if not path.is_file():
        return [f"{path.name} is not built"]
    if (built := _read(path)) is None:
        return [f"{path.name} is no notebook (left over from a merge?)"]
    return convert.differences(convert.student(source), built)


def changed(source):
    """True if a lab must be built: a notebook is missing or differs from its source, or a file that the lab rests on has changed since."""
    paths = products(source)
    if stale(source) or not all(path.is_file() for path in paths.values()):
        return True
    site = _read(paths["site"])
    return site is None or site.metadata.get("odl", {}).get("digest") != needs.digest(source)


def _read(path):
    """A notebook, None if the file holds none."""
    try:
        return nbformat.read(path, as_version=4)
    except ValueError:
        return None


def build(source, *, progress=lambda done, cells: None):
    """Write the four notebooks of a lab. Returns their paths (see products).

    Raises execute.CellFailed if a cell fails, ValueError if labs/checks lacks an exercise; then nothing is written.
    """
    digest = needs.digest(source)                   # before the run: an edit made meanwhile counts as a change
    fresh, paths = convert.student(source), products(source)
    site = execute(fresh, cwd=paths["student"].parent, progress=progress)
    student = copy.deepcopy(fresh)
    for cell, run in zip(student.cells, site.cells, strict=True):
        if convert.CHECKED in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = run.outputs, run.execution_count       # nbval wants both
    site.metadata.odl["digest"] = digest
    notebooks = {"student": student, "site": site, "key": convert.key(fresh), "reference": convert.reference(fresh)}
    for kind, notebook in notebooks.items():
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)    # times of day
        write(paths[kind], nbformat.writes(notebook) + "\n")
    return paths


def write(path, text):
    """Write a text file in one step: whoever looks sees the old file or the new one, also after Ctrl-C. An equal file is left untouched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)                       # mkstemp makes it private
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def main(argv=None):
    """`odl build [LAB ...] [--all] [--force] [--check]`.

    Returns the exit status: 0, 1 if a lab failed or is not current, 2 for an unknown lab, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="odl build", description="Build the notebooks of the labs that changed, from labs/src.")
    parser.add_argument("lab", nargs="*", help="a lab, as 11 or 11_fedavg; none: all labs")
    parser.add_argument("--all", action="store_true", help="all labs, whatever is named")
    parser.add_argument("--force", action="store_true", help="build also what has not changed")
    parser.add_argument("--check", action="store_true", help="run nothing, say which notebooks in labs/ are not current")
    options = parser.parse_args(argv)
    try:
        chosen = sources(() if options.all else options.lab)
        each = _check if options.check else _build_forced if options.force else _build
        results = [each(source) for source in chosen]       # a lab that fails does not keep the others from being built
        return int(not all(results))
    except ValueError as error:
        print(f"odl build: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; every notebook is whole, the lab that ran is not built", file=sys.stderr)
        return 130


def _check(source):
    found = stale(source)
    print(f"{source.stem}: {'current' if not found else f'run `odl build {source.stem}`'}")
    for sentence in found[:5]:
        print(f"    {sentence}")
    return not found


def _build(source):
    if changed(source):
        return _build_forced(source)
    print(f"{source.stem}: nothing changed")
    return True


def _build_forced(source):
    start, live = time.perf_counter(), sys.stdout.isatty()

    def progress(done, cells):
        if live:
            print(f"\r{source.stem}: cell {done + 1} of {cells}", end="", flush=True)

    if not live:
        print(f"{source.stem}: running", flush=True)
    try:
        build(source, progress=progress)
    except (CellFailed, ValueError) as error:
        print(f"{chr(13) if live else ''}{source.stem}: FAILED, nothing written: {error}")
        return False
    print(f"{chr(13) if live else ''}{source.stem}: built in {time.perf_counter() - start:.0f} s   ")
    return True
