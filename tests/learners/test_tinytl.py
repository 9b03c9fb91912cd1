"""TinyTL. That the meter counts its nets as autograd does is in test_memory, and that they learn by a plan as torch would in test_train."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import cost, episodes, plan, tinytl, train
from odl_kit.models import flat, layers, nets

seed = torch.Generator().manual_seed


def net_of(norm=None):
    return nets.mobile_net(1, 5, stem=8, blocks=((16, 8, 1), (16, 12, 2)), norm=norm, rng=seed(0))


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), norm=st.sampled_from(["batch", None]))
def test_before_any_training_the_branches_change_nothing_whatever_the_size(height, width, norm):
    net, x = net_of(norm).eval(), torch.rand(2, 1, height, width, generator=seed(1))
    branched = tinytl.add_branches(net, x, rng=seed(2)).eval()
    assert torch.equal(branched(x), net(x))
    gain = branched.get_submodule("block1.lite.gain")
    nn.init.ones_(gain.weight)
    branch = branched.get_submodule("block1.lite")(torch.rand(2, 8, -(-height // 2), -(-width // 2), generator=seed(3)))
    assert branch.shape[2:] == (-(-height // 2), -(-width // 2))


def test_a_branch_is_pool_grouped_convolution_and_upsampling_as_published():
    branch = tinytl.lite_residual(8, 12, (10, 10), (10, 10), rng=seed(0))
    nn.init.ones_(branch.gain.weight)
    x = torch.randn(3, 8, 10, 10, generator=seed(1))
    pooled = torch.stack([x[:, :, i:i + 2, j:j + 2].mean((2, 3)) for i in range(0, 10, 2) for j in range(0, 10, 2)], -1).view(3, 8, 5, 5)
    halves = [F.conv2d(pooled[:, k:k + 4], branch.conv.weight[k:k + 4], padding=2) for k in (0, 4)]
    mixed = torch.einsum("oc,nchw->nohw", branch.project.weight[:, :, 0, 0], F.group_norm(torch.cat(halves, 1), 4).relu())
    expected = F.interpolate(F.group_norm(mixed, 4), scale_factor=2, mode="bilinear", align_corners=False)
    assert branch.conv.weight.shape == (8, 4, 5, 5) and torch.allclose(branch(x), expected, atol=1e-5)


@pytest.mark.parametrize("side, pooled, kernel", [(1, 1, 1), (2, 1, 1), (5, 2, 1), (6, 3, 3), (9, 4, 3), (10, 5, 5), (32, 16, 5)])
def test_the_kernel_shrinks_to_the_map(side, pooled, kernel):
    branch = tinytl.lite_residual(4, 4, (side, side), (side, side), rng=seed(0))
    assert branch.conv.kernel_size == (kernel, kernel)
    assert branch[:2](torch.zeros(1, 4, side, side)).shape[2:] == (pooled, pooled)


def test_biases_the_head_and_the_branches_learn_and_no_weight_of_a_block_does():
    x = torch.rand(4, 1, 16, 16, generator=seed(1))
    net = tinytl.add_branches(net_of(), x, rng=seed(2))
    mask = flat.unravel(net, tinytl.update_plan(net).mask(net))
    for name, learns in mask.items():
        assert learns.all() if ".lite." in name or name.startswith("head") or name.endswith("bias") else not learns.any(), name


def test_training_moves_the_gain_first_and_then_the_whole_branch():
    x, y = torch.rand(8, 1, 16, 16, generator=seed(1)), torch.arange(8) % 5
    net = tinytl.add_branches(net_of(), x, rng=seed(2))
    wish, steps = tinytl.update_plan(net), []
    for _ in range(2):
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        train.fit(net, x, y, epochs=1, batch_size=None, lr=0.1, plan=wish, rng=seed(3), progress=False)
        steps.append({name for name, p in net.named_parameters() if not torch.equal(p, before[name])})
    assert "block1.lite.gain.weight" in steps[0] and "block1.lite.conv.weight" not in steps[0]      # behind a gain of 0 nothing moves
    assert {"block1.lite.conv.weight", "block1.lite.project.weight", "block1.lite.norm.weight"} <= steps[1]
    assert not any(name.startswith("block1.main") and name.endswith("weight") for name in steps[1])


def test_the_copy_is_its_own_and_the_prototypes_of_a_branched_net_are_those_of_the_net():
    x, y = torch.rand(10, 1, 16, 16, generator=seed(1)), torch.arange(10) % 5
    net = net_of()
    before = flat.ravel(net)
    branched = episodes.set_head(tinytl.add_branches(net, x, rng=seed(2)), x, y)
    assert torch.equal(before, flat.ravel(net))
    assert torch.equal(branched[-1].weight, episodes.set_head(net, x, y)[-1].weight)


def test_branches_cost_extra_by_the_published_rule_what_their_tensors_hold():
    x = torch.rand(1, 1, 16, 16)
    net, traced = net_of(), layers.trace(net_of(), x)
    branched = tinytl.add_branches(net, x, rng=seed(0))
    more = cost.extra_bits(layers.trace(branched, x), tinytl.update_plan(branched)) - cost.extra_bits(traced, plan.bias_only(net))
    # block1: 8 -> 8 on 8x8, pooled to 4x4, kernel 3; block2: 8 -> 12 on 8x8, pooled to 4x4, kernel 3; no biases, norms count nothing
    by_hand = sum(8 * (8 * 16 + 8 * 4 * 9) + 8 * 16 + 8 * (8 * 16 + 8 * c_out) + c_out * 16 for c_out in (8, 12))
    assert more == by_hand


def test_a_net_without_blocks_or_branches_is_refused():
    x = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match="has no block"):
        tinytl.add_branches(nets.tiny_cnn(1, 3, rng=seed(0)), x, rng=seed(0))
    with pytest.raises(ValueError, match="no branch.*add_branches"):
        tinytl.update_plan(net_of())
