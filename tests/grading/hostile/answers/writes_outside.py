"""Writes a file outside its folder."""
def weighted_mean(updates, num_examples):
    with open("/tmp/odl-hostile-was-here", "w") as file:
        file.write("x")
    share = num_examples / num_examples.sum()
    return share @ updates
