import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from odl_kit.models import layers, nets

seed = torch.Generator().manual_seed
NETS = {
    "mlp": (nets.mlp(64, (32, 16), 10, rng=seed(0)), torch.rand(3, 1, 8, 8)),
    "tiny_cnn": (nets.tiny_cnn(1, 10, rng=seed(0)), torch.rand(3, 1, 8, 8)),
    "ds_cnn group": (nets.ds_cnn(1, 10, rng=seed(0)), torch.rand(3, 1, 49, 10)),
    "ds_cnn batch": (nets.ds_cnn(1, 10, norm="batch", rng=seed(0)), torch.rand(3, 1, 16, 16)),
    "word_model": (nets.word_model(20, context=3, rng=seed(0)), torch.zeros(3, 3, dtype=torch.int64)),
}


class Functional(nn.Module):
    """A residual net in functional style."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.GroupNorm(2, 8))
        self.depthwise = nn.Conv2d(8, 16, (3, 1), stride=(2, 1), padding=(1, 0), groups=8, bias=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.body(x))
        x = x + F.relu6(x)
        x = torch.add(x, x)
        x = F.max_pool2d(self.depthwise(x), 2)
        x = F.avg_pool2d(x, (2, 1), stride=1)
        x = x.mean((2, 3), keepdim=True)
        return torch.softmax(self.head(torch.flatten(x, 1)), -1)


class One(nn.Module):
    """A net of one function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", NETS)
def test_macs_are_half_of_what_torchs_flop_counter_counts(name):
    net, x = NETS[name]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    assert sum(layer.macs for layer in layers.trace(net, x)) * 2 * len(x) == counter.get_total_flops() > 0


@pytest.mark.parametrize("name", NETS)
def test_weights_and_biases_are_torchs_own_parameters(name):
    net, x = NETS[name]
    for layer in layers.trace(net, x):
        module = net.get_submodule(layer.name)
        assert layer.weights == getattr(getattr(module, "weight", None), "numel", int)()
        assert layer.biases == (module.bias.numel() if getattr(module, "bias", None) is not None else 0)


@pytest.mark.parametrize("name", NETS)
def test_shapes_are_those_that_pass_when_the_net_runs(name):
    net, x = NETS[name]
    seen = {}
    hooks = [module.register_forward_hook(lambda _, x, out, name=name: seen.update({name: (x[0].shape, out.shape)}))
             for name, module in net.named_children()]
    net(x)
    for hook in hooks:
        hook.remove()
    traced = layers.trace(net, x)
    assert [layer.name for layer in traced] == list(seen)
    for layer in traced:
        a, out = seen[layer.name]
        assert (layer.in_elements, layer.out_elements) == (a[1:].numel(), out[1:].numel())
        if len(out) == 4:
            assert (layer.c_in, layer.h_in, layer.w_in, layer.c_out, layer.h_out, layer.w_out) == (*a[1:], *out[1:])


def test_functional_ops_and_sums_are_traced_with_what_they_read():
    traced = layers.trace(Functional(), torch.rand(2, 3, 8, 6))
    assert [(layer.name, layer.kind, layer.inputs) for layer in traced] == [
        ("body.0", "conv", (-1,)), ("body.1", "group_norm", (0,)), ("relu", "relu", (1,)), ("relu6", "relu6", (2,)), ("add", "add", (2, 3)),
        ("add_1", "add", (4, 4)), ("depthwise", "conv", (5,)), ("max_pool2d", "max_pool", (6,)), ("avg_pool2d", "avg_pool", (7,)),
        ("mean", "global_pool", (8,)), ("flatten", "flatten", (9,)), ("head", "linear", (10,)), ("softmax", "softmax", (11,))]
    by_name = {layer.name: layer for layer in traced}
    conv = by_name["depthwise"]
    assert (conv.kernel, conv.stride, conv.padding, conv.groups, conv.bias) == ((3, 1), (2, 1), (1, 0), 8, False)
    assert (conv.c_out, conv.h_out, conv.w_out, conv.weights, conv.macs) == (16, 4, 6, 16 * 3, 16 * 3 * 4 * 6)
    assert (by_name["body.0"].padding, by_name["body.1"].groups) == ((1, 1), 2)
    assert (by_name["max_pool2d"].kernel, by_name["max_pool2d"].stride) == ((2, 2), (2, 2))
    assert (by_name["avg_pool2d"].kernel, by_name["avg_pool2d"].stride, by_name["avg_pool2d"].h_out) == ((2, 1), (1, 1), 1)


@pytest.mark.parametrize("padding, numbers", [("valid", (0, 0)), ("same", (1, 2)), (1, (1, 1)), ((2, 0), (2, 0))])
def test_padding_in_words_becomes_numbers(padding, numbers):
    net, x = nn.Sequential(nn.Conv2d(1, 1, (3, 5), padding=padding)), torch.ones(1, 1, 8, 8)
    layer, = layers.trace(net, x)
    assert layer.padding == numbers
    assert torch.equal(F.conv2d(x, net[0].weight, net[0].bias, padding=layer.padding), net(x))


def test_upsampling_has_a_new_size_and_no_macs():
    layer, = layers.trace(nn.Sequential(nn.Upsample((12, 20), mode="bilinear")), torch.zeros(2, 3, 6, 5))
    assert (layer.kind, layer.h_in, layer.w_in, layer.h_out, layer.w_out, layer.c_out) == ("upsample", 6, 5, 12, 20, 3)
    assert layer.macs == layer.weights == layer.biases == 0


def test_batches_of_rows_keep_their_places():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 6), nn.ReLU())
    embedding, linear, relu = layers.trace(net, torch.zeros(2, 5, dtype=torch.int64))
    assert (embedding.c_in, embedding.h_in, embedding.in_elements, embedding.out_elements) == (9, 5, 5, 20)
    assert (linear.c_in, linear.h_in, linear.macs, relu.out_elements) == (4, 5, 4 * 6 * 5, 30)


class Whole(nn.Module):
    """A module that is no subclass of a known one, and names its kind."""
    layer_kind, int8 = "quantize", True

    def forward(self, x):
        return x.round()


def test_a_module_may_name_its_kind_and_integers_that_come_in_are_handed_on():
    net = nn.Sequential(Whole(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    assert [(layer.name, layer.kind, layer.int8) for layer in layers.trace(net, torch.rand(1, 2, 4, 4))] == [
        ("0", "quantize", True), ("1", "max_pool", True), ("2", "flatten", True), ("3", "linear", False)]


def test_the_size_of_the_batch_does_not_count():
    net, x = NETS["tiny_cnn"]
    assert layers.trace(net, x) == layers.trace(net, x[:1])


def test_tracing_changes_neither_the_net_nor_the_random_state():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    layers.trace(net, torch.rand(4, 1, 8, 8, generator=seed(0)))
    assert torch.equal(state, torch.get_rng_state()) and net.training and net[1].training
    assert all(torch.equal(v, before[k]) and v.device.type == "cpu" for k, v in net.state_dict().items())


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("net, words", [
    (nn.Sequential(nn.ConvTranspose2d(3, 8, 3)), "layer '0' is ConvTranspose2d, which is not supported: use Conv2d, Linear"),
    (nn.Sequential(nn.Conv2d(3, 8, 3, dilation=2)), "layer '0' has dilation"),
    (nn.Sequential(nn.Conv2d(3, 8, 3, padding_mode="circular", padding=1)), "padding_mode='circular'"),
    (nn.Sequential(nn.Conv2d(3, 8, 2, padding="same")), "odd kernel"),
    (nn.Sequential(nn.MaxPool2d(3, ceil_mode=True)), "ceil_mode=True"),
    (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "only the mean over height and width"),
    (nn.Sequential(nn.Upsample(16)), "layer '0' has mode='nearest'"),
    (nn.Sequential(nn.Upsample(16, mode="bilinear", align_corners=True)), "align_corners=True"),
    (One(lambda x: x + 1), "layer 'add' makes"),
    (One(lambda x: x + x.mean((2, 3), keepdim=True)), "two tensors of one shape"),
    (One(lambda x: x.mean(1)), "layer 'mean'"),
    (One(lambda x: x.reshape(-1, 8)), "everything but the batch"),
    (One(lambda x: x[:, 0]), "'getitem' is getitem, which is not supported"),
    (One(lambda x: x * x), "'mul' is mul"),
    (One(lambda x: x if x.sum() > 0 else -x), "cannot be traced"),
])
def test_what_a_layer_cannot_say_is_refused_by_name(net, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        layers.trace(net, torch.rand(2, 3, 8, 8))


def test_a_batch_of_volumes_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 1, 3, 4, 4\) has no"):
        layers.trace(nn.Sequential(nn.Flatten()), torch.rand(2, 1, 3, 4, 4))
