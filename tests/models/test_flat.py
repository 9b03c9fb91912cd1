import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def test_ravel_is_torchs_own_parameter_vector_and_leaves_out_buffers():
    net = nets.ds_cnn(1, 10, norm="batch", rng=seed(0))
    assert torch.equal(flat.ravel(net), parameters_to_vector(net.parameters()))
    assert not flat.ravel(net).requires_grad


def test_ravel_is_a_copy():
    net = nets.softmax(4, 3, rng=seed(0))
    flat.ravel(net).zero_()
    assert net.head.weight.abs().sum() > 0


@settings(max_examples=25, deadline=None)
@given(widths=st.lists(st.integers(1, 6), min_size=2, max_size=5), clients=st.integers(1, 4))
def test_unravel_gives_back_what_ravel_joined_for_one_net_and_for_many(widths, clients):
    net = nn.Sequential(*(nn.Linear(a, b, bias=a != b) for a, b in zip(widths, widths[1:], strict=False)))
    w = torch.randn(clients, len(flat.ravel(net)), generator=seed(0))
    many = flat.unravel(net, w)
    assert list(many) == [name for name, _ in net.named_parameters()]
    for c in range(clients):
        one = flat.unravel(net, w[c])
        assert torch.equal(torch.cat([p.flatten() for p in one.values()]), w[c])
        for name, p in net.named_parameters():
            assert one[name].shape == p.shape and torch.equal(many[name][c], one[name])


def test_assign_makes_a_net_compute_with_w():
    net, other = nets.tiny_cnn(1, 10, rng=seed(0)), nets.tiny_cnn(1, 10, rng=seed(1))
    x = torch.rand(2, 1, 8, 8, generator=seed(2))
    assert not torch.equal(net(x), other(x))
    assert flat.assign(net, flat.ravel(other)) is net
    assert torch.equal(net(x), other(x))


def test_the_gradient_of_flat_loss_is_that_of_the_net_itself():
    net, x, y = nets.mlp(6, 5, 3, rng=seed(0)), torch.rand(7, 6, generator=seed(1)), torch.arange(7) % 3
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    ours = torch.func.grad(flat.flat_loss(net))(flat.ravel(net), x, y)
    assert torch.allclose(ours, torch.cat([p.grad.flatten() for p in net.parameters()]), atol=1e-7)
    assert torch.allclose(flat.flat_loss(net)(flat.ravel(net), x, y), loss)


def test_a_vector_of_the_wrong_length_is_refused_with_both_lengths():
    net = nets.softmax(4, 3, rng=seed(0))
    with pytest.raises(ValueError, match="16 weights, Sequential has 15"):
        flat.unravel(net, torch.zeros(16))
    with pytest.raises(ValueError, match="14"):
        flat.assign(net, torch.zeros(14))
