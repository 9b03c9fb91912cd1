import subprocess

import pytest

from odl_kit.teaching import revealjs


def test_npm_installs_it_once_into_build(home, need_tool):
    need_tool("npm", hint="apt install npm")
    package = revealjs.folder()
    assert package.is_relative_to(home / "build") and f'"version": "{revealjs.VERSION}"' in (package / "package.json").read_text()
    sheet, (program, notes) = revealjs.parts()
    assert ".reveal" in sheet and "initialize" in program and "RevealNotes" in notes


def test_what_is_there_is_not_installed_again(home, monkeypatch):
    package = home / "build" / "npm" / "node_modules" / "reveal.js"
    package.mkdir(parents=True)
    (package / "package.json").write_text("{}")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("npm was called"))
    assert revealjs.folder() == package


def test_without_npm_it_says_how_to_get_it(home, monkeypatch):
    monkeypatch.setattr(revealjs.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="npm is not here: install Node.js"):
        revealjs.folder()


def test_what_npm_says_when_it_fails_is_passed_on(home, monkeypatch):
    monkeypatch.setattr(revealjs.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: subprocess.CompletedProcess(arguments, 1, "", "no network"))
    with pytest.raises(ValueError, match="could not install reveal.js 5.2.1: no network"):
        revealjs.folder()
