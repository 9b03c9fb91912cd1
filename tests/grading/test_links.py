"""Badges and Colab's first cell come from [project.urls] alone."""
import ast
import subprocess
import sys
import types

import pytest

from odl_kit.grading import links

URLS = '[project.urls]\nRepository = "{}"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """project(repository) writes a pyproject.toml with that Repository, or with none."""
    monkeypatch.setattr(links, "home", lambda: tmp_path)

    def write(repository=None):
        urls = URLS.format(repository) if repository is not None else ""
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "odl-kit"\nversion = "0.3.0"\n{urls}', encoding="utf-8")
    return write


@pytest.mark.parametrize("repository", [None, "", "https://gitlab.com/a/b", "https://github.com/only-an-owner", "https://github.com/a/b/tree/main"])
def test_without_a_repository_on_github_there_is_no_badge_and_no_cell(project, repository):
    project(repository)
    assert links.badges("11_fedavg") is None
    assert links.colab_cell("11_fedavg") is None


@pytest.mark.parametrize("repository", ["https://github.com/own/course", "https://github.com/own/course/", "https://github.com/own/course.git"])
def test_the_badges_point_to_the_lab_at_the_tag_of_this_version(project, repository):
    project(repository)
    text = links.badges("11_fedavg")
    assert "https://mybinder.org/v2/gh/own/course/v0.3.0?urlpath=lab/tree/labs/11_fedavg.ipynb" in text
    assert "https://colab.research.google.com/github/own/course/blob/v0.3.0/labs/11_fedavg.ipynb" in text
    assert text.count("[![Open in ") == 2


def test_outside_colab_the_cell_does_nothing(project, monkeypatch):
    project("https://github.com/own/course")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("it ran a command"))
    path = list(sys.path)
    exec(links.colab_cell("00_start_here"), {})
    assert sys.path == path


def test_in_colab_the_cell_clones_the_tag_and_makes_the_course_importable_without_pip(project, monkeypatch):
    project("https://github.com/own/course")
    ran, moved = [], []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    monkeypatch.setattr("os.path.isdir", lambda path: False)
    monkeypatch.setattr("os.chdir", moved.append)
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(links.colab_cell("00_start_here"), {})
    assert ran == [["git", "clone", "--quiet", "--depth=1", "--branch=v0.3.0", "https://github.com/own/course", "/content/course"]]
    assert moved == ["/content/course/labs"] and sys.path[0] == "/content/course"


def test_the_cell_is_python_and_installs_nothing(project):
    project("https://github.com/own/course")
    text = links.colab_cell("00_start_here")
    ast.parse(text)
    assert "pip" not in text
