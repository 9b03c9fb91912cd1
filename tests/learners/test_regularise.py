import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from odl_kit.learners import regularise, train, transfer
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def small():
    """A net in double precision with inputs for it."""
    return nets.tiny_cnn(1, 3, width=2, rng=seed(0)).double(), torch.randn(5, 1, 4, 4, generator=seed(1)).double()


def test_the_fisher_information_is_that_of_finite_differences():
    net, x = small()
    w, h = flat.ravel(net), 1e-6

    def log_p(w):
        return functional_call(net, flat.unravel(net, w), (x,)).log_softmax(1).detach()
    p, slopes = log_p(w).exp(), []
    for i in range(len(w)):
        step = torch.zeros_like(w)
        step[i] = h
        slopes.append((log_p(w + step) - log_p(w - step)) / (2 * h))      # (N, K)
    expected = torch.stack([(p * slope ** 2).sum(1).mean() for slope in slopes])
    assert torch.allclose(regularise.fisher(net, x, batch_size=2), expected, rtol=1e-4, atol=1e-9)


def test_of_softmax_regression_it_is_the_closed_form():
    net = nets.softmax(4, 3, rng=seed(0))
    x = torch.randn(10, 4, generator=seed(1))
    p = net(x).softmax(1).detach()
    # d log p_k / d W_cj = (1[k = c] - p_c) x_j, and the expectation of its square over k is p_c (1 - p_c) x_j^2
    expected = torch.cat([((p * (1 - p)).T @ x.square() / 10).reshape(-1), (p * (1 - p)).mean(0)])
    assert torch.allclose(regularise.fisher(net, x), expected, rtol=1e-4, atol=1e-7)


def test_asking_for_it_leaves_the_net_as_it_was():
    net = nets.ds_cnn(1, 3, width=4, norm="batch", rng=seed(0)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert (regularise.fisher(net, torch.randn(4, 1, 6, 6, generator=seed(1))) >= 0).all() and net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_ewc_is_nothing_at_the_start_and_grows_as_the_formula_says():
    net, _ = small()
    w = flat.ravel(net)
    importance, step = torch.rand(len(w), generator=seed(2)).double(), torch.randn(len(w), generator=seed(3)).double()
    penalty = regularise.ewc(net, importance, pull=3.0)
    assert penalty(net).item() == 0
    flat.assign(net, w + step)
    expected = sum(3.0 / 2 * a * b ** 2 for a, b in zip(importance.tolist(), step.tolist(), strict=True))
    assert penalty(net).item() == pytest.approx(expected)
    assert regularise.ewc(flat.assign(net, w), 1.0, pull=2.0)(flat.assign(net, w + step)).item() == pytest.approx(float(step @ step))


def test_ewc_with_equal_importance_is_l2_sp_with_the_head():
    net = nets.mlp(4, 3, 2, rng=seed(0))
    equal, below = regularise.ewc(net, 1.0, pull=2.0), transfer.l2_sp(net, pull=2.0)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape, generator=seed(1)))
    start = nets.mlp(4, 3, 2, rng=seed(0))
    head = sum((a - b).square().sum() for a, b in zip(net[-1].parameters(), start[-1].parameters(), strict=True))
    assert equal(net).item() == pytest.approx((below(net) + head).item(), rel=1e-5)


def test_a_weight_that_matters_little_moves_more():
    net = nets.softmax(6, 2, rng=seed(0))
    x, y = torch.randn(64, 6, generator=seed(1)), torch.randint(2, (64,), generator=seed(2))
    importance, start = torch.tensor([10.0, 0.0] * 7), flat.ravel(net)
    train.fit(net, x, y, epochs=30, batch_size=None, lr=0.1, rng=seed(3), progress=False, penalty=regularise.ewc(net, importance, pull=1.0))
    moved = (flat.ravel(net) - start).abs()
    assert moved[importance > 0].mean() < 0.2 * moved[importance == 0].mean()


def test_lwf_is_the_divergence_from_what_the_net_said_before():
    net, x = small()
    said = net(x).detach()
    penalty = regularise.lwf(net, x, pull=0.7, temperature=2.0)
    assert penalty(net).item() == pytest.approx(0, abs=1e-9)
    flat.assign(net, flat.ravel(net) + 0.1)
    p, q = (F.softmax(logits / 2, 1) for logits in (said, net(x)))
    assert penalty(net).item() == pytest.approx(0.7 * 4 * (p * (p / q).log()).sum(1).mean().item(), rel=1e-6)


def test_each_penalty_holds_the_old_answers_and_costs_some_of_the_new():
    rng = seed(0)
    centres = torch.randn(3, 8, generator=rng)
    old_y, new_y = torch.arange(150) % 3, torch.arange(30) % 3
    old_x = centres[old_y] + 0.3 * torch.randn(150, 8, generator=rng)
    new_x = centres[new_y] + torch.tensor([2.0] * 4 + [-2.0] * 4) + 0.3 * torch.randn(30, 8, generator=rng)     # the same classes, moved
    net = nets.mlp(8, 16, 3, rng=rng)
    train.fit(net, old_x, old_y, epochs=20, batch_size=16, lr=0.1, rng=rng, progress=False)
    w, made = flat.ravel(net), {}
    penalties = {"none": None, "ewc": regularise.ewc(net, regularise.fisher(net, old_x), pull=300.0),
                 "all": regularise.ewc(net, 1.0, pull=3.0), "lwf": regularise.lwf(net, old_x, pull=3.0)}
    for name, penalty in penalties.items():
        flat.assign(net, w)
        train.fit(net, new_x, new_y, epochs=100, batch_size=None, lr=0.2, rng=seed(1), progress=False, penalty=penalty)
        made[name] = train.evaluate(net, old_x, old_y)["loss"], train.evaluate(net, new_x, new_y)["loss"]
    for name in ("ewc", "all", "lwf"):
        assert made[name][0] < made["none"][0] and made[name][1] > made["none"][1], made


@pytest.mark.parametrize("run, words", [
    (lambda net, x: regularise.fisher(net, x[:0]), "x has no examples"),
    (lambda net, x: regularise.ewc(net, 1.0, pull=-1.0), "pull=-1.0"),
    (lambda net, x: regularise.ewc(net, torch.ones(3), pull=1.0), r"importance is \(3,\)"),
    (lambda net, x: regularise.lwf(net, x, pull=-1.0), "pull=-1.0"),
    (lambda net, x: regularise.lwf(nets.ds_cnn(1, 2, norm="batch", rng=seed(0)), x), "the net has BatchNorm"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(*small())
