"""One notebook through nbval, its kernel a jailed fork of this process: no interpreter starts, nothing is imported again.

Called in a child of `warm`, which has pytest, nbval, ipykernel and torch in memory already.
"""
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from odl_kit.grading import inside, jail

DIED, JAIL, CASES = 91, 92, 93          # exit statuses: the kernel is gone; the jail was not closed; a check's cases could not be made
KERNEL_GRACE_S = 5                      # nbval's own time limit of a cell comes so much after ours


def run(job):
    """Run job["notebook"] (path) and leave junit.xml beside it. Returns pytest's exit status, or one of the above.

    job: {"notebook", "box": folder of the kernel, "limits": jail.Limits as a dict, "cases": None or what inside.write_cases takes,
    "more": paths the kernel may read beyond jail.readable()}.
    """
    limits, folder = jail.Limits(**job["limits"]), Path(job["notebook"]).parent
    start, go = os.pipe()
    try:
        pid, outer, held = jail.fork(job["box"], limits, lambda: _kernel(job["box"]), more=job["more"], stdin=start)
    except OSError as error:
        (folder / "jail.json").write_text(json.dumps({"failed": str(error)}), encoding="utf-8")
        return JAIL
    (folder / "jail.json").write_text(json.dumps({"pid": pid, "held": held}), encoding="utf-8")
    if job["cases"] and not _in_a_child(lambda: inside.write_cases(Path(job["box"]), **job["cases"])):
        return CASES
    kernel = Kernel(pid, outer, go)
    try:
        return _pytest(job, limits, kernel)
    finally:
        kernel.kill()


def run_cold(job):
    """The same in a Python of its own, with the kernel another: for systems without a fork. The kernel sets its limits itself."""
    box = Path(job["box"])
    if job["cases"]:
        try:
            inside.write_cases(box, **job["cases"])
        except Exception:
            return CASES
    os.environ["ODL_LIMITS"] = json.dumps(job["limits"])
    jail.environment(box)
    return _pytest(job, jail.Limits(**job["limits"]))


def _in_a_child(work):
    """Run work() in a child, so that this process never holds the checks. True if it did not raise."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _pytest(job, limits, kernel=None):
    import pytest
    notebook = Path(job["notebook"])
    options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={inside.CLOCK * limits.seconds + KERNEL_GRACE_S}",
               f"--junitxml={notebook.parent / 'junit.xml'}", f"--rootdir={notebook.parent}", "-c", os.devnull, "--noconftest", "-s", "-q",
               "-p", "nbval.plugin", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--color=no"]
    if kernel:
        _use(kernel, job["box"])
    return int(pytest.main([str(notebook), *options]))


def _use(kernel, box):
    """Let nbval's next kernel be `kernel`, which waits already."""
    import nbval.kernel
    from jupyter_client.manager import KernelManager
    from jupyter_client.provisioning import local_provisioner

    class Manager(KernelManager):
        """A manager whose kernel listens on files in its box: it has no network."""

        def __init__(self, **options):
            super().__init__(connection_file=f"{box}/kernel.json", transport="ipc", ip=f"{box}/k", **options)

        def shutdown_kernel(self, *arguments, **options):
            kernel.expected = True
            super().shutdown_kernel(*arguments, **options)

    def launch(command, **options):
        kernel.start(f"{box}/kernel.json")
        threading.Thread(target=kernel.watch, daemon=True).start()
        return kernel

    nbval.kernel.KernelManager, local_provisioner.launch_kernel = Manager, launch


def _kernel(box):
    """The jailed side: wait for the word to go, then be a Jupyter kernel until somebody ends this process."""
    if not os.read(0, 1):
        return 0
    from ipykernel.kernelapp import IPKernelApp
    app = IPKernelApp.instance()
    app.initialize(["-f", f"{box}/kernel.json", "--HistoryManager.enabled=False", "--IPKernelApp.quiet=True"])
    app.start()
    return 0


class Kernel:
    """What jupyter_client takes for the subprocess.Popen of a kernel: the jailed fork. A class, because that is the interface it wants."""
    stdin = stdout = stderr = None

    def __init__(self, pid, outer, go):
        self.pid, self.outer, self.go, self.returncode, self.expected, self._lock = pid, outer, go, None, False, threading.Lock()

    def start(self, connection_file):
        """Let the kernel go."""
        owner = os.stat(Path(connection_file).parent)
        os.chown(connection_file, owner.st_uid, owner.st_gid)
        os.write(self.go, b"g")

    def poll(self):
        """The exit status, None while it runs."""
        with self._lock:
            if self.returncode is None:
                done, status = os.waitpid(self.outer, os.WNOHANG)
                if done:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout=None):
        """The exit status, when it has ended."""
        while self.poll() is None:
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        """Send a signal to the jailed process."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """End it and all that it started."""
        self.expected = True
        if self.poll() is None:
            for pid in (self.pid, self.outer):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.wait()

    terminate = kill

    def watch(self):
        """End this process as soon as the kernel has ended by itself: nbval would wait for it until the time is up."""
        while self.poll() is None:
            time.sleep(0.02)
        if not self.expected:
            os._exit(DIED)


if __name__ == "__main__":
    sys.exit(run_cold(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
