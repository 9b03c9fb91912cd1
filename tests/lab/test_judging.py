import inspect
import pickle
import textwrap

import jupytext
import numpy as np
import pytest
import torch

import odl_kit
from odl_kit.lab import judging
from odl_kit.lab.judging import Check, Quiz


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def judged(course, fn, seed=0):
    return judging.run(judging.load("98_sample").checks["mean"], fn, rng=rng(seed))


def test_a_right_function_passes_whatever_its_form(course, written):
    verdict = judged(course, written("def mean(updates, counts):\n    return (counts[:, None] * updates).sum(0) / counts.sum()\n"))
    assert verdict == judging.Verdict(True)


class Liar:
    def __eq__(self, other):
        return True

    def __array__(self, *_, **__):
        return np.zeros(4)

    def __sub__(self, other):
        return 0.0


class LyingTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return torch.zeros(4)


def hands_out(value):
    return lambda updates, counts: value


@pytest.mark.parametrize("fn", [hands_out(Liar()), hands_out([Liar()]), hands_out(torch.ones(4).as_subclass(LyingTensor)), hands_out(None),
                                hands_out(np.zeros(4)), hands_out(torch.full((4,), torch.inf)), hands_out(torch.full((4,), torch.nan)),
                                hands_out(torch.zeros(4, dtype=torch.int64)), hands_out("x" * 10), hands_out(torch.zeros(2, 4))])
def test_an_object_that_lies_or_is_no_answer_wins_nothing(course, fn):
    verdict = judged(course, fn)
    assert not verdict.passed and verdict.case_number == 1 and len(verdict.message) > 10


def test_a_table_of_the_cases_once_shown_wins_nothing(course):
    check, table = judging.load("98_sample").checks["mean"], []

    def spy(updates, counts):
        table.append((updates.clone(), (counts / counts.sum()) @ updates))
        return table[-1][1]

    assert judging.run(check, spy, rng=rng(0)).passed

    def looks_up(updates, counts):
        return next((answer for seen, answer in table if torch.equal(seen, updates)), torch.zeros(4))

    assert judging.run(check, looks_up, rng=rng(0)).passed          # it knows these
    assert not judging.run(check, looks_up, rng=rng(1)).passed      # but every try has its own


def test_a_function_that_changes_its_inputs_does_not_change_what_is_expected(course):
    def spoils(updates, counts):
        updates.zero_()
        counts.fill_(1)
        return updates.sum(0)

    assert not judged(course, spoils).passed


def test_replacing_functions_of_the_kit_wins_nothing(course, monkeypatch):
    from odl_kit.federation import aggregators
    monkeypatch.setattr(aggregators, "mean", lambda *_, **__: torch.zeros(4))
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda *_: torch.zeros(4))
    monkeypatch.setattr(torch, "allclose", lambda *_, **__: True)
    assert not judged(course, lambda updates, counts: torch.zeros(4)).passed


def test_an_array_for_tensors_is_sent_back(course):
    verdict = judged(course, lambda updates, counts: ((counts / counts.sum()) @ updates).numpy())
    assert verdict.error == "not plain" and "torch" in verdict.message


@pytest.mark.parametrize(("body", "said"), [
    ("return updates @ counts", "line 2, `return updates @ counts`, with RuntimeError"),
    ("return 1 / 0", "ZeroDivisionError: division by zero"),
    ("raise SystemExit(3)", "SystemExit: 3"),
    ("return mean(updates, counts)", "RecursionError"),
    ("return torch.nn.functional.linear(updates, counts)", "line 2, `return torch.nn.functional.linear(updates, counts)`"),
])
def test_an_error_becomes_a_sentence_with_the_students_own_line(course, written, body, said):
    verdict = judged(course, written(f"def mean(updates, counts):\n    {body}\n"))
    assert verdict.error == "raised" and said in verdict.message and "judging" not in verdict.message
    assert verdict.given.startswith("float32 values of shape (3, 4)")


def test_ctrl_c_ends_the_check(course):
    def stopped(updates, counts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(course, stopped)


@pytest.mark.parametrize("body", ["share = ...\n    return share @ updates", "...", "return updates[...] * ...", '"""Mean."""\n    ...'])
def test_a_stub_is_not_written_yet_rather_than_wrong(course, written, body):
    assert judged(course, written(f"def mean(updates, counts):\n    {body}\n")).error == "unwritten"


@pytest.mark.parametrize("source", ["def mean(updates: tuple[int, ...], counts):\n    return updates[..., 0]\n",
                                    "def mean(updates, counts):\n    # ... to do\n    return '...'\n"])
def test_an_index_a_type_hint_or_a_comment_with_three_dots_is_no_stub(written, source):
    assert not judging.unwritten(written(source))


def test_what_is_no_function_is_said_to_be_none(course):
    assert judged(course, torch.ones(4)).error == "not a function" and "a Tensor" in judged(course, torch.ones(4)).message
    assert judged(course, ...).error == "unwritten"
    assert not judging.unwritten(max) and not judging.unwritten(Liar())


def test_a_judge_that_cannot_use_the_output_is_a_miss_and_a_judge_that_answers_oddly_an_error(course):
    check = judging.load("98_sample").checks["mean"]
    clumsy = Check(1, check.cases, lambda case, output: output["a"], check.hints, check.solution, check.wrong)
    assert "cannot use" in judging.run(clumsy, lambda *_: torch.ones(4), rng=rng()).message
    odd = Check(1, check.cases, lambda case, output: True, check.hints, check.solution, check.wrong)
    with pytest.raises(TypeError, match="None or a sentence"):
        judging.run(odd, lambda *_: torch.ones(4), rng=rng())
    empty = Check(1, lambda rng: iter(()), check.judge, check.hints, check.solution, check.wrong)
    with pytest.raises(ValueError, match="no cases"):
        judging.run(empty, lambda *_: torch.ones(4), rng=rng())


def test_records_that_cannot_work_are_refused():
    fine = {"points": 1, "cases": None, "judge": None, "hints": ("a", "b"), "solution": "x", "wrong": ("y", "z")}
    for change in ({"hints": ("a",)}, {"wrong": ("y", " ")}, {"points": 0}):
        with pytest.raises(ValueError, match="a check needs"):
            Check(**{**fine, **change})
    for options in ({"a": (True, "r"), "b": (True, "r")}, {"a": (False, "r"), "b": (False, "r")}, {"a": (True, "r")}):
        with pytest.raises(ValueError, match="exactly one"):
            Quiz("?", options)
    with pytest.raises(ValueError, match="no reason"):
        Quiz("?", {"a": (True, "r"), "b": (False, " ")})
    assert Quiz("?", {"a": (False, "r"), "b": (True, "r")}).right == "b"


def test_load_reads_the_file_anew_each_time_and_a_lab_without_one_has_nothing(course):
    assert list(judging.load("98_sample").checks) == ["mean"] and list(judging.load("98_sample").quizzes) == ["why"]
    (course / "labs" / "checks" / "98_sample.py").write_text("checks = {}\n")
    assert judging.load("98_sample").checks == {} and judging.load("97_none") == judging.LabChecks()


def test_the_kit_version_is_the_solution_in_the_labs_import_cell(course):
    mean = judging.kit_version("98_sample", "mean")
    assert judged(course, mean).passed and mean.__globals__["math"] and mean is judging.kit_version("98_sample", "mean")
    with pytest.raises(KeyError):
        judging.kit_version("98_sample", "median")


def test_a_solution_that_defines_another_name_is_named(course):
    path = course / "labs" / "checks" / "98_sample.py"
    path.write_text(path.read_text().replace('SOLUTION = """def mean', 'SOLUTION = """def mode'))
    with pytest.raises(KeyError, match="does not define 'mean'"):
        judging.kit_version("98_sample", "mean")


def test_the_import_cell_is_the_one_that_jupytext_sees():
    sources = sorted((odl_kit.home() / "labs" / "src").glob("*.py"))
    assert sources
    for path in sources:
        cells = [cell.source for cell in jupytext.read(path, fmt="py:percent").cells if "imports" in cell.metadata.get("tags", [])]
        assert len(cells) == 1 and judging.import_cell(path.stem).strip() == cells[0].strip()


def test_defined_source_has_lines_for_tracebacks():
    source = textwrap.dedent("""
        def f():
            return 1
    """)
    namespace = judging.define(source, {}, "cell")
    assert "return 1" in inspect.getsource(namespace["f"]) and namespace["f"]() == 1


def test_what_a_judge_is_given_can_cross_to_another_process():
    given = judging.plain_input((torch.ones(2), {"a": [1, None]}, torch.nn.Linear(1, 1), max))
    back = pickle.loads(pickle.dumps(given))
    assert back[0].tolist() == [1, 1] and back[1] == {"a": [1, None]} and back[3] == "max"
