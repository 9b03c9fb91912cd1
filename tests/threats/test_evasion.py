"""Oracles: foolbox and ART (exact), a textbook loop, the linear model, for which the best attack is known."""
import foolbox
import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn import functional as F

from odl_kit.data import datasets
from odl_kit.learners import train
from odl_kit.models import flat, nets
from odl_kit.threats import evasion


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    """A trained net, and 60 test digits that it never saw."""
    rng = seeded()
    train_set, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
    net = nets.mlp(64, 32, 10, rng=rng)
    train.fit(net, train_set.x, train_set.y, epochs=10, batch_size=32, lr=0.1, momentum=0.9, rng=rng, progress=False)
    return net, test_set.x[:60], test_set.y[:60]


def test_fgsm_is_that_of_foolbox_and_of_art(digits):
    net, x, y = digits
    mine = evasion.fgsm(net, x, y, eps=0.1)
    model = foolbox.PyTorchModel(net.eval(), bounds=(0, 1))
    assert torch.equal(mine, foolbox.attacks.LinfFastGradientAttack(random_start=False).run(model, x, y, epsilon=0.1))
    art = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    theirs = FastGradientMethod(art, eps=0.1).generate(x.numpy(), y.numpy())
    assert np.abs(mine.numpy() - theirs).max() < 1e-6


@pytest.mark.parametrize(("norm", "attack", "eps", "step"), [
    ("linf", foolbox.attacks.LinfProjectedGradientDescentAttack, 0.15, 0.04),
    ("l2", foolbox.attacks.L2ProjectedGradientDescentAttack, 0.8, 0.2)])
def test_pgd_is_that_of_foolbox(digits, norm, attack, eps, step):
    net, x, y = digits
    mine = evasion.pgd(net, x, y, eps=eps, step=step, steps=7, norm=norm)
    theirs = attack(abs_stepsize=step, steps=7, random_start=False).run(foolbox.PyTorchModel(net.eval(), bounds=(0, 1)), x, y, epsilon=eps)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0 if norm == "linf" else 2e-6)


def test_pgd_is_the_textbook_loop_over_one_example_at_a_time(digits):
    net, x, y = digits
    mine = evasion.pgd(net, x[:5], y[:5], eps=0.1, step=0.03, steps=4)
    for start, label, found in zip(x, y, mine, strict=False):
        at = start.clone()
        for _ in range(4):
            at.requires_grad_()
            F.cross_entropy(net(at[None]), label[None]).backward()
            stepped = at.detach() + 0.03 * at.grad.sign()
            at = torch.minimum(torch.maximum(stepped, start - 0.1), start + 0.1).clamp(0, 1)
        torch.testing.assert_close(found, at)


def test_on_a_linear_model_no_change_of_that_size_does_more():
    net, rng = nets.softmax(6, 2, rng=seeded(1)), seeded(2)
    w = (net.head.weight[1] - net.head.weight[0]).detach()
    x, y = 0.3 + 0.4 * torch.rand(20, 6, generator=rng), torch.zeros(20, dtype=torch.int64)

    def margin(x):
        z = net(x).detach()
        return z[:, 0] - z[:, 1]
    moved = evasion.fgsm(net, x, y, eps=0.1)
    torch.testing.assert_close(margin(x) - margin(moved), (0.1 * w.abs().sum()).expand(20))            # eps * |w|_1
    far = evasion.pgd(net, x, y, eps=0.2, step=0.5, steps=3, norm="l2")
    torch.testing.assert_close(margin(x) - margin(far), (0.2 * w.norm()).expand(20))                   # eps * |w|_2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2"]), st.floats(0, 2), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_projected_point_lies_in_the_ball_and_in_the_box_and_no_point_of_both_moves(seed, norm, eps, shape):
    x, at = torch.rand(3, *shape, generator=seeded(seed)), 4 * torch.randn(3, *shape, generator=seeded(seed + 1))
    found = evasion.project(at, x, eps=eps, norm=norm)
    order = float("inf") if norm == "linf" else 2
    assert ((found - x).flatten(1).norm(dim=1, p=order) <= eps + 1e-5).all() and found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(evasion.project(found, x, eps=eps, norm=norm), found)


def test_a_random_start_is_uniform_in_the_ball(digits):
    net, y = nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), torch.zeros(4000, dtype=torch.int64)
    x = torch.full((4000, 3), 0.5)
    for norm in ("linf", "l2"):         # a step of 0 leaves the start
        change = evasion.pgd(net, x, y, eps=0.3, step=0, steps=1, norm=norm, random_start=True, rng=seeded(3)) - x
        if norm == "linf":
            assert stats.kstest((change[:, 1] / 0.3 + 1) / 2, "uniform").pvalue > 0.01
        else:
            assert stats.kstest((change.norm(dim=1) / 0.3) ** 3, "uniform").pvalue > 0.01      # volume grows like r^3
            assert stats.kstest((change[:, 2] / change.norm(dim=1) + 1) / 2, "uniform").pvalue > 0.01     # Archimedes' hat box


def test_an_attack_is_made_in_evaluation_mode_and_leaves_the_net_alone():
    net = nets.ds_cnn(1, 3, width=8, norm="batch", rng=seeded())
    net.train()
    net.stem_norm.eval()                            # a mixture of modes, which must come back
    x, y = torch.rand(6, 1, 8, 8, generator=seeded(1)), torch.tensor([0, 1, 2, 0, 1, 2])
    before, statistics = flat.ravel(net), net.depthwise1_norm.running_mean.clone()
    together = evasion.pgd(net, x, y, eps=0.1, step=0.05, steps=3)
    alone = torch.cat([evasion.pgd(net, x[i:i + 1], y[i:i + 1], eps=0.1, step=0.05, steps=3) for i in range(6)])
    torch.testing.assert_close(together, alone)     # in training mode BatchNorm would mix the six
    assert torch.equal(flat.ravel(net), before) and torch.equal(net.depthwise1_norm.running_mean, statistics)
    assert net.training and net.depthwise1_norm.training and not net.stem_norm.training
    assert all(p.grad is None for p in net.parameters())


def test_a_plain_function_can_be_climbed(digits):
    net, x, y = digits
    assert torch.equal(evasion.fgsm(lambda x: net(x), x, y, eps=0.1), evasion.fgsm(net, x, y, eps=0.1))


def test_many_steps_fool_more_digits_than_one_and_random_signs_hardly_any(digits):
    net, x, y = digits
    one, many = evasion.fgsm(net, x, y, eps=0.15), evasion.pgd(net, x, y, eps=0.15, step=0.03, steps=20)
    signs = (x + 0.15 * (2 * torch.randint(0, 2, x.shape, generator=seeded()) - 1)).clamp(0, 1)
    rates = [evasion.success(net, x, moved, y) for moved in (signs, one, many)]
    assert rates[0] < 0.15 and rates[0] + 0.3 < rates[1] <= rates[2]


def test_success_counts_only_what_was_read_right_before():
    def net(x):
        return nn.functional.one_hot(x[:, 0].long(), 3).float()
    x, y = torch.tensor([[0.0], [1.0], [2.0], [1.0]]), torch.tensor([0, 1, 2, 2])      # the last one is wrong at first
    moved = torch.tensor([[0.0], [2.0], [2.0], [0.0]])
    assert evasion.success(net, x, moved, y) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="reads none of 2 examples right"):
        evasion.success(net, x[:2], moved[:2], torch.tensor([2, 2]))


def test_bad_input_is_an_error_that_names_it(digits):
    net, x, y = digits
    with pytest.raises(ValueError, match="x runs from -?[0-9.]+ to 15"):
        evasion.fgsm(net, 15 * x, y, eps=0.1)
    with pytest.raises(ValueError, match="eps at least 0"):
        evasion.fgsm(net, x, y, eps=-0.1)
    with pytest.raises(ValueError, match="norm='l1'"):
        evasion.pgd(net, x, y, eps=0.1, step=0.1, steps=2, norm="l1")
    with pytest.raises(ValueError, match="steps=0"):
        evasion.pgd(net, x, y, eps=0.1, step=0.1, steps=0)
    with pytest.raises(ValueError, match="needs an rng"):
        evasion.pgd(net, x, y, eps=0.1, step=0.1, steps=2, random_start=True)
