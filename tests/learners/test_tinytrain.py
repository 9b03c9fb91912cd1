import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import cost, plan, tinytrain
from odl_kit.models import layers, nets

seed = torch.Generator().manual_seed
NET = nets.mobile_net(1, 4, stem=8, blocks=((16, 8, 1), (16, 12, 2)), norm=None, rng=seed(0))
X, Y = torch.rand(12, 1, 16, 16, generator=seed(1)), torch.arange(12) % 4
TRACED = layers.trace(NET, X)
FULL = plan.full(NET)


def dimmed(net, name, channel, by, side):
    """A copy of `net` in which an output or input channel of a layer is multiplied by `by`."""
    net = copy.deepcopy(net)
    module = net.get_submodule(name)
    factor = torch.ones(1, module.out_channels if side == "output" else module.in_channels, 1, 1, dtype=torch.float64)
    factor[0, channel] = by
    if side == "output":
        module.register_forward_hook(lambda m, i, out: out * factor)
    else:
        module.register_forward_pre_hook(lambda m, i: (i[0] * factor,))
    return net


@pytest.mark.parametrize("name, side", [("stem", "output"), ("block1.project", "output"), ("block2.depthwise", "output"),
                                        ("last", "output"), ("block1.expand", "input"), ("block2.project", "input")])
def test_the_potential_is_what_the_loss_does_when_a_channel_is_dimmed(name, side):
    net = nets.mobile_net(1, 4, stem=8, blocks=((16, 8, 1), (16, 12, 2)), features=10, norm=None, rng=seed(0)).double()
    x, eps = X.double(), 1e-7
    potential = tinytrain.fisher(net, x, Y)
    module = net.get_submodule(name)
    measured = []
    for channel in range(module.out_channels if side == "output" else module.in_channels):
        with torch.no_grad():      # dL_n / d(factor of the channel) = sum_d a g, by a central difference, example by example
            up, down = (F.cross_entropy(dimmed(net, name, channel, 1 + sign * eps, side)(x), Y, reduction="none") for sign in (1, -1))
        measured.append((((up - down) / (2 * eps)) ** 2).mean() / 2)
    measured = torch.stack(measured)
    if side == "input" or name == "block2.depthwise":
        assert torch.allclose(potential.channel[name], measured, rtol=1e-4, atol=1e-12)
    if side == "output":
        assert potential.layer[name] == pytest.approx(float(measured.sum()), rel=1e-4)


def test_every_convolution_has_a_potential_for_each_channel_of_the_plan_and_the_net_stays_as_it_was():
    net = copy.deepcopy(NET).train()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    potential = tinytrain.fisher(net, X, Y)
    names = {name for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(potential.layer) == set(potential.channel) == names
    assert {name: len(d) for name, d in potential.channel.items()} == {name: FULL.channels[name] for name in names}
    assert net.training and all(p.grad is None and torch.equal(p, before[name]) for name, p in net.named_parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_twice_the_same_examples_have_the_same_potential():
    once, twice = tinytrain.fisher(NET, X, Y), tinytrain.fisher(NET, X.repeat(2, 1, 1, 1), Y.repeat(2))
    assert all(twice.layer[name] == pytest.approx(value, rel=1e-4) for name, value in once.layer.items())


def test_the_score_is_the_potential_for_each_weight_and_each_mac():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 1))
    traced = layers.trace(net, torch.zeros(1, 1, 6, 6))      # 36 weights, 576 MACs; 8 weights, 128 MACs
    assert tinytrain.scores(traced, {"0": 5.0, "1": 0.5}) == pytest.approx({"0": 5.0, "1": 0.5 * (36 / 8) * (576 / 128)})


POTENTIAL = tinytrain.fisher(NET, X, Y)


@settings(max_examples=15, deadline=None)
@given(memory=st.integers(12, 9_000), macs=st.integers(48, 250_000))
def test_a_plan_stays_within_both_budgets_and_takes_the_channels_of_highest_potential(memory, macs):
    chosen = tinytrain.choose(NET, X, Y, memory=memory, macs=macs)
    assert cost.extra_bits(TRACED, chosen) <= 8 * memory and cost.backward_macs(TRACED, chosen) <= macs
    assert chosen.channels["head"] == 12 and set(chosen.biases) == set(chosen.channels)
    for name, channels in chosen.chosen(NET).items():
        if name != "head":
            values = POTENTIAL.channel[name]
            left = [float(values[c]) for c in range(len(values)) if c not in channels.tolist()]
            assert len(channels) in {max(1, int(len(values) * share)) for share in (1, 0.5, 0.25, 0.125)}
            assert not left or values[channels].min() >= max(left)


def test_with_room_for_all_everything_learns_and_with_room_for_the_head_only_the_head_does():
    everything = tinytrain.choose(NET, X, Y, memory=10**9, macs=10**12)
    assert everything.channels == FULL.channels and everything.biases == FULL.biases
    least = tinytrain.choose(NET, X, Y, memory=12, macs=48)
    assert least.channels == {"head": 12} and least.biases == {"head"}


def test_layers_are_taken_in_the_order_of_the_score_that_is_given():
    def first(name):
        return lambda traced, potential: {n: float(n == name) for n in potential}
    room = {"memory": 1_200, "macs": 10**9}
    for name in ("block2.project", "block1.expand"):
        chosen = tinytrain.choose(NET, X, Y, **room, score=first(name))
        assert chosen.channels[name] == FULL.channels[name]


def test_a_budget_below_the_head_is_refused_with_what_the_head_needs():
    with pytest.raises(ValueError, match="memory=11 B.*the head alone needs 12 B and 48 MACs"):
        tinytrain.choose(NET, X, Y, memory=11, macs=10**6)
