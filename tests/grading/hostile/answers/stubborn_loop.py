"""Never comes back, and takes no interruption."""
def weighted_mean(updates, num_examples):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
