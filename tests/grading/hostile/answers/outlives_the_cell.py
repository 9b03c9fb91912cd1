"""Right, but leaves a thread and a process behind, which go on for minutes."""
import os
import subprocess
import sys
import threading
import time

threading.Thread(target=lambda: time.sleep(333), daemon=False).start()
if os.fork() == 0:
    os.setsid()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(333)  # odl-hostile-left-behind"], start_new_session=True)
    os._exit(0)


def weighted_mean(updates, num_examples):
    share = num_examples / num_examples.sum()
    return share @ updates
