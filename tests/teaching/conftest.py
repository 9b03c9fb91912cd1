"""A course of its own in a temporary folder, with one lab that `odl new-lab` made."""
import shutil

import pytest

import odl_kit
from odl_kit.grading import links, syllabus
from odl_kit.teaching import newlab

ROOT = odl_kit.home()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of a course that has no lab yet; everything that asks for odl_kit.home() gets it."""
    for folder in ("labs/src", "labs/checks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "labs" / "syllabus.toml").write_text("# what labs there are\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n', encoding="utf-8")
    shutil.copytree(ROOT / "instructor" / "template", tmp_path / "instructor" / "template")
    for module in (odl_kit, links, syllabus):
        monkeypatch.setattr(module, "home", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def lab(home):
    """The new lab 29 of that course: its entry in the syllabus."""
    newlab.create("29_new", title="How many <pictures>?", part="One part", section=("12.3", "12.4"), volume2="Data Efficiency", minutes=20,
                  prerequisites=())
    return syllabus.load()[0]
