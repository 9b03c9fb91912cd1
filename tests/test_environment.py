"""Every way to install the course agrees with pyproject.toml, and Binder would really use its files."""
import os
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import odl_kit

ROOT = odl_kit.home()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}


def pyproject(*extras):
    """{name: specifier} of the dependencies, with these extras."""
    lines = PROJECT["project"]["dependencies"] + [line for extra in extras for line in PROJECT["project"]["optional-dependencies"][extra]]
    return {canonicalize_name(need.name): need.specifier for need in map(Requirement, lines)}


def conda(text):
    """{PyPI name: specifier} of an environment.yml, its pip part included. "x=1.2" is conda's way to write ==1.2.*"""
    found, lines = {}, yaml.safe_load(text)["dependencies"]
    by_pip = [line for part in lines if isinstance(part, dict) for line in part["pip"]]
    for line in [line for line in lines if isinstance(line, str)] + by_pip:
        name, ranges = re.fullmatch(r"([\w-]+)\s*(.*)", line).groups()
        if re.fullmatch(r"=[\d.]+", ranges):
            ranges = f"={ranges}.*"
        found[CONDA_NAMES.get(name, name)] = SpecifierSet(ranges)
    return found


def disagreements(text):
    """Where an environment.yml does not fit pyproject.toml: list of sentences."""
    have, want = conda(text), pyproject("lab", "board")
    # what the build needs as well, because the course is installed with --no-build-isolation
    want |= {need.name: need.specifier for need in map(Requirement, PROJECT["build-system"]["requires"])}
    wrong = [f"{name} is not there" for name in want if name not in have]
    wrong += [f"{name} is in no list of pyproject.toml" for name in have if name not in want and name not in ("python", "pip")]
    wrong += [f"{name} {have[name]}, pyproject.toml has {ranges}" for name, ranges in want.items() if have.get(name, ranges) != ranges]
    python = [str(spec) for spec in have.get("python", [])]
    if len(python) != 1 or not re.fullmatch(r"==3\.\d+\.\*", python[0]):
        return [*wrong, f"python is not pinned to one minor version: {python}"]
    if Version(python[0][2:-2]) not in SpecifierSet(PROJECT["project"]["requires-python"]):
        wrong.append(f"python {python[0]} is outside {PROJECT['project']['requires-python']}")
    return wrong


def test_environment_yml_has_the_packages_and_ranges_of_pyproject():
    assert disagreements((ROOT / "environment.yml").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("old, new, says", [
    ("pytorch-cpu>=2.4", "pytorch-cpu>=2.3", "torch"),
    ("  - nbclient>=0.10\n", "", "nbclient is not there"),
    ("      - unicorn>=2.1.2\n", "", "unicorn is not there"),
    ("  - pip\n", "  - pip\n  - pandas\n", "pandas"),
    ("setuptools>=77", "setuptools", "setuptools"),
    ("python=3.11", "python", "pinned"),
    ("python=3.11", "python=3.10", "outside")])
def test_a_wrong_environment_yml_is_seen(old, new, says):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert old in text
    assert any(says in sentence for sentence in disagreements(text.replace(old, new)))


def test_constraints_are_plain_versions_inside_the_ranges_of_pyproject():
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pins = {}
    for line in lines:
        name, version = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line).groups()
        assert name not in pins, f"{name} stands there twice"
        pins[name] = version
    for name, ranges in pyproject("lab", "test", "board", "build").items():
        assert name in pins, f"{name} is in pyproject.toml but has no line in constraints.txt"
        assert ranges.contains(pins[name]), f"{name}=={pins[name]} is outside {ranges}"


def test_constraints_can_be_installed_on_the_first_python_that_is_supported():
    from importlib import metadata
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    too_new = []
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(about["Version"]).public == version and oldest not in SpecifierSet(about["Requires-Python"] or ""):
            too_new.append(f"{line} needs Python {about['Requires-Python']}")
    assert too_new == []


def test_binder_uses_environment_yml_and_installs_the_course_last(need_tool):
    tool = need_tool("jupyter-repo2docker", hint='pip install -e ".[test]" (it does not exist for Windows)')
    done = subprocess.run([tool, "--no-build", "--debug", "."], cwd=ROOT, capture_output=True, text=True, timeout=120)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-2000:]
    assert "environment for python=3.11" in text
    steps = [text.index(line) for line in ("COPY --chown=0:0 src/environment.yml", "COPY --chown=0:0 src/ ", "./postBuild")]
    assert steps == sorted(steps)       # the environment does not depend on the rest, so it is not built again for every commit
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/start"' in text


def test_binders_start_sets_the_threads_and_hands_over():
    text = (ROOT / "start").read_text(encoding="utf-8")
    assert text.rstrip().endswith('exec "$@"')
    if os.name == "posix":
        done = subprocess.run(["bash", "start", "sh", "-c", "echo $OMP_NUM_THREADS"], cwd=ROOT, capture_output=True, text=True, timeout=30)
        assert done.stdout == "1\n"
