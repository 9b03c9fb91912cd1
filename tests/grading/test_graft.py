import json

import nbformat
import pytest
from nbformat import v4

from odl_kit.grading import convert, graft

RIGHT, WRONG = "def double(x):\n    return x + x", "def double(x):\n    return x * x"


@pytest.fixture
def book(course):
    return convert.student(course())


def answer(book, source, name="double"):
    """The notebook with `source` in the exercise's cell."""
    next(cell for cell in book.cells if convert.role(cell, "exercise") == name).source = source
    return book


def read(book, student):
    return graft.answers(nbformat.writes(book).encode(), student)


def test_an_answer_is_found_by_our_metadata_wherever_it_stands(book, course):
    student = convert.student(course())
    answer(book, RIGHT)
    book.cells.reverse()
    assert read(book, student).cells == {"double": RIGHT} and read(book, student).lab == "98_sample"


def test_of_copies_the_last_that_was_written_counts_and_is_said(book, course):
    student = convert.student(course())
    stub = next(cell for cell in student.cells if convert.role(cell, "exercise"))
    for source in (RIGHT, stub.source):
        book.cells.append(v4.new_code_cell(source, metadata={"odl": {"exercise": "double"}}))
    answer(book, WRONG)
    found = read(book, student)
    assert found.cells["double"] == RIGHT and "2 cells are marked as this exercise; the last one counts" in found.notes["double"]


def test_without_the_cell_the_last_definition_counts(book, course):
    student = convert.student(course())
    book.cells = [cell for cell in book.cells if not convert.role(cell, "exercise")]
    book.cells += [v4.new_code_cell(WRONG), v4.new_code_cell(RIGHT), v4.new_code_cell('double = lab.check("double", double)')]
    found = read(book, student)
    assert found.cells["double"] == RIGHT and "the last cell that defines double counts" in found.notes["double"]
    book.cells = []
    assert read(book, student).cells["double"] == "" and "no other cell defines it" in read(book, student).notes["double"]


def test_a_broken_answer_is_still_the_answer(book, course):
    assert read(answer(book, "def double(x)"), convert.student(course())).cells["double"] == "def double(x)"


def test_magics_do_not_hide_a_definition(book, course):
    found = read(answer(book, f"%matplotlib inline\n!ls\n{RIGHT}"), convert.student(course()))
    assert "return x + x" in found.cells["double"] and found.notes["double"] == ""


def test_helpers_in_other_cells_come_along_in_their_order_and_nothing_else_does(book, course):
    student = convert.student(course())
    answer(book, "def double(x):\n    return outer(x)")
    book.cells[3:3] = [v4.new_code_cell(source) for source in ("def inner(x):\n    return 2 * x", "def outer(x):\n    return inner(x)",
                                                               "1 / 0")]
    found = read(book, student)
    assert [line for line in found.cells["double"].splitlines() if line.startswith("def")] == ["def inner(x):", "def outer(x):",
                                                                                               "def double(x):"]
    assert "1 / 0" not in found.cells["double"] and "2 cell(s) of your own" in found.notes["double"]


def test_marker_lines_of_nbval_are_dropped(book, course):
    assert "NBVAL" not in read(answer(book, f"# NBVAL_SKIP\n{RIGHT}"), convert.student(course())).cells["double"]


def test_markdown_of_the_students_own_is_kept_and_ours_is_not(book, course):
    student = convert.student(course())
    book.cells.append(v4.new_markdown_cell("Because 2 x 21 is 42."))
    assert read(book, student).texts == ("Because 2 x 21 is 42.",)


@pytest.mark.parametrize(("raw", "says"), [(b"", "is empty"), (b"  \n", "is empty"), (b"hello", "no JSON"), (b'{"cells": [{"so', "cut off"),
                                           (b"[]", "no notebook"), (b'{"cells": {}}', "no notebook"), (b'{"worksheets": []}', "version 4"),
                                           (b"\xff\xfe\x00", "no JSON"), (b"[" * 10**6, "no JSON"),
                                           (b"x" * (graft.MAX_BYTES + 1), "at most 20 MB"),
                                           (b'{"cells": [' + b"9" * 5000 + b"]}", "no JSON"), (b"\x89PNG\r\n", "no JSON")])
def test_what_is_no_notebook_gets_a_sentence(raw, says):
    with pytest.raises(ValueError, match=says):
        graft.read(raw)


def test_any_encoding_that_says_what_it_is_can_be_read(book):
    text = nbformat.writes(answer(book, RIGHT + "  # ü"))
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert any("# ü" in source for _, source, _ in graft.read(text.encode(encoding))[0])


@pytest.mark.parametrize("cell", [1, None, [], {}, {"source": 5}, {"cell_type": [], "source": [1, "a", None]}, {"metadata": 3},
                                  {"metadata": {"odl": "x"}},
                                  {"metadata": {"odl": {"exercise": ["double"]}}, "source": "x", "cell_type": "code"}])
def test_odd_cells_are_read_as_nothing(cell, course):
    raw = json.dumps({"cells": [cell], "metadata": {"odl": {"lab": 5}}}).encode()
    assert graft.answers(raw, convert.student(course())).cells == {"double": ""} and graft.read(raw)[1] == ""


def test_our_notebook_has_imports_answers_and_one_question_a_cell(book, course):
    reference = convert.reference(book)
    made = graft.notebook(reference, {"double": RIGHT}, {0: ("double", "double"), 1: ("double (private)", "double")}, box="/b", seconds=3)
    sources = [cell.source for cell in made.cells]
    assert "begin('/b', 3)" in sources[0] and sources[1].startswith("import math") and sources[2] == RIGHT
    assert [source.split("inside.")[1] for source in sources[3:]] == ["answer(0, 'double', globals())", "answer(1, 'double', globals())"]


def test_a_slim_notebook_reads_the_same_and_has_no_outputs(book, course):
    cell = next(cell for cell in book.cells if convert.role(cell, "exercise"))
    cell.source, cell.outputs, cell.execution_count = RIGHT, [v4.new_output("stream", text="x" * 10_000)], 1
    raw = nbformat.writes(book).encode()
    small = graft.slim(*graft.read(raw))
    assert graft.read(small) == graft.read(raw) and b"xxxxx" not in small
    assert graft.answers(small, convert.student(course())) == graft.answers(raw, convert.student(course()))
