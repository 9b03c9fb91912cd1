"""Every lab, its notebook and its checks, without running the lab: exercises need the import cell only. `odl test` runs the labs."""
import re

import nbformat
import pytest

import odl_kit
from odl_kit.grading import answers, build, convert, rules, stubs, syllabus
from odl_kit.lab import judging

SOURCES = build.sources()
CHECKS = [(path, name) for path in SOURCES for name in judging.load(path.stem).checks]
SEEDS = (0, 1, 2)
each_lab = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
each_check = pytest.mark.parametrize(("source", "name"), CHECKS, ids=lambda value: getattr(value, "stem", value))


def test_there_are_labs_and_checks():
    assert SOURCES and CHECKS


@each_lab
def test_the_built_notebook_is_current(source):
    assert build.stale(source) == [], f"run `odl build {source.stem}`"


@each_lab
def test_a_student_notebook_shows_outputs_in_checked_cells_only(source):
    for cell in nbformat.read(build.products(source)["student"], as_version=4).cells:
        if cell.cell_type == "code":
            checked = convert.CHECKED in cell.metadata.get("tags", [])
            assert bool(cell.outputs) == checked and (cell.execution_count is not None) == checked, cell.source


@each_lab
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_lab_keeps_to_the_rules(source, rule):
    assert rule(rules.read(source)) == []


@each_lab
def test_judges_import_nothing_of_the_kit_that_a_student_could_replace(source):
    assert rules.judge_imports(odl_kit.home() / "labs" / "checks" / source.name) == []


@each_lab
def test_the_header_has_the_minutes_and_sections_of_the_syllabus(source):
    entry = next(lab for lab in syllabus.load() if lab.name == source.stem)
    header = rules.read(source).markdown[0]
    assert header.startswith(f"# {source.stem[:2]} · {entry.title}\n")
    assert f"About {entry.minutes} minutes" in header
    assert [section for section in entry.section if not re.search(rf"\b{re.escape(section)}\b", header)] == []


@each_check
def test_every_line_of_a_stub_is_in_its_solution(source, name):
    stub = next(cell.source for cell in convert.student(source).cells if convert.role(cell, "exercise") == name)
    assert stubs.missing(stub, judging.load(source.stem).checks[name].solution) is None


@each_lab
def test_untouched_stubs_earn_nothing(source):
    assert set(answers.points(convert.reference(convert.student(source)), seed=0).values()) == {0}


@each_lab
@pytest.mark.parametrize("seed", SEEDS)
def test_the_key_earns_everything(source, seed):
    notebook = convert.student(source)
    assert answers.points(convert.key(notebook), seed=seed) == notebook.metadata.odl.exercises


@each_check
@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_answer_is_refused_by_the_judge(source, name, number):
    key, check = convert.key(convert.student(source)), judging.load(source.stem).checks[name]
    for seed in SEEDS:
        verdict = answers.verdicts(answers.replaced(key, name, check.wrong[number]), seed=seed)[name]
        assert not verdict.passed and verdict.error == "" and verdict.message, verdict      # it runs, and what it returns is wrong
