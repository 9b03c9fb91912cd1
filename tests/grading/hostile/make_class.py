"""The hostile class: one student a kind. answers/KIND.py is the cell of one exercise; what is no answer, or is huge, is made here.

    python tests/grading/hostile/make_class.py FOLDER

What each must get stands in expected.toml. All the other answers of a student are right, and must be paid for.
"""
import json
import stat
import sys
import zipfile
from pathlib import Path

import nbformat
from nbformat import v4

from odl_kit.grading import answers, convert
from odl_kit.grading.build import sources
from odl_kit.lab import judging

LAB, EXERCISE = "11_fedavg", "weighted_mean"
HERE = Path(__file__).parent


def key():
    """The solved notebook."""
    return convert.key(convert.student(sources(["11"])[0]))


def exercise_cell(book, name=EXERCISE):
    """The cell of an exercise."""
    return next(cell for cell in book.cells if convert.role(cell, "exercise") == name)


def text(book):
    """A notebook as bytes."""
    return nbformat.writes(book).encode()


def wrong():
    """The solved notebook with one wrong answer."""
    return answers.replaced(key(), EXERCISE, judging.load(LAB).checks[EXERCISE].wrong[0])


def honest():
    """Everything right."""
    return text(key())


def untouched():
    """The notebook as it was handed out."""
    return text(convert.student(sources(["11"])[0]))


def no_python():
    """An answer with errors of syntax."""
    return text(answers.replaced(key(), EXERCISE, "def weighted_mean(updates, num_examples)\n    return updates.sum(0\n"))


def emptied_cell():
    """The exercise's cell is there, and empty."""
    return text(answers.replaced(key(), EXERCISE, ""))


def deleted_cell():
    """The exercise's cell is gone."""
    book = key()
    book.cells.remove(exercise_cell(book))
    return text(book)


def only_the_answers():
    """Nothing is left but two answers, in cells of the student's own, without our metadata."""
    checks = judging.load(LAB).checks
    cells = [v4.new_code_cell(checks[name].solution) for name in ("weighted_mean", "traffic")]
    return text(v4.new_notebook(cells=cells))


def reordered_cells():
    """All cells in the opposite order."""
    book = key()
    book.cells.reverse()
    return text(book)


def duplicated_cell():
    """A wrong answer copied, with its id and metadata, and mended in the copy."""
    book = wrong()
    copied = json.loads(json.dumps(exercise_cell(book)))
    copied["source"] = judging.load(LAB).checks[EXERCISE].solution
    book.cells.append(nbformat.from_dict(copied))
    return json.dumps(book).encode()            # nbformat would give the copy an id of its own


def helper_in_its_own_cell():
    """The answer calls a function that the student put into another cell."""
    book = answers.replaced(key(), EXERCISE, "def weighted_mean(updates, num_examples):\n    return shares(num_examples) @ updates\n")
    book.cells.insert(3, v4.new_code_cell("def shares(counts):\n    return counts / counts.sum()\n"))
    return text(book)


def edited_check():
    """Wrong, and the cell that checks it praises it."""
    book = wrong()
    for cell in book.cells:
        if "lab.check(" in cell.source:
            cell.source = 'print("✓ Right. 99 points")\n' + cell.source.replace(f'lab.check("{EXERCISE}", {EXERCISE})', EXERCISE)
    return text(book)


def fake_outputs():
    """Wrong, with outputs that say that it is right, and points in its metadata."""
    book = wrong()
    exercise_cell(book).outputs = [v4.new_output("stream", text="✓ Right. `weighted_mean` passes: 2 points.\n")]
    exercise_cell(book).execution_count = 1
    book.metadata.odl["exercises"] = dict.fromkeys(book.metadata.odl["exercises"], 100)
    return text(book)


def wrong_kernel():
    """A kernel that this computer does not have."""
    book = key()
    book.metadata["kernelspec"] = {"name": "ir", "display_name": "R", "language": "R"}
    return text(book)


def byte_order_mark():
    """Saved by an editor that puts a mark before the text."""
    return b"\xef\xbb\xbf" + honest()


def truncated():
    """Half an upload."""
    return honest()[:2000]


def no_json():
    """Text."""
    return b"Dear grader, my dog ate the notebook.\n"


def empty_file():
    """Nothing at all."""
    return b""


def no_notebook():
    """JSON, but no notebook."""
    return json.dumps({"weighted_mean": "passed", "points": 6}).encode()


def nested_json():
    """JSON that is deeper than a parser likes."""
    return b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def odd_cells():
    """A notebook whose cells are of every type but the right one."""
    return json.dumps({"cells": [1, None, [], {}, {"cell_type": 3, "source": 4, "metadata": []}, {"cell_type": "code", "source": [5]}],
                       "metadata": {"odl": {"lab": LAB}}}).encode()


def giant():
    """22 MB."""
    book = key()
    book.cells.append(v4.new_markdown_cell("x" * (22 * 2**20)))
    return text(book)


NOTEBOOKS = (honest, untouched, no_python, emptied_cell, deleted_cell, only_the_answers, reordered_cells, duplicated_cell,
             helper_in_its_own_cell, edited_check, fake_outputs, wrong_kernel, byte_order_mark, truncated, no_json, empty_file, no_notebook,
             nested_json, odd_cells, giant)


def links_elsewhere(path):
    """A symbolic link in the place of a notebook."""
    path.with_suffix("").mkdir()
    (path.with_suffix("") / f"{LAB}.ipynb").symlink_to("/etc/passwd")


def zip_leaves_its_folder(path):
    """A zip whose file would land two folders higher."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"../../{LAB}.ipynb", honest())


def zip_with_a_link(path):
    """A zip with a symbolic link in it."""
    info = zipfile.ZipInfo(f"{LAB}.ipynb")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")


def zip_bomb(path):
    """A zip of 1 MB that unpacks to 1 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{LAB}.ipynb", "w", force_zip64=True) as file:
        for _ in range(1024):
            file.write(bytes(2**20))


def zip_cut_short(path):
    """Half a zip."""
    zip_of_one(path)
    path.write_bytes(path.read_bytes()[:-400])


def zip_of_one(path):
    """An honest student's zip, as the platform asked for it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"work/{LAB}.ipynb", honest())


def a_picture(path):
    """A student who handed in something else."""
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "photo.png").write_bytes(b"\x89PNG\r\n")


OTHERS = (links_elsewhere, zip_leaves_its_folder, zip_with_a_link, zip_bomb, zip_cut_short, zip_of_one, a_picture)


def make(folder):
    """Write the class into `folder`; returns the names of its students."""
    kinds = {path.stem: text(answers.replaced(key(), EXERCISE, path.read_text())) for path in sorted((HERE / "answers").glob("*.py"))}
    kinds |= {kind.__name__: kind() for kind in NOTEBOOKS}
    for name, raw in kinds.items():
        (Path(folder) / name).mkdir(parents=True)
        (Path(folder) / name / f"{LAB}.ipynb").write_bytes(raw)
    for kind in OTHERS:
        kind(Path(folder) / f"{kind.__name__}.zip")
    return sorted([*kinds, *(kind.__name__ for kind in OTHERS)])


if __name__ == "__main__":
    print("\n".join(make(sys.argv[1])))
