import pytest

from odl_kit.grading import answers, convert


def test_stubs_earn_nothing_and_the_key_everything(course):
    notebook = convert.student(course())
    assert answers.points(convert.reference(notebook), seed=0) == {"double": 0}
    assert answers.points(convert.key(notebook), seed=0) == {"double": 3}


def test_no_other_cell_than_imports_and_exercises_is_run(course):
    key = convert.key(convert.student(course()))
    key.cells.insert(2, convert.v4.new_code_cell("raise RuntimeError('not for the grader')"))
    assert answers.points(key, seed=0) == {"double": 3}


HALF = """
checks["half"] = Check(2, cases, lambda case, out: close(out, case[0] / 2), ("a", "b"), "def half(x):\\n    return x / 2", ("1", "2"))
"""


def test_an_answer_that_raises_or_is_gone_fails_alone(course):
    source = course(course.source + '\n# %% exercise="half"\nhalf = ...\n', course.checks + HALF)
    notebook = convert.key(convert.student(source))
    assert answers.points(notebook, seed=0) == {"double": 3, "half": 2}
    assert answers.points(answers.replaced(notebook, "double", "1 / 0"), seed=0) == {"double": 0, "half": 2}
    broken = answers.verdicts(answers.replaced(notebook, "double", "1 / 0"), seed=0)["double"]
    assert broken.message == "ZeroDivisionError: division by zero"
    assert answers.verdicts(answers.replaced(notebook, "half", "quarter = 1"), seed=0)["half"].error == "missing"


def test_an_error_in_the_import_cell_is_not_the_students(course):
    notebook = convert.student(course(course.source.replace("import math", "import no_such_module")))
    with pytest.raises(ModuleNotFoundError):
        answers.points(notebook, seed=0)


def test_only_a_known_exercise_can_be_replaced(course):
    with pytest.raises(KeyError, match="no exercise 'triple' in 98_sample"):
        answers.replaced(convert.student(course()), "triple", "")
