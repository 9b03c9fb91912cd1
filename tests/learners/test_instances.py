"""Density ratios against closed forms; TrAdaBoost against a loop written from the paper with scikit-learn's stumps."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from odl_kit.learners import instances

seed = torch.Generator().manual_seed


def test_the_ratio_of_two_gaussians_is_the_closed_form():
    """Unit variances, means 0 and d: p_T(x) / p_S(x) = exp(d x - d^2 / 2). The sides are of unequal size."""
    d, source, target = 1.0, torch.randn(4000, 1, generator=seed(0)), torch.randn(1000, 1, generator=seed(1)) + 1
    found = instances.density_ratio(source, target)
    exact = torch.exp(d * source[:, 0] - d * d / 2)
    usual = source[:, 0].abs() < 2
    assert torch.allclose(found[usual].log(), exact[usual].log(), atol=0.25)
    assert found.mean().item() == pytest.approx(1, abs=0.1) and found.dtype == torch.float32


def test_weighted_by_the_ratio_the_source_has_the_mean_of_the_target():
    source, target = torch.randn(3000, 2, generator=seed(2)), torch.randn(3000, 2, generator=seed(3)) * 1 + torch.tensor([0.7, -0.4])
    w = instances.density_ratio(source, target)
    assert torch.allclose((w[:, None] * source).sum(0) / w.sum(), target.mean(0), atol=0.1)


def test_where_both_sides_are_alike_all_count_the_same_and_a_strong_pull_makes_sure():
    source, target = torch.randn(500, 3, generator=seed(0)), torch.randn(400, 3, generator=seed(1))
    assert instances.effective_size(instances.density_ratio(source, target)) > 450
    far = target + 2
    loose, tight = (instances.effective_size(instances.density_ratio(source, far, strength=s)) for s in (0.01, 1000))
    assert loose < 100 < tight


def test_the_effective_size_counts_equal_weights_and_one_alone():
    assert instances.effective_size(torch.full((7,), 0.3)) == pytest.approx(7)
    assert instances.effective_size(torch.tensor([0.0, 5, 0])) == pytest.approx(1)
    assert instances.effective_size(torch.tensor([1.0, 1, 2])) == pytest.approx(16 / 6)


def stump(x, y, weights):
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
    return lambda new: torch.from_numpy(tree.predict(new.numpy())).double()


def from_the_paper(source_x, source_y, target_x, target_y, rounds, asked):
    """Dai et al. 2007, algorithm 1, word for word, one example at a time; the error bounded as ours. Answers for `asked`."""
    x, c, n, m = np.concatenate([source_x, target_x]), np.concatenate([source_y, target_y]), len(source_x), len(target_x)
    w, beta, kept = [1.0] * (n + m), 1 / (1 + math.sqrt(2 * math.log(n) / rounds)), []
    for t in range(1, rounds + 1):
        p = [v / sum(w) for v in w]
        h = DecisionTreeClassifier(max_depth=1, random_state=0).fit(x, c, sample_weight=np.array(p) * (n + m))
        said = h.predict(x)
        e = sum(w[i] * abs(said[i] - c[i]) for i in range(n, n + m)) / sum(w[n:])
        e = min(max(e, 1 / (2 * m)), 0.5)
        beta_t = e / (1 - e)
        w = [w[i] * beta ** abs(said[i] - c[i]) if i < n else w[i] * beta_t ** -abs(said[i] - c[i]) for i in range(n + m)]
        if t >= math.ceil(rounds / 2):
            kept.append((beta_t, h))
    answers = []
    for row in asked:
        left = math.prod(beta_t ** -float(h.predict(row[None])[0]) for beta_t, h in kept)
        right = math.prod(beta_t ** -0.5 for beta_t, _ in kept)
        answers.append(int(left >= right * (1 - 1e-12)))
    return answers, [v / sum(w) for v in w]


@settings(max_examples=12, deadline=None)
@given(n=st.integers(5, 30), m=st.integers(2, 12), rounds=st.integers(1, 9), s=st.integers(0, 99))
def test_tradaboost_is_algorithm_1_of_the_paper(n, m, rounds, s):
    x = torch.randn(n + m + 10, 3, generator=seed(s)).double()
    y = (x[:, 0] + 0.3 * torch.randn(len(x), generator=seed(s + 1)) > 0).long()
    y[:n // 3] = 1 - y[:n // 3]                                              # a part of the source follows other rules
    y[0], y[n] = 0, 1
    found = instances.tradaboost(x[:n], y[:n], x[n:n + m], y[n:n + m], rounds=rounds, learn=stump)
    answers, shares = from_the_paper(x[:n].numpy(), y[:n].numpy(), x[n:n + m].numpy(), y[n:n + m].numpy(), rounds, x[n + m:].numpy())
    assert instances.predict(found, x[n + m:]).tolist() == answers
    assert torch.allclose(found.shares[-1], torch.tensor(shares).double(), atol=1e-9)
    assert found.shares.shape == (rounds + 1, n + m) and len(found.votes) == rounds - math.ceil(rounds / 2) + 1


def test_examples_of_other_rules_lose_their_say():
    """A quarter of the source has its labels turned round."""
    shares, alone, pooled = [], [], []
    for s in range(10):
        x = torch.randn(1262, 10, generator=seed(s))
        y = (x[:, :2].sum(1) > 0).long()
        y[:60] = 1 - y[:60]
        found = instances.tradaboost(x[:250], y[:250], x[250:262], y[250:262], rounds=20)
        shares.append((found.shares[-1, :60].mean() / found.shares[-1, 60:250].mean()).item())
        right = (instances.predict(found, x[262:]) == y[262:]).float().mean().item()
        for kept, start in ((alone, 250), (pooled, 0)):
            judge = LogisticRegression().fit(x[start:262].numpy(), y[start:262].numpy())
            kept.append(right - judge.score(x[262:].numpy(), y[262:].numpy()))
    assert max(shares) < 0.4 and sum(alone) / 10 > 0.05 and sum(pooled) / 10 > -0.02, (shares, alone, pooled)


def test_target_examples_of_one_class_alone_are_answered_with_that_class():
    x, y = torch.randn(8, 2, generator=seed(0)), torch.ones(8, dtype=torch.int64)
    found = instances.tradaboost(x[:4], y[:4], x[4:], y[4:], rounds=3)
    assert instances.predict(found, torch.randn(5, 2, generator=seed(1))).tolist() == [1] * 5


@pytest.mark.parametrize("run, words", [
    (lambda x, y: instances.density_ratio(x, x[:, :1]), r"target is \(6, 1\)"),
    (lambda x, y: instances.density_ratio(x[:0], x), "at least one each"),
    (lambda x, y: instances.tradaboost(x, y + 1, x, y, rounds=3), r"labels \[0, 1, 2\]: .* labels 0 and 1"),
    (lambda x, y: instances.tradaboost(x, y, x[:0], y[:0], rounds=3), "6 source and 0 target examples"),
    (lambda x, y: instances.tradaboost(x, y, x, y, rounds=0), "rounds=0"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(torch.randn(6, 2, generator=seed(0)), torch.arange(6) % 2)
