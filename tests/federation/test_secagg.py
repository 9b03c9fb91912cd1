import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.federation import aggregators, privacy, secagg
from odl_kit.learners import cohort


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(count, size=7, seed=0):
    return torch.rand(count, size, generator=seeded(seed), dtype=torch.float64) * 2 - 1


def plain_sum(updates, kept, *, limit):
    """The sum of the quantised rows by ordinary arithmetic on Python's own integers."""
    levels = (2 ** 31 - 1) // len(updates)
    return [sum(round(value * (levels / limit)) for value in column) * (limit / levels) for column in updates[kept].T.tolist()]


@st.composite
def federations(draw):
    count = draw(st.integers(3, 9))
    ids = draw(st.lists(st.integers(0, 500), min_size=count, max_size=count, unique=True))
    neighbours = draw(st.sampled_from([None, *range(2, count, 2)]))
    dropped = draw(st.lists(st.sampled_from(ids), unique=True, max_size=max(count // 3, 1)))
    silent = draw(st.lists(st.sampled_from(ids), unique=True, max_size=1))
    return ids, neighbours, dropped, silent, draw(st.integers(0, 99))


@settings(max_examples=60)
@given(federations())
def test_the_unmasked_sum_is_the_plain_quantised_sum_or_an_error_says_too_few_survived(federation):
    ids, neighbours, dropped, silent, seed = federation
    updates, graph = rows(len(ids), seed=seed), secagg._graph(ids, neighbours, seeded(seed))
    kept = [client not in dropped for client in ids]
    threshold = 2 * (len(graph[ids[0]]) + 1) // 3 + 1
    alive = {*ids} - {*dropped}
    answering = alive - {*silent}
    # a client that sent needs threshold live holders before it answers; every secret needs threshold holders that answer
    enough = bool(answering) and all(len((graph[c] | {c}) & alive) >= threshold for c in answering)
    enough = enough and all(len((graph[c] | {c}) & answering) >= threshold for c in ids)
    options = {"limit": 1.0, "ids": ids, "neighbours": neighbours, "dropped": dropped, "silent": silent, "rng": seeded(seed)}
    if not enough:
        with pytest.raises(ValueError, match="too few survivors"):
            secagg.total(updates, **options)
        return
    got = secagg.total(updates, **options)
    assert got.survivors == tuple(client for client in ids if client not in dropped)
    assert got.total.tolist() == pytest.approx(plain_sum(updates, kept, limit=1.0), rel=1e-12, abs=1e-15)
    assert float((got.total - updates[kept].sum(0)).abs().max()) <= sum(kept) * got.step / 2 * (1 + 1e-9)


def test_fixed_point_numbers_are_within_half_a_step_and_zero_stays_zero():
    values = torch.tensor([-2.0, -1e-3, 0.0, 1e-9, 0.7, 2.0], dtype=torch.float64)
    codes = secagg.quantise(values, limit=2.0, num_clients=5)
    back = secagg.dequantise(codes, limit=2.0, num_clients=5)
    assert codes.dtype == np.uint32 and back[2] == 0
    assert (back - values).abs().max() <= 2.0 / ((2 ** 31 - 1) // 5) / 2


def test_the_sum_cannot_overflow_even_when_everybody_sends_the_limit():
    for count in (2, 3, 7, 1000):
        for sign in (1.0, -1.0):
            codes = secagg.quantise(torch.full((2,), sign * 0.3), limit=0.31, num_clients=count)
            total = np.sum([codes] * count, axis=0, dtype=np.uint32)
            assert secagg.dequantise(total, limit=0.31, num_clients=count).tolist() == pytest.approx([sign * 0.3 * count] * 2, rel=1e-5)


@pytest.mark.parametrize("bad", [1.0001, -3.0, float("nan"), float("inf")])
def test_what_is_beyond_the_limit_is_refused_and_not_clipped(bad):
    with pytest.raises(ValueError, match="limit is 1.0"):
        secagg.total(torch.tensor([[0.5, bad], [0.0, 0.0], [0.0, 0.0]]), limit=1.0)


def test_as_an_aggregator_it_is_the_plain_mean_of_the_survivors():
    updates, num_examples = rows(6).float(), torch.full((6,), 4)
    got = secagg.aggregate(updates, num_examples, limit=1.0)
    torch.testing.assert_close(got, aggregators.mean(updates, num_examples))
    got = secagg.aggregate(updates, num_examples, limit=1.0, dropped=[5])
    torch.testing.assert_close(got, updates[:5].mean(0))


def test_a_private_release_can_stand_on_a_secure_sum():
    uplink = cohort.Uplink(rows(5).float(), torch.full((5,), 4), torch.arange(5), 0)
    options = {"clip_norm": 1.0, "noise_multiplier": 0.5, "expected_clients": 5}
    secure, _ = privacy.noised_mean(**options, total=lambda clipped: secagg.total(clipped, limit=1.0).total)(uplink, None, seeded())
    plain, _ = privacy.noised_mean(**options)(uplink, None, seeded())
    torch.testing.assert_close(secure.updates, plain.updates, atol=1e-6, rtol=0)


def test_every_byte_is_counted():
    got = secagg.total(rows(10, size=100), limit=1.0, dropped=[2], silent=[3])
    letter = 2 * 33 + 16                                                    # two shares and the tag that seals them
    assert got.up["keys"].tolist() == [64] * 10 and got.down["keys"].tolist() == [9 * (64 + 4)] * 10
    assert got.up["shares"].tolist() == got.down["shares"].tolist() == [9 * (letter + 4)] * 10
    assert got.up["masked"].tolist() == [0 if client == 2 else 400 for client in range(10)]
    assert got.up["unmask"].tolist() == [0 if client in (2, 3) else 10 * 37 for client in range(10)]
    assert "9 clients" in repr(got)


def test_a_sparse_graph_saves_bytes_and_gives_the_same_sum():
    updates = rows(30, size=40)
    full, sparse = secagg.total(updates, limit=1.0), secagg.total(updates, limit=1.0, neighbours=6, rng=seeded(), dropped=[])
    assert torch.equal(full.total, sparse.total) and 4 * int(sparse.up["shares"].sum()) < int(full.up["shares"].sum())
    graph = secagg._graph(list(range(30)), 6, seeded())
    assert all(len(near) == 6 and client not in near and all(client in graph[peer] for peer in near) for client, near in graph.items())


@pytest.mark.parametrize("options, says", [
    ({"dropped": [9]}, "only those"), ({"ids": [1, 1, 2, 3]}, "its own id"), ({"neighbours": 3, "rng": seeded()}, "neighbours=3"),
    ({"neighbours": 2}, "rng"), ({"threshold": 2}, "threshold=2 of 4"), ({"dropped": [0, 1]}, "too few survivors"),
    ({"dropped": [0, 1, 2, 3]}, "too few survivors"), ({"silent": [0, 1]}, "too few survivors")])
def test_what_cannot_be_summed_securely_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        secagg.total(rows(4), limit=1.0, **options)


def test_one_client_alone_has_no_secure_sum():
    with pytest.raises(ValueError, match="1 clients"):
        secagg.total(rows(1), limit=1.0)
