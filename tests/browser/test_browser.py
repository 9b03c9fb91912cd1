"""Labs in a real JupyterLab in a real Chromium, and the proof that the walker finds what it looks for.

ODL_BROWSER=two opens the first and the last lab (the default), =changed those of the newest change, =all every lab.
All tests are in this one module: with `--dist loadscope` one worker runs them, on one server and one browser.
"""
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import choice
import psutil
import pytest
import samples
import walk

pytestmark = pytest.mark.slow
LIGHT, DARK = walk.Look("light", 1280), walk.Look("dark", 900)
CHOSEN = getattr(choice, {"two": "two", "changed": "changed", "all": "every"}[os.environ.get("ODL_BROWSER", "two")])()


@pytest.fixture(scope="module")
def chromium(need_tool):
    return need_tool(*walk.PROGRAMS, hint=walk.INSTALL)


@pytest.fixture(scope="module")
def visit(chromium):
    with walk.walker() as visit_one:
        yield visit_one


@pytest.fixture(scope="module")
def flawed(visit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flaws")
    notebook = samples.write(folder / "flawed.ipynb", (samples.IMPORTS, *(cell for _, cell, _ in samples.FLAWS)))
    return visit(notebook, [DARK], folder)


@pytest.mark.parametrize(("number", "lab"), list(enumerate(CHOSEN)), ids=[lab.stem for lab in CHOSEN])
def test_a_lab_runs_answers_and_looks_right(number, lab, visit):
    report = visit(lab, [DARK, LIGHT] if number % 2 else [LIGHT, DARK], walk.SHOTS)
    assert not report.findings, f"{report}\nscreenshots in {walk.SHOTS}"


def test_a_good_notebook_passes_and_every_widget_is_used(visit, tmp_path):
    report = visit(samples.write(tmp_path / "good.ipynb", samples.GOOD), [LIGHT, DARK], tmp_path)
    assert report.findings == ()
    assert report.actions == ("lock in: an option", "slider: 9.0 to 8.0", "answer: an option")
    assert report.cells == 7 and all(shot.stat().st_size > 1000 for shot in report.shots)
    assert {shot.name.rsplit("-", 1)[0] for shot in report.shots} == {"good-light-1280-run", "good-light-1280", "good-dark-900"}


@pytest.mark.parametrize(("kind", "words"), [(kind, words) for kind, _, words in samples.FLAWS])
def test_a_flaw_is_found(kind, words, flawed):
    assert [finding for finding in flawed.findings if finding.kind == kind and words in finding.text], flawed


def test_nothing_but_the_flaws_is_found(flawed):
    assert {finding.kind for finding in flawed.findings} == {kind for kind, _, _ in samples.FLAWS}, flawed


def test_a_dying_kernel_is_found_and_what_did_not_run(visit, tmp_path):
    report = visit(samples.write(tmp_path / "dying.ipynb", samples.DYING), [LIGHT], tmp_path)
    assert {finding.kind for finding in report.findings} == {"kernel", "unrun"}, report
    assert "the kernel died" in report.findings[0].text


def test_the_command_names_the_error_and_exits_with_one(visit, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(walk, "walker", lambda: nullcontext(visit))  # the browser that is open already
    assert walk.main(arguments(tmp_path, FAILING=samples.FAILING)) == 1
    printed = capsys.readouterr().out
    assert "ZeroDivisionError" in printed and "code cell 2 ('after the error') did not run" in printed
    assert list(tmp_path.glob("FAILING-light-900-*.png"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_no_process_behind(chromium, tmp_path):
    command = [sys.executable, walk.__file__, *arguments(tmp_path, ENDLESS=samples.ENDLESS)]
    walking = subprocess.Popen(command, start_new_session=True)
    try:
        while walking.poll() is None and not has_kernel(walking):
            time.sleep(0.2)
        started = psutil.Process(walking.pid).children(recursive=True)
        os.killpg(walking.pid, signal.SIGINT)  # as a terminal does
        assert walking.wait(60) == 130
    finally:
        walking.kill()
    assert psutil.wait_procs(started, timeout=20)[1] == []
    assert len(started) > 3  # the server, the kernel, the driver of the browser, the browser and its helpers


def has_kernel(walking):
    children = psutil.process_iter(["ppid", "cmdline"])
    lines = {process.pid: (process.info["ppid"], " ".join(process.info["cmdline"] or [])) for process in children}
    return any("ipykernel" in line and lines.get(parent, (0, ""))[0] == walking.pid for parent, line in lines.values())


def arguments(folder, **notebooks):
    paths = [str(samples.write(folder / f"{name}.ipynb", cells)) for name, cells in notebooks.items()]
    return [*paths, "--theme", "light", "--width", "900", "--out", str(folder)]
