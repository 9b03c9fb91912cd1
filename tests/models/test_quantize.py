"""Whole nets: the integer net beside the float net, and beside a second one written in NumPy with integers only."""
import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.models import calibrate, flat, fold, layers, nets, quant, quantize

seed = torch.Generator().manual_seed


class Everything(nn.Module):
    """Plain, grouped and depthwise convolutions, norms, ReLU and ReLU6 in every place, sums, every pooling, views, hidden linear layers."""

    def __init__(self):
        super().__init__()
        self.head, self.hidden = nn.Linear(12, 5), nn.Linear(16 * 4, 12)        # not in the order in which they run
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding="same", bias=False), nn.BatchNorm2d(8)
        self.grouped, self.skip = nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.Identity()
        self.deep = nn.Conv2d(8, 16, (3, 1), stride=2, padding=(1, 0), groups=8)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        a = self.grouped(x)
        x = F.relu6(self.skip(a) + x)               # a sum takes its ReLU along
        x = torch.add(a, x)                         # a negative sum
        x = F.max_pool2d(self.deep(x), 3, stride=1, padding=1).relu()         # no layer can take this ReLU
        x = F.avg_pool2d(x, 3, stride=2, padding=1)
        x = torch.relu(self.hidden(x.view(x.size(0), -1)))
        return self.head(x)


def everything():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Everything()
    net.norm.running_mean.normal_(0, 0.2, generator=seed(1))
    net.norm.running_var.uniform_(0.2, 0.6, generator=seed(2))
    return net.eval()


NETS = {
    "everything": (everything, (3, 8, 8)),
    "mlp": (lambda: nets.mlp(64, (32, 16), 10, rng=seed(0)), (1, 8, 8)),
    "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 8, 8)),
    "ds_cnn": (lambda: nets.ds_cnn(1, 10, norm="batch", rng=seed(0)), (1, 16, 16)),
    "mobile_net": (lambda: nets.mobile_net(1, 10, rng=seed(0)), (1, 16, 16)),
}


def both(name, n=32, **options):
    make, shape = NETS[name]
    net, x = make().eval(), torch.rand(n, *shape, generator=seed(9))
    return net, quantize.quantize_model(net, x, **options), x


@pytest.mark.parametrize("float_head", [True, False])
@pytest.mark.parametrize("name", NETS)
def test_the_integer_net_computes_what_the_float_net_computes_up_to_its_steps(name, float_head):
    net, made, x = both(name, float_head=float_head)
    out, expected = made(x), net(x)
    assert (out - expected).abs().max() < 0.06 * (expected.max() - expected.min())
    fewer = quantize.quantize_model(net, x, bits=3, activation_bits=4, float_head=float_head)
    assert (fewer(x) - expected).square().mean() > (out - expected).square().mean()


@pytest.mark.parametrize("name", NETS)
def test_layers_keep_their_names_and_weights_their_order(name):
    net, made, x = both(name)
    folded = fold.fold(net)
    assert [n for n, _ in made.named_parameters()] == [n for n, _ in folded.named_parameters()]
    assert len(flat.ravel(made)) == len(flat.ravel(folded))
    weighed = ("conv", "linear")
    assert [s.name for s in layers.trace(made, x) if s.kind in weighed] == [s.name for s in layers.trace(folded, x) if s.kind in weighed]


@pytest.mark.parametrize("name", NETS)
def test_every_value_between_the_ends_is_an_integer_of_eight_bits(name):
    _, made, x = both(name)
    traced = {s.name: s for s in layers.trace(made, x)}
    graph = layers.graph(made)
    seen = {getattr(node, "target", None) if node.op == "call_module" else node.name: v for node, v in layers.values(graph, x).items()}
    integer = [s for s in traced.values() if s.int8]
    assert len(integer) >= 5 or name == "mlp"
    for s in integer:
        v = seen[s.name]
        assert torch.equal(v, v.round()) and -128 <= v.min() and v.max() <= 127
    for layer in made.integer_layers().values():
        assert torch.equal(layer.weight, layer.weight.round()) and layer.weight.abs().max() <= 127
        assert layer.bias is None or torch.equal(layer.bias, layer.bias.round())
        w, b = layer.weight.detach().flatten(1).abs().sum(1) * 255, 0 if layer.bias is None else layer.bias.detach().abs()
        assert (w + b).max() < 2**24


def numpy_net(made, x):
    """The oracle: a mobile net in NumPy, int64 sums, float32 only where the definition says so; weights and scales by `scales`."""
    said, w = made.scales(), {name: p.detach().numpy().astype(np.int64) for name, p in made.named_parameters() if "head" not in name}

    def conv(q, name, stride, padding, groups):
        s, weight, bias = said[name], w[f"{name}.weight"], w[f"{name}.bias"]
        v = np.pad(q - int(s["z_x"]), ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
        kernel, (o, per) = weight.shape[-1], weight.shape[:2]
        rows = (v.shape[2] - kernel) // stride + 1
        acc = np.zeros((len(q), o, rows, rows), np.int64) + bias[:, None, None]
        for u in range(kernel):
            for t in range(kernel):
                part = v[:, :, u:u + stride * (rows - 1) + 1:stride, t:t + stride * (rows - 1) + 1:stride]
                for k in range(o):
                    first = k // (o // groups) * per
                    acc[:, k] += (part[:, first:first + per] * weight[k, :, u, t][:, None, None]).sum(1)
        real = acc.astype(np.float32) * s["m"].numpy()[:, None, None]
        return np.clip(np.rint(real) + s["z_y"], -128, 127).astype(np.int64)

    def add(a, b, module):
        (s_a, z_a), (s_b, z_b), (s_y, z_y) = *module.x, module.y
        real = (a - int(z_a)).astype(np.float32) * np.float32(s_a / s_y) + (b - int(z_b)).astype(np.float32) * np.float32(s_b / s_y)
        return np.clip(np.rint(real) + z_y, -128, 127).astype(np.int64)

    first = made.quantize
    q = np.clip(np.rint(x.numpy() / np.float32(first.y[0])) + first.y[1], -128, 127).astype(np.int64)
    q, adds = conv(q, "stem", 2, 1, 1), iter([made.add, made.add_1])
    for i, (width, _, stride) in enumerate(nets.SMALL, start=1):
        inside = q
        q = conv(q, f"block{i}.expand", 1, 0, 1)
        q = conv(q, f"block{i}.depthwise", stride, 1, width)
        q = conv(q, f"block{i}.project", 1, 0, 1)
        q = add(inside, q, next(adds)) if inside.shape == q.shape else q
    s, z = made.dequantize.x
    count = q.shape[2] * q.shape[3]
    q = np.rint((q - int(z)).sum((2, 3)).astype(np.float32) * np.float32(1 / count)) + z
    return (q - z).astype(np.float32) * np.float32(s)


def test_a_mobile_net_gives_value_for_value_what_a_net_of_numpy_integers_gives():
    _, made, x = both("mobile_net", n=6)
    graph = layers.graph(made)
    features = next(v for node, v in layers.values(graph, x).items() if node.target == "dequantize")
    assert np.array_equal(features.numpy(), numpy_net(made, x))
    assert len(features.unique()) > 20


def test_ranges_and_scales_can_be_chosen():
    net, made, x = both("tiny_cnn")
    outlier = torch.cat([x, 40 * (torch.arange(64) == 9).float().view(1, 1, 8, 8)])
    wide, cut = (quantize.quantize_model(net, outlier, ranges=r) for r in (calibrate.minmax, calibrate.percentile))
    assert wide.quantize.y[0] == pytest.approx(40 / 255) and cut.quantize.y[0] < wide.quantize.y[0]
    assert (wide(x) - net(x)).square().mean() > (made(x) - net(x)).square().mean()
    few = {s: quantize.quantize_model(net, x, bits=2, scales=s) for s in (calibrate.largest, calibrate.least_error)}
    steps = [few[s].conv2.s_w for s in few]
    assert (steps[1] < steps[0]).any()


def test_the_float_net_stays_as_it_is_and_a_copy_of_the_integer_net_is_independent():
    net, made, x = both("ds_cnn")
    again = copy.deepcopy(made)
    with torch.no_grad():
        again.stem.weight.zero_()
    assert isinstance(again, type(made).__mro__[1]) and torch.equal(made(x), quantize.quantize_model(net, x)(x))
    assert not torch.equal(again(x), made(x)) and list(again.integer_layers()) == list(made.integer_layers())
    assert isinstance(net.stem_norm, nn.BatchNorm2d)


def test_a_channel_of_tiny_weights_gets_a_long_step_and_is_reported_dead():
    net = nets.tiny_cnn(1, 10, rng=seed(0))
    with torch.no_grad():
        net.conv2.weight[3] *= 1e-9
        net.conv2.bias[3] = 0.7
        net.conv2.weight[5] = 0
        net.conv2.bias[6] = -500.0
    x = torch.rand(16, 1, 8, 8, generator=seed(1))
    made = quantize.quantize_model(net, x)
    assert {name: c.tolist() for name, c in made.dead().items()} == {"conv2": [3, 5]}
    layer = made.conv2
    for grad, scale in ((torch.ones_like(layer.weight), layer.s_w), (torch.ones_like(layer.bias), layer.s_w * layer.s_x)):
        assert quant.qas_scale(grad, scale).isfinite().all()
    assert layer.m.min() >= 2**-15 * 0.999 and layer.bias.abs().max() <= 2**22
    assert (made(x) - net(x)).abs().max() < 0.05 * net(x).abs().max()
    assert both("mobile_net")[1].dead() == {}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(self.body(x)))


@pytest.mark.parametrize("net, x, words", [
    (Twice(), torch.rand(2, 4), "'body' runs twice"),
    (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), torch.rand(2, 4), "'1' is a sigmoid, which has no integer form"),
    (nn.Sequential(nn.Conv2d(1, 4, 1), nn.GroupNorm(2, 4)), torch.rand(2, 1, 4, 4), "'1' is a group_norm"),
    (nn.Sequential(nn.Conv2d(1, 4, 3, dilation=2)), torch.rand(2, 1, 8, 8), "dilation"),
    (nn.Sequential(nn.Linear(4000, 4), nn.Linear(4, 2)), torch.rand(2, 4000), "layer '0': a sum can reach"),
    (nn.Sequential(nn.PReLU()), torch.rand(2, 4), "'0' is PReLU"),
])
def test_what_has_no_integer_form_is_refused_with_the_name_of_the_layer(net, x, words):
    with pytest.raises(ValueError, match=words):
        quantize.quantize_model(net, x)
