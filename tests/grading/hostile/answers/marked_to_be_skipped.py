"""Wrong, and asks nbval not to look."""
# NBVAL_SKIP
# NBVAL_IGNORE_OUTPUT
# NBVAL_RAISES_EXCEPTION
def weighted_mean(updates, num_examples):
    return updates.sum(0)
