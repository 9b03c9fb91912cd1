"""A JupyterLab of our own for the browser tests.

Its settings, its copies of the notebooks and its ledger lie in a temporary folder; nobody's own Jupyter settings are read or written.
"""
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
START_LIMIT_S, STOP_LIMIT_S = 90, 15

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell stays in the page, so that all of them can be looked at
    "apputils-extension/notification": {"checkForUpdates": False, "doNotDisturbMode": True, "fetchNews": "false"},
    "docmanager-extension/plugin": {"autosave": False},
}

# The server ends when its standard input closes, so it cannot outlive us: not after Ctrl-C, nor when we are killed.
FOLLOW_PARENT = """
import os, signal, sys, threading

def follow():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=follow, daemon=True).start()
from jupyterlab.labapp import main
main()
"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: url ends in "/", notebooks are served from `folder`, answers of the labs go to `ledger`."""

    url: str
    token: str
    folder: Path
    ledger: Path

    def lend(self, notebook):
        """Copy a notebook into the served folder, empty the ledger, and return the address that opens the copy."""
        shutil.rmtree(self.ledger, ignore_errors=True)
        name = Path(notebook).name
        shutil.copyfile(notebook, self.folder / name)
        return f"{self.url}lab/tree/{name}?reset&token={self.token}"


@contextmanager
def jupyterlab():
    """Start JupyterLab on a free port of this machine, yield a Server, and end it and its kernels in every case.

    Raises RuntimeError with the end of the server's log if it does not answer within START_LIMIT_S.
    """
    with tempfile.TemporaryDirectory(prefix="odl_browser_", ignore_cleanup_errors=True) as temporary:
        base = Path(temporary)
        served = base / "labs"
        served.mkdir()
        write_settings(base / "settings")
        token, port = secrets.token_hex(16), free_port()
        with open(base / "server.log", "w") as log:
            process = subprocess.Popen(command(served, port), env=environment(base, token), cwd=served, stdin=subprocess.PIPE, stdout=log,
                                       stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_until_it_answers(url, process, base / "server.log")
            yield Server(url, token, served, base / "ledger")
        finally:
            end(process)


def command(served, port):
    """The command line of the server."""
    return [
        sys.executable, "-c", FOLLOW_PARENT, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={served}", "--expose-app-in-browser", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def environment(base, token):
    """As a student's machine has it: this checkout's package and labs, this environment's kernel, an empty ledger, no test mode."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ODL_TEST", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH")}
    search = filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])
    own = {
        "PYTHONPATH": os.pathsep.join(search), "ODL_HOME": str(CHECKOUT), "ODL_LEDGER": str(base / "ledger"),
        "JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_DIR": str(base / "config"),
        "JUPYTER_DATA_DIR": str(base / "data"), "JUPYTER_RUNTIME_DIR": str(base / "runtime"), "IPYTHONDIR": str(base / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
    }
    return kept | own


def write_settings(folder):
    """Write SETTINGS in the files where JupyterLab looks for them."""
    for name, value in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")


def free_port():
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(url, process, log):
    """Ask for /api until an answer comes."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url + "api", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    reason = f"did not answer in {START_LIMIT_S} s" if process.poll() is None else f"ended with status {process.returncode}"
    raise RuntimeError(f"JupyterLab {reason}; install it with `pip install -e .[lab]`. The end of its log:\n{log.read_text()[-2000:]}")


def end(process):
    """Close the server's input, which ends it and its kernels; kill it if that takes longer than STOP_LIMIT_S."""
    process.stdin.close()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
