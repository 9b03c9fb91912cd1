from functools import partial

import pytest
import torch
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from odl_kit.data import datasets
from odl_kit.defenses import labels


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flipped(seed, share=0.1):
    """The digits with a share of labels set to another class -> x, y, which were flipped."""
    data, rng = datasets.load("digits"), seeded(seed)
    bad = torch.rand(len(data.y), generator=rng) < share
    return data.x, torch.where(bad, (data.y + torch.randint(1, 10, data.y.shape, generator=rng)) % 10, data.y), bad


def test_predictions_are_those_of_scikit_learn_on_the_same_folds():
    x, y = torch.randn(203, 6, generator=seeded()), torch.randint(3, (203,), generator=seeded(1))
    fold = torch.full((203,), -1)

    def learn(x_train, y_train, x_test):       # notes which rows were tested together
        rows = torch.cdist(x_test, x).argmin(1)
        fold[rows] = int(fold.max()) + 1
        return labels.nearest_neighbours(x_train, y_train, x_test)
    mine = labels.predictions(x, y, learn=learn, rng=seeded(2))
    assert sorted(torch.bincount(fold).tolist()) == [40, 40, 41, 41, 41]
    theirs = cross_val_predict(KNeighborsClassifier(5, algorithm="brute"), x.double(), y, cv=PredefinedSplit(fold.numpy()))
    assert mine.tolist() == theirs.tolist()
    assert torch.equal(labels.suspects(x, y, rng=seeded(2)), mine != y)


def test_of_ten_per_cent_flips_on_digits_nearly_all_are_found_and_most_suspects_are_flips():
    for seed in range(3):
        x, y, bad = flipped(seed)
        found = labels.suspects(x, y, rng=seeded(seed))
        assert found[bad].double().mean() > 0.95                   # the facts measured 1.00 and .86
        assert bad[found].double().mean() > 0.75


def test_one_neighbour_is_misled_by_flips_more_than_five():
    x, y, bad = flipped(0)
    precision = [bad[labels.suspects(x, y, learn=partial(labels.nearest_neighbours, k=k), rng=seeded())].double().mean() for k in (1, 5)]
    assert precision[0] < precision[1] - 0.1


def test_no_example_is_predicted_by_a_model_that_saw_it():
    x, y = torch.arange(20.0)[:, None], torch.arange(20)

    def learn(x_train, y_train, x_test):
        assert not {*x_train.flatten().tolist()} & {*x_test.flatten().tolist()}
        assert len(x_train) + len(x_test) == 20
        return torch.zeros(len(x_test), dtype=torch.int64)
    for folds in (2, 3, 20):
        assert labels.suspects(x, y, learn=learn, folds=folds, rng=seeded()).tolist() == [False] + [True] * 19


def test_of_equal_votes_the_smallest_label_wins():
    x, y = torch.tensor([[0.0], [0], [1], [1]]), torch.tensor([2, 2, 1, 1])
    assert labels.nearest_neighbours(x, y, torch.tensor([[0.5]]), k=4).tolist() == [1]


def test_bad_input_is_an_error_that_names_it():
    x, y = torch.rand(6, 2), torch.zeros(6, dtype=torch.int64)
    for folds in (1, 7):
        with pytest.raises(ValueError, match=f"folds={folds} of 6 examples"):
            labels.suspects(x, y, folds=folds, rng=seeded())
    with pytest.raises(ValueError, match="3 examples, k=5"):
        labels.suspects(x, y, folds=2, rng=seeded())
