"""A whole Flower federation on this machine: one SuperLink, N SuperNodes, and a run, as processes of their own that talk over 127.0.0.1.

Nothing is sent elsewhere: telemetry and the look for updates are off, and no package is installed at run time. Needs the extra `flower`.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
POSIX = os.name == "posix"


def federate(app, *, nodes, node_config="", run_config=None, say=print, timeout_s=600.0):
    """Run the Flower app in folder `app` on `nodes` SuperNodes of this machine; each line that its ServerApp prints goes to `say`.

    SuperNode i is started with partition-id=i num-partitions=nodes and what node_config adds ("seed=1"). run_config: {key: int, float or
    str}, over the app's own. All processes are stopped before this returns or raises, on Ctrl-C too.
    Raises RuntimeError with the end of the logs when the run fails, TimeoutError after timeout_s, FileNotFoundError without Flower.
    """
    if nodes < 1:
        raise ValueError(f"nodes={nodes}: a federation needs at least 1")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="odl-flower-", ignore_cleanup_errors=True)))
        link, *ports = _free_ports(nodes + 1)
        address = f"127.0.0.1:{link}"
        (home / "config.toml").write_text(f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{address}"\ninsecure = true\n')
        start = stack.enter_context(_processes(home))
        start("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(link), "--disable-runtime-dependency-installation")
        _wait_for(link, home, timeout_s)
        for i, port in enumerate(ports):
            start("flower-supernode", "--insecure", "--superlink", address, "--host", "127.0.0.1", "--port", str(port),
                  "--node-config", f"partition-id={i} num-partitions={nodes} {node_config}".strip())
        settings = [f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in (run_config or {}).items()]
        run = start("flwr", "run", str(app), "here", "--stream", *(["--run-config", " ".join(settings)] if settings else []))
        _follow(run, home, say, timeout_s)


def _follow(run, home, say, timeout_s):
    """Hand the app's own lines to `say` until the run ends."""
    end, shown, log = time.monotonic() + timeout_s, 0, home / "flwr.log"
    while True:
        over = run.poll() is not None       # asked before reading, so that the last lines are not lost
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        for line in lines[shown:]:
            if line.startswith("round "):
                say(line)
        shown = len(lines)
        if over:
            break
        if time.monotonic() > end:
            raise TimeoutError(f"the federation took longer than {timeout_s:g} s\n{_tails(home)}")
        time.sleep(0.2)
    if run.returncode or "raised an exception" in log.read_text(encoding="utf-8", errors="replace"):
        raise RuntimeError(f"the federation failed\n{_tails(home)}")


def _wait_for(port, home, timeout_s):
    """Until something listens on the port."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise TimeoutError(f"the SuperLink does not answer on port {port} after {timeout_s:g} s\n{_tails(home)}") from None
            time.sleep(0.2)


def _free_ports(count):
    """`count` different ports of 127.0.0.1 on which nothing listens now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def _processes(home):
    """`start(program, *arguments, log=program) -> Popen`, output to home/<log>.log; all are stopped at the end, the latest first."""
    started, bin_folder = [], Path(sys.executable).parent
    environment = os.environ | QUIET | {"FLWR_HOME": str(home), "PATH": os.pathsep.join([str(bin_folder), os.environ.get("PATH", "")])}

    def start(program, *arguments, log=None):
        path = shutil.which(program, path=environment["PATH"])
        if path is None:
            raise FileNotFoundError(f'{program} is not installed: pip install "odl-kit[flower]"')
        with open(home / f"{log or program}.log", "ab") as output:
            # a session of its own: Ctrl-C reaches only this process, which then stops the others in order
            started.append(subprocess.Popen([path, *arguments], stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=home,
                                            env=environment, start_new_session=POSIX))
        return started[-1]
    try:
        yield start
    finally:
        for process in reversed(started):
            _stop(process)


def _stop(process, grace_s=15):
    """End the process and its children: politely, then by force."""
    for how in ("SIGTERM", "SIGKILL"):
        try:
            os.killpg(process.pid, getattr(signal, how)) if POSIX else process.terminate()
        except (ProcessLookupError, PermissionError):
            return      # nobody of the group is left
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            continue


def _tails(home, lines=15):
    """The last lines of every log."""
    logs = {path.name: path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] for path in sorted(home.glob("*.log"))}
    return "\n".join(f"--- {name}\n" + "\n".join(text) for name, text in logs.items())
