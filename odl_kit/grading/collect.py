"""Submissions out of whatever an instructor has: folders, zips, flat files with ids in their names, exports of Canvas, Moodle, Gradescope.

    ada/02_what_limits_it.ipynb, ada.zip                                 a folder or a zip a student
    02_what_limits_it_ada.ipynb, ada-02_what_limits_it.ipynb             flat, the id after or before the lab
    lovelaceada_LATE_4711_99_02_what_limits_it-1.ipynb                   Canvas: 4711 is the student, 99 the submission, -1 a second attempt
    Ada Lovelace_4711_assignsubmission_file_/02_what_limits_it.ipynb     Moodle: 4711 is the participant
    assignment_1_export/submission_99/02_what_limits_it.ipynb            Gradescope, with submission_metadata.yml
"""
import datetime
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from odl_kit.grading import archive, graft

CANVAS = re.compile(r"(?P<name>[^_/]+)_(?P<late>LATE_)?(?P<id>\d+)_(?P<number>\d+)_(?P<file>.+)")
MOODLE = re.compile(r"(?P<name>[^/_]+)_(?P<id>\d+)_assignsubmission_file_?(?P<file>.*)")
GRADESCOPE = re.compile(r"submission_(\d+)")
METADATA = "submission_metadata.yml"
SKIP = re.compile(r"(^|/)(\.[^/]|__MACOSX/|Icon\r|Thumbs\.db|desktop\.ini)")
COPY = re.compile(r"([ _-]*(copy ?\d*|\(\d+\)|-?Copy\d+))+$", re.I)


@dataclass(frozen=True)
class Submission:
    """One file. student: its id; name: as the learning platform spells it, or ""; path: as the instructor sees it; lab: stem or "";
    raw: the notebook without its outputs; problem: why it cannot be graded, or ""; late: its platform says so; when: datetime or None."""
    student: str
    path: str
    raw: bytes = b""
    problem: str = ""
    lab: str = ""
    name: str = ""
    late: bool = False
    when: datetime.datetime | None = None


def collect(place, labs):
    """All submissions in `place` (a folder, a zip or a notebook), sorted by student, lab and path. labs: stems of the labs that there are.

    Whatever is wrong with one file is its `problem` and stops no other. A student of whom no notebook came has one submission that says so.
    Raises FileNotFoundError if there is no `place`.
    """
    place = Path(place)
    if not place.exists():
        raise FileNotFoundError(f"no submissions: there is no {place}")
    entries = [_read(*entry, labs) for entry in _entries(place) if not SKIP.search(entry[0])]
    people, about = _shorter([path for path, *_ in entries], labs), _gradescope(entries)
    found = []
    for (path, raw, problem, lab), short in zip(entries, people, strict=True):
        if path.rsplit("/", 1)[-1] != METADATA:
            person = _gradescoped(path, about) or _who(short, labs, place.stem)
            found.append(Submission(path=path, raw=raw, problem=problem, lab=lab, **person))
    notebooks = [s for s in found if s.path.lower().endswith(".ipynb") or s.problem]
    have = {s.student for s in notebooks}
    for s in found:
        if s.student not in have:
            have.add(s.student)
            notebooks.append(replace(s, problem=f"{s.path.rsplit('/', 1)[-1]} is no notebook, and no other file came"))
    seen = {}
    for i, s in enumerate(notebooks):               # a zip may hold one name twice
        seen[s.path] = seen.get(s.path, 0) + 1
        notebooks[i] = replace(s, path=s.path if seen[s.path] == 1 else f"{s.path} [{seen[s.path]}]")
    return sorted(notebooks, key=lambda s: (s.student, s.lab, s.when.timestamp() if s.when else 0, _attempt(s.path), s.path))


def _entries(place):
    """(path with /, bytes, problem) of every file; zips are looked into."""
    if place.is_file():
        yield from _file(place, place.name, at_top=True)
        return
    for folder, folders, files in os.walk(place, followlinks=False):
        folders.sort()
        for name in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
            path = Path(folder, name)
            inner = path.relative_to(place).as_posix()
            if path.is_symlink():
                yield inner, b"", "it is a symbolic link, and links are not followed"
            elif not path.is_file():
                yield inner, b"", "it is no ordinary file"
            else:
                yield from _file(path, inner)


def _file(path, inner, *, at_top=False):
    if path.suffix.lower() == ".zip":
        for name, raw, problem in archive.read(path, total=archive.CLASS_BYTES if at_top else archive.STUDENT_BYTES):
            yield "/".join(filter(None, ["" if at_top else inner[:-4], name or "archive.zip"])), raw, problem
        return
    try:
        size, wanted = path.stat().st_size, path.suffix.lower() in archive.WANTED
        big = f"the file has {size / 2**20:.0f} MB, at most {graft.MAX_BYTES >> 20} MB are read: clear the outputs and save"
        yield inner, path.read_bytes() if wanted and size <= graft.MAX_BYTES else b"", big if wanted and size > graft.MAX_BYTES else ""
    except OSError as error:
        yield inner, b"", f"it cannot be read: {error.strerror}"


def _shorter(paths, labs):
    """The paths without folders that all of them lie in: those that cannot be the student's, because one more folder or an id follows."""
    while len({path.split("/")[0] for path in paths}) == 1 and len(paths) > 1 and all("/" in path for path in paths):
        rest = [path.split("/", 1)[1] for path in paths]
        if not all("/" in path for path in rest) and not all(_flat_id(path, labs) for path in rest if "/" not in path):
            break
        paths = rest
    return paths


def _who(path, labs, place):
    """{"student", "name", "late"} of a path. place: who it is where the path says nothing, the name of the zip or notebook itself."""
    for pattern in (MOODLE, CANVAS):
        for part in path.split("/"):
            if match := pattern.fullmatch(part):
                return {"student": match["id"], "name": match["name"], "late": bool(match.groupdict().get("late"))}
    if "/" in path:
        return {"student": path.split("/")[0]}
    stem = COPY.sub("", re.sub(r"\.\w+$", "", path))
    return {"student": _flat_id(path, labs) or (place if stem in labs or stem == "archive" else stem) or path}


def _flat_id(path, labs):
    """The id in a flat file's name: what is left without the lab, "" if nothing is."""
    stem = COPY.sub("", re.sub(r"\.(ipynb|zip)$", "", path.rsplit("/", 1)[-1], flags=re.I))
    lab = next((lab for lab in labs if lab in stem), None)
    return re.sub(r"[ _-]*attempt[ _-]*\d+", "", stem.replace(lab, "", 1), flags=re.I).strip(" _-.") if lab else ""


def _attempt(path):
    """The number of an attempt in a file's name: 0 for none. Canvas writes -1, Jupyter -Copy1, browsers (1)."""
    match = re.search(r"(?:attempt[ _-]*|-|-Copy|\()(\d+)\)?\.ipynb$", path, re.I)
    return int(match[1]) if match else 0


def _read(path, raw, problem, labs):
    """(path, what counts of the bytes, problem, lab) of a file. The lab is what the notebook says it is, else the one in its name.

    Outputs go at once, so that a class fits into memory, and running a notebook again makes it no other submission.
    """
    named = next((lab for lab in labs if lab in path), "")
    if problem or not path.lower().endswith(".ipynb"):
        return path, raw if path.rsplit("/", 1)[-1] == METADATA else b"", problem, named
    try:
        cells, lab = graft.read(raw)
    except ValueError as error:
        return path, b"", str(error), named
    lab = lab if lab in labs else named
    return path, graft.slim(cells, lab), "" if lab else "neither the notebook nor its name says which lab it is", lab


def _gradescope(entries):
    """{submission number: {"student", "name", "when"}} from the submission_metadata.yml that lies highest."""
    files = sorted((e for e in entries if e[0].rsplit("/", 1)[-1] == METADATA), key=lambda e: e[0].count("/"))
    if not files:
        return {}
    import yaml  # of the extra `test`, like nbval

    try:
        table = yaml.safe_load(files[0][1])
        found = {}
        for key, entry in table.items():
            person, when = entry[":submitters"][0], entry.get(":created_at")
            when = datetime.datetime.fromisoformat(when) if isinstance(when, str) else when
            when = when.replace(tzinfo=datetime.UTC) if when and not when.tzinfo else when
            student, name = str(person.get(":sid") or person[":email"]), str(person.get(":name", ""))
            found[GRADESCOPE.fullmatch(key)[1]] = {"student": student, "name": name, "when": when}
        return found
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, IndexError, ValueError):
        return {}


def _gradescoped(path, about):
    for part in path.split("/"):
        if (match := GRADESCOPE.fullmatch(part)) and match[1] in about:
            return about[match[1]]
    return None
