from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from odl_kit.federation import local, online, rounds, selection
from odl_kit.learners import cohort
from odl_kit.models import flat, nets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


NET = nets.mlp(6, 5, 3, rng=seeded())
W = torch.randn(len(flat.ravel(NET)), generator=seeded(1))
X, Y = torch.randn(3, 8, 6, generator=seeded(2)), torch.randint(3, (3, 8), generator=seeded(3))
CLIENTS = SimpleNamespace(x=X, y=Y, num_examples=torch.tensor([8, 5, 8]))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_scale_and_offset_are_the_least_squares_fit_and_no_worse_than_the_grid(bits):
    values = torch.randn(7, 11, generator=seeded(bits)) ** 3
    packed = online.pack(values, bits)
    slope, offset = np.polyfit(packed.codes.flatten().double().numpy(), values.flatten().double().numpy(), 1)
    assert packed.scale == pytest.approx(slope, rel=1e-3) and packed.offset == pytest.approx(offset, rel=1e-3, abs=1e-4)
    grid = values.min() + packed.codes * (values.max() - values.min()) / (2 ** bits - 1)
    assert (packed.unpack() - values).norm() <= (grid - values).norm() * (1 + 1e-6)
    assert packed.codes.min() == 0 and packed.codes.max() == 2 ** bits - 1


def test_rounding_by_chance_is_right_on_average():
    values, rng = torch.linspace(-1, 1, 9).view(3, 3), seeded()
    codes = torch.stack([online.pack(values, 2, rng=rng).codes for _ in range(4000)]).double()
    expected = (values + 1) / 2 * 3
    assert ((codes.mean(0) - expected).abs() <= 5 * codes.std(0) / 4000 ** 0.5 + 1e-6).all()


def test_matrices_are_packed_and_biases_stay_and_the_bytes_say_so():
    packed = online.compress(NET, W, bits=3)
    assert online.nbytes(packed) == -(-30 * 3 // 8) + 8 + 5 * 4 + -(-15 * 3 // 8) + 8 + 3 * 4
    back = flat.unravel(NET, online.decompress(packed))
    assert torch.equal(back["hidden1.bias"], flat.unravel(NET, W)["hidden1.bias"])
    assert not torch.equal(back["head.weight"], flat.unravel(NET, W)["head.weight"])


def test_a_matrix_of_one_value_comes_back_as_it_is():
    assert online.pack(torch.full((2, 3), 0.7), 4).unpack().tolist() == pytest.approx(np.full((2, 3), 0.7))


@pytest.mark.parametrize("net", [NET, nets.ds_cnn(1, 3, width=4, rng=seeded())], ids=["mlp", "ds_cnn"])
def test_training_a_layer_at_a_time_is_client_update_but_for_the_rounding(net):
    w = flat.ravel(net)
    x, y = torch.randn(6, 6, generator=seeded(4)) if net is NET else torch.randn(6, 1, 8, 8, generator=seeded(4)), torch.arange(6) % 3
    order = cohort.batch_order(torch.tensor([6]), 2, rng=seeded())[0]
    packed = online.compress(net, w, bits=16)
    after, most = online.client_update(net, packed, x, y, order=order, batch_size=4, lr=0.3, rng=seeded(5))
    start = online.decompress(packed)
    expected = local.client_update(net, start, x, y, order=order, batch_size=4, lr=0.3)
    got = online.decompress(after) - start
    assert (got - expected).norm() < 0.01 * expected.norm()
    largest = max(sum(4 * p.numel() for p in layer.parameters()) for layer in net)
    assert most == online.nbytes(packed) + largest
    assert [p.bits for p in after] == [p.bits for p in packed]


def test_clients_start_from_what_arrived_and_the_server_keeps_its_own_weights():
    train = partial(local.train_cohort, NET, CLIENTS, epochs=1, batch_size=None, lr=0.1)
    once = partial(rounds.run, W, select=selection.uniform(3, 2), rounds=1, progress=False)
    history = once(train=online.downlink(train, NET, bits=4), rng=seeded())
    chosen, rng = history.chosen[0], seeded()
    torch.randperm(3, generator=rng)
    received = train(online.decompress(online.compress(NET, W, bits=4)), chosen, rng=rng)
    share = received.num_examples / received.num_examples.sum()
    torch.testing.assert_close(history.w, W + share @ received.updates, atol=1e-6, rtol=0)
    assert history.bytes_down == (2 * online.nbytes(online.compress(NET, W, bits=4)),)
    plain = once(train=train, rng=seeded())
    assert plain.bytes_down == (2 * 4 * len(W),)


def test_bits_out_of_range_are_refused():
    with pytest.raises(ValueError, match="give 2 to 16"):
        online.compress(NET, W, bits=1)
