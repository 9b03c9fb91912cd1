"""`.ci/python`, which every target of the Makefile goes through: which Python it takes, when it installs, what it says when it cannot.

The Pythons and pips here are small shell scripts, so that nothing is downloaded; `make lab` on a bare machine is tried by .ci/run.
"""
import os
import shutil
import subprocess

import pytest

import odl_kit

pytestmark = pytest.mark.skipif(os.name != "posix", reason="for a POSIX shell")

# A Python that says its version, can or cannot make environments, writes every other call into $CALLS, and has torch if $HAS_TORCH.
PYTHON = r"""#!/bin/sh
case "$*" in
    *"sys.version_info < (3, 11)"*) exit {old} ;;
    *"import ensurepip, venv"*) exit {no_venv} ;;
    --version) echo "Python {version}" ;;
    "-m venv --clear .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *find_spec*) [ -n "$HAS_TORCH" ] ;;
    "-m pip --version") ;;
    *) echo "$*" >> "$CALLS" ;;
esac
"""


@pytest.fixture
def course(tmp_path):
    """A course with .ci/python in a folder with a space, and an empty PATH but for the system's own tools."""
    class Course:
        root, bin, calls = tmp_path / "my course", tmp_path / "bin", tmp_path / "calls"

        def python(self, name, *, old=0, no_venv=0, version="3.11.2", folder=None):
            path = (folder or self.bin) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PYTHON.format(old=old, no_venv=no_venv, version=version), encoding="utf-8")
            path.chmod(0o755)

        def run(self, **environment):
            self.calls.write_text("", encoding="utf-8")
            environment = {"PATH": str(self.bin), "CALLS": str(self.calls)} | environment
            done = subprocess.run([shutil.which("sh"), str(self.root / ".ci" / "python"), "-m", "odl_kit.cli", "lab"], env=environment,
                                  capture_output=True, text=True, timeout=30)
            return done, self.calls.read_text(encoding="utf-8").splitlines()

    (Course.root / ".ci").mkdir(parents=True)
    Course.bin.mkdir()
    shutil.copy(odl_kit.home() / ".ci" / "python", Course.root / ".ci" / "python")
    for name in ("pyproject.toml", "constraints.txt"):
        (Course.root / name).write_text("one\n", encoding="utf-8")
    for tool in ("sh", "cat", "cksum", "cp", "mkdir", "dirname", "uname"):
        (Course.bin / tool).symlink_to(shutil.which(tool))
    return Course()


INSTALL = "-m pip install -c constraints.txt -e .[lab,test]"
RUN = "-m odl_kit.cli lab"


def test_the_first_run_installs_and_the_second_does_not(course):
    course.python("python3")
    done, calls = course.run()
    assert done.returncode == 0 and calls == [INSTALL, RUN], done.stderr
    done, calls = course.run()
    assert done.returncode == 0 and calls == [RUN] and done.stderr == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_the_requirements_installs_again(course, name):
    course.python("python3")
    course.run()
    (course.root / name).write_text("two\n", encoding="utf-8")
    assert course.run()[1] == [INSTALL, RUN]


def test_a_course_that_was_moved_installs_again(course):
    course.python("python3")
    course.run()
    course.root = course.root.rename(course.root.with_name("moved"))
    assert course.run()[1] == [INSTALL, RUN]


def test_an_old_python3_is_passed_over_for_a_newer_one(course):
    course.python("python3", old=1, version="3.9.1")
    course.python("python3.12", version="3.12.0")
    done, calls = course.run()
    assert calls == [INSTALL, RUN] and "Making .venv with Python 3.12.0" in done.stderr


def test_without_a_python_it_says_how_to_get_one(course):
    course.python("python3", old=1)
    done, calls = course.run()
    assert done.returncode == 1 and calls == [] and "3.11 or newer" in done.stderr and "apt install python3 python3-venv" in done.stderr


def test_without_venv_it_says_what_debian_needs_and_leaves_nothing_behind(course):
    course.python("python3", no_venv=1)
    done, calls = course.run()
    assert done.returncode == 1 and calls == [] and "apt install python3-venv" in done.stderr
    assert not (course.root / ".venv").exists()


def test_an_active_virtualenv_is_used(course, tmp_path):
    course.python("python", folder=tmp_path / "mine" / "bin")
    done, calls = course.run(VIRTUAL_ENV=str(tmp_path / "mine"), HAS_TORCH="1")
    assert calls == [INSTALL, RUN] and not (course.root / ".venv").exists()


def test_an_active_conda_environment_is_used_and_keeps_its_versions_but_base_is_left_alone(course, tmp_path):
    course.python("python", folder=tmp_path / "conda" / "bin")
    done, calls = course.run(CONDA_PREFIX=str(tmp_path / "conda"), CONDA_DEFAULT_ENV="odl")
    assert calls == ["-m pip install -e .[lab,test]", RUN] and not (course.root / ".venv").exists()
    course.python("python3")
    done, calls = course.run(CONDA_PREFIX=str(tmp_path / "conda"), CONDA_DEFAULT_ENV="base")
    assert calls == [INSTALL, RUN] and (course.root / ".venv").exists()


def test_an_active_environment_that_is_too_old_or_gone_is_named(course, tmp_path):
    course.python("python3")
    course.python("python", folder=tmp_path / "old" / "bin", old=1, version="3.9.1")
    for env, says in ((tmp_path / "old", "has Python 3.9.1"), (tmp_path / "gone", "has no bin/python")):
        done, calls = course.run(VIRTUAL_ENV=str(env))
        assert done.returncode == 1 and calls == [] and says in done.stderr and "deactivate" in done.stderr


def test_the_note_about_cuda_comes_on_linux_and_only_before_torch_is_there(course):
    course.python("python3")
    done, _ = course.run()
    assert ("TORCH_INDEX=" in done.stderr) == (os.uname().sysname == "Linux")
    shutil.rmtree(course.root / ".venv")
    done, _ = course.run(HAS_TORCH="1")
    assert "TORCH_INDEX" not in done.stderr


def test_torch_comes_first_and_alone_from_the_index_that_is_named(course):
    course.python("python3")
    done, calls = course.run(TORCH_INDEX="file:///wheels")
    assert calls == ["-m pip install --no-deps -i file:///wheels -c constraints.txt torch", INSTALL, RUN]
    assert "Note" not in done.stderr


def test_a_failed_installation_is_tried_again(course):
    course.python("python3")
    path = course.bin / "python3"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace('*) echo', '*"pip install"*) exit 7 ;;\n    *) echo'), encoding="utf-8")
    done, calls = course.run()
    assert done.returncode == 7 and calls == []
    shutil.copy(course.bin / "python3", course.bin / "broken")
    (course.root / ".venv" / "bin" / "python").write_text(good, encoding="utf-8")
    assert course.run()[1] == [INSTALL, RUN]
