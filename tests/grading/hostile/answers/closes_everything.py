"""Closes every open file of its process."""
import os


def weighted_mean(updates, num_examples):
    os.closerange(0, 4096)
    share = num_examples / num_examples.sum()
    return share @ updates
