"""The steps against torch.optim, LARS against a loop over plain numbers."""
import math

import pytest
import torch

from odl_kit.learners import optimizers, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed
TORCH = {"sgd": (optimizers.sgd(), lambda p: torch.optim.SGD(p, lr=0.05)),
         "momentum": (optimizers.sgd(0.9), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
         "adam": (optimizers.adam(), lambda p: torch.optim.Adam(p, lr=0.05)),
         "adam with other options": (optimizers.adam(0.5, 0.9, 1e-3), lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.5, 0.9), eps=1e-3))}


@pytest.mark.parametrize("name", TORCH)
def test_steps_are_those_of_torch_optim(name):
    step, theirs = TORCH[name]
    a, b = (torch.ones(3, 2, requires_grad=True) for _ in range(2))
    optimizer, state = theirs([b]), None
    for t in range(20):
        g = torch.randn(3, 2, generator=seed(t))
        with torch.no_grad():
            state = step(a, g.clone(), state, 0.05)
        b.grad = g
        optimizer.step()
    assert torch.allclose(a, b, atol=1e-6) and not torch.equal(a.detach(), torch.ones(3, 2))


def test_lars_is_the_formula_of_the_paper_and_a_zero_vector_can_leave_zero():
    p, v, state = torch.tensor([3.0, 4.0]), [0.0, 0.0], None
    want = p.tolist()
    for t in range(5):
        g = torch.randn(2, generator=seed(t))
        length, slope = math.hypot(*want), math.hypot(*g.tolist())
        v = [0.9 * a + 0.5 * 0.02 * length / slope * b for a, b in zip(v, g.tolist(), strict=True)]
        want = [a - b for a, b in zip(want, v, strict=True)]
        state = optimizers.lars(0.02, 0.9)(p, g, state, 0.5)
    assert p.tolist() == pytest.approx(want, rel=1e-5)
    zero = torch.zeros(2)
    optimizers.lars(0.02)(zero, torch.tensor([0.0, 5.0]), None, 0.5)
    assert zero.tolist() == pytest.approx([0.0, -0.01])
    optimizers.lars()(zero, torch.zeros(2), None, 0.5)
    assert zero.isfinite().all()


def test_lars_steps_do_not_depend_on_the_units_of_the_weight():
    for unit in (1.0, 1e-3):
        p = torch.tensor([3.0, 4.0]) * unit
        optimizers.lars(0.1)(p, torch.tensor([1.0, 0.0]) / unit, None, 1.0)
        assert (p / unit).tolist() == pytest.approx([2.5, 4.0], rel=1e-5)


def test_cosine_rises_to_its_rate_and_falls_to_zero():
    rate = optimizers.cosine(0.2, warmup=0.1)
    shares = [k / 1000 for k in range(1000)]
    assert rate(0) == 0 and max(map(rate, shares)) == pytest.approx(rate(0.1)) and rate(0.999) < 1e-5
    assert optimizers.cosine(0.2, warmup=0)(0) == 0.2 and rate(0.5) == pytest.approx(0.1)


def test_fit_asks_the_rate_for_every_step_and_hands_it_to_the_optimizer():
    net, x, y = nets.softmax(4, 3, rng=seed(0)), torch.rand(10, 4, generator=seed(1)), torch.arange(10) % 3
    shares, rates = [], []

    def spy(p, g, state, lr):
        rates.append(lr)
        return (state or 0) + 1
    before = flat.ravel(net)
    train.fit(net, x, y, epochs=2, batch_size=4, lr=lambda share: shares.append(share) or share, optimizer=spy, rng=seed(2), progress=False)
    assert shares == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]) and rates[::2] == shares
    assert torch.equal(flat.ravel(net), before)
    with pytest.raises(ValueError, match=r"momentum=0.9 beside an optimizer: .* optimizers.sgd\(0.9\)"):
        train.fit(net, x, y, epochs=1, batch_size=4, lr=0.1, momentum=0.9, optimizer=spy, rng=seed(2))
