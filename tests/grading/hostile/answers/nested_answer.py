"""Returns a list in a list in a list ..."""
def weighted_mean(updates, num_examples):
    nest = []
    for _ in range(5000):
        nest = [nest]
    return nest
