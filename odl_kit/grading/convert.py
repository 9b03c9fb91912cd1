"""A lab's source (jupytext percent) -> notebooks, without running anything.

What a cell is for stands in `cell.metadata.odl`, so that nothing is keyed by cell id: {"imports": true} the import cell, {"exercise": id} a
cell that a student fills in, {"answer": id} the quiz answer in the key, {"colab": true} the cell that Colab needs first. The notebook's own
`metadata.odl` has lab, exercises {id: points} and quizzes [id].
"""
import copy
import hashlib
import itertools
import re

import jupytext
from nbformat import v4

from odl_kit.grading import links
from odl_kit.lab import judging

CHECKED = "nbval-check-output"      # a cell with this tag prints the same on every run and keeps its output in the student notebook
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
QUIZ = re.compile(r"""^\s*lab\.quiz\(\s*["'](\w+)["']""", re.M)


def student(path):
    """The student notebook of the source `path` (labs/src/NN_title.py), not run: nbformat v4, with cell ids that depend on the text only.

    Points come from labs/checks. With a Repository in [project.urls] a Colab cell and badges are added (see grading.links).
    Raises ValueError for an exercise that labs/checks does not know.
    """
    known = judging.load(path.stem)
    cells = [_cell(cell) for cell in jupytext.read(path, fmt="py:percent").cells]
    for cell in cells:
        if (name := role(cell, "exercise")) and name not in known.checks:
            raise ValueError(f"exercise {name!r} has no check in labs/checks/{path.stem}.py, which has {sorted(known.checks)}")
    about = {"lab": path.stem, "exercises": {name: check.points for name, check in known.checks.items()}, "quizzes": list(known.quizzes)}
    return _notebook(_linked(cells, path.stem), about)


def key(notebook):
    """The instructor's key of a student notebook: solutions in the exercise cells, under each quiz its answer with reasons. Not run."""
    known = judging.load(notebook.metadata.odl["lab"])
    cells = []
    for cell in copy.deepcopy(notebook.cells):
        if name := role(cell, "exercise"):
            cell.source = known.checks[name].solution.strip("\n")
        cells.append(cell)
        cells += [v4.new_markdown_cell(answer(known.quizzes[name]), metadata={"odl": {"answer": name}})
                  for name in QUIZ.findall(cell.source) if cell.cell_type == "code"]
    return _notebook(cells, notebook.metadata.odl)


def reference(notebook):
    """What the grader puts a student's answers into: the import cell and the exercise cells (as handed out), nothing else."""
    kept = [cell for cell in copy.deepcopy(notebook.cells) if role(cell, "imports") or role(cell, "exercise")]
    return _notebook(kept, notebook.metadata.odl)


def role(cell, kind):
    """What `cell.metadata.odl` says about `kind` ("exercise" -> its id, "imports" -> True, ...), None if it says nothing."""
    return cell.metadata.get("odl", {}).get(kind)


def answer(quiz):
    """A judging.Quiz as Markdown: every option with its reason, the right one first and marked."""
    options = sorted(quiz.options.items(), key=lambda item: not item[1][0])
    lines = [f"- {'**right:**' if right else 'wrong:'} {text}. *{reason}*" for text, (right, reason) in options]
    return "\n".join(["**Answer.**", "", *lines])


def differences(fresh, built):
    """What differs between two notebooks in sources, tags and our metadata, cell by cell: list of sentences, empty if nothing does.

    Cell ids, outputs and execution counts are not compared.
    """
    found = [] if fresh.metadata.get("odl") == built.metadata.get("odl") else [f"the notebook's metadata.odl: {built.metadata.get('odl')}"]
    if len(fresh.cells) != len(built.cells):
        found.append(f"{len(built.cells)} cells, the source has {len(fresh.cells)}")
    for number, (new, old) in enumerate(zip(fresh.cells, built.cells, strict=False)):
        for what, a in _read(new).items():
            if a != (b := _read(old)[what]):
                a, b = _first_difference(str(a), str(b))
                found.append(f"cell {number}: {what} is {b!r}, the source has {a!r}")
    return found


def _first_difference(a, b):
    """The first lines in which two texts differ, shortened: (of a, of b)."""
    pairs = itertools.zip_longest(a.splitlines(), b.splitlines(), fillvalue="")
    return next(((x[:80], y[:80]) for x, y in pairs if x != y), (a[-80:], b[-80:]))


def _read(cell):
    return {"type": cell.cell_type, "source": cell.source, "tags": cell.metadata.get("tags", []), "odl": cell.metadata.get("odl", {})}


def _cell(cell):
    """A cell of jupytext's, with our metadata only."""
    tags = list(cell.metadata.get("tags", []))
    odl = {"imports": True} if "imports" in tags else {}
    if "exercise" in cell.metadata:
        odl["exercise"] = cell.metadata["exercise"]
    metadata = ({"tags": tags} if tags else {}) | ({"odl": odl} if odl else {})
    make = v4.new_code_cell if cell.cell_type == "code" else v4.new_markdown_cell
    return make(cell.source, metadata=metadata)


def _linked(cells, lab):
    """The cells with the badges at the end of the header and the Colab cell right after it, where there is an address to point to."""
    badges, colab = links.badges(lab), links.colab_cell(lab)
    if badges:
        cells[0].source += f"\n\n{badges}"
    return cells[:1] + ([v4.new_code_cell(colab, metadata={"odl": {"colab": True}})] if colab else []) + cells[1:]


def _notebook(cells, odl):
    """A notebook with ids from the cells' text; equal cells are told apart by a number, so a cell's id survives changes elsewhere."""
    seen = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return v4.new_notebook(cells=cells, metadata=copy.deepcopy(KERNEL) | {"odl": copy.deepcopy(odl)})
