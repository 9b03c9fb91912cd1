"""Joined nets: the formula of Howard et al., the weights of torch's own layers, and a pair that one plain convolution reproduces."""
import pytest
import torch
from torch import nn

from odl_kit.models import flat, layers, nets, separable

seed = torch.Generator().manual_seed


def test_the_pair_saves_the_factor_of_the_paper():
    net, x = nets.ds_cnn(1, 10, width=16, norm=None, rng=seed(0)), torch.rand(1, 1, 16, 16)
    both = {"pair": net, "plain": separable.joined(net, rng=seed(1))}
    macs = {name: {s.name: s.macs for s in layers.trace(n, x)} for name, n in both.items()}
    for i in (1, 2):
        pair = macs["pair"][f"depthwise{i}"] + macs["pair"][f"pointwise{i}"]
        assert pair / macs["plain"][f"pointwise{i}"] == pytest.approx(1 / 16 + 1 / 9)


@pytest.mark.parametrize(("make", "pairs"), [(lambda: nets.ds_cnn(1, 10, rng=seed(0)), 2), (lambda: nets.mobile_net(1, 10, rng=seed(0)), 4),
                                             (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), 0)])
def test_every_pair_and_nothing_else_is_joined_and_all_shapes_stay(make, pairs):
    net, x = make().eval(), torch.rand(2, 1, 16, 16, generator=seed(1))
    joined = separable.joined(net, rng=seed(2))
    assert not any(s.kind == "conv" and s.groups > 1 for s in layers.trace(joined, x))
    before, after = ({s.name: s for s in layers.trace(n, x)} for n in (net, joined))
    assert sum(s.kernel == (1, 1) and after[n].kernel == (3, 3) for n, s in before.items() if s.kind == "conv") == pairs
    assert all((s.c_out, s.h_out, s.w_out) == (after[n].c_out, after[n].h_out, after[n].w_out) for n, s in before.items()
               if "depthwise" not in n)


def test_one_plain_convolution_can_do_what_a_pair_without_anything_between_does():
    pair = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, groups=4, bias=False), nn.Conv2d(4, 6, 1))
    joined = separable.joined(pair, rng=seed(0))
    with torch.no_grad():
        joined[1].weight.copy_(pair[1].weight * pair[0].weight.transpose(0, 1))      # (6, 4, 1, 1) * (1, 4, 3, 3)
        joined[1].bias.copy_(pair[1].bias)
    x = torch.rand(2, 4, 9, 9, generator=seed(1))
    assert torch.allclose(joined(x), pair(x), atol=1e-5)


def test_the_new_weights_come_from_rng_and_the_first_net_stays():
    net = nets.ds_cnn(1, 10, rng=seed(0))
    before = flat.ravel(net)
    made = [flat.ravel(separable.joined(net, rng=seed(n))) for n in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2]) and torch.equal(flat.ravel(net), before)
