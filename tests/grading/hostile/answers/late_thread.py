"""Wrong, and a thread goes on to write another answer when the cell has ended."""
import pathlib
import threading
import time


def later():
    while True:
        time.sleep(0.01)
        for path in pathlib.Path.home().glob("answer-1"):
            path.write_text('{"error": "", "outputs": ["0", "0", "0"], "case": 0, "message": "", "note": ""}')


threading.Thread(target=later, daemon=True).start()


def weighted_mean(updates, num_examples):
    return updates.sum(0)
