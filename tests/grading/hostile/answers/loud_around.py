"""Right, and prints 2 GB past Python's own stream."""
import os


def weighted_mean(updates, num_examples):
    for _ in range(2000):
        os.write(1, b"a line\n" * 150_000)
    share = num_examples / num_examples.sum()
    return share @ updates
