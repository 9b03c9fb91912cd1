"""Oracles: a target whose loss is linear (closed form), a loop over single probes, autograd, and a target that counts."""
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from odl_kit.models import nets
from odl_kit.threats import estimation, evasion, queries

OPTIONS = {"eps": 0.3, "step": 0.1, "steps": 6, "directions": 4}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def target(seed=0):
    """A net of random weights, ten points that it reads right, and a function that counts what it is asked."""
    net, rng = nets.mlp(12, 16, 3, rng=seeded(seed)), seeded(seed + 1)
    x = 0.3 + 0.4 * torch.rand(10, 1, 3, 4, generator=rng)
    asked = []

    def scores(points):
        asked.append(len(points))
        assert points.min() >= 0 and points.max() <= 1
        return queries.scores(net)(points)
    return net, x, net(x).argmax(1), scores, asked


def test_where_the_loss_is_linear_the_estimate_is_the_mean_of_slope_times_direction():
    a = torch.tensor([0.3, -0.2, 0.5])

    def scores(x):                                      # -log p_0 = 1 + a x
        p = torch.exp(-1 - x @ a)
        return torch.stack([p, 1 - p], 1)
    x, y = torch.full((2, 3), 0.5, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    a = a.double()
    mine = estimation.estimate(scores, x, y, directions=5, sigma=0.01, rng=seeded(7))
    u = torch.randn(2, 5, 3, generator=seeded(7)).to(x)
    torch.testing.assert_close(mine, ((u @ a)[:, :, None] * u).mean(1), rtol=1e-6, atol=1e-9)


def test_the_estimate_is_the_loop_over_single_probes():
    net, x, y, scores, asked = target()
    mine = estimation.estimate(scores, x, y, directions=3, sigma=0.05, rng=seeded(5))
    u = torch.randn(10, 3, 1, 3, 4, generator=seeded(5))
    for i in range(10):
        total = torch.zeros(1, 3, 4)
        for k in range(3):
            forth, back = (F.cross_entropy(net((x[i] + side * 0.05 * u[i, k]).clamp(0, 1)[None]), y[i:i + 1]) for side in (1, -1))
            total += (forth - back).detach() * u[i, k]
        torch.testing.assert_close(mine[i], total / (2 * 3 * 0.05), rtol=1e-3, atol=1e-4)
    assert sum(asked) == 10 * 2 * 3


def test_with_many_directions_it_comes_near_the_gradient():
    net, x, y, scores, _ = target()
    mine = estimation.estimate(scores, x, y, directions=3000, sigma=0.005, rng=seeded(6))
    assert (F.cosine_similarity(mine.flatten(1), evasion.input_gradient(net, x, y).flatten(1)) > 0.95).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_prior_is_followed_uphill_even_if_it_points_down(sign):
    net, x, y, scores, _ = target()
    true = evasion.input_gradient(net, x, y)
    mine = estimation.estimate(scores, x, y, directions=1, sigma=0.005, prior=lambda x, y: sign * true, mix=1.0, rng=seeded(6))
    assert (F.cosine_similarity(mine.flatten(1), true.flatten(1)) > 0.999).all()


def test_a_good_prior_makes_the_estimate_better_and_no_prior_leaves_it_as_it_is():
    net, x, y, scores, _ = target()
    true = evasion.input_gradient(net, x, y)

    def cosine(**options):
        mine = estimation.estimate(scores, x, y, directions=2, sigma=0.005, rng=seeded(6), **options)
        return F.cosine_similarity(mine.flatten(1), true.flatten(1))
    hint = true + 0.5 * true.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * torch.randn(true.shape, generator=seeded(9)) / 12 ** 0.5
    assert (cosine(prior=lambda x, y: hint, mix=0.5) > cosine()).double().mean() >= 0.8
    assert torch.equal(cosine(prior=lambda x, y: torch.zeros_like(x)), cosine())


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_a_turned_direction_has_the_length_of_a_drawn_one_and_the_part_asked_for_along_the_prior(mix):
    u, v = torch.randn(4, 5, 9, generator=seeded(1)), torch.randn(4, 9, generator=seeded(2))
    turned = estimation._turned(u, v, mix)
    torch.testing.assert_close(turned.norm(dim=2), torch.full((4, 5), 3.0))
    cosine = F.cosine_similarity(turned, v[:, None].expand_as(u), dim=2)
    torch.testing.assert_close(cosine, torch.full((4, 5), mix ** 0.5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prior", [False, True])
def test_the_queries_told_are_those_that_were_asked_and_success_is_the_targets_word(prior):
    net, x, y, scores, asked = target()
    found = estimation.nes(scores, x, y, **OPTIONS, prior=partial(evasion.input_gradient, net) if prior else None, rng=seeded(3))
    assert found.success.any() and int(found.queries.sum()) == sum(asked)
    assert torch.equal(found.success, net(found.x).argmax(1) != y)
    assert (found.x - x).abs().max() <= 0.3 + 1e-6
    assert (found.queries[~found.success] == 1 + 6 * 9).all() and ((found.queries - 1) % 9 == 0).all()


def test_what_is_read_wrong_at_once_costs_one_query_and_stays():
    net, x, y, scores, asked = target()
    found = estimation.nes(scores, x, (y + 1) % 3, **OPTIONS, rng=seeded(3))
    assert found.success.all() and (found.queries == 1).all() and torch.equal(found.x, x) and asked == [10]


def test_a_start_that_already_fools_is_one_query_and_is_held_in_the_ball():
    net, x, y, scores, _ = target()
    sure = evasion.pgd(net, x, y, eps=0.3, step=0.1, steps=10)
    found = estimation.nes(scores, x, y, **OPTIONS, start=sure, rng=seeded(3))
    fooled = net(sure).argmax(1) != y
    assert fooled.any() and (found.queries[fooled] == 1).all()
    far = estimation.nes(scores, x, y, **OPTIONS, start=1 - x.round(), rng=seeded(3))
    assert (far.x - x).abs().max() <= 0.3 + 1e-6


def test_scores_that_do_not_move_teach_nothing():
    net, x, y, _, _ = target()

    def deaf(points):
        return F.one_hot(queries.scores(net)(points).argmax(1), 3).float()
    assert (estimation.estimate(deaf, x, y, directions=5, sigma=0.001, rng=seeded()) == 0).all()


@pytest.mark.parametrize(("wrong", "says"), [
    ({"steps": 0}, "steps=0"), ({"directions": 0}, "directions=0"), ({"eps": -1}, "eps at least 0")])
def test_bad_input_is_an_error_that_names_it(wrong, says):
    _, x, y, scores, _ = target()
    with pytest.raises(ValueError, match=says):
        estimation.nes(scores, x, y, **{**OPTIONS, **wrong}, rng=seeded())
    for name, value in (("sigma", 0), ("mix", 1.5)):
        with pytest.raises(ValueError, match=f"{name}={value}"):
            estimation.nes(scores, x, y, **OPTIONS, **{name: value}, rng=seeded())
