"""Which labs the browser opens."""
import subprocess

import choice
import pytest


def test_changed_labs_are_those_of_the_newest_commit_that_touched_one_and_later_edits(need_tool, tmp_path):
    need_tool("git", hint="on Debian or Ubuntu: apt-get install git")
    labs = course(tmp_path, "00_a", "01_b", "02_c", "03_d")
    assert stems(choice.changed(labs)) == ["00_a", "03_d"]  # no repository: the first and the last
    commit(labs, "first")
    assert stems(choice.changed(labs)) == ["00_a", "03_d"]  # no commit before the first
    (labs / "src" / "01_b.py").write_text("changed")
    commit(labs, "lab 01")
    (labs / "README.md").write_text("changed")
    commit(labs, "no lab")
    assert stems(choice.changed(labs)) == ["01_b"]
    (labs / "checks" / "02_c.py").write_text("changed, not committed")
    assert stems(choice.changed(labs)) == ["01_b", "02_c"]


def test_an_unknown_lab_names_the_known_ones(tmp_path):
    labs = course(tmp_path, "00_a", "01_b")
    assert stems(choice.named(["01_b"], labs)) == ["01_b"] and stems(choice.named([], labs)) == ["00_a", "01_b"]
    with pytest.raises(FileNotFoundError, match="07_x.*there are 00_a, 01_b"):
        choice.named(["07_x"], labs)
    with pytest.raises(FileNotFoundError, match="no lab is built"):
        choice.named([], labs / "src")


def course(folder, *names):
    """A folder of labs with a notebook, a source and a checks file each."""
    for name in names:
        for path in (folder / f"{name}.ipynb", folder / "src" / f"{name}.py", folder / "checks" / f"{name}.py"):
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
    return folder


def commit(folder, message):
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "-A"], [*name, "commit", "-q", "-m", message]):
        subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def stems(paths):
    return [path.stem for path in paths]
