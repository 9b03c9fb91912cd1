"""k-means and what groups are worth, against scikit-learn, brute force and closed forms."""
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from odl_kit.learners import clusters

seed = torch.Generator().manual_seed


def blobs(k, each, *, s=0, apart=3.0):
    where = apart * torch.randn(k, 4, generator=seed(s))
    y = torch.arange(k).repeat_interleave(each)
    return where[y] + torch.randn(len(y), 4, generator=seed(s + 1)), y


@pytest.mark.parametrize("s", range(5))
def test_from_the_same_start_it_ends_where_scikit_learn_ends(s):
    x, _ = blobs(5, 30, s=s, apart=1.0)
    start = x[torch.randperm(len(x), generator=seed(s))[:5]]
    centres, assigned = clusters.k_means(x, 5, start=start)
    judge = KMeans(5, init=start.numpy(), n_init=1, tol=0, max_iter=100).fit(x.numpy())
    assert clusters.inertia(x, centres, assigned) == pytest.approx(judge.inertia_, rel=1e-4)
    assert torch.allclose(centres, torch.from_numpy(judge.cluster_centers_), atol=1e-3)
    assert assigned.tolist() == judge.labels_.tolist()


def test_groups_that_lie_apart_are_found_from_centres_that_were_drawn():
    x, y = blobs(8, 20, apart=20.0)
    centres, assigned = clusters.k_means(x, 8, rng=seed(0))
    assert clusters.named(assigned, y) == 1 and clusters.shared(assigned, y) == pytest.approx(1)
    assert torch.equal(clusters.nearest(x, centres), assigned)
    assert torch.equal(assigned, clusters.k_means(x, 8, rng=seed(0))[1])


@settings(max_examples=20, deadline=None)
@given(n=st.integers(3, 9), k=st.integers(1, 3), s=st.integers(0, 99))
def test_few_examples_are_grouped_as_well_as_by_trying_all_groupings(n, k, s):
    x = torch.randn(n, 2, generator=seed(s)).double()
    best = min(sum(((x[list(rows)] - x[list(rows)].mean(0)) ** 2).sum().item()
                   for g in range(k) if (rows := [i for i in range(n) if groups[i] == g]))
               for groups in itertools.product(range(k), repeat=n))
    assert clusters.inertia(x, *clusters.k_means(x, k, starts=40, rng=seed(0))) == pytest.approx(best, abs=1e-9)


def test_a_group_that_loses_all_its_examples_keeps_its_centre():
    x, start = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [99.0]])
    centres, assigned = clusters.k_means(x, 2, start=start)
    assert centres.tolist() == [[0.5], [99.0]] and assigned.tolist() == [0, 0]


def test_equal_examples_can_be_grouped():
    centres, assigned = clusters.k_means(torch.ones(4, 2), 3, rng=seed(0))
    assert torch.equal(centres, torch.ones(3, 2)) and assigned.tolist() == [0, 0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_best_names_are_those_of_all_namings(pairs):
    assigned, y = torch.tensor(pairs).T
    best = max(sum(names[g] == label for g, label in pairs) for names in itertools.permutations(range(4)))
    assert clusters.named(assigned, y) == pytest.approx(best / len(pairs))


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30))
def test_shared_information_is_that_of_scikit_learn(pairs):
    assigned, y = torch.tensor(pairs).T
    assert clusters.shared(assigned, y) == pytest.approx(normalized_mutual_info_score(y, assigned), abs=1e-9)


def test_one_group_for_all_is_often_right_and_tells_nothing():
    y = torch.tensor([0] * 9 + [1])
    assert clusters.named(torch.zeros(10, dtype=torch.int64), y) == 0.9
    assert clusters.shared(torch.zeros(10, dtype=torch.int64), y) == pytest.approx(0)


@pytest.mark.parametrize("run, words", [
    (lambda: clusters.k_means(torch.zeros(3, 2), 4, rng=seed(0)), "k=4, x"),
    (lambda: clusters.k_means(torch.zeros(3, 2), 2, start=torch.zeros(2, 3)), r"start \(2, 3\)"),
    (lambda: clusters.k_means(torch.zeros(3, 2), 2), "rng=None.*pass a torch.Generator"),
    (lambda: clusters.named(torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)), "3 groups for 2 labels"),
    (lambda: clusters.shared(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)), "0 groups for 0 labels"),
])
def test_what_cannot_be_grouped_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
