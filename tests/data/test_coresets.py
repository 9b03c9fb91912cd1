from functools import partial
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.data import coresets

CHOICES = {"random": partial(coresets.random, rng=torch.Generator().manual_seed(0)), "herding": coresets.herding,
           "k_centre": coresets.k_centre}


def features(num, width, seed=0):
    return torch.randn(num, width, generator=torch.Generator().manual_seed(seed))


def radius(points, centres):
    """The largest distance of a point to its nearest centre."""
    return torch.cdist(points, points[list(centres)]).amin(1).max().item()


@pytest.mark.parametrize("name", CHOICES)
@given(num=st.integers(1, 30), share=st.floats(0, 1))
def test_a_choice_has_as_many_examples_as_asked_for_and_none_twice(name, num, share):
    count = max(1, round(share * num))
    chosen = CHOICES[name](features(num, 3), count)
    assert chosen.shape == (count,) and chosen.dtype == torch.int64
    assert len(chosen.unique()) == count and 0 <= chosen.min() and chosen.max() < num


@pytest.mark.parametrize("name", CHOICES)
def test_equal_examples_are_chosen_once_each(name):
    assert sorted(CHOICES[name](torch.ones(5, 2), 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["herding", "k_centre"])
def test_fewer_are_the_first_of_more(name):
    points = features(40, 6)
    assert torch.equal(CHOICES[name](points, 7), CHOICES[name](points, 30)[:7])


def test_each_example_of_herding_brings_the_mean_nearest_as_a_plain_loop_finds_it():
    points = features(25, 4).double()
    chosen = []
    for _ in range(12):
        def gap(candidate):
            return (points.mean(0) - points[[*chosen, candidate]].mean(0)).norm().item()
        chosen.append(min((i for i in range(25) if i not in chosen), key=gap))
    assert coresets.herding(points, 12).tolist() == chosen


def test_the_mean_of_a_herded_set_is_nearer_than_that_of_100_random_sets():
    points = features(200, 8)
    herded = (points[coresets.herding(points, 10)].mean(0) - points.mean(0)).norm()
    by_chance = [(points[torch.randperm(200)[:10]].mean(0) - points.mean(0)).norm() for _ in range(100)]
    assert herded < min(by_chance)


@pytest.mark.parametrize("seed", range(5))
def test_k_centre_is_within_twice_the_best_radius_that_trying_all_sets_finds(seed):
    points = features(12, 2, seed)
    best = min(radius(points, centres) for centres in combinations(range(12), 3))
    assert best <= radius(points, coresets.k_centre(points, 3).tolist()) <= 2 * best


def test_k_centre_takes_an_outlier_at_once_and_herding_does_not():
    points = torch.cat([features(50, 3), torch.full((1, 3), 30.0)])
    assert 50 in coresets.k_centre(points, 2) and 50 not in coresets.herding(points[:50], 10)
    assert coresets.k_centre(points, 2)[1] == 50


@pytest.mark.parametrize("name", CHOICES)
def test_the_classes_take_turns_until_one_runs_out(name):
    y = torch.tensor([0] * 12 + [2] * 9 + [5] * 3)
    ranking = coresets.by_class(CHOICES[name], features(24, 4), y)
    assert sorted(ranking.tolist()) == list(range(24))
    assert y[ranking[:9]].tolist() == [0, 2, 5] * 3 and y[ranking[9:21]].tolist() == [0, 2] * 6 and y[ranking[21:]].tolist() == [0] * 3


def test_within_a_class_the_order_is_that_of_the_choice():
    points, y = features(30, 4), torch.arange(30) % 3
    ranking = coresets.by_class(coresets.herding, points, y)
    for label in range(3):
        own = (y == label).nonzero()[:, 0]
        assert ranking[y[ranking] == label].tolist() == own[coresets.herding(points[own], 10)].tolist()


def test_images_are_measured_as_the_vectors_of_their_pixels():
    images = features(20, 16).view(20, 1, 4, 4)
    for choose in (coresets.herding, coresets.k_centre):
        assert torch.equal(choose(images, 6), choose(images.flatten(1), 6))


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("count", [0, 6])
def test_a_count_that_is_not_there_is_refused(name, count):
    with pytest.raises(ValueError, match=f"{count} of 5 examples wanted: ask for 1 to 5"):
        CHOICES[name](features(5, 2), count)


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="5 examples have 4 labels"):
        coresets.by_class(coresets.herding, features(5, 2), torch.zeros(4, dtype=torch.int64))
