"""A step in pieces, and a step in place, against the ordinary step."""
import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.learners import small_steps, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed
NET = nets.tiny_cnn(1, 10, rng=seed(0))
MOBILE = nets.mobile_net(1, 10, norm=None, rng=seed(0))


def batch(n, side=8):
    return torch.rand(n, 1, side, side, generator=seed(1)), torch.randint(10, (n,), generator=seed(2))


def whole(net, x, y):
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(train.loss_of(net(x), y), list(net.parameters()))])


@given(n=st.integers(1, 20), size=st.integers(1, 25))
def test_pieces_of_any_size_give_the_gradient_of_the_whole_batch(n, size):
    x, y = batch(n)
    torch.testing.assert_close(small_steps.gradient(NET, x, y, size=size), whole(NET, x, y), rtol=1e-4, atol=1e-6)


def test_the_pieces_of_a_regression_too():
    net = nets.mlp(64, 8, 1, rng=seed(0))
    x, y = batch(7)
    torch.testing.assert_close(small_steps.gradient(net, x, y.float(), size=3), whole(net, x, y.float()), rtol=1e-4, atol=1e-5)


def test_an_update_in_place_is_the_ordinary_step_bit_for_bit():
    for net, side in ((NET, 8), (MOBILE, 16)):
        x, y = batch(6, side)
        mine, theirs = copy.deepcopy(net), copy.deepcopy(net)
        optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
        train.loss_of(theirs(x), y).backward()
        optimizer.step()
        small_steps.in_place(mine, x, y, lr=0.1)
        assert torch.equal(flat.ravel(mine), flat.ravel(theirs))
        assert all(p.grad is None for p in mine.parameters())


def test_in_place_holds_the_largest_weight_at_a_time():
    x, y = batch(2)
    largest = max(p.numel() for p in NET.parameters())
    assert small_steps.in_place(copy.deepcopy(NET), x, y, lr=0.1) == 4 * largest


def test_the_hooks_are_gone_after_an_error():
    net = copy.deepcopy(NET)
    before = flat.ravel(net)
    x, y = batch(2)
    with pytest.raises(RuntimeError):
        small_steps.in_place(net, x[:, :, :2, :2], y, lr=0.1)       # too small for the pools
    train.loss_of(net(x), y).backward()
    assert torch.equal(flat.ravel(net), before) and all(p.grad is not None for p in net.parameters())


def test_what_cannot_be_cut_is_refused():
    x, y = batch(4, 16)
    with pytest.raises(ValueError, match="size=0"):
        small_steps.gradient(NET, x, y, size=0)
    with pytest.raises(ValueError, match="BatchNorm in training mode"):
        small_steps.gradient(nets.mobile_net(1, 10, rng=seed(0)).train(), x, y, size=2)
