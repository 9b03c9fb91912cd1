"""Which files a lab rests on: its source, its checks, and the parts of the kit that it imports, directly or not."""
import ast
import hashlib
import re

import odl_kit

RECORDED = re.compile(r"""lab\.recorded\(\s*["']([\w.-]+)["']""")     # figures drawn from benchmarks/results


def files(source):
    """The files that lab `source` (path of labs/src/NN_title.py) rests on: sorted list of paths that exist.

    Followed are import statements, also those inside functions; not modules that are named in a string.
    """
    home = odl_kit.home()
    found, todo = set(), [source, home / "labs" / "checks" / source.name, home / "labs" / "syllabus.toml"]
    while todo:
        path = todo.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        if path.suffix == ".py":
            todo += [p for name in _imported(path) for p in _module_files(home, name)]
    recorded = RECORDED.findall(source.read_text(encoding="utf-8"))
    found |= {p for name in recorded if (p := home / "benchmarks" / "results" / f"{name}.json").is_file()}
    return sorted(found | set(home.glob("datasets/*/card.toml")))


def digest(source):
    """One hexadecimal number for the content of `files(source)`: it changes when the lab may behave otherwise."""
    total = hashlib.sha256()
    for path in files(source):
        total.update(path.relative_to(odl_kit.home()).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _imported(path):
    """Dotted names of the kit that a file imports: `from odl_kit.data import datasets` gives odl_kit.data and odl_kit.data.datasets."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "odl_kit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "odl_kit":
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_files(home, name):
    """The file of a dotted name and the __init__.py of its packages; a name that is no module (a function) adds only the latter."""
    parts = name.split(".")
    packages = [home.joinpath(*parts[:end], "__init__.py") for end in range(1, len(parts) + 1)]
    return [*packages, home.joinpath(*parts[:-1], f"{parts[-1]}.py")]
