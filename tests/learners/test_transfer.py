"""Heads and features against the layers themselves, leave-one-out against a loop, L2-SP against autograd and its closed form."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from odl_kit.learners import plan, train, transfer
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def test_a_new_head_leaves_all_below_as_it_was():
    net = nets.ds_cnn(1, 10, norm="batch", rng=seed(0))
    below, before = flat.ravel(net[:-1]), flat.ravel(net)
    state = torch.get_rng_state()
    new = transfer.with_head(net, 3, rng=seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert new[-1].weight.shape == (3, 16) and not new[-1].bias.any() and torch.equal(flat.ravel(new[:-1]), below)
    assert torch.equal(new[-1].weight, transfer.with_head(net, 3, rng=seed(1))[-1].weight)
    assert new[-1].weight.abs().max() <= (6 / 16) ** 0.5                     # He et al. 2015, uniform
    train.fit(new, torch.rand(6, 1, 8, 8, generator=seed(2)), torch.arange(6) % 3, epochs=1, batch_size=2, lr=0.1, rng=seed(3),
              progress=False)
    assert torch.equal(flat.ravel(net), before)                              # a copy: the old net does not learn along


def test_features_are_what_the_head_gets_and_the_mode_is_put_back():
    net = nets.ds_cnn(1, 4, norm="batch", rng=seed(0)).train()
    x = torch.rand(600, 1, 8, 8, generator=seed(1))
    made = transfer.features(net, x)
    assert net.training and not made.requires_grad and made.shape == (600, 16)
    with torch.no_grad():
        assert torch.allclose(net[-1](made), net.eval()(x), atol=1e-5)


def test_a_head_trained_on_kept_features_is_the_head_trained_in_the_net():
    net, x, y = nets.tiny_cnn(1, 3, rng=seed(0)), torch.rand(30, 1, 8, 8, generator=seed(1)), torch.arange(30) % 3
    whole, apart = transfer.with_head(net, 3, rng=seed(2)), transfer.with_head(net, 3, rng=seed(2))
    how = {"epochs": 4, "batch_size": 8, "lr": 0.2, "momentum": 0.9, "progress": False}
    train.fit(whole, x, y, plan=plan.head_only(whole), rng=seed(3), **how)
    train.fit(apart[-1], transfer.features(apart, x), y, rng=seed(3), **how)
    assert torch.allclose(flat.ravel(whole), flat.ravel(apart), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(classes=st.integers(2, 4), each=st.integers(2, 5), d=st.integers(1, 5), s=st.integers(0, 99))
def test_leave_one_out_is_a_loop_over_examples(classes, each, d, s):
    y = torch.arange(classes).repeat_interleave(each)[torch.randperm(classes * each, generator=seed(s))]
    x = (torch.randn(len(y), d, generator=seed(s + 1)) + y[:, None]).double()
    right = 0
    for i in range(len(y)):
        others = torch.arange(len(y)) != i
        distances = [(x[i] - x[others & (y == c)].mean(0)).norm().item() for c in range(classes)]
        right += distances.index(min(distances)) == y[i]
    assert transfer.leave_one_out(x, y) == pytest.approx(int(right) / len(y), abs=1e-6)


def test_leave_one_out_ranks_features_that_hold_the_class_above_noise():
    y = torch.arange(40) % 4
    noise = torch.randn(40, 8, generator=seed(0))
    assert transfer.leave_one_out(noise + 3 * nn.functional.one_hot(y, 8), y) > 0.9 > 0.5 > transfer.leave_one_out(noise, y)


@pytest.mark.parametrize("pull, decay", [(0.3, 0.0), (0.0, 0.2), (0.5, 0.1)])
def test_the_gradient_of_the_pull_is_towards_the_start_and_of_the_decay_towards_zero(pull, decay):
    net = nets.mlp(4, 5, 3, rng=seed(0))
    penalty, start = transfer.l2_sp(net, pull=pull, decay=decay), flat.ravel(net)
    moved = flat.assign(net, start + torch.randn(len(start), generator=seed(1)))
    gradients = torch.cat([g.reshape(-1) for g in torch.autograd.grad(penalty(moved), list(moved.parameters()))])
    head = 3 * 5 + 3
    expected = torch.cat([pull * (flat.ravel(moved) - start)[:-head], decay * flat.ravel(moved)[-head:]])
    assert torch.allclose(gradients, expected, atol=1e-6)


def test_a_net_under_a_strong_pull_ends_where_the_closed_form_says():
    """One linear layer below the head, squared error; the pulled layer's optimum solves a linear system (the head is frozen)."""
    net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False))
    flat.assign(net, torch.randn(8, generator=seed(0)))
    x, y = torch.randn(20, 3, generator=seed(1)), torch.randn(20, 1, generator=seed(2))
    start, v = net[0].weight.detach().clone(), net[1].weight.detach()[0]
    train.fit(net, x, y, epochs=4000, batch_size=None, lr=0.05, rng=seed(3), progress=False, penalty=transfer.l2_sp(net, pull=0.4),
              plan=plan.UpdatePlan(channels={"0": 3}))
    design = torch.einsum("o,ni->noi", v, x).reshape(20, 6)                   # output = sum over o, i of v_o W_oi x_i
    solved = torch.linalg.solve(2 / 20 * design.T @ design + 0.4 * torch.eye(6), 2 / 20 * design.T @ y[:, 0] + 0.4 * start.reshape(-1))
    assert torch.allclose(net[0].weight.reshape(-1), solved, atol=1e-4)


def test_a_stronger_pull_keeps_a_net_nearer_to_its_start():
    x, y = torch.rand(60, 1, 8, 8, generator=seed(0)), torch.arange(60) % 3
    away = []
    for pull in (0.0, 0.1, 1.0):
        net = nets.tiny_cnn(1, 3, rng=seed(1))
        start = flat.ravel(net)
        train.fit(net, x, y, epochs=5, batch_size=10, lr=0.1, rng=seed(2), progress=False, penalty=transfer.l2_sp(net, pull=pull))
        away.append((flat.ravel(net) - start)[:-51].norm().item())
    assert away[0] > away[1] > away[2]


@pytest.mark.parametrize("run, words", [
    (lambda: transfer.with_head(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), 3, rng=seed(0)), "Sequential does not end in a head"),
    (lambda: transfer.features(nn.Linear(2, 2), torch.zeros(1, 2)), "Linear does not end in a head"),
    (lambda: transfer.leave_one_out(torch.zeros(3, 2), torch.tensor([0, 0, 1])), "class 1 has one example"),
    (lambda: transfer.leave_one_out(torch.zeros(2, 2), torch.tensor([1, 1])), "class 0 has no example"),
    (lambda: transfer.l2_sp(nets.mlp(2, 2, 2, rng=seed(0)), pull=-1.0), "pull=-1.0"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
