"""The shape of the house: who may import whom, how long a file may be, what every public name carries, what no file may contain."""
import ast
import re
import subprocess
from pathlib import Path

import pytest

import odl_kit

ROOT = odl_kit.home()
PACKAGE = ROOT / "odl_kit"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room imports itself and these. `data`, `viz` and `lab` are what a notebook composes, no room below imports them; grading, teaching,
# doctor and cli stand outside: they run the course; cli imports them, and teaching what grading builds.
MAY = {
    "budget": set(),
    "data": {"budget"},
    "models": {"budget"},
    "learners": {"models", "budget"},
    "engine": {"learners", "models", "budget"},
    "federation": {"learners", "models", "budget"},
    "threats": {"learners", "models", "budget"},
    "defenses": {"threats", "learners", "models", "budget"},
    "devices": {"engine", "learners", "models", "budget"},
    "viz": {"budget"},
    "lab": {"budget", "viz"},
    "grading": {"lab"},
    "teaching": {"grading", "lab", "viz"},
    "doctor": {"data"},
    "cli": {"grading", "teaching", "lab", "doctor", "federation", "defenses", "devices", "data"},
}
ONLY_IN_ONE_FILE = ("serial", "unicorn", "flwr", "dp_accounting", "numba")
# Pieces are kept apart so that this file does not find itself.
REGISTRIES = re.compile("|".join([r"pypi\.org", r"pythonhosted\.org", r"registry\.npmjs", r"download\.pytorch\.org", r"/sim" r"ple/?[\"' ]",
                                  "--index" "-url", "--extra-index" "-url"]))
SOMEBODYS_FOLDER = re.compile(r"(?<![\w.])(/ho" r"me/(?!jovyan)\w+/|/Us" r"ers/\w+/|/ro" r"ot/\w|[A-Z]:\\+Us" r"ers\\)")


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Full dotted names that a file imports anywhere, inside functions too; relative imports are resolved."""
    here = ("odl_kit", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[:len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def forbidden(mine, names):
    """The imported names that room `mine` may not use."""
    others = {name: name.split(".")[1] for name in names if name.startswith("odl_kit.")}
    return sorted(name for name, other in others.items() if other in MAY and other != mine and other not in MAY[mine])


def modules():
    return [path for path in FILES if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_what_lies_below_it(path):
    assert room(path) in MAY, f"{room(path)} is a new room: say in MAY what it may import"
    assert forbidden(room(path), imports(path)) == []


def test_the_rule_sees_a_forbidden_import_in_any_form(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "bad.py"
    for line in ("import odl_kit.lab", "from odl_kit import viz", "from odl_kit.learners.train import fit", "from .. import data",
                 "from ..data import datasets", "def f():\n    from odl_kit.federation import rounds"):
        path.write_text(line, encoding="utf-8")
        assert forbidden("models", imports(path)), line
    path.write_text("from odl_kit.budget import Board\nfrom odl_kit import home\nfrom . import flat\nimport torch", encoding="utf-8")
    assert forbidden("models", imports(path)) == []


def test_the_rooms_have_no_circle():
    order, left = [], dict(MAY)
    while left:
        free = [name for name, below in left.items() if below <= set(order)]
        assert free, f"a circle among {sorted(left)}"
        order += free
        left = {name: below for name, below in left.items() if name not in free}


def test_an_optional_package_is_imported_in_one_file_at_most():
    for package in ONLY_IN_ONE_FILE:
        users = [path.name for path in FILES if any(name.split(".")[0] == package for name in imports(path))]
        assert len(users) <= 1, f"{package} is imported in {users}"


def test_an_init_file_is_a_docstring_map():
    for path in PACKAGE.rglob("__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"
        if path.parent not in (PACKAGE, PACKAGE / "lab", PACKAGE / "viz"):     # lab and viz: what a notebook calls, re-exported
            assert len(tree.body) == 1, f"{path} holds more than its docstring"


def test_no_file_of_the_package_is_over_250_lines():
    long = {path.name: n for path in FILES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 250}
    assert long == {}


def test_every_module_and_every_public_name_has_a_docstring():
    missing = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            missing.append(path.name)
        public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")]
        missing += [f"{path.name}: {node.name}" for node in public if not ast.get_docstring(node)]
    assert missing == []


def texts():
    """(name, text) of every text file that git tracks or would track; outside git, of every file of the course."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")[:-1]
    else:
        folders = ("odl_kit", "tests", "labs", "datasets", "benchmarks", "hardware", ".ci")
        names = [p.relative_to(ROOT).as_posix() for folder in folders for p in (ROOT / folder).rglob("*") if "__pycache__" not in p.parts]
    for name in names:
        if (ROOT / name).is_file():
            raw = (ROOT / name).read_bytes()
            if b"\0" not in raw[:8192]:
                yield name, raw.decode("utf-8")


def test_no_file_names_a_package_registry_or_a_folder_of_somebodys_machine():
    own = {f"{folder}/" for folder in (str(ROOT.parent), str(Path.home())) if folder.count("/") > 1}
    found = []
    for name, text in texts():
        found += [f"{name}: {hit.group()}" for pattern in (REGISTRIES, SOMEBODYS_FOLDER) if (hit := pattern.search(text))]
        found += [f"{name}: {folder}" for folder in own if folder in text]
    assert found == []


def test_the_patterns_find_what_they_are_for():
    for text in ("see https://pypi" ".org/project/x", "pip install --index" "-url x", "-i https://host/sim" "ple/ "):
        assert REGISTRIES.search(text), text
    for text in ("/ho" "me/ada/x", "/Us" "ers/ada/x", "C:\\Us" "ers\\ada", "open('/ro" "ot/x')"):
        assert SOMEBODYS_FOLDER.search(text), text
    assert not SOMEBODYS_FOLDER.search("odl_kit.home() and build/home/x")
