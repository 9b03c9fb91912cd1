"""course.toml: what an instructor changes about a course without touching it, and what a lab is graded with.

    title = "On-device learning, spring 2027"
    seed = "not for students"               # the cases of every student are drawn from it; without it `odl grade` makes one and keeps it
    private = "private"                     # folder of private checks, NN_title.py as in labs/checks; relative to this file
    [late]                                  # no table: late work counts in full
    grace_minutes = 15
    per_day = 10                            # percent of what was earned, for every day begun
    days = 5                                # after so many nothing counts
    [seeds]
    ada = "another seed for one student"
    [labs.02_what_limits_it]
    deadline = 2027-03-01T23:59:00+01:00
    points = { training_bytes = 3 }
    reflection = 6                          # points given by hand for the answers to the lab's questions, see `manual`
    attempts = 3                            # files beyond the third do not count
    keep = "last"                           # or "best"
"""
import datetime
import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import odl_kit
from odl_kit.grading import build, convert, inside, needs
from odl_kit.grading.judge import Lab

TOP = {"title": str, "seed": str, "private": str, "late": dict, "seeds": dict, "labs": dict}
LATE = {"grace_minutes": (int, float), "per_day": (int, float), "days": int}
OF_A_LAB = {"deadline": datetime.datetime, "points": dict, "reflection": (int, float), "attempts": int, "keep": str}


@dataclass(frozen=True)
class Course:
    """What course.toml says; see the top of this file. private: path of the folder or None. labs {stem: table}."""
    title: str = "On-device learning"
    seed: str = ""
    private: Path | None = None
    late: dict = field(default_factory=dict)
    seeds: dict = field(default_factory=dict)
    labs: dict = field(default_factory=dict)


def load(path):
    """The Course of a course.toml. Raises ValueError for a key, type, lab or check that there is not, OSError if it cannot be read."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from None
    _fits(table, TOP, path.name)
    _fits(table.get("late", {}), LATE, f"{path.name} [late]")
    known = [source.stem for source in build.sources()]
    for name, entry in table.get("labs", {}).items():
        if name not in known:
            raise ValueError(f"{path.name}: no lab {name!r}; there are {', '.join(known)}")
        _fits(entry, OF_A_LAB, f"{path.name} [labs.{name}]")
        if entry.get("keep", "last") not in ("last", "best"):
            raise ValueError(f"{path.name} [labs.{name}]: keep is {entry['keep']!r}, it may be \"last\" or \"best\"")
        if "deadline" in entry and entry["deadline"].tzinfo is None:
            raise ValueError(f"{path.name} [labs.{name}]: the deadline {entry['deadline']} has no time zone: add +01:00 or Z")
    private = (path.parent / table["private"]).resolve() if "private" in table else None
    if private and not private.is_dir():
        raise ValueError(f"{path.name}: private is {table['private']!r}, and there is no folder {private}")
    course = Course(**table | {"private": private})
    for name in known:
        points(course, name)
    return course


def _fits(table, kinds, where):
    for key, value in table.items():
        if key not in kinds:
            raise ValueError(f"{where}: unknown key {key!r}; known are {', '.join(kinds)}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise ValueError(f"{where}: {key} is {value!r}, which is {type(value).__name__}")


def private_checks(course, name):
    """Path of the instructor's private checks of a lab as text, None if there are none."""
    path = course.private / f"{name}.py" if course.private else None
    return str(path) if path and path.is_file() else None


def points(course, name):
    """{question: points} of a lab, overrides applied; questions of private checks are called "exercise (private)".

    Raises ValueError for points of a question that there is not, or below 0.
    """
    own = course.labs.get(name, {}).get("points", {})
    found = {question: check.points for question, (_, check) in inside.checks_of(name, private_checks(course, name)).items()}
    for question, value in own.items():
        if question not in found or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"points of {name}: {question!r} = {value!r}; there are {', '.join(found)}, each may have 0 or more")
    return found | own


def seed_of(course, name, student):
    """The seed of one student in one lab, as text that gives nothing else away."""
    return hashlib.sha256(f"{course.seeds.get(student, course.seed)}\0{name}\0{student}".encode()).hexdigest()


def lab(course, name):
    """The judge.Lab of a lab. Raises ValueError if a private check is for no exercise of it."""
    source = odl_kit.home() / "labs" / "src" / f"{name}.py"
    student, private = convert.student(source), private_checks(course, name)
    checks = inside.checks_of(name, private)
    exercises = {cell_name for cell in student.cells if (cell_name := convert.role(cell, "exercise"))}
    if odd := [question for question, (exercise, _) in checks.items() if exercise not in exercises]:
        raise ValueError(f"{private or name}: {', '.join(odd)} is for no exercise of {name}, which has {', '.join(sorted(exercises))}")
    digest = hashlib.sha256(needs.digest(source).encode() + (Path(private).read_bytes() if private else b"") + _grader()).hexdigest()
    more = (str(odl_kit.home() / "labs" / "checks"), *([private] if private else []))
    return Lab(name, {question: exercise for question, (exercise, _) in checks.items()}, student, convert.reference(student), private, more,
               digest)


def _grader():
    """The text of the modules that decide a verdict: a change of one of them grades anew."""
    return b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in ("graft", "inside", "judge", "copied", "jail", "run"))
