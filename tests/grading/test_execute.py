import os
import signal
import subprocess
import sys
import time

import pytest
from nbformat import v4

from odl_kit.grading.execute import CellFailed, execute

SLEEPER = '''
import sys
from nbformat import v4
from odl_kit.grading.execute import execute
code = "import os, pathlib, time; pathlib.Path('pid.part').write_text(str(os.getpid())); os.rename('pid.part', 'pid'); time.sleep(60)"
execute(v4.new_notebook(cells=[v4.new_code_cell(code)]), cwd=sys.argv[1])
'''


def notebook(*cells):
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), *map(v4.new_code_cell, cells)])


def test_a_notebook_runs_in_this_python_in_its_folder_strictly_with_an_empty_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("ODL_LEDGER", "/the/students/own")
    code = "import os, sys\nprint(sys.executable, os.getcwd(), os.environ['ODL_TEST'], os.listdir(os.environ['ODL_LEDGER']), sep='\\n')"
    seen = []
    given = notebook(code, "6 * 7")
    run = execute(given, cwd=tmp_path, progress=lambda done, cells: seen.append((done, cells)))
    python, folder, strict, ledger = run.cells[1].outputs[0].text.splitlines()
    assert (os.path.realpath(python), os.path.realpath(folder)) == (os.path.realpath(sys.executable), os.path.realpath(tmp_path))
    assert strict == "1" and not any(name.endswith(".json") for name in eval(ledger))
    assert run.cells[2].outputs[0].data["text/plain"] == "42" and run.cells[2].execution_count == 2
    assert seen == [(1, 3), (2, 3)] and given.cells[2].outputs == []


def test_a_cell_that_raises_is_named_with_its_message(tmp_path):
    with pytest.raises(CellFailed, match=r"cell 3 \(`x = 1/0`\): ZeroDivisionError: division by zero"):
        execute(notebook("y = 1", "x = 1/0", "print(y)"), cwd=tmp_path)


@pytest.mark.slow
def test_a_dead_kernel_is_noticed(tmp_path):
    with pytest.raises(CellFailed, match=r"cell 2 \(`import os`\): the kernel died"):
        execute(notebook("import os\nos._exit(1)"), cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_the_kernel_and_goes_on_as_keyboard_interrupt(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", SLEEPER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "pid").exists())
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=30)[1]
    kernel = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(kernel))


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
