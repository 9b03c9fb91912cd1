import pytest

from odl_kit.grading.stubs import missing

STUB = '''\
def f(x):
    """Say it."""
    # a comment
    for _ in range(3):
        g = ...
        x = ...
    return x - g
'''


def test_a_stub_is_in_its_solution_whatever_stands_for_the_dots():
    solution = "def f(x):\n    for _ in range(3):\n        g = x.T @ (x\n            - 1)\n        x = x-g   # step\n    return x - g\n"
    assert missing(STUB, solution) is None


def test_a_solution_may_have_lines_of_its_own():
    solution = "def f(x):\n    y = 0\n    for _ in range(3):\n        g = 1\n        y += 1\n        x = 2\n    return x - g\n"
    assert missing(STUB, solution) is None


def test_dots_inside_an_expression_stand_for_a_part_of_it():
    assert missing("y = h(..., 2)\n", "y = h(a, b, 2)\n") is None
    assert missing("y = h(..., 2)\n", "y = h(a, b, 3)\n") == "y = h ( ... , 2 )"
    assert missing("y = h(...)\n", "y = h()\n") == "y = h ( ... )"


def test_a_line_of_dots_stands_for_some_lines_but_not_for_none():
    assert missing("def f():\n    ...\n", "def f():\n    a = 1\n    return a\n") is None
    assert missing("if a:\n    b()\n    ...\n", "if a:\n    b()\n") == "..."


@pytest.mark.parametrize(("solution", "line"), [
    ("def f(y):\n    return 1\n", "def f ( x ) :"),
    ("def f(x):\n    for _ in range(3):\n        x = 2\n        g = 1\n    return x - g\n", "x = ..."),         # the order is another
    ("def f(x):\n    for _ in range(3):\n        g = 1\n    x = 2\n    return x - g\n", "x = ..."),             # outside the loop
    ("def f(x):\n    for _ in range(3):\n        g = 1\n        x = 2\n", "return x - g"),
])
def test_a_line_that_the_solution_lacks_is_named(solution, line):
    assert missing(STUB, solution) == line
