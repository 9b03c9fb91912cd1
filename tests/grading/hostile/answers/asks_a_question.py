"""Waits for somebody to type something."""
def weighted_mean(updates, num_examples):
    return updates.sum(0) * float(input("How much? "))
