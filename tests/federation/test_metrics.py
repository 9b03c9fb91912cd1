import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics as sklearn

from odl_kit.federation import metrics


def scores(seed, n=200, *, ties=False):
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=rng)
    values = torch.randn(n, generator=rng) + y
    return (values * 2).round() / 2 if ties else values, y


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_log_loss_and_macro_f1_are_those_of_scikit_learn(seed):
    rng = torch.Generator().manual_seed(seed)
    outputs, y = torch.randn(90, 4, generator=rng), torch.randint(3, (90,), generator=rng)       # class 3 is predicted and never there
    guess = outputs.argmax(1)
    assert float(metrics.accuracy(outputs, y)) == pytest.approx(sklearn.accuracy_score(y, guess))
    assert float(metrics.log_loss(outputs, y)) == pytest.approx(sklearn.log_loss(y, outputs.double().softmax(1), labels=range(4)))
    assert float(metrics.macro_f1(outputs, y)) == pytest.approx(sklearn.f1_score(y, guess, average="macro"))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_auc_is_that_of_scikit_learn_with_ties_too(seed, ties):
    values, y = scores(seed, ties=ties)
    assert float(metrics.auc(values, y)) == pytest.approx(sklearn.roc_auc_score(y, values))
    assert float(metrics.auc(torch.stack([-values, values], 1), y)) == pytest.approx(sklearn.roc_auc_score(y, values))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_equal_error_rate_lies_on_the_roc_curve_where_both_errors_are_equal(seed, ties):
    values, y = scores(seed, ties=ties)
    let_in, accepted, _ = sklearn.roc_curve(y, values, drop_intermediate=False)
    expected = brentq(lambda rate: 1 - rate - interp1d(let_in, accepted)(rate), 0, 1) if ties else None
    value = float(metrics.equal_error_rate(values, y))
    if ties:
        assert value == pytest.approx(expected, abs=1e-9)
    else:       # a staircase: the two errors cross within one step of it
        nearest = np.abs((1 - accepted) - let_in).argmin()
        assert abs(value - let_in[nearest]) <= 1 / min(int((y == 1).sum()), int((y == 0).sum()))


def test_separated_scores_have_no_error_and_equal_ones_half():
    y = torch.tensor([0, 0, 1, 1])
    assert float(metrics.equal_error_rate(torch.tensor([0.1, 0.2, 0.8, 0.9]), y)) == 0
    assert float(metrics.equal_error_rate(torch.ones(4), y)) == 0.5
    assert float(metrics.equal_error_rate(torch.tensor([0.8, 0.9, 0.1, 0.2]), y)) == 1
    assert float(metrics.auc(torch.ones(4), y)) == 0.5


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], [0, 1, 2]])
def test_a_rate_of_two_classes_needs_both_and_no_third(y):
    for metric in (metrics.auc, metrics.equal_error_rate):
        with pytest.raises(ValueError, match="class 0 and of class 1"):
            metric(torch.randn(3), torch.tensor(y))


def test_a_metric_is_declared_per_example_only_if_weighting_gives_the_pooled_value():
    outputs, y = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    y[:15] = 0
    for metric in metrics.METRICS.values():
        parts = sum(n / 60 * float(metric.of(outputs[i:i + n], y[i:i + n])) for i, n in ((0, 40), (40, 20)))
        assert (abs(parts - float(metric.of(outputs, y))) < 1e-9) == metric.per_example, metric.name
