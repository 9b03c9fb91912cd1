"""Fails with a text that a page might run."""
def weighted_mean(updates, num_examples):
    raise ValueError("<script>alert('boo')</script>")
