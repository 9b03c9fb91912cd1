import re

import nbformat
import pytest

from odl_kit.grading import convert


def cell_with(notebook, text):
    return next(cell for cell in notebook.cells if text in cell.source)


def test_student_notebook_has_every_cell_of_the_source_and_no_output(course):
    notebook = convert.student(course())
    nbformat.validate(notebook)
    titles = [line for line in course.source.splitlines() if line.startswith("# %%")]
    assert [cell.cell_type for cell in notebook.cells] == ["markdown" if "[markdown]" in line else "code" for line in titles]
    assert cell_with(notebook, "def double").source == 'def double(x):\n    """Twice x."""\n    return ...'
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert notebook.metadata.kernelspec.name == "python3"


def test_metadata_says_what_a_cell_is_for_and_what_an_exercise_earns(course):
    notebook = convert.student(course())
    assert notebook.metadata.odl == {"lab": "98_sample", "exercises": {"double": 3}, "quizzes": ["why"]}
    assert convert.role(cell_with(notebook, "import math"), "imports") is True
    assert convert.role(cell_with(notebook, "def double"), "exercise") == "double"
    assert cell_with(notebook, "math.pi").metadata.tags == ["nbval-check-output"]
    assert convert.role(cell_with(notebook, "lab.quiz"), "exercise") is None


def test_a_cell_keeps_its_id_when_other_cells_change(course):
    before = convert.student(course())
    after = convert.student(course("# %%\n1 + 1\n\n" + course.source.replace("math.pi", "math.e")))
    same = {cell.source: cell.id for cell in before.cells if "math.pi" not in cell.source}
    assert same.items() <= {cell.source: cell.id for cell in after.cells}.items()
    assert cell_with(after, "math.e").id != cell_with(before, "math.pi").id


def test_equal_cells_have_different_ids(course):
    notebook = convert.student(course(course.source + "\n# %%\nrng\n\n# %%\nrng\n\n# %%\nrng\n"))
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) for name in ids)


def test_an_exercise_without_a_check_is_refused(course):
    with pytest.raises(ValueError, match=r"exercise 'triple' has no check in labs/checks/98_sample.py, which has \['double'\]"):
        convert.student(course(course.source.replace('exercise="double"', 'exercise="triple"')))


def test_badges_and_the_colab_cell_stand_there_only_with_an_address(course):
    plain = convert.student(course())
    assert not any("colab" in cell.source for cell in plain.cells)
    (course.home / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n[project.urls]\nRepository = "https://github.com/o/course"\n')
    linked = convert.student(course())
    assert "v0.1.0/labs/98_sample.ipynb" in linked.cells[0].source
    assert convert.role(linked.cells[1], "colab") is True and "git" in linked.cells[1].source
    assert [cell.source for cell in linked.cells[2:]] == [cell.source for cell in plain.cells[1:]]


def test_key_has_the_solutions_and_under_each_quiz_its_answer(course):
    notebook = convert.student(course())
    key = convert.key(notebook)
    nbformat.validate(key)
    assert cell_with(key, "def double").source == "def double(x):\n    return x + x"
    at = [cell.source for cell in key.cells].index('lab.quiz("why")')
    assert key.cells[at + 1].source == "**Answer.**\n\n- **right:** because. *It is so.*\n- wrong: never. *It is not so.*"
    assert len(key.cells) == len(notebook.cells) + 1
    assert "..." in cell_with(notebook, "def double").source        # the student's notebook is not changed


def test_reference_has_the_import_cell_and_the_exercises_as_handed_out(course):
    reference = convert.reference(convert.student(course()))
    nbformat.validate(reference)
    assert [cell.metadata.odl for cell in reference.cells] == [{"imports": True}, {"exercise": "double"}]
    assert reference.cells[1].source.endswith("return ...") and reference.metadata.odl.exercises == {"double": 3}


def test_differences_are_none_after_a_run_and_a_save(course, tmp_path):
    fresh, built = convert.student(course()), convert.student(course())
    for cell in built.cells:
        cell.id = nbformat.v4.new_code_cell().id
    code = cell_with(built, "math.pi")
    code.outputs, code.execution_count = [nbformat.v4.new_output("stream", text="3.14")], 7
    nbformat.write(built, tmp_path / "saved.ipynb")
    assert convert.differences(fresh, nbformat.read(tmp_path / "saved.ipynb", as_version=4)) == []


@pytest.mark.parametrize(("change", "says"), [
    (lambda nb: nb.cells[3].update(source="1"), "cell 3: source is '1'"),
    (lambda nb: nb.cells[1].metadata.pop("tags"), "cell 1: tags is"),
    (lambda nb: nb.cells[4].metadata.odl.update(exercise="other"), "cell 4: odl is"),
    (lambda nb: nb.cells.pop(), "9 cells, the source has 10"),
    (lambda nb: nb.metadata.odl.exercises.update(double=4), "the notebook's metadata.odl"),
])
def test_differences_name_what_was_changed(course, change, says):
    fresh, built = convert.student(course()), convert.student(course())
    change(built)
    found = convert.differences(fresh, built)
    assert len(found) == 1 and says in found[0]
