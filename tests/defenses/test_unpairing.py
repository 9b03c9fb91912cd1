"""Oracles: softmax regression, whose input gradient is known; a loop; finite differences of the penalty; what PGD does with the copy."""
import copy

import pytest
import torch
from torch.nn import functional as F

from odl_kit.data import datasets
from odl_kit.defenses import unpairing
from odl_kit.learners import optimizers, train
from odl_kit.models import flat, nets
from odl_kit.threats import evasion


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(make=lambda seed: nets.mlp(6, 8, 3, rng=seeded(seed))):
    rng = seeded(1)
    return make(2), make(3), torch.rand(12, 6, generator=rng), torch.randint(3, (12,), generator=rng)


def test_alignment_of_linear_nets_is_the_cosine_of_their_known_gradients():
    a, b, x, y = pair(lambda seed: nets.softmax(6, 3, rng=seeded(seed)))

    def gradient(net):              # dL/dx = W^T (p - e_y)
        return ((net(x).softmax(1) - F.one_hot(y, 3)) @ net.head.weight).detach()
    known = [(g @ h / (g.norm() * h.norm())).item() for g, h in zip(gradient(a), gradient(b), strict=True)]
    torch.testing.assert_close(unpairing.alignment(a, b, x, y), torch.tensor(known), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(unpairing.alignment(a, a, x, y), torch.ones(12))
    assert (unpairing.alignment(lambda x: 0 * a(x), b, x, y) == 0).all()


def test_the_penalty_is_the_weighted_mean_of_cosines_above_zero():
    a, b, x, y = pair()
    cosines = [float(unpairing.alignment(a, b, x[i:i + 1], y[i:i + 1])) for i in range(12)]
    assert min(cosines) < 0 < max(cosines)
    assert float(unpairing.penalty(b, x, y, weight=0.3)(a).detach()) == pytest.approx(0.3 * sum(max(0, c) for c in cosines) / 12, rel=1e-4)


def test_its_gradient_is_that_of_finite_differences_and_does_not_reach_the_reference():
    a, b, x, y = pair()
    a, b, x = a.double(), b.double(), x.double()
    value, w, direction = unpairing.penalty(b, x, y, weight=1.0), flat.ravel(a), torch.randn(83, generator=seeded(5)).double()
    value(a).backward()
    slope = torch.cat([p.grad.flatten() for p in a.parameters()]) @ direction
    forth, back = (float(value(flat.assign(a, w + side * 1e-6 * direction)).detach()) for side in (1, -1))
    assert float(slope) == pytest.approx((forth - back) / 2e-6, rel=1e-4) and abs(slope) > 1e-3
    assert all(p.grad is None for p in b.parameters())


def test_examples_are_drawn_afresh_for_each_step_and_alike_for_one_seed():
    a, b, x, y = pair()
    values = [[float(penalty(a).detach()) for _ in range(4)]
              for penalty in (unpairing.penalty(b, x, y, weight=1.0, batch_size=3, rng=seeded(7)) for _ in range(2))]
    assert values[0] == values[1] and len(set(values[0])) > 1


@pytest.mark.slow
def test_an_unpaired_copy_is_a_poorer_map_of_the_big_net_and_reads_about_as_well():
    rng = seeded()
    train_set, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
    big = nets.mlp(64, 64, 10, rng=rng)
    train.fit(big, train_set.x, train_set.y, epochs=20, batch_size=32, lr=0.1, momentum=0.9, rng=rng, progress=False)
    apart = {}
    for weight in (0.0, 0.3):
        apart[weight] = copy.deepcopy(big)
        train.fit(apart[weight], train_set.x, train_set.y, epochs=15, batch_size=64, lr=optimizers.cosine(0.01),
                  optimizer=optimizers.adam(), rng=rng, progress=False,
                  penalty=unpairing.penalty(big, train_set.x, train_set.y, weight=weight, batch_size=128, rng=rng))
    x, y = test_set.x, test_set.y
    carried = {weight: evasion.success(big, x, evasion.pgd(net, x, y, eps=0.15, step=0.03, steps=20), y) for weight, net in apart.items()}
    assert carried[0.3] < carried[0.0] - 0.2
    assert train.evaluate(apart[0.3], x, y)["accuracy"] > train.evaluate(big, x, y)["accuracy"] - 0.04


def test_bad_input_is_an_error_that_names_it():
    a, b, x, y = pair()
    for size, rng in ((0, seeded()), (3, None)):
        with pytest.raises(ValueError, match=f"batch_size={size}"):
            unpairing.penalty(b, x, y, weight=1.0, batch_size=size, rng=rng)
