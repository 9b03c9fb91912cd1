"""`odl new-lab`: a small lab that runs and keeps every rule, to be rewritten piece by piece. From instructor/template."""
import argparse
import re
import sys

import odl_kit
from odl_kit.grading import build, syllabus
from odl_kit.teaching import guide

ENTRY = """[{name}]
title = {title}
part = {part}
section = [{section}]
volume2 = {volume2}
minutes = {minutes}
prerequisites = [{prerequisites}]
modules = ["data.datasets", "learners.train", "models.nets"]
data = ["digits"]
"""


def create(name, *, title, part, section=("12.1",), volume2="Edge Learning Paradigm", minutes=40, prerequisites=("00_start_here",)):
    """Write source, checks, entry in the syllabus, and instructor's page of a new lab. Returns the paths of the files to edit.

    name: NN_title, as its files are called; the others as in labs/syllabus.toml. Raises ValueError for a name that is no such name or
    whose number is taken, and for prerequisites that do not come before it; then nothing is written.
    """
    home, existing = odl_kit.home(), [lab.name for lab in syllabus.load(odl_kit.home() / "labs" / "syllabus.toml")]
    if not re.fullmatch(r"\d\d_[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of a lab: two digits, then small letters, digits and _, as 29_my_lab")
    if taken := [other for other in existing if other[:2] == name[:2]]:
        raise ValueError(f"number {name[:2]} is taken by {taken[0]}; there are {', '.join(other[:2] for other in existing)}")
    if late := [other for other in prerequisites if other not in existing or other > name]:
        raise ValueError(f"{name} cannot need {late}: no lab that comes before it")
    before = ", ".join(other[:2] for other in prerequisites)
    words = {"NN_name": name, "NN": name[:2], "THE TITLE": title, "THE MINUTES": str(minutes), "THE VOLUME2": volume2,
             "THE SECTION": ", ".join(section), "THE PREREQUISITES": f"Lab {before}" if before else "None"}
    files = {"lab": home / "labs" / "src" / f"{name}.py", "checks": home / "labs" / "checks" / f"{name}.py"}
    for kind, path in files.items():
        text = (home / "instructor" / "template" / f"{kind}.py").read_text(encoding="utf-8")
        build.write(path, re.sub("|".join(words), lambda found: words[found[0]], text))
    entry = ENTRY.format(name=name, title=_toml(title), part=_toml(part), section=", ".join(map(_toml, section)), volume2=_toml(volume2),
                         minutes=minutes, prerequisites=", ".join(map(_toml, prerequisites)))
    path = home / "labs" / "syllabus.toml"
    build.write(path, inserted(path.read_text(encoding="utf-8"), name, entry))
    page = guide.path(name)
    build.write(page, guide.skeleton(next(lab for lab in syllabus.load(path) if lab.name == name)))
    return [*files.values(), path, page]


def inserted(text, name, entry):
    """The text of a syllabus.toml with `entry` of lab `name` in its place by number; what stands there is kept as it is."""
    later = [found.start() for found in re.finditer(r"^\[(\d\d_\w+)\]", text, re.M) if found[1] > name]
    if not later:
        return f"{text.rstrip()}\n\n{entry}".lstrip()
    return f"{text[:later[0]]}{entry}\n{text[later[0]:]}"


def main(argv=None):
    """`odl new-lab NN_title --title TITLE --part PART [...]`. Returns the exit status: 2 for a lab that cannot be made."""
    parser = argparse.ArgumentParser(prog="odl new-lab", description="Begin a new lab: a small one that runs and keeps every rule.")
    parser.add_argument("name", metavar="NN_title", help="as its files are called, 29_my_lab")
    parser.add_argument("--title", required=True, help="as a student reads it")
    parser.add_argument("--part", required=True, help="of the course, as in labs/syllabus.toml")
    parser.add_argument("--section", action="append", metavar="12.N", help="of the chapter; may be repeated (12.1)")
    parser.add_argument("--volume2", default="Edge Learning Paradigm", help="the section of volume 2 (%(default)s)")
    parser.add_argument("--minutes", type=int, default=40, help="for a student (%(default)s)")
    parser.add_argument("--after", action="append", metavar="LAB", help="a lab to do first; may be repeated (00_start_here)")
    options = parser.parse_args(argv)
    try:
        written = create(options.name, title=options.title, part=options.part, section=tuple(options.section or ("12.1",)),
                         volume2=options.volume2, minutes=options.minutes, prerequisites=tuple(options.after or ("00_start_here",)))
    except ValueError as error:
        print(f"odl new-lab: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"written: {path.relative_to(odl_kit.home())}" for path in written))
    print(f"Now: rewrite them, then `odl build {options.name[:2]}`, and look at the lab with `odl browser {options.name}`.")
    return 0


def _toml(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
