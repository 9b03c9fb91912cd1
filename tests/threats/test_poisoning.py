import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.threats import poisoning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 3))
def test_some_marks_as_many_as_the_fraction_asks_for(count, fraction, seed):
    mask = poisoning.some(count, fraction, rng=seeded(seed))
    assert mask.dtype == torch.bool and mask.shape == (count,) and int(mask.sum()) == round(fraction * count)


def test_some_draws_everybody_equally_often():
    often = sum(poisoning.some(10, 0.3, rng=seeded(seed)).double() for seed in range(2000)) / 2000
    assert (often - 0.3).abs().max() < 0.05          # five standard deviations of a share of 0.3 in 2,000 draws


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_flips_are_those_of_a_loop_and_leave_the_given_labels_alone(labels):
    y = torch.tensor(labels)
    kept = y.clone()
    assert poisoning.targeted(y, source=4, target=9).tolist() == [9 if label == 4 else label for label in labels]
    assert poisoning.mirrored(y, num_classes=10).tolist() == [9 - label for label in labels]
    assert torch.equal(poisoning.mirrored(poisoning.mirrored(y, num_classes=10), num_classes=10), y)
    assert torch.equal(y, kept)


def test_labels_of_all_clients_at_once_are_those_of_each_alone():
    y = torch.randint(10, (5, 7), generator=seeded())
    for attack in (lambda y: poisoning.targeted(y, source=1, target=2), lambda y: poisoning.mirrored(y, num_classes=10)):
        assert torch.equal(attack(y), torch.stack([attack(row) for row in y]))


def test_a_random_flip_is_never_right_and_every_other_class_comes_equally_often():
    y = torch.randint(5, (20_000,), generator=seeded())
    flipped = poisoning.at_random(y, num_classes=5, rng=seeded(1))
    assert not (flipped == y).any()
    counts = torch.bincount(5 * y + flipped, minlength=25).view(5, 5)[~torch.eye(5, dtype=torch.bool)].double()
    assert (counts / 1000 - 1).abs().max() < 0.2     # about 1,000 in each of 20 cells, six standard deviations


def test_a_rule_moves_those_who_have_the_feature_and_no_others():
    x, y = torch.rand(4, 30, 1, 8, 8, generator=seeded()), torch.randint(10, (4, 30), generator=seeded(1))
    for source in (None, 4):
        found = poisoning.by_feature(x, y, feature=(0, 2, 3), above=0.5, target=9, source=source)
        for client in range(4):
            for n in range(30):
                moves = x[client, n, 0, 2, 3] > 0.5 and source in (None, int(y[client, n]))
                assert found[client, n] == (9 if moves else y[client, n])
    flat = x.flatten(2)
    assert torch.equal(poisoning.by_feature(flat, y, feature=2 * 8 + 3, above=0.5, target=9, source=4), found)


def test_bad_input_is_an_error_that_names_it():
    y = torch.tensor([0, 3])
    with pytest.raises(ValueError, match=r"fraction=1.1: give a share"):
        poisoning.some(5, 1.1, rng=seeded())
    with pytest.raises(ValueError, match="labels from 0 to 3, num_classes=3"):
        poisoning.mirrored(y, num_classes=3)
    with pytest.raises(ValueError, match="labels from 0 to 3, num_classes=1"):
        poisoning.at_random(y, num_classes=1, rng=seeded())
    with pytest.raises(ValueError, match=r"feature=3 for x \(2, 1, 4\).*give 2 indices"):
        poisoning.by_feature(torch.rand(2, 1, 4), y, feature=3, above=0.5, target=0)
