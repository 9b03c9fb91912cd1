"""The meter against what torch.autograd.graph.saved_tensors_hooks sees, and against sums done by hand."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import memory, plan, tinytl, train
from odl_kit.models import nets, quantize

seed = torch.Generator().manual_seed


class Residual(nn.Module):
    """Everything that the nets of the kit do not have: functional ops, a sum, a grouped convolution, all poolings, ReLU6, views."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.twice = nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False)
        self.plain = nn.BatchNorm2d(16, affine=False)
        self.group_norm = nn.GroupNorm(4, 16)
        self.head = nn.Linear(16 * 4, 5, bias=False)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = torch.sigmoid(self.grouped(x)) + x
        x = F.relu6(self.plain(self.twice(F.max_pool2d(x, 3, stride=2, padding=1))))
        x = F.avg_pool2d(self.group_norm(x), 2).tanh()
        return self.head(x.view(x.size(0), -1)).log_softmax(-1)


NETS = {
    "softmax": (lambda: nets.softmax(64, 10, rng=seed(0)), (1, 8, 8)),
    "mlp": (lambda: nets.mlp(64, (32, 16), 10, rng=seed(0)), (1, 8, 8)),
    "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 8, 8)),
    "ds_cnn group": (lambda: nets.ds_cnn(1, 10, rng=seed(0)), (1, 16, 16)),
    "ds_cnn batch": (lambda: nets.ds_cnn(1, 10, norm="batch", rng=seed(0)), (1, 49, 10)),
    "ds_cnn none": (lambda: nets.ds_cnn(1, 10, norm=None, rng=seed(0)), (1, 8, 8)),
    "word_model": (lambda: nets.word_model(30, context=4, rng=seed(0)), (4,)),
    "residual": (Residual, (3, 8, 8)),
    "tinytl": (lambda: tinytl.add_branches(nets.mobile_net(1, 10, stem=8, blocks=((16, 8, 1), (16, 12, 2)), norm=None, rng=seed(0)),
                                           torch.zeros(1, 1, 16, 16), rng=seed(1)), (1, 16, 16)),
}


class Branches(nn.Module):
    """What a QuantNet can hold: grouped and depthwise convolutions, a sum, a ReLU of its own, every pooling, a hidden linear layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.grouped = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.deep = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8)
        self.hidden, self.head = nn.Linear(16 * 4, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.grouped(x) + x
        x = F.max_pool2d(self.deep(x), 3, stride=1, padding=1).relu()
        x = F.avg_pool2d(x, 2).flatten(1)
        return self.head(F.relu6(self.hidden(x)))


def integer(make, shape, **options):
    """(maker of a QuantNet, shape of its input)."""
    return lambda: quantize.quantize_model(make(), batch(shape, 16), **options), shape


INTEGER = {name: integer(make, shape) for name, (make, shape) in (
    ("mlp", NETS["mlp"]), ("tiny_cnn", NETS["tiny_cnn"]), ("ds_cnn batch", NETS["ds_cnn batch"]), ("branches", (Branches, (3, 8, 8))),
    ("mobile_net", (lambda: nets.mobile_net(1, 10, rng=seed(0)), (1, 16, 16))))}
INTEGER["mobile_net, integer head"] = integer(lambda: nets.mobile_net(1, 10, rng=seed(0)), (1, 16, 16), float_head=False)


def half(net):
    """A plan with half of every layer's channels, and every second bias."""
    whole = plan.full(net)
    return plan.UpdatePlan(sorted(whole.biases)[::2], {name: count // 2 for name, count in whole.channels.items()})


def first_layer(net):
    name, count = next(iter(plan.full(net).channels.items()))
    return plan.UpdatePlan(channels={name: count})


def first_bias(net):
    whole = plan.full(net)
    return plan.UpdatePlan([name for name in whole.channels if name in whole.biases][:1])


CASES = [(name, how, n) for how in ("full", "half", "bias", "head") for name in NETS for n in (1, 16)]
CASES += [(name, how, 2) for how in ("first layer", "first bias", "nothing") for name in NETS]
PLANS = {"full": plan.full, "head": plan.head_only, "bias": plan.bias_only, "half": half, "first layer": first_layer,
         "last three": lambda net: plan.last_layers(net, 3),
         "first bias": first_bias, "nothing": lambda net: plan.UpdatePlan()}


def batch(shape, n, vocabulary=30):
    return torch.randint(vocabulary, (n, *shape), generator=seed(1)) if len(shape) == 1 else torch.rand(n, *shape, generator=seed(1))


def saved_bytes(net, forward, x):
    """The oracle: bytes of all storages that autograd keeps in forward(x), without parameters and buffers of net, each counted once."""
    known = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    seen = {}

    def pack(t):
        seen[t.untyped_storage().data_ptr()] = t        # keeps t alive, so that no address is used twice
        return t
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = forward(x)
    del out
    return sum(t.untyped_storage().nbytes() for place, t in seen.items() if place not in known)


def frozen_as_torch_can(net, chosen):
    """net in training mode, its parameters trained or frozen as a whole, as the plan says."""
    for name, module in net.named_modules():
        for kind, p in module.named_parameters(recurse=False):
            p.requires_grad_(name in chosen.biases if kind == "bias" else bool(chosen.channels.get(name)))
    return net.train()


@pytest.mark.parametrize("name, how, n", CASES)
def test_rule_torch_equals_the_bytes_that_autograd_keeps(name, how, n):
    make, shape = NETS[name]
    net, x = make(), batch(shape, n)
    chosen = PLANS[how](net)
    predicted = memory.memory_report(net, x, chosen, rule="torch").saved_activations
    assert predicted == saved_bytes(net, frozen_as_torch_can(net, chosen), x)
    assert predicted > 0 or how in ("nothing", "first bias")


@pytest.mark.parametrize("name, how, n", CASES)
def test_rule_device_equals_the_bytes_that_training_by_a_plan_keeps(name, how, n):
    make, shape = NETS[name]
    net, x = make(), batch(shape, n)
    chosen = PLANS[how](net)
    forward, _ = train.planned(net, chosen)
    assert memory.memory_report(net, x, chosen, rule="device").saved_activations == saved_bytes(net, forward, x)


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("how", PLANS)
@pytest.mark.parametrize("name", INTEGER)
def test_rule_device_equals_the_bytes_that_training_an_integer_net_by_a_plan_keeps(name, how, n):
    make, shape = INTEGER[name]
    net, x = make(), batch(shape, n)
    chosen = PLANS[how](net)
    forward, _ = train.planned(net, chosen)
    assert memory.memory_report(net, x, chosen, rule="device").saved_activations == saved_bytes(net, forward, x)


def test_the_report_of_a_small_integer_net_is_the_sum_done_by_hand():
    net, x = quantize.quantize_model(HAND, torch.rand(4, 1, 8, 8, generator=seed(0))), torch.zeros(3, 1, 8, 8)
    report = memory.memory_report(net, x, rule="device")
    assert report.weights == 36 + 4 * 4 + 4 * 4 + 4 * 650 == net.nbytes        # int8, int32, multipliers, the float head
    # x and one bit of each of 256, one byte for each of 64 winners, the head's float input
    assert report.saved_activations == 3 * (64 + 256 // 8 + 64 + 4 * 64)
    assert report.gradients == 4 * (36 + 4 + 650) and report.optimizer == 0
    # backward through the pool: float gradients of 256 and of 64 values
    assert report.workspace == 3 * 4 * (256 + 64)
    head = memory.memory_report(net, x, plan.head_only(net), rule="device", momentum=0.9)
    assert head.sram == head.peak - (36 + 4 * 4 + 4 * 4) and head.optimizer == head.gradients == 4 * 650
    with pytest.raises(ValueError, match='computes in int8: use rule="device"'):
        memory.memory_report(net, x)


def test_a_gradient_passes_a_sum_of_which_one_side_only_learns():
    net, x = Residual(), batch((3, 8, 8), 2)
    wish = plan.UpdatePlan(channels={"grouped": 8})
    expected = saved_bytes(net, train.planned(net, wish)[0], x)
    assert memory.memory_report(net, x, wish, rule="device").saved_activations == expected
    assert memory.memory_report(net, x, wish).saved_activations == saved_bytes(net, frozen_as_torch_can(net, wish), x)


# A net whose sums can be done by hand. For one example, in floats: x 64, conv 4 x 64 = 256, pool 4 x 16 = 64, head 10.
HAND = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
WEIGHTS = 4 * (4 * 9 + 4 + 640 + 10)


def hand(wish=None, n=1, **options):
    return memory.memory_report(HAND, torch.zeros(n, 1, 8, 8), wish, **options)


@pytest.mark.parametrize("n", [1, 3])
def test_the_report_of_a_small_net_is_the_sum_done_by_hand(n):
    torchs, device = hand(n=n), hand(rule="device", n=n)
    assert torchs.weights == device.weights == WEIGHTS
    # torch: x, the output of ReLU, int64 places of the winners, the head's input
    assert torchs.saved_activations == n * (4 * 64 + 4 * 256 + 8 * 64 + 4 * 64)
    # device: x, one bit of each of 256, one byte for each of 64, the head's input
    assert device.saved_activations == n * (4 * 64 + 256 // 8 + 64 + 4 * 64)
    assert torchs.gradients == device.gradients == WEIGHTS and torchs.optimizer == 0
    # the worst moment passes two tensors of 256 through ReLU: forward in inference, backward (their gradients) in training
    assert device.workspace == hand(plan.UpdatePlan(), n=n).workspace == n * 4 * 512
    assert device.peak == 2 * WEIGHTS + n * (4 * 64 + 256 // 8) + n * 4 * 512
    # torch frees nothing of what it keeps before the backward pass is below it
    assert torchs.peak == 2 * WEIGHTS + n * (4 * 64 + 4 * 256) + n * 4 * 512


def test_inference_holds_weights_and_the_largest_two_tensors_that_meet():
    report = hand(plan.UpdatePlan())
    assert (report.saved_activations, report.gradients, report.optimizer) == (0, 0, 0)
    assert report.peak == report.weights + 4 * 512
    frozen = hand(plan.UpdatePlan(), rule="device")
    assert (frozen.flash, frozen.sram) == (WEIGHTS, 4 * 512)       # weights that never change lie in flash


def test_a_sum_holds_its_first_input_until_it_is_read():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(10, 20), nn.Linear(20, 30), nn.Linear(30, 20)

        def forward(self, x):
            x = self.a(x)
            return x + self.c(self.b(x))
    # at c: its input (30), its output (20), and the output of a (20), which waits for the sum
    assert memory.memory_report(Skip(), torch.zeros(1, 10), plan.UpdatePlan()).workspace == 4 * (30 + 20 + 20)


def test_momentum_costs_one_value_for_each_that_learns():
    wish = plan.UpdatePlan({"4"}, {"4": 16})
    assert hand(momentum=0.9).optimizer == WEIGHTS
    device = hand(wish, rule="device", momentum=0.9)
    assert device.gradients == device.optimizer == 4 * (16 * 10 + 10)
    assert device.sram == device.peak - (WEIGHTS - device.gradients)
    assert hand(wish, momentum=0.9).optimizer == 4 * (640 + 10)     # torch trains a weight as a whole


def test_torch_keeps_the_input_of_a_frozen_convolution_and_a_device_does_not():
    net, x = nets.ds_cnn(1, 10, norm=None, rng=seed(0)), torch.zeros(1, 1, 16, 16)
    bias = plan.bias_only(net)
    torchs, device = (memory.memory_report(net, x, bias, rule=rule).saved_activations for rule in ("torch", "device"))
    assert torchs == memory.memory_report(net, x).saved_activations         # nothing is won by freezing
    assert device == 5 * 16 * 64 // 8 + 4 * 16                              # five ReLUs of one bit, and the head's input


def test_no_plan_is_the_full_plan_and_which_channels_learn_does_not_matter():
    net, x = nets.ds_cnn(1, 10, rng=seed(0)), torch.zeros(2, 1, 8, 8)
    for rule in memory.RULES:
        assert memory.memory_report(net, x, rule=rule) == memory.memory_report(net, x, plan.full(net), rule=rule)
    counts = {"pointwise1": 3}
    reports = {memory.memory_report(net, x, plan.UpdatePlan(channels=counts, order=order), rule="device") for order in plan.ORDERS}
    assert len(reports) == 1


def test_weights_are_those_of_torch_with_the_statistics_of_batch_norm():
    for make, shape in NETS.values():
        net = make()
        expected = sum(t.numel() * t.element_size() for t in (*net.parameters(), *net.buffers()) if t.is_floating_point())
        report = memory.memory_report(net, batch(shape, 1))
        assert report.weights == expected
        assert report.gradients == sum(p.numel() * p.element_size() for p in net.parameters())


def test_more_learning_channels_never_need_less():
    net, x = nets.ds_cnn(1, 10, rng=seed(0)), torch.zeros(2, 1, 8, 8)
    reports = [memory.memory_report(net, x, plan.UpdatePlan(channels={"pointwise1": count}), rule="device") for count in range(17)]
    for name in ("saved_activations", "gradients", "peak"):
        values = [getattr(report, name) for report in reports]
        assert values == sorted(values) and values[0] < values[1] < values[16]


@pytest.mark.parametrize("run, words", [
    (lambda: hand(rule="pytorch"), "rule 'pytorch' is unknown: use 'torch' or 'device'"),
    (lambda: hand(plan.UpdatePlan({"9"})), "no layer '9'"),
    (lambda: hand(plan.UpdatePlan(channels={"4": 65})), "65 input channels of '4', which has 64"),
    (lambda: memory.memory_report(nn.Sequential(nn.PReLU()), torch.zeros(1, 4)), "'0' is PReLU"),
])
def test_what_the_meter_cannot_read_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
