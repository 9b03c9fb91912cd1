"""Switches the clocks' signals off, then never comes back."""
import signal


def weighted_mean(updates, num_examples):
    for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass
