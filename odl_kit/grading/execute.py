"""Run a notebook from top to bottom in a kernel of this very Python, and say which cell failed and why."""
import asyncio
import contextlib
import copy
import os
import signal
import subprocess
import tempfile

import ipykernel.kernelspec
import nbclient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

CELL_TIMEOUT_S = 120


class CellFailed(Exception):
    """A cell raised, took too long, or lost its kernel. The text has the cell's place among all (from 1), its first line, the reason."""


def execute(notebook, *, cwd, progress=lambda done, cells: None):
    """A copy of `notebook` (nbformat v4) with all outputs, run in the folder `cwd`, strictly: claims raise, no network, an empty ledger.

    progress(done, cells) is called before each cell that runs. Raises CellFailed at the first cell that raises, needs more than
    CELL_TIMEOUT_S, or loses its kernel. On Ctrl-C the kernel is ended, then KeyboardInterrupt goes on.
    """
    run, at = copy.deepcopy(notebook), {"index": 0}

    def started(cell, cell_index):
        at["index"] = cell_index
        progress(cell_index, len(run.cells))

    with tempfile.TemporaryDirectory(prefix="odl-build-", ignore_cleanup_errors=True) as empty:
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_ThisPython())
        client = _Client(run, km=manager, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(cwd)}}, on_cell_execute=started)
        environment = os.environ | {"ODL_TEST": "1", "ODL_REVEAL": "1", "ODL_LEDGER": empty, "IPYTHONDIR": empty}
        try:
            asyncio.run(client.async_execute(cleanup_kc=True, env=environment, stderr=subprocess.DEVNULL))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise CellFailed(_sentence(run.cells[at["index"]], at["index"] + 1, error)) from None
    return run


def _sentence(cell, number, error):
    if isinstance(error, CellExecutionError):
        reason = f"{error.ename}: {error.evalue}"
    elif isinstance(error, CellTimeoutError):
        reason = f"took more than {CELL_TIMEOUT_S} s"
    else:
        reason = "the kernel died (out of memory?)"
    return f"cell {number} (`{cell.source.strip().splitlines()[0]}`): {reason}"


class _ThisPython(KernelSpecManager):
    """Knows one kernel, the Python that runs now: a kernel installed under the name python3 may be another one."""

    def get_kernel_spec(self, kernel_name):
        return self.kernel_spec_class(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())


class _Client(nbclient.NotebookClient):
    """nbclient turns Ctrl-C into a dead kernel; this client leaves Ctrl-C to Python, so that the caller can tell the two apart."""

    async def async_start_new_kernel(self, **kwargs):
        with contextlib.suppress(NotImplementedError):      # Windows: nbclient could not take the signal either
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        await super().async_start_new_kernel(**kwargs)
