import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from odl_kit.federation import aggregators
from odl_kit.learners.cohort import Uplink
from odl_kit.threats import model_poisoning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(count=6, weights=9, seed=0):
    return torch.randn(count, weights, generator=seeded(seed), dtype=torch.float64)


BAD = torch.tensor([False, True, False, False, True, True])


@given(st.floats(-10, 10))
def test_scaling_changes_the_bad_rows_only(factor):
    updates = rows()
    scaled = model_poisoning.scaled(updates, BAD, factor=factor)
    for c, bad in enumerate(BAD.tolist()):
        assert torch.equal(scaled[c], factor * updates[c] if bad else updates[c])


def test_a_boost_by_all_over_bad_replaces_the_mean():
    updates = rows(10) * 0.01           # honest clients have converged: what they send is small
    bad = torch.arange(10) < 2
    wish = rows(1, seed=1).expand(10, -1)
    sent = model_poisoning.scaled(torch.where(bad[:, None], wish, updates), bad, factor=10 / 2)
    assert torch.allclose(sent.mean(0), wish[0], atol=0.02)


def test_a_little_is_mean_minus_z_deviations_as_a_loop_computes_them():
    updates = rows()
    for z in (0.0, 0.7, -2.0):
        sent = model_poisoning.a_little(updates, BAD, z=z)
        assert torch.equal(sent[~BAD], updates[~BAD])
        for p in range(updates.shape[1]):
            own = updates[BAD, p].tolist()
            want = statistics.mean(own) - z * statistics.stdev(own)
            assert sent[BAD, p].tolist() == pytest.approx([want] * 3)


def test_the_z_of_the_paper():
    # Baruch et al. 2019: 24 of 50 workers need 2 supporters among the 26 honest ones, Phi(z) = 24/26
    assert model_poisoning.most_z(50, 24) == pytest.approx(norm.ppf(24 / 26)) == pytest.approx(1.43, abs=5e-3)
    assert model_poisoning.most_z(20, 1) == 0           # alone, nobody hides any shift
    z = [model_poisoning.most_z(20, bad) for bad in range(1, 10)]
    assert z == sorted(z) and z[-1] == pytest.approx(norm.ppf(9 / 11))


def test_with_that_z_the_median_stands_with_the_attackers_where_it_moves_at_all():
    honest, bad = torch.randn(26, 4000, generator=seeded(), dtype=torch.float64), torch.arange(50) < 24
    updates = torch.cat([torch.randn(24, 4000, generator=seeded(1), dtype=torch.float64), honest])
    sent = model_poisoning.a_little(updates, bad)
    median = aggregators.median(sent, torch.ones(50))
    assert median.mean() < -1.0                                          # honest updates have mean 0
    assert (sent[:24].norm(dim=1) < 1.7 * honest.norm(dim=1).mean()).all()     # and no row is loud


def test_a_stage_attacks_only_with_the_clients_that_are_there():
    uplink = Uplink(rows(3).float(), torch.tensor([5, 6, 7]), torch.tensor([8, 2, 4]), 100)

    def turned(updates, bad):
        return model_poisoning.scaled(updates, bad, factor=-1)
    stage = model_poisoning.stage([4, 9], attack=turned, claim=1000)
    sent, state = stage(uplink, None, None)
    assert state is None and sent.num_examples.tolist() == [5, 6, 1000] and sent.ids.tolist() == [8, 2, 4]
    assert torch.equal(sent.updates, uplink.updates * torch.tensor([[1.0], [1], [-1]]))
    silent, _ = model_poisoning.stage([9], attack=model_poisoning.a_little)(uplink, None, None)     # nobody bad is there: no error
    assert torch.equal(silent.updates, uplink.updates) and torch.equal(silent.num_examples, uplink.num_examples)


def test_one_claim_of_a_million_makes_the_mean_that_clients():
    updates = rows(4)
    n = model_poisoning.inflated(torch.full((4,), 30), torch.arange(4) == 2, claim=1_000_000)
    assert torch.allclose(aggregators.mean(updates, n), updates[2], atol=1e-3)
    assert not torch.allclose(aggregators.weighted_mean(updates, n, cap=40), updates[2], atol=0.1)


def test_bad_input_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="1 bad rows: two at least"):
        model_poisoning.a_little(rows(), torch.arange(6) == 0)
    for bad in (0, 11):
        with pytest.raises(ValueError, match=f"num_bad={bad} of 20"):
            model_poisoning.most_z(20, bad)
    with pytest.raises(ValueError, match="an attack, a claim, or both"):
        model_poisoning.stage([1])
    for claim in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"claim={claim}"):
            model_poisoning.stage([1], claim=claim)
