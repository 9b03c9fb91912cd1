"""The costs by hand against sums over real tensors, and against the operations that torch counts while it runs backwards."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from odl_kit.learners import cost, plan
from odl_kit.models import layers, nets

seed = torch.Generator().manual_seed
NET = nets.mobile_net(1, 10, norm=None, rng=seed(0))
X = torch.rand(1, 1, 16, 16, generator=seed(1))
TRACED = layers.trace(NET, X)


@st.composite
def whole_layers(draw):
    """A plan of whole layers of NET, weight or bias or both; no depthwise weight, whose gradient torch counts as that of a dense one."""
    whole = plan.full(NET)
    depthwise = {layer.name for layer in TRACED if layer.groups > 1}
    return plan.UpdatePlan({name for name in sorted(whole.biases) if draw(st.booleans())},
                           {name: count for name, count in whole.channels.items() if name not in depthwise and draw(st.booleans())})


@settings(max_examples=25, deadline=None)
@given(wish=whole_layers())
def test_backward_macs_are_those_that_torch_counts(wish):
    for name, module in NET.named_modules():
        for kind, p in module.named_parameters(recurse=False):
            p.requires_grad_(name in wish.biases if kind == "bias" else name in wish.channels)
    out = NET(X)
    with FlopCounterMode(display=False) as counter:
        if out.requires_grad:
            F.cross_entropy(out, torch.tensor([3])).backward()
    assert cost.backward_macs(TRACED, wish) == counter.get_total_flops() // 2


def test_a_share_of_the_channels_costs_this_share_of_the_weight_gradient():
    by_count = [cost.backward_macs(TRACED, plan.UpdatePlan(channels={"block4.expand": count})) for count in (0, 6, 12, 24)]
    expand = next(layer for layer in TRACED if layer.name == "block4.expand")
    above = sum(layer.macs for layer in TRACED if layer.name in ("block4.depthwise", "block4.project", "head"))
    assert by_count == [0, *(above + expand.macs * count // 24 for count in (6, 12, 24))]


def test_a_depthwise_filter_costs_its_products_once_for_the_weights():
    net = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False))
    traced = layers.trace(net, torch.zeros(1, 6, 4, 4))
    products = 6 * 4 * 4 * 9      # each of 9 weights of 6 filters meets 16 places
    assert [cost.backward_macs(traced, plan.UpdatePlan(channels={"0": ch})) for ch in (0, 2, 6)] == [0, products // 3, products]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_extra_bits_are_a_sum_over_the_tensors_of_the_layers_that_learn(data):
    whole, seen = plan.full(NET), {}
    wish = plan.UpdatePlan({name for name in sorted(whole.biases) if data.draw(st.booleans())},
                           {name: data.draw(st.integers(0, count)) for name, count in whole.channels.items()})
    hooks = [m.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (m, i[0][0], o[0])))
             for name, m in NET.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    NET(X)
    for hook in hooks:
        hook.remove()
    bits, chosen = 0, wish.chosen(NET)
    for name, (m, x, y) in seen.items():
        if name == "head":
            bits += 8 * x.numel() * (name in chosen)
            continue
        if name in chosen:
            bits += 8 * x[chosen[name]].numel() + 8 * int(plan.weight_mask(m, chosen[name]).sum())
        bits += 32 * m.bias.numel() * (name in wish.biases) + y.numel() * (name in wish.biases or name in chosen)
    assert cost.extra_bits(TRACED, wish) == bits


def test_the_head_and_all_biases_by_hand():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    traced = layers.trace(net, torch.zeros(1, 2, 5, 5))
    assert cost.extra_bits(traced, plan.UpdatePlan()) == cost.backward_macs(traced, plan.UpdatePlan()) == 0
    assert cost.extra_bits(traced, plan.head_only(net)) == 8 * 4
    assert cost.extra_bits(traced, plan.bias_only(net)) == 8 * 4 + 4 * 25 + 32 * 4
    assert cost.extra_bits(traced, plan.full(net)) == 8 * 4 + 4 * 25 + 32 * 4 + 8 * 2 * 25 + 8 * 4 * 2 * 9
    assert cost.backward_macs(traced, plan.head_only(net)) == 12
    assert cost.backward_macs(traced, plan.full(net)) == 12 + 12 + 4 * 2 * 9 * 25


@pytest.mark.parametrize("ch, expected", [(0, 0), (3, 8 * 3 * (16 + 9) + 6 * 16), (6, 8 * 6 * (16 + 9) + 6 * 16)])
def test_a_depthwise_channel_has_one_filter(ch, expected):
    net = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6))
    assert cost.extra_bits(layers.trace(net, torch.zeros(1, 6, 4, 4)), plan.UpdatePlan(channels={"0": ch})) == expected


# The inverted residual blocks of MCUNet-5FPS (Lin et al. 2020), behind a stem of 16 channels with stride 2 and a block without expansion,
# to 8 channels: channels inside, channels out, stride, size of the depthwise kernel.
MCUNET_5FPS = ((32, 16, 2, 3), (48, 16, 1, 3), (48, 24, 2, 7), (120, 24, 1, 3), (120, 40, 2, 3), (160, 40, 1, 7), (160, 48, 1, 5),
               (144, 48, 1, 3), (192, 48, 1, 3), (240, 96, 2, 7), (384, 96, 1, 5), (384, 96, 1, 5), (576, 160, 1, 3))


def mcunet_5fps(size=128):
    """Its 42 convolutions and the head, as a trace of the net with folded norms would give them."""
    def conv(name, c_in, size, c_out, kernel, stride=1, groups=1):
        return layers.Layer(name, "conv", c_in, size, size, c_out, size // stride, size // stride, (kernel, kernel), (stride, stride),
                            groups=groups, bias=True)
    found = [conv("stem", 3, size, 16, 3, 2), conv("first.depthwise", 16, size // 2, 16, 3, groups=16), conv("first", 16, size // 2, 8, 1)]
    size, inside = size // 2, 8
    for i, (width, out, stride, kernel) in enumerate(MCUNET_5FPS):
        found += [conv(f"{i}.expand", inside, size, width, 1), conv(f"{i}.depthwise", width, size, width, kernel, stride, width),
                  conv(f"{i}.project", width, size // stride, out, 1)]
        size, inside = size // stride, out
    return (*found, layers.Layer("head", "linear", inside, 1, 1, 10, 1, 1, bias=True))


@pytest.mark.parametrize("kib, num_bias, indices, ratios", [
    (49.8, 20, (24, 27, 30), (0.25, 0.5, 0.5)),
    (74.8, 21, (21, 24, 27, 30), (1, 1, 0.5, 1)),
    (99.8, 22, (21, 24, 27, 30, 36, 39), (1, 1, 1, 1, 0.125, 0.25)),
    (125.0, 24, (21, 24, 27, 30, 33, 39), (0.25, 1, 1, 1, 0.5, 0.5)),
    (148.4, 23, (21, 24, 27, 30, 36, 39), (1, 1, 1, 1, 1, 0.5)),
    (448.0, 12, range(30, 42), [1] * 12),
    (1400.4, 42, range(42), [1] * 42),
    (121.3, 42, (), ()),
])
def test_extra_bits_of_the_published_schemes_are_the_published_kilobytes(kib, num_bias, indices, ratios):
    wish = plan.from_scheme(mcunet_5fps(), num_bias=num_bias, indices=indices, ratios=ratios)
    assert round(cost.extra_bits(mcunet_5fps(), wish) / 8192, 1) == kib
