"""Adaptation without labels, held against torch's own training mode, closed forms, finite differences and folding."""
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from odl_kit.learners import domains, optimizers, train
from odl_kit.models import flat, fold, nets

seed = torch.Generator().manual_seed


def trained(x, y, *, width=8):
    """A small net with norms that has learned something, so that its statistics are not 0 and 1."""
    net = nets.ds_cnn(1, 3, width=width, norm="batch", rng=seed(0))
    train.fit(net, x, y, epochs=3, batch_size=16, lr=0.05, momentum=0.9, rng=seed(1), progress=False)
    return net


@pytest.fixture(scope="module")
def net():
    x = torch.rand(96, 1, 8, 8, generator=seed(2))
    return trained(x, (x.mean((1, 2, 3)) * 6).long() % 3)


@pytest.fixture(scope="module")
def new():
    return 0.3 * torch.rand(40, 1, 8, 8, generator=seed(3)) + 0.6


def norms(net):
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def test_adapted_norms_answer_as_torch_does_for_the_whole_batch_in_training_mode(net, new):
    adapted = domains.adapt_norms(net, new)
    with torch.no_grad():
        assert torch.allclose(adapted(new), domains.copy.deepcopy(net).train()(new), atol=1e-4)
        assert not torch.allclose(adapted(new), net.eval()(new), atol=0.1)


def test_no_weight_of_the_net_or_its_copy_changes_and_the_old_net_keeps_its_statistics(net, new):
    before = [norm.running_mean.clone() for norm in norms(net)]
    adapted = domains.adapt_norms(net, new)
    assert torch.equal(flat.ravel(adapted), flat.ravel(net))
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms(net), before, strict=True))


@settings(max_examples=10, deadline=None)
@given(examples=st.integers(0, 500), n=st.integers(2, 30))
def test_old_statistics_count_for_as_many_examples_as_one_says(examples, n):
    net, x = nets.ds_cnn(1, 3, norm="batch", rng=seed(0)), torch.rand(n, 1, 8, 8, generator=seed(examples))
    net.stem_norm.running_mean.fill_(2.0)
    adapted, z = domains.adapt_norms(net, x, source_examples=examples).stem_norm, net.stem(x).detach().double()
    old, share = examples / (examples + n), n / (examples + n)
    mean = z.permute(1, 0, 2, 3).flatten(1).mean(1)
    assert torch.allclose(adapted.running_mean.double(), old * 2 + share * mean, atol=1e-5)
    assert torch.allclose(adapted.running_var.double(), old + share * z.permute(1, 0, 2, 3).flatten(1).var(1, correction=0), atol=1e-5)


def test_later_norms_see_what_adapted_earlier_ones_make(net, new):
    adapted = domains.adapt_norms(net, new, source_examples=20)
    seen = []
    handle = adapted.pointwise2.register_forward_hook(lambda module, inputs, output: seen.append(output))
    adapted(new)
    handle.remove()
    expected = (20 * net.pointwise2_norm.running_mean + 40 * seen[0].mean((0, 2, 3))) / 60
    assert torch.allclose(adapted.pointwise2_norm.running_mean, expected, atol=1e-5)


def test_an_adapted_net_can_be_folded(net, new):
    adapted = domains.adapt_norms(net, new)
    with torch.no_grad():
        assert torch.allclose(fold.fold(adapted)(new), adapted(new), atol=1e-4)


def test_a_flat_picture_is_undone_and_the_labels_are_never_asked():
    x = torch.rand(200, 1, 8, 8, generator=seed(0))
    x[:100, :, :4] = 0
    y = torch.arange(200) // 100
    net = nets.ds_cnn(1, 2, norm="batch", rng=seed(0))
    train.fit(net, x, y, epochs=5, batch_size=20, lr=0.05, momentum=0.9, rng=seed(1), progress=False)
    flat_x = 0.5 + 0.2 * (x - 0.5)
    assert train.evaluate(domains.adapt_norms(net, flat_x), flat_x, y)["accuracy"] == train.evaluate(net, x, y)["accuracy"] == 1


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 6), c=st.integers(2, 7), s=st.integers(0, 99), scale=st.floats(0.1, 50))
def test_entropy_is_that_of_scipy(n, c, s, scale):
    logits = scale * torch.randn(n, c, generator=seed(s)).double()
    expected = scipy.stats.entropy(scipy.special.softmax(logits.numpy(), 1), axis=1)
    assert np.allclose(domains.entropy(logits), expected, atol=1e-9)


def test_entropy_is_zero_when_sure_and_ln_c_without_an_idea():
    assert domains.entropy(torch.tensor([[100.0, 0, 0], [7.0, 7, 7]])).tolist() == pytest.approx([0, math.log(3)], abs=1e-6)


def test_a_step_of_tent_goes_down_the_finite_difference_slope_of_the_entropy(net, new):
    net = domains.copy.deepcopy(net).double()
    x, rate, eps = new.double(), 1e-3, 1e-5
    after = domains.tent(net, x, epochs=1, batch_size=len(x), lr=rate, optimizer=optimizers.sgd(), rng=seed(0))
    for part in ("weight", "bias"):
        for channel in range(3):
            entropies = []
            for sign in (1, -1):
                moved = domains.copy.deepcopy(net).train()
                with torch.no_grad():
                    getattr(moved.pointwise1_norm, part)[channel] += sign * eps
                    entropies.append(domains.entropy(moved(x)).mean().item())
            slope = (entropies[0] - entropies[1]) / (2 * eps)
            step = getattr(after.pointwise1_norm, part)[channel] - getattr(net.pointwise1_norm, part)[channel]
            assert step.item() == pytest.approx(-rate * slope, rel=1e-3, abs=1e-9)


def test_tent_changes_gains_and_shifts_alone_and_makes_the_net_surer(net, new):
    after = domains.tent(net, new, epochs=3, batch_size=20, lr=0.01, rng=seed(0))
    changed = {name for (name, p), q in zip(after.named_parameters(), net.parameters(), strict=True) if not torch.equal(p, q)}
    assert changed == {f"{name}_norm.{part}" for name in ("stem", "depthwise1", "pointwise1", "depthwise2", "pointwise2")
                       for part in ("weight", "bias")}
    with torch.no_grad():
        assert domains.entropy(after.eval()(new)).mean() < domains.entropy(domains.adapt_norms(net, new)(new)).mean()


def test_tent_repeats_with_its_seed_and_leaves_out_a_last_batch_of_one(net, new):
    a, b, c = (domains.tent(net, new[:21], epochs=2, batch_size=20, lr=0.01, rng=seed(s)) for s in (0, 0, 1))
    assert torch.equal(flat.ravel(a), flat.ravel(b)) and not torch.equal(flat.ravel(a), flat.ravel(c))
    assert torch.isfinite(flat.ravel(a)).all()


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), m=st.integers(2, 30), d=st.integers(1, 5), s=st.integers(0, 99))
def test_matched_moments_are_those_of_the_other_side(n, m, d, s):
    x, like = torch.randn(n, d, generator=seed(s)).double(), 3 * torch.randn(m, d, generator=seed(s + 1)).double() + 5
    out = domains.match_moments(x, like)
    assert torch.allclose(out.mean(0), like.mean(0)) and torch.allclose(out.std(0), like.std(0), rtol=1e-3)
    assert torch.allclose(torch.corrcoef(torch.cat([x, out], 1).T)[range(d), range(d, 2 * d)] if n > 2 else torch.ones(d).double(),
                          torch.ones(d).double(), atol=1e-3)


def test_a_value_that_never_changes_gets_the_other_mean():
    assert domains.match_moments(torch.full((3, 1), 7.0), torch.tensor([[1.0], [3.0]])).tolist() == [[2.0]] * 3


@settings(max_examples=25, deadline=None)
@given(d=st.integers(1, 5), s=st.integers(0, 99))
def test_coral_gives_the_mean_and_covariance_of_the_other_side(d, s):
    mix = torch.randn(d, d, generator=seed(s)).double() + 2 * torch.eye(d)
    x, like = torch.randn(60, d, generator=seed(s + 1)).double(), torch.randn(40, d, generator=seed(s + 2)).double() @ mix + 3
    out = domains.coral(x, like, ridge=0.0)
    assert torch.allclose(out.mean(0), like.mean(0)) and torch.allclose(torch.cov(out.T), torch.cov(like.T), atol=1e-6)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_coral_is_the_algorithm_of_the_paper_with_matrix_square_roots(ridge):
    x, like = torch.randn(30, 4, generator=seed(0)).double(), torch.randn(20, 4, generator=seed(1)).double() * torch.arange(1, 5)
    c_s, c_t = (np.cov(part.numpy().T) + ridge * np.eye(4) for part in (x, like))
    white = (x - x.mean(0)).numpy() @ np.linalg.inv(scipy.linalg.sqrtm(c_s))
    assert np.allclose(domains.coral(x, like, ridge=ridge), white @ scipy.linalg.sqrtm(c_t) + like.mean(0).numpy(), atol=1e-8)


def test_one_value_recoloured_is_one_value_matched():
    x, like = torch.randn(30, 1, generator=seed(0)), 4 * torch.randn(20, 1, generator=seed(1)) - 2
    assert torch.allclose(domains.coral(x, like, ridge=0.0), domains.match_moments(x, like), atol=1e-4)


@pytest.mark.parametrize("run, words", [
    (lambda: domains.adapt_norms(nets.mlp(4, 3, 2, rng=seed(0)), torch.zeros(3, 4)), "no BatchNorm2d with statistics.*match_moments"),
    (lambda: domains.adapt_norms(nets.ds_cnn(1, 2, norm="batch", rng=seed(0)), torch.zeros(1, 1, 8, 8)), "1 examples.*two examples"),
    (lambda: domains.adapt_norms(nets.ds_cnn(1, 2, norm="batch", rng=seed(0)), torch.zeros(3, 1, 8, 8), source_examples=-1), "0 or more"),
    (lambda: domains.tent(nets.ds_cnn(1, 2, rng=seed(0)), torch.zeros(4, 1, 8, 8), epochs=1, batch_size=2, lr=0.1, rng=seed(0)), "fold"),
    (lambda: domains.tent(nets.ds_cnn(1, 2, norm="batch", rng=seed(0)), torch.zeros(4, 1, 8, 8), epochs=1, batch_size=1, lr=0.1,
                          rng=seed(0)), "batch_size=1: a batch needs two"),
    (lambda: domains.coral(torch.zeros(3, 2), torch.zeros(3, 4)), r"x is \(3, 2\), like is \(3, 4\)"),
    (lambda: domains.coral(torch.zeros(3, 2), torch.zeros(3, 2), ridge=0.0), "no inverse; give ridge=0.01"),
    (lambda: domains.coral(torch.zeros(3, 2), torch.zeros(3, 2), ridge=-1.0), "ridge=-1.0"),
    (lambda: domains.match_moments(torch.zeros(1, 2), torch.zeros(3, 2)), "at least two examples each"),
])
def test_what_cannot_be_adapted_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
