"""A net without channels against the whole net whose readers have zeros in their place; and against BatchNorm, additions and oddities."""
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.models import channels, fold, layers, nets

seed = torch.Generator().manual_seed
NETS = {
    "mlp": (lambda: nets.mlp(64, (12, 8), 10, rng=seed(0)), (1, 8, 8)),
    "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 8, 8)),
    "ds_cnn": (lambda: nets.ds_cnn(1, 10, norm=None, rng=seed(0)), (1, 16, 16)),
    "ds_cnn batch": (lambda: nets.ds_cnn(1, 10, norm="batch", rng=seed(0)), (1, 16, 16)),
    "mobile_net": (lambda: nets.mobile_net(1, 10, rng=seed(0)), (1, 16, 16)),
    "mobile_net folded": (lambda: fold.fold(nets.mobile_net(1, 10, features=20, rng=seed(0))), (1, 16, 16)),
    "flatten": (lambda: Flat(), (1, 8, 8)),
}


class Flat(nn.Module):
    """A flatten over places, one ReLU module that runs twice, sigmoid, an addition of two branches."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.a, self.b, self.c = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 4, 3), nn.Conv2d(6, 4, 3)
            self.relu, self.head = nn.ReLU(), nn.Linear(64, 5)

    def forward(self, x):
        x = self.relu(self.a(x))
        x = torch.sigmoid(self.b(x)) + self.relu(self.c(x))
        return self.head(x.flatten(1))


def example(shape):
    return torch.rand(5, *shape, generator=seed(3))


def with_statistics(net):
    """As a trained net has them."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.1, generator=seed(1))
            m.running_var.uniform_(0.5, 2, generator=seed(2))
    return net.eval()


def deaf(net, x, amount):
    """The whole net, with zeros in the columns of all channels that `cut` removes; keeps what the filters' sums of |w| keep, by a loop."""
    whole, net = net, copy.deepcopy(net)
    for group in channels.tied(net, x):
        sums = [sum(whole.get_submodule(m).weight[c].detach().abs().sum().item() for m in group.makers) for c in range(group.channels)]
        keep = sorted(range(group.channels), key=lambda c: (-sums[c], c))[:max(1, round((1 - amount) * group.channels))]
        for name, columns in group.readers:
            weight = net.get_submodule(name).weight.detach()
            for c in set(range(group.channels)) - set(keep):
                weight[:, c * columns:(c + 1) * columns] = 0
    return net


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.99])
@pytest.mark.parametrize("name", NETS)
def test_what_stays_computes_as_if_the_readers_did_not_hear_what_left(name, amount):
    net, x = with_statistics(NETS[name][0]()), example(NETS[name][1])
    small = channels.cut(net, x, amount)
    assert torch.allclose(small(x), deaf(net, x, amount)(x), atol=1e-5)
    assert small(x).shape == net(x).shape


@pytest.mark.parametrize("name", NETS)
def test_bytes_and_macs_really_fall_and_the_first_net_stays(name):
    net, x = NETS[name][0](), example(NETS[name][1])
    before = copy.deepcopy(net.state_dict())
    small = channels.cut(net, x, 0.5)
    assert sum(p.numel() for p in small.parameters()) < 0.62 * sum(p.numel() for p in net.parameters())
    assert sum(s.macs for s in layers.trace(small, x)) < 0.62 * sum(s.macs for s in layers.trace(net, x))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", NETS)
def test_a_cut_net_trains(name):
    net = channels.cut(NETS[name][0](), x := example(NETS[name][1]), 0.5)
    F.cross_entropy(net(x), torch.zeros(5, dtype=torch.int64)).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())


def test_an_addition_ties_both_branches_and_a_depthwise_convolution_goes_along():
    groups = channels.tied(nets.mobile_net(1, 10, norm=None, rng=seed(0)), example((1, 16, 16)))
    by_maker = {maker: group for group in groups for maker in group.makers}
    assert by_maker["block2.project"] is by_maker["block3.project"] and by_maker["stem"] is by_maker["block1.project"]
    assert by_maker["block3.expand"].passers == ("block3.depthwise",)
    assert "head" not in by_maker


def test_each_group_of_a_group_norm_loses_equally_many():
    net, x = nets.ds_cnn(1, 10, width=16, rng=seed(0)), example((1, 16, 16))
    small = channels.cut(net, x, 0.5)
    assert small.stem_norm.num_groups == 4 and small.stem_norm.num_channels == 8
    rows = [next(c for c in range(16) if torch.equal(net.stem.weight[c], w)) for w in small.stem.weight]
    assert [sum(4 * k <= r < 4 * k + 4 for r in rows) for k in range(4)] == [2, 2, 2, 2]


def test_what_cannot_be_cut_is_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.grouped, self.free = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(8, 6, 1)
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            x = self.grouped(F.relu(self.twice(self.twice(x))))
            return self.head(F.relu(self.free(x)).mean((2, 3)))

    net, x = Odd(), torch.rand(2, 4, 5, 5)
    assert [group.makers for group in channels.tied(net, x)] == [("free",)]
    assert channels.tied(nets.softmax(6, 3, rng=seed(0)), torch.rand(2, 6)) == ()
    words = nets.word_model(20, context=3, rng=seed(0))
    assert [group.makers for group in channels.tied(words, torch.zeros(2, 3, dtype=torch.int64))] == [("hidden",)]


def test_random_channels_depend_on_rng_alone():
    net, x = nets.tiny_cnn(1, 10, rng=seed(0)), example((1, 8, 8))
    made = [channels.cut(net, x, 0.5, order="random", rng=seed(n)).conv1.weight for n in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_errors_name_the_value_and_the_way_out():
    net, x = nets.mlp(4, 4, 2, rng=seed(0)), torch.rand(1, 4)
    with pytest.raises(ValueError, match="amount=1"):
        channels.cut(net, x, 1)
    with pytest.raises(ValueError, match="random needs rng"):
        channels.cut(net, x, 0.5, order="random")
    with pytest.raises(ValueError, match="no channel that could be cut"):
        channels.cut(nets.softmax(4, 2, rng=seed(0)), x, 0.5)
