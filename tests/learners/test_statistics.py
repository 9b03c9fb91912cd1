import copy

import pytest
import torch
from torch import nn

from odl_kit.learners import statistics
from odl_kit.models import flat, fold, nets

seed = torch.Generator().manual_seed


def with_norms(x, momentum=None):
    """A net with BatchNorm whose statistics are exactly those of x: shares its weights with every net made here."""
    net = nets.ds_cnn(1, 4, width=6, blocks=2, norm="batch", rng=seed(0))
    rng = seed(9)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-12
            layer.weight.data.uniform_(0.5, 2, generator=rng)
            layer.bias.data.uniform_(-1, 1, generator=rng)
    return restate(net, x)


def restate(net, x, amount=1.0):
    """A copy whose norms take the statistics of x layer by layer, `amount` of them: what torch does in training with this momentum."""
    net = copy.deepcopy(net).double()
    for name, layer in net.named_children():
        if isinstance(layer, nn.BatchNorm2d):
            z = net[:list(dict(net.named_children())).index(name)].eval()(x)
            layer.running_mean = (1 - amount) * layer.running_mean + amount * z.mean((0, 2, 3)).detach()
            layer.running_var = (1 - amount) * layer.running_var + amount * z.var((0, 2, 3), correction=0).detach()
    return net.eval()


@pytest.mark.parametrize("amount", [0.0, 0.4, 1.0])
def test_matching_a_folded_net_is_renewing_the_statistics_of_its_norms(amount):
    old, new = torch.randn(20, 1, 9, 8, generator=seed(1)).double(), 2 * torch.randn(10, 1, 9, 8, generator=seed(2)).double() + 1
    net = with_norms(old)
    matched = statistics.match(fold.fold(net), old, new, amount=amount, eps=1e-12)
    assert torch.allclose(matched(new), fold.fold(restate(net, new, amount))(new), atol=1e-6)
    assert torch.allclose(matched(old), restate(net, new, amount)(old), atol=1e-6)


def test_after_matching_each_convolution_has_the_old_mean_and_spread():
    old, new = torch.randn(30, 1, 9, 8, generator=seed(1)), 3 * torch.rand(10, 1, 9, 8, generator=seed(2))
    net = nets.ds_cnn(1, 4, width=6, blocks=2, norm=None, rng=seed(0))
    before = flat.ravel(net)
    made = statistics.match(net, old, new, eps=1e-9)
    for i, layer in enumerate(net):
        if isinstance(layer, nn.Conv2d):
            wanted, got = net[:i + 1](old), made[:i + 1](new)
            assert torch.allclose(got.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=1e-4)
            assert torch.allclose(got.std((0, 2, 3)), wanted.std((0, 2, 3)), rtol=0.02)
    assert torch.equal(flat.ravel(net), before) and flat.ravel(made).shape == before.shape


def test_the_same_clips_change_nothing():
    old = torch.randn(30, 1, 9, 8, generator=seed(1))
    net = nets.ds_cnn(1, 4, width=6, norm=None, rng=seed(0))
    assert torch.allclose(statistics.match(net, old, old)(old), net(old), atol=1e-5)


def test_standardising_undoes_another_gain_and_level_of_each_band_exactly():
    old = torch.randn(40, 1, 20, 6, generator=seed(0)) * torch.rand(6, generator=seed(1)) + torch.randn(6, generator=seed(2))
    gain, level = 0.5 + torch.rand(6, generator=seed(3)), torch.randn(6, generator=seed(4))
    assert torch.allclose(statistics.standardise(gain * old + level, old, gain * old + level), old, atol=1e-3)
    assert torch.allclose(statistics.standardise(old[:3], old, old), old[:3], atol=1e-5)


@pytest.mark.parametrize("run, words", [
    (lambda x: statistics.match(nets.mlp(4, 3, 2, rng=seed(0)), x, x), "a net of convolutions without BatchNorm"),
    (lambda x: statistics.match(nets.ds_cnn(1, 2, norm="batch", rng=seed(0)), x, x), "fold its norms first"),
    (lambda x: statistics.match(nets.ds_cnn(1, 2, norm=None, rng=seed(0)), x, x, amount=2.0), "amount=2.0"),
    (lambda x: statistics.match(nets.ds_cnn(1, 2, norm=None, rng=seed(0)), x, x[:0]), "2 old and 0 new"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(torch.randn(2, 1, 6, 6, generator=seed(0)))
