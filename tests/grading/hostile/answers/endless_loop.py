"""Never comes back."""
def weighted_mean(updates, num_examples):
    while True:
        pass
