"""A new lab keeps every rule at once, and says what a person still has to write."""
import os
import shutil
import subprocess
import sys

import pytest

import odl_kit
from odl_kit.grading import answers, convert, rules, syllabus
from odl_kit.lab import judging
from odl_kit.teaching import guide, newlab

ROOT = odl_kit.home()


def test_a_new_lab_keeps_every_rule_and_its_checks_hold(lab, home):
    source = home / "labs" / "src" / "29_new.py"
    assert rules.problems(source) == [] and rules.judge_imports(home / "labs" / "checks" / "29_new.py") == []
    notebook = convert.student(source)
    key, check = convert.key(notebook), judging.load("29_new").checks["error_rate"]
    assert answers.points(convert.reference(notebook), seed=1) == {"error_rate": 0}
    assert answers.points(key, seed=1) == {"error_rate": 2}
    for wrong in check.wrong:
        assert not answers.verdicts(answers.replaced(key, "error_rate", wrong), seed=1)["error_rate"].passed


def test_its_header_says_what_the_syllabus_says(lab, home):
    header = rules.read(home / "labs" / "src" / "29_new.py").markdown[0]
    assert header.startswith("# 29 · How many <pictures>?\n") and "About 20 minutes" in header
    assert "Section 12.3, 12.4 of" in header and "*Data Efficiency*" in header and "**Prerequisites.** None." in header
    assert lab.part == "One part" and lab.modules == ("data.datasets", "learners.train", "models.nets")
    text = (home / "labs" / "src" / "29_new.py").read_text() + (home / "labs" / "checks" / "29_new.py").read_text()
    assert "THE " not in text and "NN" not in text


def test_its_page_waits_for_a_person(lab):
    assert guide.problems(lab) == ["7 places still say 'TO WRITE'"]


@pytest.mark.slow
def test_in_a_copy_of_the_course_it_is_made_and_built_by_two_commands(tmp_path):
    for folder in ("odl_kit", "labs", "datasets", "instructor"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("ledger", "__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    for command in (["new-lab", "99_last", "--title", "The last", "--part", "A new part"], ["build", "99"]):
        done = subprocess.run([sys.executable, "-m", "odl_kit.cli", *command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "99_last: built" in done.stdout and (tmp_path / "labs" / "99_last.ipynb").is_file()
    assert "[99 · The last](labs/99_last.ipynb)" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_later_lab_comes_after_it_and_what_stands_in_the_syllabus_is_kept(lab, home):
    assert newlab.main(["30_next", "--title", 'A "second"', "--part", "One part", "--after", "29_new"]) == 0
    newlab.create("05_early", title="Early", part="P", prerequisites=())
    assert [(one.name, one.title) for one in syllabus.load()] == [("05_early", "Early"), ("29_new", "How many <pictures>?"),
                                                                 ("30_next", 'A "second"')]
    text = (home / "labs" / "syllabus.toml").read_text(encoding="utf-8")
    assert text.startswith("# what labs there are\n") and "\n\n\n" not in text


@pytest.mark.parametrize(("name", "says"), [("new", "no name of a lab"), ("29_Other", "no name of a lab"), ("../x", "no name of a lab"),
                                            ("29_other", "number 29 is taken by 29_new")])
def test_a_name_that_will_not_do_is_refused_and_nothing_is_written(lab, home, capsys, name, says):
    before = sorted(home.rglob("*"))
    assert newlab.main([name, "--title", "T", "--part", "P"]) == 2
    assert says in capsys.readouterr().err and sorted(home.rglob("*")) == before


def test_a_lab_cannot_need_one_that_comes_after_it(lab):
    with pytest.raises(ValueError, match="no lab that comes before it"):
        newlab.create("10_x", title="T", part="P", prerequisites=("29_new",))
