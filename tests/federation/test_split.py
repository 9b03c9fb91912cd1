import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.linear_model import LinearRegression
from torch import nn

from odl_kit.data.partition import Clients
from odl_kit.federation import local, selection, split
from odl_kit.learners import train
from odl_kit.models import flat, nets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(clients=4, each=12):
    x, y = make_blobs(clients * each, n_features=5, centers=3, random_state=0)
    x, y = torch.tensor(x).float() / 10, torch.tensor(y)
    return Clients(x.view(clients, each, 5), y.view(clients, each), torch.tensor([each] * clients))


NET = nets.mlp(5, (6, 4), 3, rng=seeded())
OPTIONS = {"cut": "relu1", "select": selection.uniform(4, 2), "per_class": 2, "server_epochs": 3, "server_lr": 0.1, "epochs": 2,
           "batch_size": 4, "lr": 0.1, "progress": False}


def test_the_two_parts_in_a_row_are_the_net():
    lower, upper = split.parts(NET, "relu1")
    x = torch.randn(3, 5, generator=seeded(1))
    assert torch.equal(upper(lower(x)), NET(x))
    assert torch.equal(torch.cat([flat.ravel(lower), flat.ravel(upper)]), flat.ravel(NET))


@pytest.mark.parametrize("cut", ["nowhere", "flatten", "head"])
def test_a_cut_that_leaves_a_part_without_weights_is_refused(cut):
    with pytest.raises(ValueError, match=f"cut='{cut}' leaves a part without weights"):
        split.parts(NET, cut)


def test_a_round_is_fedavg_below_and_training_on_maps_above():
    w, clients, rng = flat.ravel(NET), blobs(), seeded(7)
    history = split.run(NET, w, clients, num_rounds=1, rng=seeded(7), **OPTIONS)
    chosen = selection.uniform(4, 2)(1, rng)
    uplink = local.train_cohort(NET, clients, w, chosen, rng=rng, epochs=2, batch_size=4, lr=0.1)
    flat.assign(NET, w)
    lower, upper = split.parts(NET, "relu1")
    sent = [split.representatives(lower, *clients[c], per_class=2, rng=rng) for c in chosen.tolist()]
    maps, labels = torch.cat([m for m, _ in sent]), torch.cat([y for _, y in sent])
    train.fit(upper, maps, labels, epochs=3, batch_size=32, lr=0.1, rng=rng, progress=False)
    torch.testing.assert_close(history.w[:36], w[:36] + uplink.updates[:, :36].mean(0), atol=1e-6, rtol=0)
    assert torch.equal(history.w[36:], flat.ravel(upper)) and not torch.equal(history.w[36:], w[36:])
    assert history.bytes_up == (2 * 36 * 4 + len(labels) * (6 * 4 + 1),)
    assert history.bytes_down == (2 * len(w) * 4,)


def test_split_training_learns():
    x, y = blobs().x.flatten(0, 1), blobs().y.flatten()
    fresh = nets.mlp(5, (6, 4), 3, rng=seeded(2))

    def accuracy(w):
        return {"accuracy": train.evaluate(flat.assign(fresh, w), x, y)["accuracy"]}
    history = split.run(fresh, flat.ravel(fresh), blobs(), num_rounds=15, evaluate=accuracy, rng=seeded(), **OPTIONS)
    assert history.curve("accuracy")[-1] > max(0.9, history.before["accuracy"])


def test_representatives_are_of_every_group_in_a_class():
    groups = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = groups.repeat_interleave(20, 0) + torch.randn(60, 2, generator=seeded(1)) * 0.1
    maps, labels = split.representatives(nn.Identity(), x, torch.zeros(60, dtype=torch.int64), per_class=3, rng=seeded(4))
    assert sorted(torch.cdist(maps, groups).argmin(1).tolist()) == [0, 1, 2]
    assert labels.tolist() == [0, 0, 0] and all(any(torch.equal(row, other) for other in x) for row in maps)


def test_a_small_class_sends_all_it_has_and_no_example_twice():
    x, y = torch.randn(9, 3, generator=seeded()), torch.tensor([0, 1, 1, 1, 1, 1, 1, 2, 2])
    x[3:6] = x[2]                                                        # four of class 1 are the same
    maps, labels = split.representatives(nn.Identity(), x, y, per_class=4, rng=seeded())
    assert labels.tolist() == [0, 1, 1, 1, 1, 2, 2]


def test_the_probe_is_ridge_less_regression_and_restores_all_through_an_invertible_layer():
    x = torch.randn(80, 6, generator=seeded())
    square, narrow = nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 2), nn.ReLU())
    assert split.probe(square, x[:60], x[60:], ridge=1e-9).explained > 0.999
    leak = split.probe(narrow, x[:60], x[60:], ridge=1e-9)
    with torch.no_grad():
        judge = LinearRegression().fit(narrow(x[:60]).numpy(), x[:60].numpy())
        torch.testing.assert_close(leak.pictures, torch.tensor(judge.predict(narrow(x[60:]).numpy())), atol=1e-4, rtol=0)
    assert leak.explained < 0.6


def test_activations_that_say_nothing_explain_nothing():
    x = torch.rand(50, 1, 4, 4, generator=seeded())
    dead = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    flat.assign(dead, torch.zeros(51))
    leak = split.probe(dead, x[:40], x[40:])
    assert leak.explained == pytest.approx(0, abs=1e-6) and leak.pictures.shape == (10, 1, 4, 4)
