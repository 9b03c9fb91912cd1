"""Oracles: train.fit for what adversarial training is without an attack, plain loops, the attacks of threats.evasion as judges."""
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from odl_kit.data import datasets
from odl_kit.defenses import hardening
from odl_kit.learners import train
from odl_kit.models import flat, nets
from odl_kit.threats import evasion

QUIET = {"epochs": 2, "batch_size": 10, "lr": 0.1, "momentum": 0.9, "progress": False}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some(n=35):
    rng = seeded(1)
    return torch.rand(n, 6, generator=rng), torch.randint(3, (n,), generator=rng)


@pytest.mark.parametrize(("share", "attack"), [(0.0, None), (1.0, lambda net, x, y: x), (0.4, lambda net, x, y: x)])
def test_without_an_attack_it_is_plain_training(share, attack):
    x, y = some()
    mine, plain = (nets.mlp(6, 8, 3, rng=seeded(2)) for _ in range(2))
    told = hardening.adversarial_training(mine, x, y, attack=attack, share=share, rng=seeded(3), **QUIET)
    expected = train.fit(plain, x, y, rng=seeded(3), **QUIET)
    assert torch.equal(flat.ravel(mine), flat.ravel(plain)) and told.losses == pytest.approx(expected.losses)


def test_the_attack_meets_the_net_as_it_is_by_then_and_its_share_of_each_batch():
    x, y, met = *some(), []

    def attack(net, x, y):
        met.append((flat.ravel(net), len(x)))
        return x
    net = nets.mlp(6, 8, 3, rng=seeded(2))
    hardening.adversarial_training(net, x, y, attack=attack, share=0.5, rng=seeded(3), **QUIET)
    assert [n for _, n in met] == [5, 5, 5, 2] * 2
    assert all(not torch.equal(a, b) for (a, _), (b, _) in zip(met, met[1:], strict=False))


def test_a_step_is_that_of_the_plain_loop_on_attacked_examples():
    x, y = some(10)
    mine, plain = (nets.mlp(6, 8, 3, rng=seeded(2)) for _ in range(2))
    attack = partial(evasion.fgsm, eps=0.1)
    hardening.adversarial_training(mine, x, y, attack=attack, epochs=1, batch_size=10, lr=0.5, rng=seeded(3), progress=False)
    x.requires_grad_()
    F.cross_entropy(plain(x), y).backward()
    moved = (x + 0.1 * x.grad.sign()).clamp(0, 1).detach()
    plain.zero_grad()
    F.cross_entropy(plain(moved), y).backward()
    torch.testing.assert_close(flat.ravel(mine), torch.cat([(p - 0.5 * p.grad).detach().flatten() for p in plain.parameters()]))


@pytest.fixture(scope="module")
def digits():
    """Digits, halved for speed: train and test, and a plain net."""
    rng = seeded()
    train_set, test_set = datasets.split(datasets.load("digits"), test=0.5, rng=rng)
    return train_set, test_set, learned(train_set, lambda net, **options: train.fit(net, **options))


def learned(train_set, fit, **options):
    net = nets.mlp(64, 64, 10, rng=seeded(5))
    fit(net, x=train_set.x, y=train_set.y, epochs=20, batch_size=32, lr=0.1, momentum=0.9, rng=seeded(6), progress=False, **options)
    return net


@pytest.mark.slow
def test_adversarial_training_makes_pgd_fail_more_often_on_new_digits(digits):
    train_set, test_set, plain = digits
    hard = learned(train_set, hardening.adversarial_training, attack=partial(evasion.pgd, eps=0.1, step=0.033, steps=5))
    rates = [evasion.success(net, test_set.x, evasion.pgd(net, test_set.x, test_set.y, eps=0.1, step=0.02, steps=20), test_set.y)
             for net in (plain, hard)]
    assert rates[1] < 0.65 * rates[0]      # two seeds: 0.40 and 0.44
    assert train.evaluate(hard, test_set.x, test_set.y)["accuracy"] > 0.9


def test_distillation_is_the_loop_at_temperature_and_takes_it_off_the_teacher():
    x, y = some()
    teacher, student, plain, follower = (nets.mlp(6, 8, 3, rng=seeded(seed)) for seed in (2, 3, 2, 3))
    back = hardening.distillation(teacher, student, x, y, temperature=5.0, rng=seeded(4), **QUIET)
    assert back is student
    rng = seeded(4)

    def loop(net, loss):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            for batch in torch.randperm(len(x), generator=rng).split(10):
                optimizer.zero_grad()
                loss(net(x[batch]) / 5, batch).backward()
                optimizer.step()
    loop(plain, lambda z, batch: F.cross_entropy(z, y[batch]))
    soft = (plain(x) / 5).softmax(1).detach()
    loop(follower, lambda z, batch: F.cross_entropy(z, soft[batch]))
    torch.testing.assert_close(flat.ravel(teacher), flat.ravel(plain))
    torch.testing.assert_close(flat.ravel(student), flat.ravel(follower), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(teacher(x), plain(x))         # no hook is left: logits are whole again


@pytest.mark.slow
def test_distillation_hides_the_gradient_and_an_attacker_who_divides_by_t_finds_it(digits):
    train_set, test_set, plain = digits
    student = nets.mlp(64, 64, 10, rng=seeded(7))
    hardening.distillation(nets.mlp(64, 64, 10, rng=seeded(8)), student, train_set.x, train_set.y, temperature=50.0, epochs=30,
                           batch_size=32, lr=0.3, momentum=0.9, rng=seeded(9), progress=False)
    x, y, options = test_set.x, test_set.y, {"eps": 0.2, "step": 0.04, "steps": 20}
    assert train.evaluate(student, x, y)["accuracy"] > 0.9
    direct, knowing, copied = (evasion.success(student, x, evasion.pgd(net, x, y, **options), y)
                               for net in (student, lambda x: student(x) / 50, plain))
    assert direct < 0.4 < 0.6 < min(knowing, copied)


def test_rounded_scores_are_those_of_numpy_and_keep_the_class():
    told = torch.rand(20, 4, generator=seeded()).softmax(1)
    for decimals in (0, 1, 3):
        np.testing.assert_allclose(hardening.rounded(lambda x: told, decimals=decimals)(None), np.round(told.numpy(), decimals), atol=1e-6)
    assert torch.equal(hardening.rounded(lambda x: told, decimals=3)(None).argmax(1), told.argmax(1))
    with pytest.raises(ValueError, match="decimals=-1"):
        hardening.rounded(lambda x: told, decimals=-1)


def test_noise_is_fresh_for_each_answer_and_has_the_spread_asked_for():
    told = torch.full((5000, 2), 0.5)
    ask = hardening.noisy(lambda x: told, sigma=0.1, rng=seeded())
    first, second = ask(None) - told, ask(None) - told
    assert not torch.equal(first, second)
    assert float(first.mean()) == pytest.approx(0, abs=0.005) and float(first.std()) == pytest.approx(0.1, abs=0.003)


def test_bad_input_is_an_error_that_names_it():
    x, y = some()
    for share, labels in ((-0.1, y), (1.1, y), (0.5, y[:3])):
        with pytest.raises(ValueError, match=f"share={share}, 35 examples, {len(labels)} labels"):
            hardening.adversarial_training(nets.mlp(6, 8, 3, rng=seeded()), x, labels, attack=None, share=share, rng=seeded(), **QUIET)
    with pytest.raises(ValueError, match="temperature=0"):
        hardening.distillation(*(nets.mlp(6, 8, 3, rng=seeded()) for _ in range(2)), x, y, temperature=0, rng=seeded(), **QUIET)
