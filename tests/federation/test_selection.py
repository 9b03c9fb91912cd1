from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from odl_kit.federation import fleet, local, rounds, selection
from odl_kit.models import flat, nets


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_uniform_draws_every_client_equally_often_and_none_twice():
    select, rng, counts = selection.uniform(10, 3), seeded(0), torch.zeros(10)
    for number in range(1, 2001):
        chosen = select(number, rng)
        assert chosen.dtype == torch.int64 and len(set(chosen.tolist())) == 3 and chosen.tolist() == sorted(chosen.tolist())
        counts[chosen] += 1
    assert ((counts - 600).abs() < 5 * (2000 * 0.3 * 0.7) ** 0.5).all()           # five standard deviations


def test_uniform_is_driven_by_its_generator_alone():
    select = selection.uniform(50, 5)
    assert torch.equal(select(1, seeded(3)), select(9, seeded(3)))
    assert selection.uniform(4, 4)(1, seeded(0)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("m", [0, 6])
def test_more_clients_than_there_are_or_none_are_refused(m):
    with pytest.raises(ValueError, match="give 1 to 5"):
        selection.uniform(5, m)


def test_large_clients_are_drawn_in_proportion_and_empty_ones_never():
    select, rng, counts = selection.by_num_examples(torch.tensor([10, 30, 0, 60]), 1), seeded(0), torch.zeros(4)
    for number in range(3000):
        counts[select(number, rng)] += 1
    expected = 3000 * torch.tensor([0.1, 0.3, 0, 0.6])
    assert ((counts - expected).abs() <= 5 * (expected * (1 - expected / 3000)) ** 0.5).all()
    assert selection.by_num_examples(torch.tensor([10, 30, 0, 60]), 3)(1, rng).tolist() == [0, 1, 3]
    with pytest.raises(ValueError, match="give 1 to 3"):
        selection.by_num_examples(torch.tensor([10, 30, 0, 60]), 4)


def clients():
    x, y = torch.randn(5, 6, 4, generator=seeded(1)), torch.randint(3, (5, 6), generator=seeded(2))
    return SimpleNamespace(x=x, y=y, num_examples=torch.tensor([6, 2, 1, 5, 3]))


NET = nets.mlp(4, (), 3, rng=seeded(3))


def by_hand(w, client):
    flat.assign(NET, w)
    n = int(clients().num_examples[client])
    return F.cross_entropy(NET(clients().x[client, :n]), clients().y[client, :n]).item()


def test_the_losses_are_those_of_each_client_on_its_own_examples():
    w, chosen = flat.ravel(NET), torch.tensor([4, 1, 2])
    assert selection.losses(NET, clients(), w, chosen).tolist() == pytest.approx([by_hand(w, c) for c in (4, 1, 2)], abs=1e-6)


def test_the_candidates_with_the_largest_loss_train_and_all_candidates_are_paid_for():
    train = partial(local.train_cohort, NET, clients(), epochs=1, batch_size=None, lr=0.1)
    w = flat.ravel(NET)
    received = selection.power_of_choice(train, NET, clients(), 2)(w, torch.tensor([0, 1, 3, 4]), rng=seeded(0))
    assert received.ids.tolist() == sorted(sorted([0, 1, 3, 4], key=lambda c: -by_hand(w, c))[:2])
    history = rounds.run(w, train=selection.power_of_choice(train, NET, clients(), 2), rounds=1, rng=seeded(0), progress=False,
                         select=selection.by_num_examples([6, 2, 1, 5, 3], 4))
    assert history.bytes_up == (2 * 4 * len(w),) and history.bytes_down == (4 * 4 * len(w),)
    with pytest.raises(ValueError, match="m=3 clients asked of 2"):
        selection.power_of_choice(train, NET, clients(), 3)(w, torch.tensor([0, 1]), rng=seeded(0))


def test_only_devices_within_time_and_energy_are_chosen():
    devices, examples = fleet.draw(40, rng=seeded(1)), torch.arange(1, 41)
    fit = {c for c in range(40) if devices.seconds_per_example[c] * examples[c] + 5000 / devices.bytes_per_s[c] <= 1
           and devices.mJ_per_example[c] * examples[c] + 5000 * devices.mJ_per_byte[c] <= 60}
    select, rng = selection.within_budget(devices, 5, examples=examples, nbytes=5000, deadline_s=1, energy_mJ=60), seeded(2)
    drawn = [select(number, rng).tolist() for number in range(300)]
    assert set().union(*drawn) == fit and 5 < len(fit) < 40
    assert all(chosen == sorted(set(chosen)) and len(chosen) == 5 for chosen in drawn)
    everyone = selection.within_budget(devices, 40, examples=examples, nbytes=5000, deadline_s=1, energy_mJ=60)
    assert set(everyone(1, rng).tolist()) == fit                        # fewer fit than were asked for
    with pytest.raises(ValueError, match="no device fits 0.001 s"):
        selection.within_budget(devices, 5, examples=examples, nbytes=5000, deadline_s=0.001)


def test_a_diverse_cohort_is_the_greedy_one_by_hand():
    rng = np.random.default_rng(0)
    histogram, cost = rng.integers(0, 9, (12, 4)) + np.eye(12, 4, dtype=int), rng.random(12)
    wanted = histogram.sum(0) / histogram.sum()
    for price in (0.0, 0.5):
        chosen = []
        while len(chosen) < 4:
            scores = {}
            for client in set(range(12)) - set(chosen):
                owned = histogram[[*chosen, client]].sum(0)
                scores[client] = abs(owned / owned.sum() - wanted).sum() + price * cost[client] / cost.mean()
            chosen.append(min(scores, key=scores.get))
        select = selection.diverse(torch.tensor(histogram), 4, candidates=12, cost=torch.tensor(cost).float(), price=price)
        assert select(1, seeded(0)).tolist() == sorted(chosen)


def test_with_as_many_candidates_as_places_diverse_is_a_random_draw():
    select = selection.diverse(torch.ones(6, 2), 3, candidates=3)
    assert select(1, seeded(5)).tolist() == torch.randperm(6, generator=seeded(5))[:3].sort().values.tolist()
    with pytest.raises(ValueError, match="m=4 clients asked of 3"):
        selection.diverse(torch.ones(6, 2), 4, candidates=3)
