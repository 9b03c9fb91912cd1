import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from odl_kit.defenses import detection
from odl_kit.models import flat, nets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some_rounds(seed=0, clients=8, weights=5, rounds=6, per_round=5):
    """Rounds in which five of eight take part, in any order."""
    rng = seeded(seed)
    return [(torch.randperm(clients, generator=rng)[:per_round], torch.randn(per_round, weights, generator=rng, dtype=torch.float64))
            for _ in range(rounds)]


@given(st.integers(0, 20))
def test_means_are_those_of_a_loop_over_rounds_with_changing_clients(seed):
    rounds = some_rounds(seed)
    ids, means = detection.mean_updates(rounds)
    rows = {}
    for chosen, updates in rounds:
        for client, row in zip(chosen.tolist(), updates, strict=True):
            rows.setdefault(client, []).append(row)
    assert ids.tolist() == sorted(rows)
    for client, mean in zip(ids.tolist(), means, strict=True):
        assert torch.allclose(mean, torch.stack(rows[client]).mean(0))


@given(st.integers(2, 9), st.integers(0, 5))
def test_cosine_to_the_median_is_that_of_numpy(clients, seed):
    means = torch.randn(clients, 7, generator=seeded(seed), dtype=torch.float64)
    middle = np.median(means.numpy(), axis=0)
    want = [1 - row @ middle / np.linalg.norm(row) / np.linalg.norm(middle) for row in means.numpy()]
    assert detection.cosine_to_median(means).tolist() == pytest.approx(want)


def test_who_walks_the_other_way_has_the_largest_score():
    way = torch.randn(40, generator=seeded())
    means = way + 0.3 * torch.randn(11, 40, generator=seeded(1))
    means[7] = -means[7]
    scores = detection.cosine_to_median(means)
    assert scores.argmax() == 7 and scores[7] > 1.5 and scores[torch.arange(11) != 7].max() < 0.3


def test_pca_distances_are_those_of_scikit_learn():
    rounds = some_rounds(3)
    ids, scores = detection.pca_distance(rounds, components=2)
    rows, who = torch.cat([u for _, u in rounds]).numpy(), torch.cat([i for i, _ in rounds]).numpy()
    projected = PCA(2).fit_transform(StandardScaler().fit_transform(rows))
    places = np.stack([projected[who == client].mean(0) for client in ids.tolist()])
    # scikit-learn divides by the deviation with n, we by the one with n - 1: a common factor
    want = np.linalg.norm(places - np.median(places, axis=0), axis=1) * math.sqrt((len(rows) - 1) / len(rows))
    assert scores.tolist() == pytest.approx(want.tolist())


def test_a_weight_that_never_moves_does_not_turn_pca_into_nan():
    rounds = [(ids, torch.cat([updates, torch.zeros(len(ids), 1)], 1)) for ids, updates in some_rounds()]
    assert torch.allclose(detection.pca_distance(rounds)[1], detection.pca_distance(some_rounds())[1])


def test_the_places_of_an_output_are_its_row_of_the_last_layer():
    net = nets.mlp(6, 4, 3, rng=seeded())
    w = flat.ravel(net)
    assert torch.equal(w[detection.output_of(net, 2)], net.head.weight[2].detach())
    assert torch.equal(w[detection.output_of(net)], net.head.weight.detach().flatten())
    with pytest.raises(ValueError, match="label=3, the last layer has outputs 0 to 2"):
        detection.output_of(net, 3)


@settings(deadline=None)
@given(st.integers(3, 7), st.integers(0, 8))
def test_two_clusters_are_the_best_of_all_splits_in_two(clients, seed):
    means = torch.randn(clients, 3, generator=seeded(seed), dtype=torch.float64)
    rows = (means / means.norm(dim=1, keepdim=True)).numpy()

    def loss(split):
        return sum(((rows[split == side] - rows[split == side].mean(0)) ** 2).sum() for side in (0, 1))
    splits = [np.array(split) for split in product((0, 1), repeat=clients) if 0 < sum(split) < clients]
    best = min(splits, key=loss)
    suspects, silhouette = detection.two_clusters(means)
    assert silhouette == pytest.approx(silhouette_score(rows, best))
    few = min(best.sum(), clients - best.sum())
    side = best == 1 if best.sum() == few else best == 0
    assert suspects.tolist() == (side.tolist() if 2 * few < clients else [False] * clients)


def test_clients_that_are_all_alike_are_no_suspects():
    suspects, silhouette = detection.two_clusters(torch.ones(5, 3))
    assert not suspects.any() and silhouette == 0


def test_robust_z_is_in_deviations_of_the_normal_and_outliers_do_not_move_it():
    scores = torch.randn(20_000, generator=seeded(), dtype=torch.float64)
    z = detection.robust_z(3 * scores + 5)
    assert z.std() == pytest.approx(1, abs=0.05) and z.median() == pytest.approx(0, abs=0.02)
    few = torch.tensor([1.0, 2, 3, 4, 1000])
    assert detection.robust_z(few)[:4].tolist() == pytest.approx([-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826])


def test_where_most_scores_are_equal_a_larger_one_is_infinitely_far():
    assert detection.robust_z(torch.tensor([1.0, 1, 1, 2, 0.5])).tolist() == [0, 0, 0, math.inf, -math.inf]
    assert detection.robust_z(torch.ones(3)).tolist() == [0, 0, 0]


def test_bad_input_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"components=6 of \(30, 5\)"):
        detection.pca_distance(some_rounds(), components=6)
    with pytest.raises(ValueError, match="2 clients: two clusters"):
        detection.two_clusters(torch.rand(2, 3))
