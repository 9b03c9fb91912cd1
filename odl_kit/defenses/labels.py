"""Label sanitising: a label that a model trained on the other examples contradicts is a suspect, not a proof.

Source: the cross-validated filter of Brodley and Friedl 1999, with one learner. The learner decides what is found: one that memorises
single neighbours is itself misled by flips. Rare but right examples are contradicted too: look before you drop.
"""
import torch


def nearest_neighbours(x_train, y_train, x_test, *, k=5):
    """(M,) int64: the most frequent label among the k nearest rows of x_train (N, ...) to each of x_test (M, ...); of equals the smallest.

    Raises ValueError when there are fewer than k rows.
    """
    if len(x_train) < k:
        raise ValueError(f"{len(x_train)} examples, k={k}: give more examples, or a smaller k")
    near = torch.cdist(x_test.double().flatten(1), x_train.double().flatten(1)).topk(k, largest=False).indices
    return torch.nn.functional.one_hot(y_train[near]).sum(1).argmax(1)


def predictions(x, y, *, learn=nearest_neighbours, folds=5, rng):
    """(N,) int64: each example's label as predicted by a model that did not see it. x (N, ...), y (N,) int64 labels from 0 up.

    learn: (x_train, y_train, x_test) -> (M,) int64. Examples are dealt at random into `folds` parts whose sizes differ by at most 1.
    rng: torch.Generator. Raises ValueError unless 2 <= folds <= N.
    """
    if not 2 <= folds <= len(y):
        raise ValueError(f"folds={folds} of {len(y)} examples: give 2 to {len(y)}")
    fold = torch.arange(len(y))[torch.randperm(len(y), generator=rng)] % folds
    found = torch.empty_like(y)
    for part in range(folds):
        test = fold == part
        found[test] = learn(x[~test], y[~test], x[test])
    return found


def suspects(x, y, *, learn=nearest_neighbours, folds=5, rng):
    """(N,) bool: the label y is not the one predicted from the other examples. Arguments and errors as `predictions`."""
    return predictions(x, y, learn=learn, folds=folds, rng=rng) != y
