"""`odl release`: what students get of a course. Their notebooks, a manifest with hashes, a zip of both; no check, no key, no seed.

The solutions of a public course are public. What an instructor can rely on is in course.toml and stays there: private checks, the seed that
every student's cases are drawn from, other points. See `course`.
"""
import argparse
import hashlib
import json
import sys
import zipfile
from pathlib import Path

import nbformat

import odl_kit
from odl_kit.grading import build, convert, course

READ_ME = """{title}

Open each notebook in JupyterLab with the course's kit installed (`odl doctor` says whether it is). Answer in the cells of the exercises;
helpers may go into cells of your own. Hand in the notebooks, with these names, as they are: one at a time, or all in one zip.

{labs}
"""


def release(names, out, about):
    """Write the release of the labs `names` (stems) to the folder `out`; about: Course. Returns the path of the zip.

    Raises ValueError for a lab whose notebook is not current, or that would give a solution away.
    """
    notebooks = {f"{name}.ipynb": nbformat.writes(notebook(name, about)) + "\n" for name in names}
    manifest = {"title": about.title, "labs": {name: _about(name, notebooks[f"{name}.ipynb"], about) for name in names}}
    files = notebooks | {"manifest.json": json.dumps(manifest, indent=1) + "\n", "README.txt": _read_me(manifest)}
    for name, text in files.items():
        build.write(Path(out) / name, text)
    return _zip(files, Path(out) / "release.zip")


def notebook(name, about):
    """The student notebook of a lab with the course's points in its metadata. ValueError if it is not current, or shows a solution."""
    source = odl_kit.home() / "labs" / "src" / f"{name}.py"
    if why := build.stale(source):
        raise ValueError(f"{name}: {why[0]}; run `odl build {name}`")
    book = nbformat.read(build.products(source)["student"], as_version=4)
    points = course.points(about, name)
    book.metadata.odl["exercises"] = {question: points[question] for question in book.metadata.odl["exercises"]}
    shown = "\n".join(cell.source for cell in book.cells)
    for cell in convert.key(convert.student(source)).cells:
        if (exercise := convert.role(cell, "exercise")) and cell.source in shown:
            raise ValueError(f"{name}: the notebook shows the solution of {exercise}")
    return book


def _about(name, text, about):
    rules = about.labs.get(name, {})
    found = {"file": f"{name}.ipynb", "sha256": hashlib.sha256(text.encode()).hexdigest(),
             "points": {q: p for q, p in course.points(about, name).items() if not q.endswith("(private)")}}
    if "reflection" in rules:
        found["points"]["reflection"] = rules["reflection"]
    return found | ({"deadline": rules["deadline"].isoformat()} if "deadline" in rules else {})


def _read_me(manifest):
    lines = [f"  {lab['file']:<36} {sum(lab['points'].values()):g} points{'  until ' + lab['deadline'] if 'deadline' in lab else ''}"
             for lab in manifest["labs"].values()]
    return READ_ME.format(title=manifest["title"], labs="\n".join(lines))


def _zip(files, path):
    """The same files give the same zip, byte for byte."""
    draft = path.with_suffix(".part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    draft.replace(path)
    return path


def main(argv=None):
    """`odl release LAB ... --out DIR [--course course.toml]`. Returns the exit status: 0, or 2 for what cannot be released."""
    parser = argparse.ArgumentParser(prog="odl release", description="Write what students get: notebooks, a manifest with hashes, a zip.")
    parser.add_argument("lab", nargs="+", help="a lab, as 11 or 11_fedavg")
    parser.add_argument("--out", required=True, metavar="DIR", help="where to write it")
    parser.add_argument("--course", metavar="FILE", help="points, deadlines, seed and private checks: see odl_kit/grading/course.py")
    options = parser.parse_args(argv)
    try:
        about = course.load(options.course) if options.course else course.Course()
        names = [source.stem for source in build.sources(options.lab)]
        path = release(names, options.out, about)
    except (ValueError, OSError) as error:
        print(f"odl release: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {', '.join(names)}")
    if not about.seed:
        print("No seed in a course.toml: `odl grade` will make one and keep it in its own folder. Do not hand that out.")
    return 0
