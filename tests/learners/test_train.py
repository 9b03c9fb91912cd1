"""fit against torch.optim.SGD, and training by a plan against plain autograd whose gradients are masked."""
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import plan, tinytl, train
from odl_kit.models import flat, nets, quantize

seed = torch.Generator().manual_seed


class Residual(nn.Module):
    """Functional ops, a sum, grouped and multiplied depthwise convolutions, every pooling, ReLU6, a norm without weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=2)
        self.wide = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8, bias=False)
        self.plain = nn.BatchNorm2d(16, affine=False)
        self.group_norm = nn.GroupNorm(4, 16)
        self.head = nn.Linear(16, 5, bias=False)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = torch.sigmoid(self.grouped(x)) + x
        x = F.max_pool2d(F.relu6(self.plain(self.wide(x))), (3, 2), stride=2, padding=1)
        x = F.avg_pool2d(self.group_norm(x), (2, 1), padding=(1, 0)).mean((2, 3))
        return self.head(x.view(x.size(0), -1))


def residual():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Residual()
    for norm in (net.norm, net.plain):      # statistics as a trained net has them
        norm.running_mean.normal_(0, 0.1, generator=seed(1))
        norm.running_var.uniform_(0.5, 2, generator=seed(2))
    net.plain.running_var /= 400        # so large that ReLU6 cuts
    return net


def branched():
    """A net of TinyTL whose gains are not 0 any more."""
    net = nets.mobile_net(1, 5, stem=4, blocks=((8, 4, 1), (8, 6, 2)), norm=None, rng=seed(0))
    net = tinytl.add_branches(net, torch.zeros(1, 1, 8, 8), rng=seed(1))
    for name, p in net.named_parameters():
        if name.endswith("gain.weight"):
            nn.init.ones_(p)
    return net


NETS = {
    "mlp": (lambda: nets.mlp(64, (32, 16), 10, rng=seed(0)), (1, 8, 8)),
    "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 8, 8)),
    "ds_cnn group": (lambda: nets.ds_cnn(1, 10, rng=seed(0)), (1, 16, 16)),
    "ds_cnn batch": (lambda: nets.ds_cnn(1, 10, norm="batch", rng=seed(0)), (1, 8, 8)),
    "word_model": (lambda: nets.word_model(10, context=4, rng=seed(0)), (4,)),
    "residual": (residual, (3, 8, 8)),
    "tinytl": (branched, (1, 8, 8)),
}


def example(shape, n=6):
    x = torch.randint(10, (n, *shape), generator=seed(1)) if len(shape) == 1 else torch.rand(n, *shape, generator=seed(1))
    return x, torch.randint(5, (n,), generator=seed(2))


@st.composite
def plans(draw, net):
    """Any plan for this net: each bias or not, any count of channels of each layer."""
    whole = plan.full(net)
    biases = {name for name in sorted(whole.biases) if draw(st.booleans())}
    counts = {name: draw(st.integers(0, count)) for name, count in whole.channels.items()}
    return plan.UpdatePlan(biases, counts, draw(st.sampled_from(plan.ORDERS)))


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_planned_gradients_are_autograds_own_under_the_mask(name, data):
    make, shape = NETS[name]
    net = make().double()
    wish, (x, y) = data.draw(plans(net)), example(shape)
    x = x.double() if x.is_floating_point() else x
    forward, learning = train.planned(net, wish, rng=seed(7))
    mask = flat.unravel(net, wish.mask(net, seed(7)))
    plain = net.eval()(x)
    expected = dict(zip(mask, torch.autograd.grad(F.cross_entropy(plain, y), list(net.parameters())), strict=True))
    out = forward(x)
    assert torch.allclose(out, plain, atol=1e-9)
    names = {id(p): n for n, p in net.named_parameters()}
    assert {names[id(p)] for p in learning} == {n for n, m in mask.items() if m.any()}
    if learning:
        for p, g in zip(learning, torch.autograd.grad(F.cross_entropy(out, y), learning), strict=True):
            m = mask[names[id(p)]]
            assert torch.allclose(g, expected[names[id(p)]] * m, atol=1e-9) and not g[~m].any()
    else:
        assert not out.requires_grad


class Integers(nn.Module):
    """What a QuantNet can hold: see test_memory.Branches."""

    def __init__(self):
        super().__init__()
        self.stem, self.grouped = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.deep = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8)
        self.hidden, self.head = nn.Linear(16 * 4, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.grouped(x) + x
        x = F.max_pool2d(self.deep(x), 3, stride=1, padding=1).relu()
        return self.head(F.relu6(self.hidden(F.avg_pool2d(x, 2).flatten(1))))


@pytest.mark.parametrize("float_head", [True, False])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_planned_gradients_of_an_integer_net_are_those_of_its_own_forward_under_the_mask(float_head, data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x, y = example((3, 8, 8))
        net = quantize.quantize_model(Integers(), x, float_head=float_head)
    with torch.no_grad():
        for layer in net.integer_layers().values():         # latent weights: between the integers
            layer.weight += torch.rand(layer.weight.shape, generator=seed(5)) - 0.5
    wish = data.draw(plans(net))
    forward, learning = train.planned(net, wish, rng=seed(7))
    mask = flat.unravel(net, wish.mask(net, seed(7)))
    plain = net(x)
    expected = dict(zip(mask, torch.autograd.grad(F.cross_entropy(plain, y), list(net.parameters())), strict=True))
    out = forward(x)
    assert torch.equal(out, plain)
    names = {id(p): n for n, p in net.named_parameters()}
    for p, g in zip(learning, torch.autograd.grad(F.cross_entropy(out, y), learning) if learning else (), strict=True):
        m, e = mask[names[id(p)]], expected[names[id(p)]]
        assert torch.allclose(g, e * m, rtol=1e-4, atol=1e-5 * e.abs().max().item()) and not g[~m].any()


def reference(net, x, y, order, *, batch_size, lr, momentum, mask=None):
    """Plain torch: the optimizer of torch, gradients masked by hand."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)
    for epoch in order:
        for batch in epoch.split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            for p, m in zip(net.parameters(), flat.unravel(net, mask).values(), strict=True) if mask is not None else ():
                p.grad *= m
            optimizer.step()
    return flat.ravel(net)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("how", [None, "full", "half", "bias_only", "head_only"])
@pytest.mark.parametrize("name", NETS)
def test_fit_updates_as_torch_sgd_does_and_frozen_weights_keep_every_bit(name, how, momentum):
    make, shape = NETS[name]
    net, (x, y) = make(), example(shape, n=11)
    whole = plan.full(net)
    half = plan.UpdatePlan(sorted(whole.biases)[::2], {n: (c + 1) // 2 for n, c in whole.channels.items()})
    wish = {None: None, "half": half}[how] if how in (None, "half") else getattr(plan, how)(net)
    before, other = flat.ravel(net), copy.deepcopy(net)
    mask = None if wish is None else wish.mask(net)
    if wish is not None:
        other.eval()        # a plan keeps the stored statistics of BatchNorm
    rng = seed(3)
    order = [torch.randperm(11, generator=rng) for _ in range(3)]
    expected = reference(other, x, y, order, batch_size=4, lr=0.05, momentum=momentum, mask=mask)
    train.fit(net, x, y, epochs=3, batch_size=4, lr=0.05, momentum=momentum, plan=wish, rng=seed(3), progress=False)
    after = flat.ravel(net)
    assert torch.allclose(after, expected, atol=2e-6, rtol=1e-5)
    if mask is not None:
        assert torch.equal(after[~mask], before[~mask]) and not torch.equal(after[mask], before[mask])
        for ours, theirs in zip(net.buffers(), other.buffers(), strict=True):
            assert torch.equal(ours, theirs)


def test_gradients_reach_the_winner_when_places_of_a_window_are_equal():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2))
    x = torch.zeros(1, 1, 4, 4)
    with torch.no_grad():
        net[0].bias.fill_(1.0)
    forward, learning = train.planned(net, plan.full(net))
    expected = torch.autograd.grad(net(x).square().sum(), learning)
    ours = torch.autograd.grad(forward(x).square().sum(), learning)
    assert all(torch.allclose(a, b) for a, b in zip(ours, expected, strict=True))


def test_fit_learns_the_digits_and_evaluate_agrees_with_a_plain_count():
    digits = load_digits()
    x, y = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None], torch.tensor(digits.target)
    net = nets.mlp(64, 32, 10, rng=seed(0))
    history = train.fit(net, x[:1437], y[:1437], epochs=6, batch_size=32, lr=0.1, momentum=0.9, rng=seed(1), progress=False,
                        evaluate=lambda net: train.evaluate(net, x[1437:], y[1437:]))
    assert history.losses[-1] < history.losses[0] / 3 and len(history.losses) == 6
    assert history.curve("loss") == list(history.losses)
    out = net(x[1437:])
    right = sum(int(row.argmax()) == int(label) for row, label in zip(out, y[1437:], strict=True))
    assert history.curve("accuracy")[-1] == right / 360 > 0.85
    assert history.metrics[-1]["loss"] == pytest.approx(F.cross_entropy(out, y[1437:]).item(), rel=1e-5)


@pytest.mark.parametrize("wish", [None, plan.head_only], ids=["everything", "head only"])
def test_a_penalty_of_squares_is_weight_decay_and_what_is_frozen_stays(wish):
    x, y = torch.rand(40, 6, generator=seed(0)), torch.arange(40) % 3
    net, other = nets.mlp(6, 8, 3, rng=seed(1)), nets.mlp(6, 8, 3, rng=seed(1))
    before = flat.ravel(net)
    history = train.fit(net, x, y, epochs=3, batch_size=None, lr=0.5, rng=seed(2), progress=False, plan=wish and wish(net),
                        penalty=lambda net: 0.05 * sum(p.square().sum() for p in net.parameters()))
    optimizer = torch.optim.SGD(other.head.parameters() if wish else other.parameters(), lr=0.5, weight_decay=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(other(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert torch.allclose(flat.ravel(net), flat.ravel(other), atol=1e-6)
    assert history.losses == pytest.approx(losses, abs=1e-5)         # the penalty is not in them
    frozen = slice(0, 56) if wish else slice(0, 0)
    assert torch.equal(flat.ravel(net)[frozen], before[frozen])


def test_fit_is_the_same_from_the_same_seed_and_leaves_the_global_state_alone():
    (x, y), state, after = example((1, 8, 8), 20), torch.get_rng_state(), []
    for s in (1, 1, 2):
        net = nets.mlp(64, 8, 5, rng=seed(0))
        train.fit(net, x, y, epochs=2, batch_size=4, lr=0.1, rng=seed(s), progress=False)
        after.append(flat.ravel(net))
    assert torch.equal(after[0], after[1]) and not torch.equal(after[0], after[2])
    assert torch.equal(state, torch.get_rng_state())


def test_float_targets_are_fitted_by_least_squares():
    x = torch.randn(64, 3, generator=seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 3.0
    net = nets.softmax(3, 1, rng=seed(1))       # without its softmax, which stands in the loss: a linear model
    train.fit(net, x, y, epochs=200, batch_size=None, lr=0.2, rng=seed(2), progress=False)
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(64, 1)], 1), y).solution
    assert torch.allclose(flat.ravel(net), solution, atol=1e-3)
    assert train.evaluate(net, x, y) == {"loss": pytest.approx(0.0, abs=1e-5)}


def test_evaluate_takes_batches_in_evaluation_mode_and_puts_every_mode_back():
    net = nets.ds_cnn(1, 5, norm="batch", rng=seed(0)).train()
    net.stem_norm.eval()
    before, (x, y) = {k: v.clone() for k, v in net.state_dict().items()}, example((1, 8, 8), 13)
    small, whole = train.evaluate(net, x, y, batch_size=4), train.evaluate(net, x, y)
    assert small["accuracy"] == whole["accuracy"] and small["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert net.training and net.depthwise1_norm.training and not net.stem_norm.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("change, words", [
    ({"epochs": 0}, "epochs=0"), ({"batch_size": 0}, "batch_size=0"), ({"y": torch.zeros(3, dtype=torch.int64)}, "x has 6 examples, y 3"),
    ({"x": torch.zeros(0, 4), "y": torch.zeros(0)}, "at least one"), ({"plan": plan.UpdatePlan()}, "nothing learns"),
    ({"plan": plan.UpdatePlan({"tail"})}, "no layer 'tail'"),
    ({"net": nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(), nn.Linear(64, 5)), "plan": plan.UpdatePlan({"2"})},
     "without stored statistics"),
    ({"net": nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2), nn.Flatten(), nn.Linear(16, 5)), "plan": plan.UpdatePlan({"2"})}, "dilation"),
    ({"net": nn.Sequential(nn.ZeroPad2d(9), nn.MaxPool2d(17), nn.Flatten(), nn.Linear(1, 5)), "plan": plan.UpdatePlan({"3"})},
     "256 places"),
])
def test_what_cannot_be_trained_is_refused(change, words):
    x, y = example((1, 8, 8))
    wish = {"net": nets.mlp(64, 8, 5, rng=seed(0)), "x": x, "y": y, "epochs": 1, "batch_size": 4, "lr": 0.1, "rng": seed(0),
            "progress": False} | change
    with pytest.raises(ValueError, match=words):
        train.fit(wish.pop("net"), wish.pop("x"), wish.pop("y"), **wish)


def test_an_unknown_curve_lists_what_was_recorded():
    with pytest.raises(KeyError, match="there is loss, accuracy"):
        train.History((1.0,), ({"accuracy": 0.5},)).curve("f1")
