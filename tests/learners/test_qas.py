"""QAS on whole nets: a step in integer units against a step of plain SGD on real weights, and what each rule of storage keeps."""
import copy
import math

import pytest
import torch
from torch.nn import functional as F

from odl_kit.learners import optimizers, plan, qas, train
from odl_kit.models import flat, nets, quantize

seed = torch.Generator().manual_seed


def world(make=lambda: nets.mobile_net(1, 4, norm=None, rng=seed(0)), n=24):
    x, y = torch.rand(n, 1, 8, 8, generator=seed(1)), torch.randint(4, (n,), generator=seed(2))
    return quantize.quantize_model(make(), x), x, y


def real(net):
    """{parameter name: its value in real units}."""
    found = {name: p.detach().clone() for name, p in net.named_parameters()}
    for name, layer in net.integer_layers().items():
        found[f"{name}.weight"] *= layer.s_w.view(-1, *[1] * (layer.weight.dim() - 1))
        found[f"{name}.bias"] *= layer.s_w * layer.s_x
    return found


def fitted(net, x, y, **options):
    train.fit(net, x, y, batch_size=8, rng=seed(3), progress=False, **options)
    return net


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_with_qas_is_a_step_of_sgd_on_the_real_weights(momentum):
    net, x, y = world()
    with torch.no_grad():
        for layer in net.integer_layers().values():
            layer.weight.mul_(0.75).round_()        # so that none saturates
    before = real(net)
    gradients = dict(zip(before, torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters())), strict=True))
    for name, layer in net.integer_layers().items():       # dL/dv = dL/dq / s
        gradients[f"{name}.weight"] = gradients[f"{name}.weight"] / layer.s_w.view(-1, 1, 1, 1)
        gradients[f"{name}.bias"] = gradients[f"{name}.bias"] / (layer.s_w * layer.s_x)
    train.fit(net, x, y, epochs=1, batch_size=None, lr=0.05, rng=seed(3), progress=False,
              optimizer=qas.optimizer(net, optimizers.sgd(momentum)))
    for name, value in real(net).items():
        step = -0.05 * gradients[name]
        assert torch.allclose(value - before[name], step, rtol=1e-3, atol=2e-3 * step.abs().max().item()), name


def test_without_scaling_the_integers_hardly_move_and_the_head_moves_as_ever():
    net, x, y = world()
    plain = fitted(copy.deepcopy(net), x, y, epochs=2, lr=0.05, optimizer=None)
    for scale in (1, 1.0):
        unscaled = copy.deepcopy(net)
        fitted(unscaled, x, y, epochs=2, lr=0.05, optimizer=qas.optimizer(unscaled, scale=scale))
        assert torch.equal(unscaled.head.weight, plain.head.weight)
        assert torch.allclose(flat.ravel(unscaled), flat.ravel(plain), atol=1e-3)      # one saturates at 127, the other goes a little over
    scaled = copy.deepcopy(net)
    fitted(scaled, x, y, epochs=2, lr=0.05, optimizer=qas.optimizer(scaled))
    moved = {name: [(a.get_submodule(name).weight - net.get_submodule(name).weight).abs().max().item() for a in (plain, scaled)]
             for name in net.integer_layers()}
    assert all(a < 0.05 and b > 10 * a for a, b in moved.values())
    assert not torch.equal(plain.head.weight, net.head.weight)


@pytest.mark.parametrize("store", ["nearest", "stochastic", "truncate"])
def test_stored_weights_are_integers_and_saturate(store):
    net, x, y = world()
    fitted(net, x, y, epochs=2, lr=3.0, optimizer=qas.optimizer(net, optimizers.sgd(0.9), store=store, rng=seed(0)))
    weights = torch.cat([layer.weight.detach().flatten() for layer in net.integer_layers().values()])
    biases = torch.cat([layer.bias.detach() for layer in net.integer_layers().values()])
    assert torch.equal(weights, weights.round()) and weights.abs().max() == 127
    assert torch.equal(biases, biases.round()) and biases.abs().max() <= 2**23


def test_the_rules_of_storage_differ_in_what_becomes_of_half_a_step():
    q = torch.tensor([5.0, -5.0, 5.0, -5.0])
    pushed = q - torch.tensor([0.01, -0.01, -0.4, 0.4])       # toward 0, toward 0, away, away
    assert qas.STORE["truncate"](pushed, None).tolist() == [4, -4, 5, -5]       # the least push toward 0 costs a step
    assert qas.STORE["nearest"](pushed, None).tolist() == [5, -5, 5, -5]
    drawn = torch.stack([qas.STORE["stochastic"](pushed, seed(k)) for k in range(3000)])
    assert (drawn.mean(0) - pushed).abs().max() < 0.05 and len(drawn[:, 2].unique()) == 2


def test_training_by_a_plan_changes_the_named_channels_only_and_dead_channels_never_give_inf():
    def dying():
        net = nets.tiny_cnn(1, 4, rng=seed(0))
        with torch.no_grad():
            net.conv2.weight[3], net.conv2.bias[3], net.conv3.weight[2] = 0, 0, net.conv3.weight[2] * 1e-12
        return net
    net, x, y = world(dying)
    assert net.dead().keys() == {"conv2", "conv3"}
    before, wish = flat.ravel(net), plan.UpdatePlan({"conv3", "head"}, {"conv2": 5, "conv3": 16, "head": 16})
    mask = wish.mask(net)
    fitted(net, x, y, epochs=3, lr=0.05, plan=wish, optimizer=qas.optimizer(net, optimizers.sgd(0.9)))
    after = flat.ravel(net)
    assert torch.equal(after[~mask], before[~mask]) and (after[mask] != before[mask]).float().mean() > 0.3
    assert after.isfinite().all()


@pytest.mark.parametrize("inner", [optimizers.adam(), optimizers.lars()])
def test_any_optimizer_can_stand_inside(inner):
    net, x, y = world()
    before = flat.ravel(net)
    fitted(net, x, y, epochs=1, lr=0.1, optimizer=qas.optimizer(net, inner, scale=1, store="nearest"))
    assert flat.ravel(net).isfinite().all() and not torch.equal(flat.ravel(net), before)


def test_scaling_is_never_silently_off():
    net, x, y = world()
    with pytest.raises(ValueError, match="Sequential has no integer layers"):
        qas.optimizer(nets.tiny_cnn(1, 4, rng=seed(0)))
    other = copy.deepcopy(net)
    with pytest.raises(ValueError, match="not of the net for which this optimizer was made"):
        fitted(other, x, y, epochs=1, lr=0.1, optimizer=qas.optimizer(net))
    for options, words in (({"scale": "none"}, "scale 'none' is unknown"), ({"store": "floor"}, "use one of latent, nearest, stochastic"),
                           ({"store": "stochastic"}, "pass rng")):
        with pytest.raises(ValueError, match=words):
            qas.optimizer(net, **options)


def test_norm_ratios_are_those_of_hand_made_gradients_and_with_qas_those_of_the_real_weights():
    def biased():
        net = nets.mobile_net(1, 4, norm=None, rng=seed(0))
        for name, p in net.named_parameters():
            if name.endswith("bias"):
                p.data.normal_(0, 0.1, generator=seed(4))
        return net
    net, x, y = world(biased)
    names = [name for name, _ in net.named_parameters()][:-2]
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y), [net.get_parameter(name) for name in names])
    plain, scaled = qas.norm_ratios(net, x, y, scale=1), qas.norm_ratios(net, x, y)
    assert len(plain) == len(scaled) == 26
    values = real(net)
    for name, g, a, b in zip(names, gradients, plain, scaled, strict=True):
        layer, _, kind = name.rpartition(".")
        own = net.get_submodule(layer)
        s = own.s_w if kind == "weight" else own.s_w * own.s_x
        assert a == pytest.approx(math.log10(net.get_parameter(name).norm().item() / g.norm().item()), abs=1e-4)
        divided = {power: torch.cat([v.flatten() / k**power for v, k in zip(g, s, strict=True)]).norm().item() for power in (1, 2)}
        assert b == pytest.approx(math.log10(net.get_parameter(name).norm().item() / divided[2]), abs=1e-4)
        # |q| / |G / s^2| is |v| / |dL/dv| up to how much the scales of a tensor's channels differ
        assert b == pytest.approx(math.log10(values[name].norm().item() / divided[1]), abs=0.5)
