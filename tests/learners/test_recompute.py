"""Recomputation against plain backpropagation, against torch.utils.checkpoint, and the bytes held against a storage by storage count."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from odl_kit.learners import memory, plan, recompute, schedules, tradeoff, train
from odl_kit.models import chain, nets

seed = torch.Generator().manual_seed
NETS = {"mlp": (lambda: nets.mlp(64, (32, 24, 16, 12), 10, rng=seed(0)), (1, 8, 8)),
        "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 16, 16)),
        "ds_cnn": (lambda: nets.ds_cnn(1, 10, rng=seed(0)), (1, 16, 16)),
        "mobile_net": (lambda: nets.mobile_net(1, 10, norm=None, rng=seed(0)), (1, 16, 16)),
        "mobile_net batch": (lambda: nets.mobile_net(1, 10, rng=seed(0)).eval(), (1, 16, 16)),
        "word_model": (lambda: nets.word_model(30, context=4, rng=seed(0)), (4,))}


def batch(shape, n=5):
    return torch.randint(30, (n, *shape), generator=seed(1)) if len(shape) == 1 else torch.rand(n, *shape, generator=seed(1))


def world(name):
    make, shape = NETS[name]
    net = make()
    return net, list(chain.units(net).values()), batch(shape)


def plain_gradients(net, x, y):
    return torch.autograd.grad(train.loss_of(net(x), y), list(net.parameters()))


def nested(units, depth=3):
    """Hypothesis: any schedule of the units, segments in segments up to `depth`."""
    if not units or depth == 0:
        return st.just(units)
    keep = nested(units[1:], depth).map(lambda rest: (units[0], *rest))
    again = st.integers(1, len(units)).flatmap(
        lambda k: st.tuples(nested(units[:k], depth - 1), nested(units[k:], depth)).map(lambda pair: (pair[0], *pair[1])))
    return st.one_of(keep, again)


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_plain_backpropagation_bit_for_bit(name):
    net, units, x = world(name)
    y = torch.randint(10, (len(x),), generator=seed(2))
    expected, costs = plain_gradients(net, x, y), tradeoff.costs(units, x)
    for choice in (*tradeoff.frontier(costs), tradeoff.Choice(0, 0, schedules.sqrt(len(units)))):
        found = torch.autograd.grad(train.loss_of(recompute.run(units, choice.schedule, x), y), list(net.parameters()))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)), choice


DEEP = nets.mlp(64, (32, 24, 16, 12, 9), 10, rng=seed(0))
DEEP_UNITS, DEEP_X = list(chain.units(DEEP).values()), batch((1, 8, 8))
DEEP_COSTS = tradeoff.costs(DEEP_UNITS, DEEP_X)


@given(nested(tuple(range(6))))
@settings(max_examples=60)
def test_any_nested_schedule_has_the_gradients_of_torch_and_holds_what_was_predicted(schedule):
    measured = recompute.measure(DEEP_UNITS, schedule, DEEP_X, repeats=0)
    expected = torch.autograd.grad(DEEP(DEEP_X).sum(), list(DEEP.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(measured.gradients, expected, strict=True))
    assert measured.held_bytes == tradeoff.held_bytes(DEEP_COSTS, schedule)


@pytest.mark.parametrize("name", [name for name in NETS if "batch" not in name])     # the meter counts a BatchNorm in training mode
def test_held_bytes_are_those_that_the_costs_predict(name):
    net, units, x = world(name)
    costs = tradeoff.costs(units, x)
    for choice in tradeoff.frontier(costs):
        assert recompute.measure(units, choice.schedule, x, repeats=0).held_bytes == choice.held_bytes


def test_one_level_agrees_with_torch_utils_checkpoint_in_gradients_and_in_what_the_forward_pass_keeps():
    net, units, x = world("mobile_net")
    kept = []

    def forward_kept(forward):
        seen = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t):
            forward(x)
        known = {p.untyped_storage().data_ptr() for p in net.parameters()}
        kept.append(sum(t.untyped_storage().nbytes() for place, t in seen.items() if place not in known))

    def theirs(x):
        x = checkpoint(nn.Sequential(*units[:3]), x, use_reentrant=True)
        x = checkpoint(nn.Sequential(*units[3:7]), x, use_reentrant=True)
        return nn.Sequential(*units[7:])(x)

    schedule = ((0, 1, 2), (3, 4, 5, 6), 7, 8, 9)
    x.requires_grad_()              # their reentrant form asks for it
    forward_kept(theirs)
    forward_kept(lambda x: recompute.run(units, schedule, x))
    assert kept[0] == kept[1] > 0
    y = torch.randint(10, (len(x),), generator=seed(2))
    wanted = (x, *net.parameters())
    train.loss_of(theirs(x), y).backward()          # their reentrant form knows no autograd.grad
    ours = torch.autograd.grad(train.loss_of(recompute.run(units, schedule, x), y), wanted)
    assert all(torch.equal(g, t.grad) for g, t in zip(ours, wanted, strict=True))


def test_a_slice_of_a_data_set_counts_as_what_it_is():
    _, units, x = world("tiny_cnn")
    assert recompute.measure(units, (0, 1, 2, 3), x[:2], repeats=0).held_bytes == recompute.measure(
        units, (0, 1, 2, 3), x[:2].clone(), repeats=0).held_bytes


def test_frozen_weights_get_no_gradient_and_the_rest_still_learns():
    net, units, x = world("tiny_cnn")
    for p in units[1].parameters():
        p.requires_grad_(False)
    recompute.run(units, ((0, 1), (2,), 3), x).sum().backward()
    found = [p.grad for p in net.parameters()]
    net.zero_grad()
    net(x).sum().backward()
    for p, g in zip(net.parameters(), found, strict=True):
        assert (g is None) == (p.grad is None) == (not p.requires_grad)
        assert g is None or torch.equal(g, p.grad)


def test_units_as_a_device_runs_them_hold_what_the_device_rule_predicts():
    net, _, x = world("tiny_cnn")
    pieces = list(chain.units(net).values())
    costs = tradeoff.costs(pieces, x, rule="device")
    assert tradeoff.held_bytes(costs, schedules.plain(4)) == memory.memory_report(net, x, rule="device").saved_activations
    units = [train.planned(piece, plan.full(piece))[0] for piece in pieces]
    for choice in tradeoff.frontier(costs):
        assert recompute.measure(units, choice.schedule, x, repeats=0).held_bytes == choice.held_bytes


def test_nothing_stays_behind_when_the_backward_pass_is_done():
    net, units, x = world("mobile_net")
    recompute.measure(units, schedules.sqrt(len(units)), x, repeats=2)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("schedule", [(0, 1, 2), (0, 1, 3, 2), (0, 0, 1, 2, 3), ((0, 1), (3, 2)), ()])
def test_a_schedule_that_is_no_order_of_the_units_is_refused(schedule):
    _, units, x = world("tiny_cnn")
    with pytest.raises(ValueError, match="must name the units 0 to 3"):
        recompute.run(units, schedule, x)


def test_a_batch_norm_in_training_mode_is_kept_or_refused():
    net = nets.mobile_net(1, 10, rng=seed(0)).train()
    units, x = list(chain.units(net).values()), batch((1, 16, 16))
    recompute.run(units, schedules.plain(len(units)), x)
    with pytest.raises(ValueError, match="unit 0 has a BatchNorm in training mode"):
        recompute.run(units, schedules.sqrt(len(units)), x)
