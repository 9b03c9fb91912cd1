import math
import struct

import numpy as np
import pytest
import torch

from odl_kit.federation import compression
from odl_kit.learners import cohort, plan
from odl_kit.models import nets

P = 37


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def uplink(updates, ids=None):
    ids = torch.arange(len(updates)) if ids is None else torch.tensor(ids)
    return cohort.Uplink(updates, torch.ones(len(updates), dtype=torch.int64), ids, updates.numel() * 4)


def sent(stage, updates, seed=0):
    """(rows, bytes of one row), through the stage once."""
    out, _ = stage(uplink(updates), None, seeded(seed))
    assert out.nbytes % len(updates) == 0
    return out.updates, out.nbytes // len(updates)


ROWS = torch.randn(5, P, generator=seeded(1))


def pack(numbers, bits):
    """Whole numbers >= 0, `bits` each, end to end -> bytes: an encoder written for these tests."""
    return np.packbits([(int(n) >> b) & 1 for n in numbers for b in reversed(range(bits))]).tobytes()


def unpack(data, bits, count):
    every = np.unpackbits(np.frombuffer(data, np.uint8))[:bits * count].reshape(count, bits)
    return [int("".join(map(str, row)), 2) for row in every.tolist()]


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_top_k_keeps_the_largest_entries_and_its_bytes_decode_to_them(share):
    rows, nbytes = sent(compression.top_k(share), ROWS)
    k, bits = max(1, round(share * P)), math.ceil(math.log2(P))
    for row, update in zip(rows.numpy(), ROWS.numpy(), strict=True):
        largest = sorted(range(P), key=lambda i: -abs(update[i]))[:k]
        expected = np.zeros(P, np.float32)
        expected[largest] = update[largest]
        np.testing.assert_array_equal(row, expected)
        places = np.flatnonzero(row)
        as_indices, as_bitmap = pack(places, bits), np.packbits(row != 0).tobytes()
        wire = floats(row[places]) + min(as_indices, as_bitmap, key=len)
        assert len(wire) == nbytes
        shorter_as_indices = len(as_indices) <= len(as_bitmap)
        found = unpack(as_indices, bits, k) if shorter_as_indices else np.flatnonzero(np.unpackbits(np.frombuffer(as_bitmap, np.uint8)))
        decoded = np.zeros(P, np.float32)
        decoded[found] = struct.unpack(f"<{k}f", wire[:4 * k])
        np.testing.assert_array_equal(decoded, row)


def test_random_k_sends_its_values_and_a_seed_that_draws_the_places():
    rows, nbytes = sent(compression.random_k(0.2), ROWS, seed=4)
    k, seeds = round(0.2 * P), torch.randint(2 ** 62, (5,), generator=seeded(4)).tolist()
    for row, update, seed in zip(rows, ROWS, seeds, strict=True):
        places = torch.randperm(P, generator=seeded(seed))[:k]
        wire = struct.pack("<q", seed) + floats((update[places] * P / k).tolist())
        assert len(wire) == nbytes
        again = torch.randperm(P, generator=seeded(struct.unpack("<q", wire[:8])[0]))[:k]
        decoded = torch.zeros(P).scatter(0, again, torch.tensor(struct.unpack(f"<{k}f", wire[8:])))
        torch.testing.assert_close(decoded, row, rtol=1e-6, atol=0)
    assert len({tuple(row.nonzero().flatten().tolist()) for row in rows}) > 1            # each client its own places


def test_sign_sends_a_bit_each_and_one_size():
    updates = ROWS.clone()
    updates[0, 3] = 0
    rows, nbytes = sent(compression.sign(), updates)
    for row, update in zip(rows.numpy(), updates.numpy(), strict=True):
        size = np.abs(update).mean()
        wire = floats([size]) + np.packbits(update >= 0).tobytes()
        assert len(wire) == nbytes == 4 + 5
        decoded = struct.unpack("<f", wire[:4])[0] * np.where(np.unpackbits(np.frombuffer(wire[4:], np.uint8))[:P], 1, -1)
        np.testing.assert_allclose(row, decoded, rtol=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
@pytest.mark.parametrize("stochastic", [True, False])
def test_quantised_bytes_decode_to_the_row_that_is_off_by_less_than_a_step(bits, stochastic):
    rows, nbytes = sent(compression.quantise(bits, stochastic=stochastic), ROWS)
    levels = 2 ** (bits - 1) - 1
    for row, update in zip(rows.numpy().astype(float), ROWS.numpy().astype(float), strict=True):
        step = np.abs(update).max() / levels
        codes = np.round(row / step).astype(int)
        assert abs(codes).max() <= levels
        np.testing.assert_allclose(codes * step, row, atol=1e-5 * step * levels)
        assert (abs(row - update) <= step * (1 if stochastic else 0.5) * (1 + 1e-4)).all()
        wire = floats([step]) + pack(codes + levels, bits)
        assert len(wire) == nbytes == 4 + math.ceil(P * bits / 8)
        np.testing.assert_array_equal(np.array(unpack(wire[4:], bits, P)) - levels, codes)


@pytest.mark.parametrize("stage", [compression.random_k(0.25), compression.quantise(2), compression.quantise(4)], ids=["random", "2", "4"])
def test_what_is_called_right_on_average_is_within_five_standard_errors(stage):
    draws, _ = sent(stage, ROWS[:1].expand(4000, P), seed=2)
    error = draws.mean(0) - ROWS[0]
    assert (error.abs() <= 5 * draws.std(0) / 4000 ** 0.5 + 1e-6).all()
    assert draws.std(0).max() > 0


def test_stochastic_rounding_has_the_variance_of_a_coin():
    draws, _ = sent(compression.quantise(3), ROWS[:1].double().expand(20_000, P))
    step = ROWS[0].double().abs().max() / 3
    chance = (ROWS[0].double() / step) % 1
    torch.testing.assert_close(draws.var(0), step ** 2 * chance * (1 - chance), atol=0.02 * float(step ** 2), rtol=0)


def test_low_rank_is_the_best_approximation_of_every_matrix_and_costs_its_factors():
    net = nets.tiny_cnn(1, 4, width=4, rng=seeded())
    updates = torch.randn(3, sum(p.numel() for p in net.parameters()), generator=seeded(5))
    rows, nbytes = sent(compression.low_rank(net, 2), updates)
    floats, at = 0, 0
    for p in net.parameters():
        piece, got = (source[:, at:at + p.numel()].view(3, p.shape[0], -1) for source in (updates, rows))
        height, width = piece.shape[1:]
        if p.dim() > 1 and 2 * (height + width) < height * width:
            left = torch.linalg.svdvals(piece)[:, 2:].square().sum(1)              # Eckart and Young: what no matrix of rank 2 can say
            torch.testing.assert_close((piece - got).square().sum((1, 2)), left, rtol=1e-4, atol=1e-5)
            assert (torch.linalg.matrix_rank(got, rtol=1e-5) == 2).all()
            floats += 2 * (height + width)
        else:
            assert torch.equal(piece, got)
            floats += height * width
        at += p.numel()
    assert nbytes == 4 * floats < 4 * updates.shape[1]


BIASED = {"top_k": compression.top_k(0.1), "random_k": compression.random_k(0.1, unbiased=False), "sign": compression.sign(),
          "nearest": compression.quantise(2, stochastic=False)}


@pytest.mark.parametrize("name", BIASED)
def test_with_error_feedback_all_that_was_sent_and_what_is_kept_add_up_to_all_updates(name):
    stage, rng, state = compression.error_feedback(BIASED[name]), seeded(), None
    asked, arrived = torch.zeros(6, P, dtype=torch.float64), torch.zeros(6, P, dtype=torch.float64)
    for _ in range(12):
        ids = torch.randperm(6, generator=rng)[:3].tolist()                              # clients come and go
        updates = torch.randint(-512, 512, (3, P), generator=rng).double() / 1024
        out, state = stage(uplink(updates, ids), state, rng)
        asked[ids] += updates
        arrived[ids] += out.updates
    kept = torch.stack([state[1].get(client, torch.zeros(P, dtype=torch.float64)) for client in range(6)])
    if name in ("top_k", "random_k"):
        assert torch.equal(arrived + kept, asked)                                        # binary fractions: not a bit is lost
    torch.testing.assert_close(arrived + kept, asked, atol=1e-12, rtol=0)


def test_error_feedback_sends_in_the_end_what_top_k_alone_never_sends():
    update = torch.tensor([[8.0, 1.0, 1.0, 1.0]])
    stage, state, total = compression.error_feedback(compression.top_k(0.25)), None, torch.zeros(1, 4)
    for _ in range(40):
        out, state = stage(uplink(update), state, seeded())
        total += out.updates
    assert (total / 40 - update).abs().max() < 0.5
    assert sent(compression.top_k(0.25), update)[0].tolist() == [[8, 0, 0, 0]]


def test_a_state_of_error_feedback_is_replaced_and_not_changed():
    stage = compression.error_feedback(compression.sign())
    _, first = stage(uplink(ROWS), None, seeded())
    before = {client: row.clone() for client, row in first[1].items()}
    stage(uplink(ROWS), first, seeded())
    assert all(torch.equal(first[1][client], row) for client, row in before.items())


def test_only_what_a_plan_lets_learn_is_compressed_and_paid():
    net = nets.mlp(4, 5, 3, rng=seeded())
    mask = plan.head_only(net).mask(net)
    updates = torch.randn(2, len(mask), generator=seeded(2)) * mask
    rows, nbytes = sent(compression.only(mask, compression.quantise(8)), updates)
    assert nbytes == 4 + int(mask.sum()) and (rows[:, ~mask] == 0).all()
    torch.testing.assert_close(rows[:, mask], sent(compression.quantise(8), updates[:, mask])[0])


EVERY = {"top_k": compression.top_k(0.1), "random_k": compression.random_k(0.1), "sign": compression.sign(),
         "quantise": compression.quantise(4), "low_rank": compression.low_rank(nets.mlp(4, (), 7, rng=seeded()), 1)}


@pytest.mark.parametrize("name", EVERY)
def test_an_update_of_zeros_stays_zero_and_nan_stays_in_its_row(name):
    size = 35 if name == "low_rank" else P
    assert (sent(EVERY[name], torch.zeros(2, size))[0] == 0).all()
    updates = torch.randn(3, size, generator=seeded())
    clean = sent(EVERY[name], updates.clone().index_fill(0, torch.tensor([1]), 0))[0]
    updates[1, 2] = torch.nan
    rows, _ = sent(EVERY[name], updates)
    assert rows[1].isnan().all() and torch.equal(rows[[0, 2]], clean[[0, 2]])
    stage = compression.error_feedback(EVERY[name])
    assert sorted(stage(uplink(updates), None, seeded())[1][1]) == [0, 2]                # a broken row leaves no residual behind


@pytest.mark.parametrize(("make", "said"), [(lambda: compression.top_k(0), "share=0"), (lambda: compression.random_k(1.5), "at most 1"),
                                            (lambda: compression.quantise(1), "2 to 16"),
                                            (lambda: compression.low_rank(nets.mlp(2, 2, 2, rng=seeded()), 0), "at least 1")])
def test_an_option_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_low_rank_refuses_an_update_of_another_net():
    with pytest.raises(ValueError, match="has 10 weights"):
        sent(compression.low_rank(nets.mlp(4, (), 7, rng=seeded()), 1), torch.ones(1, 10))
