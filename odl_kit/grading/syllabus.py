"""labs/syllabus.toml: what labs there are, and the table of them that the README and lab 00 show."""
import tomllib
from dataclasses import dataclass

from odl_kit import home
from odl_kit.grading import links

START, END = "<!-- table of labs: written by `odl build` from labs/syllabus.toml -->", "<!-- end of the table of labs -->"


@dataclass(frozen=True)
class Lab:
    """One lab as labs/syllabus.toml has it (what each field means stands there). `name` is the stem of its files: 11_fedavg."""
    name: str
    title: str
    part: str
    section: tuple
    volume2: str
    minutes: int
    prerequisites: tuple
    modules: tuple
    data: tuple


def load(path=None):
    """The labs of the course in order of their numbers: tuple of Lab. path: a syllabus.toml, the course's own if None.

    Raises ValueError for a lab that lacks a field or has one too many, takes no positive whole number of minutes, or needs one that does
    not come before it.
    """
    table = tomllib.loads((path or home() / "labs" / "syllabus.toml").read_text(encoding="utf-8"))
    fields = list(Lab.__dataclass_fields__)[1:]
    labs = []
    for name, entry in sorted(table.items()):
        if sorted(entry) != sorted(fields):
            missing, unknown = sorted(set(fields) - set(entry)), sorted(set(entry) - set(fields))
            raise ValueError(f"syllabus, lab {name}: missing {missing}, unknown {unknown}")
        if not isinstance(entry["minutes"], int) or entry["minutes"] < 1:
            raise ValueError(f"syllabus, lab {name}: minutes is {entry['minutes']!r}, it must be a whole number of at least 1")
        if late := [other for other in entry["prerequisites"] if other not in table or other >= name]:
            raise ValueError(f"syllabus, lab {name}: needs {late}, no lab that comes before it")
        labs.append(Lab(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}))
    return tuple(labs)


def table(labs, *, folder=""):
    """The labs as a Markdown table, one row a lab, under a heading row for each part; the last row adds up the minutes.

    folder: what stands before a notebook's name in its link, "labs/" in the README. Badges are added where there is an address (see links).
    """
    rows, part = [["Lab", "Minutes", "Chapter", "Volume 2, *Edge Intelligence*", "First do", "Open in"],
                  ["---", "---:", "---", "---", "---", "---"]], None
    for lab in labs:
        if lab.part != part:
            part = lab.part
            rows.append([f"**{part}**", "", "", "", "", ""])
        needs = ", ".join(name[:2] for name in lab.prerequisites) or "nothing"
        title = f"[{lab.name[:2]} · {lab.title}]({folder}{lab.name}.ipynb)"
        rows.append([title, str(lab.minutes), ", ".join(lab.section), lab.volume2, needs, links.badges(lab.name)])
    rows.append([f"{len(labs)} labs", str(sum(lab.minutes for lab in labs)), "", "", "", ""])
    columns = 6 if any(links.badges(lab.name) for lab in labs) else 5
    return "\n".join(f"| {' | '.join(row[:columns])} |" for row in rows)


def readme(text, labs):
    """`text` (a README) with the table of `labs` between its two markers. Raises ValueError when a marker is not there exactly once."""
    for marker in (START, END):
        if text.count(marker) != 1:
            raise ValueError(f"README.md has the line {marker!r} {text.count(marker)} times, it must stand there once")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{table(labs, folder='labs/')}\n{END}{after}"


def write_readme():
    """Bring the table in README.md up to date; returns True if that changed the file."""
    path = home() / "README.md"
    old = path.read_text(encoding="utf-8")
    new = readme(old, load())
    if new != old:
        path.write_text(new, encoding="utf-8", newline="\n")
    return new != old
