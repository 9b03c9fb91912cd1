"""Fails with an error that fails when it is asked what it says."""
class Odd(Exception):
    """Says nothing."""

    def __str__(self):
        raise RuntimeError("no words")


def weighted_mean(updates, num_examples):
    raise Odd
