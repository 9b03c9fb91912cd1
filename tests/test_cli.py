"""The command `odl`: exit statuses, what is passed on, and how it starts JupyterLab."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import odl_kit
from odl_kit import cli

ROOT = odl_kit.home()


@pytest.fixture
def ran(monkeypatch):
    """The commands that a command of ours would run, each answering with the next status of `ran.statuses` (0 when they are used up)."""
    class Ran(list):
        statuses = ()

    calls = Ran()

    def python(*arguments, **environment):
        calls.append(arguments)
        return calls.statuses[len(calls) - 1] if len(calls) <= len(calls.statuses) else 0
    monkeypatch.setattr(cli, "python", python)
    return calls


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_answers_help(command, capsys, ran):
    if command == "browser":
        assert cli.main([command, "--help"]) == 0 and ran == [("tests/browser/walk.py", "--help")]      # its own program answers
        return
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert "usage: odl" in capsys.readouterr().out


def test_a_wrong_command_line_is_status_2(capsys):
    for wrong in ([], ["nonsense"], ["size", "--fast"], ["ledger", "export"], ["ledger", "burn", "x"]):
        with pytest.raises(SystemExit) as end:
            cli.main(wrong)
        assert end.value.code == 2, wrong


def test_the_makefile_has_a_target_for_every_command_and_no_other():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = set(re.findall(r"^\t\$\(ODL\) (\w+)", text, re.M))
    assert called | {"labs", "ledger", "federate", "progress", "new-lab", "release", "grade", "update", "board"} == set(cli.COMMANDS)
    targets = set(re.findall(r"^([a-z]+):", text, re.M))
    assert targets == set(re.search(r"^\.PHONY: (.*)", text, re.M).group(1).split())
    assert {"help", "lab", "test", "check", "labs", "browser", "bench", "size", "clean"} <= targets


def test_importing_the_command_loads_no_torch_and_no_jupyter():
    code = "import sys, odl_kit.cli; print([m for m in ('torch', 'jupyterlab', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "[]\n"


def test_test_runs_the_tests_and_the_labs_and_fails_if_either_does(ran, monkeypatch):
    from odl_kit.grading import nbval
    for tests, labs in ((0, 0), (1, 0), (0, 1), (5, 1)):
        ran.clear()
        ran.statuses = (tests,)
        monkeypatch.setattr(nbval, "run", lambda pytest, labs=labs: labs)
        assert cli.main(["test"]) == max(tests, labs)
        assert ran[0][:3] == ("-m", "pytest", "tests")


def test_further_options_of_test_go_to_pytest_alone(ran):
    assert cli.main(["test", "-k", "krum", "tests/models"]) == 0
    assert ran == [("-m", "pytest", "-k", "krum", "tests/models")]


def test_check_lints_and_leaves_out_the_slow_tests(ran):
    ran.statuses = (1, 0)
    assert cli.main(["check"]) == 1
    assert ran[0] == ("-m", "ruff", "check", ".") and "not slow" in ran[1]


def test_python_gives_the_status_and_128_plus_the_signal():
    assert cli.python("-c", "raise SystemExit(3)") == 3
    assert cli.python("-c", "import os; raise SystemExit(os.environ['X'] != 'y')", X="y") == 0
    if os.name == "posix":
        assert cli.python("-c", "import os; os.kill(os.getpid(), 9)") == 137


def test_bench_runs_the_named_script_and_names_those_there_are(ran, capsys):
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    assert cli.main(["bench", *names[:1]]) == 0 and len(ran) == len(names[:1])
    with pytest.raises(SystemExit, match="no nothing_like_it in benchmarks/"):
        cli.main(["bench", "nothing_like_it"])


def test_bench_runs_every_script_that_records_and_no_module_that_only_serves_them(ran):
    assert cli.main(["bench"]) == 0
    recorded = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert {name for name in recorded if any(f"{name}.py" in str(call) for call in ran)} == recorded
    assert len(ran) == len(recorded) and not any("peers.py" in str(call) or "record.py" in str(call) for call in ran)


def test_size_counts_every_line_of_the_package(capsys):
    assert cli.main(["size"]) == 0
    out = capsys.readouterr().out
    lines = [path.read_text(encoding="utf-8").count("\n") for ending in ("py", "c") for path in (ROOT / "odl_kit").rglob(f"*.{ending}")]
    assert f"{sum(lines):6}  odl_kit: " in out
    assert f"{max(lines):6}  is the longest: odl_kit/" in out


def test_ledger_export_and_restore_carry_the_answers_over(tmp_path, monkeypatch, capsys):
    from odl_kit.lab import ledger
    kind, everything = ledger.KINDS[0], str(tmp_path / "all.json")
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "one"))
    ledger.record("00_start_here", kind, "q", once=True, answer=3)
    assert cli.main(["ledger", "export", everything]) == 0
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "two"))
    assert cli.main(["ledger", "restore", everything]) == 0
    assert ledger.entry("00_start_here", kind, "q")["answer"] == 3
    assert cli.main(["ledger", "restore", str(tmp_path / "missing.json")]) == 1
    assert "missing.json" in capsys.readouterr().err


def test_ctrl_c_is_130_and_one_line(monkeypatch, capsys):
    monkeypatch.setattr(cli, "python", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli.main(["check"]) == 130
    assert capsys.readouterr().err.splitlines() == ["stopped by Ctrl-C"]


def test_a_display_is_asked_for_on_linux_only(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not cli.has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert cli.has_display()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cli.has_display()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as in a terminal")
def test_lab_prints_the_address_of_lab_00_and_one_ctrl_c_ends_it(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")} | {"PYTHONUNBUFFERED": "1"}
    import pty
    terminal, stdin = pty.openpty()     # at a terminal JupyterLab would ask whether to shut down
    with subprocess.Popen([sys.executable, "-m", "odl_kit.cli", "lab", "--ServerApp.port_retries=50"], cwd=tmp_path, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=stdin, text=True) as server:
        out = ""
        for line in server.stdout:      # ends with the server's own output, should it stop by itself
            out += line
            if "token=" in line:
                break
        time.sleep(1)                   # it says its address just before it listens
        server.send_signal(signal.SIGINT)
        out += server.communicate(timeout=60)[0]
    assert re.search(r"http://localhost:\d+/lab/tree/labs/00_start_here.ipynb\?token=\w+", out), out
    assert server.returncode == 0, out
    os.close(terminal)
    os.close(stdin)
    assert "y/[n]" not in out and "Traceback" not in out
