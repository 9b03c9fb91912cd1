import numpy as np
import pytest
import torch

from odl_kit.federation import aggregators, rounds, servers, stages
from odl_kit.learners import cohort


def uplink(updates, ids, num_examples=None):
    count = torch.ones(len(updates), dtype=torch.int64) if num_examples is None else num_examples
    return cohort.Uplink(updates, count, torch.tensor(ids), 0)


def test_the_mean_weighs_clients_by_what_the_server_knows_of_them_also_after_the_quarantine():
    updates = torch.tensor([[1.0, 2.0], [torch.nan, 0.0], [3.0, 5.0]])
    out, state = stages.weigh_by([0.0, 0.5, 9.0, 1.5])(uplink(updates, [3, 2, 1], torch.tensor([7, 8, 9])), None, None)
    good, _ = rounds.quarantine(out, 1)
    assert aggregators.mean(good.updates, good.num_examples).tolist() == pytest.approx([(1.5 * 1 + 0.5 * 3) / 2, (1.5 * 2 + 0.5 * 5) / 2])
    assert state is None


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.0, 0.0], [float("inf"), 1.0]])
def test_weights_that_make_no_mean_are_refused(weights):
    with pytest.raises(ValueError, match="none below 0"):
        stages.weigh_by(weights)


def test_client_momentum_is_each_clients_own_fading_sum():
    rng, state, kept = np.random.default_rng(0), None, {}
    stage = stages.client_momentum(0.8)
    for ids in ([0, 1], [1, 2], [0, 2], [1, 0]):
        updates = rng.normal(size=(2, 3))
        out, state = stage(uplink(torch.tensor(updates), ids), state, None)
        for client, update, got in zip(ids, updates, out.updates.numpy(), strict=True):
            kept[client] = 0.8 * kept.get(client, 0) + update
            np.testing.assert_allclose(got, kept[client], atol=1e-12)


def test_where_all_take_part_momentum_at_the_clients_is_momentum_at_the_server():
    def train(w, chosen, *, rng):
        return uplink(torch.randn(3, 4, generator=rng) - 0.1 * w, [0, 1, 2], torch.tensor([1, 2, 5]))

    def run(**options):
        return rounds.run(torch.zeros(4), train=train, select=lambda number, rng: torch.arange(3), rounds=6, progress=False,
                          rng=torch.Generator().manual_seed(0), **options).w
    at_clients, at_server = run(uplink=(stages.client_momentum(0.7),)), run(server=servers.momentum(1.0, beta=0.7))
    torch.testing.assert_close(at_clients, at_server, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(at_clients, run(), atol=1e-2)


def test_without_momentum_nothing_changes_and_a_broken_update_is_not_remembered():
    updates = torch.tensor([[1.0, 2.0], [3.0, torch.inf]])
    out, state = stages.client_momentum(0)(uplink(updates[:1], [4]), None, None)
    assert torch.equal(out.updates, updates[:1])
    out, state = stages.client_momentum(0.5)(uplink(updates, [4, 5]), None, None)
    assert list(state) == [4] and not out.updates[1].isfinite().all()


def test_beta_of_one_would_never_move():
    with pytest.raises(ValueError, match="below 1"):
        stages.client_momentum(1.0)
