import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from odl_kit.models import flat, fold, nets

seed = torch.Generator().manual_seed


def used(net):
    """`net` with gains, shifts and statistics that are not those of a new norm."""
    rng = seed(1)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            for value in filter(torch.is_tensor, (m.weight, m.running_var)):
                value.detach().uniform_(0.5, 2, generator=rng)
            for value in filter(torch.is_tensor, (m.bias, m.running_mean)):
                value.detach().normal_(generator=rng)
    return net


@pytest.mark.parametrize("make", [lambda: nets.mobile_net(1, 10, rng=seed(0)), lambda: nets.ds_cnn(1, 10, norm="batch", rng=seed(0)),
                                  lambda: nets.mobile_net(1, 10, features=64, stem_stride=1, rng=seed(0))])
def test_a_folded_net_says_the_same_and_leaves_the_old_one_alone(make):
    net, x = used(make()).eval(), torch.rand(5, 1, 16, 16, generator=seed(2))
    before = copy.deepcopy(net.state_dict())
    folded = fold.fold(net)
    torch.testing.assert_close(folded(x), net(x), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_each_convolution_is_what_torch_itself_would_fuse():
    net = used(nets.ds_cnn(1, 10, norm="batch", rng=seed(0))).eval()
    folded = fold.fold(net)
    for name in ("stem", "depthwise1", "pointwise2"):
        want = fuse_conv_bn_eval(net.get_submodule(name), net.get_submodule(f"{name}_norm"))
        torch.testing.assert_close(folded.get_submodule(name).weight, want.weight)
        torch.testing.assert_close(folded.get_submodule(name).bias, want.bias)


def test_the_weights_fit_the_same_net_made_without_norms():
    net, x = fold.fold(used(nets.mobile_net(1, 10, rng=seed(0)))), torch.rand(3, 1, 16, 16, generator=seed(2))
    plain = flat.assign(nets.mobile_net(1, 10, norm=None, rng=seed(5)), flat.ravel(net))
    assert torch.equal(plain(x), net(x))


def test_a_convolution_with_a_bias_and_a_norm_without_gains_fold_too():
    net = used(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, affine=False))).eval()
    x = torch.rand(2, 2, 6, 6, generator=seed(0))
    torch.testing.assert_close(fold.fold(net)(x), net(x), rtol=1e-5, atol=1e-5)


def test_a_norm_that_cannot_be_folded_is_named():
    with pytest.raises(ValueError, match="'1' does not stand right behind a convolution"):
        fold.fold(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(2)))
    with pytest.raises(ValueError, match="'1' stores no statistics"):
        fold.fold(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)))

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            y = self.conv(x)
            return y + self.norm(y)
    with pytest.raises(ValueError, match="'norm' does not stand right behind a convolution of its own"):
        fold.fold(Shared())
