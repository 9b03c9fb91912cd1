"""The doctor finds what is wrong and says what to do; it changes nothing."""
import importlib.metadata
import os
import sys

import pytest

from odl_kit import cli, doctor
from odl_kit.doctor import OK, OPTIONAL, PROBLEM, Line, Report


@pytest.fixture(scope="module")
def report():
    return doctor.report()


def test_every_line_that_is_not_ok_says_what_to_do(report):
    assert {line.name for line in report.lines} >= {"Python", "processor", "memory", "kernel", "widgets", "data sets", "ledger"}
    assert {line.state for line in report.lines} <= {OK, OPTIONAL, PROBLEM}
    assert all(bool(line.do) == (line.state != OK) for line in report.lines)


def test_the_report_reads_the_same_as_text_and_in_a_notebook(report):
    for line in report.lines:
        assert line.name in str(report) and line.name in report._repr_html_()
    odd = Report((Line(PROBLEM, "<b>", "a & b", "mend it"),))
    assert "&lt;b&gt;" in odd._repr_html_() and "a &amp; b" in odd._repr_html_()
    assert "1 to mend first: <b>" in str(odd) and "-> mend it" in str(odd)


@pytest.mark.parametrize("state, status", [(OK, 0), (OPTIONAL, 0), (PROBLEM, 1)])
def test_only_a_problem_makes_the_exit_status_1(monkeypatch, capsys, state, status):
    monkeypatch.setattr(doctor, "report", lambda: Report((Line(state, "thing", "found", "do"),)))
    assert cli.main(["doctor"]) == status


NEEDS = ["torch>=2.4", "numpy>=1.26", "nowhere>=1", 'pytest>=99; extra == "test"']


def test_a_missing_and_an_old_package_are_problems(monkeypatch):
    true = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: NEEDS)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.3.9" if name == "torch" else true(name))
    fine, *wrong = doctor._packages()
    assert "numpy" in fine.found
    assert {line.name: line.state for line in wrong} == {"torch": PROBLEM, "nowhere": PROBLEM}     # pytest: no lab needs the extra `test`
    assert "2.3.9" in wrong[0].found and ">=2.4" in wrong[0].found


def test_too_little_memory_is_a_problem(monkeypatch):
    import psutil
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=doctor.LAB_BYTES - 1))
    assert doctor._memory().state == PROBLEM


def test_a_kernel_of_another_python_is_a_problem(monkeypatch):
    from jupyter_client import kernelspec
    spec = type("Spec", (), {"argv": ["/somewhere/else/bin/python"]})
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    assert doctor._kernel().state == PROBLEM and "ipykernel install" in doctor._kernel().do
    spec.argv = [os.path.join(os.path.dirname(sys.executable), "python3.11")]      # another name in the same environment
    assert doctor._kernel().state == OK


def test_a_damaged_data_set_is_a_problem_and_the_others_are_still_read(monkeypatch):
    from odl_kit.data import datasets
    true = datasets.load
    monkeypatch.setattr(datasets, "names", lambda: ("broken", "digits"))

    def load(name):
        if name == "broken":
            raise ValueError("torn: rebuild it")
        return true(name)
    monkeypatch.setattr(datasets, "load", load)
    fine, wrong = doctor._data()
    assert fine.found == "digits (1797)" and wrong.state == PROBLEM and "torn" in wrong.found


def test_a_ledger_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "not" / "made" / "yet"))
    assert doctor._ledger().state == OK and not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "file" / "below"))
    assert doctor._ledger().state == PROBLEM


def test_find_tool_takes_the_first_that_is_there(tmp_path, monkeypatch):
    tool = tmp_path / "tool-b"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.find_tool("tool-a", "tool-b") == (str(tool) if os.name == "posix" else None)
    assert doctor.find_tool("tool-a") is None


def test_need_tool_skips_here_and_fails_in_ci(need_tool, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs no-such-tool: make it"):
        need_tool("no-such-tool", hint="make it")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs no-such-tool: make it"):
        need_tool("no-such-tool", hint="make it")
