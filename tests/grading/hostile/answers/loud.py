"""Right, and prints ten million lines."""
def weighted_mean(updates, num_examples):
    for _ in range(1000):
        print("a line\n" * 10_000)
    share = num_examples / num_examples.sum()
    return share @ updates
