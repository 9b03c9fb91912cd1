"""Pretends that somebody pressed Ctrl-C."""
def weighted_mean(updates, num_examples):
    raise KeyboardInterrupt
