"""Learners on a stream against closed forms and a loop; pruned trees against scikit-learn's own costs; bytes against arrays."""
import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from odl_kit.models import classical

x, y = load_iris(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x, y = ((x - x.mean(0)) / x.std(0))[order], y[order]
LEARNERS = {"naive Bayes": classical.naive_bayes, "logistic": classical.logistic, "svm": classical.linear_svm,
            "tree": lambda: classical.RebuiltTree(60, max_leaves=8)}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_gets_better_on_a_stream(name):
    learner = LEARNERS[name]().partial_fit(x[:10], y[:10], classes=range(3))
    before = (learner.predict(x[-60:]) == y[-60:]).mean()
    said = classical.stream(learner, x[10:], y[10:])
    assert (said[-60:] == y[-60:]).mean() > max(0.7, before + 0.02)


def test_stream_predicts_before_it_learns():
    class Parrot:
        last = -1

        def partial_fit(self, x, y):
            self.last = y[-1]

        def predict(self, x):
            return np.full(len(x), self.last)

    y = np.arange(7)
    assert classical.stream(Parrot(), np.zeros((7, 1)), y).tolist() == [-1, 0, 1, 2, 3, 4, 5]
    assert classical.stream(Parrot(), np.zeros((7, 1)), y, batch=3).tolist() == [-1, -1, -1, 2, 2, 2, 5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LEARNERS)
def test_tensors_and_arrays_of_either_precision_are_taken(name, dtype):
    a, b = torch.as_tensor(x, dtype=dtype), torch.as_tensor(y)
    learner = LEARNERS[name]().partial_fit(a[:10].numpy(), b[:10].numpy(), classes=range(3))
    assert classical.stream(learner, a[10:], b[10:], batch=7).shape == (140,)


def test_naive_bayes_has_the_same_statistics_in_batches_as_all_at_once():
    learner, whole = classical.naive_bayes(smoothing=0), GaussianNB(var_smoothing=0).fit(x, y)
    for start in range(0, len(x), 15):
        learner.partial_fit(x[start:start + 15], y[start:start + 15], classes=range(3))
    assert np.allclose(learner.theta_, whole.theta_) and np.allclose(learner.var_, whole.var_)


def test_linear_regression_takes_the_least_mean_squares_step():
    learner = classical.linear_regression(lr=0.1).partial_fit(x[:1], y[:1])
    w, b = np.zeros(4), 0.0
    for row, target in zip(x, y, strict=True):
        error = row @ w + b - target
        w, b = w - 0.1 * error * row, b - 0.1 * error
    classical.stream(learner, x[1:], y[1:])
    assert np.allclose(learner.coef_, w) and np.allclose(learner.intercept_, b)


def test_a_rebuilt_tree_is_the_tree_of_its_last_examples():
    learner = classical.RebuiltTree(50, max_leaves=6).partial_fit(x[:10], y[:10])
    classical.stream(learner, x[10:], y[10:], batch=9)
    fresh = DecisionTreeClassifier(max_leaf_nodes=6, random_state=0).fit(x[-50:].astype(np.float32), y[-50:])
    assert np.array_equal(learner.predict(x), fresh.predict(x)) and len(learner.x) == 50


def test_summary_is_what_numpy_says():
    window = torch.randn(4, 3, 20, generator=torch.Generator().manual_seed(0))
    a = window.numpy()
    expected = np.concatenate([a.mean(2), a.std(2), a.min(2), a.max(2), np.abs(np.diff(a, axis=2)).mean(2)], 1)
    assert np.allclose(classical.summary(window), expected, atol=1e-6) and classical.summary(window).shape == (4, 15)


def test_each_pruned_tree_is_cheapest_at_its_own_alpha():
    noisy = np.where(np.random.default_rng(1).random(len(y)) < 0.2, np.roll(y, 1), y)
    trees = classical.pruned_trees(x, noisy)
    leaves = [tree.get_n_leaves() for tree in trees]
    assert leaves == sorted(leaves, reverse=True) and leaves[-1] == 1 and leaves[0] == DecisionTreeClassifier(random_state=0).fit(
        x.astype(np.float32), noisy).get_n_leaves()

    def cost(tree, alpha):
        at, nodes = tree.apply(x.astype(np.float32)), tree.tree_
        return sum(nodes.impurity[leaf] * (at == leaf).mean() for leaf in np.unique(at)) + alpha * tree.get_n_leaves()
    for mine in trees:
        assert cost(mine, mine.ccp_alpha) <= min(cost(other, mine.ccp_alpha) for other in trees) + 1e-9
    assert len(classical.pruned_trees(x, noisy, most=3)) == 4


def test_the_bytes_of_a_c_program_are_the_learners_own_numbers():
    learner = classical.naive_bayes().partial_fit(x, y, classes=range(3))
    assert classical.memory_report(learner).weights == 4 * (learner.theta_.size + learner.var_.size + 3) == 4 * (3 * 4 * 2 + 3)
    for make in (classical.logistic, classical.linear_svm):
        assert classical.memory_report(make().partial_fit(x, y, classes=range(3))).weights == 4 * (3 * 4 + 3)
    assert classical.memory_report(classical.linear_regression().partial_fit(x, y)).weights == 4 * 5
    tree = classical.RebuiltTree(40, max_leaves=4).partial_fit(x, y)
    report = classical.memory_report(tree, batch=8)
    assert report.weights == 7 * (2 * tree.tree.get_n_leaves() - 1)                # a binary tree
    assert report.saved_activations == 40 * (4 * 4 + 1) and report.workspace == 8 * (4 * 4 + 1)
    assert report.peak == report.weights + report.saved_activations + report.workspace


def test_scikit_learns_arrays_are_counted():
    learner = classical.logistic().partial_fit(x, y, classes=range(3))
    assert classical.arrays_bytes(learner) >= learner.coef_.nbytes + learner.intercept_.nbytes
    tree = classical.RebuiltTree(40).partial_fit(x, y)
    assert classical.arrays_bytes(tree) >= tree.x.nbytes + tree.y.nbytes


def test_errors_name_the_value_and_the_way_out():
    with pytest.raises(ValueError, match="capacity=0"):
        classical.RebuiltTree(0)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        classical.summary(torch.rand(4, 3))
    with pytest.raises(TypeError, match="dict is none of the learners"):
        classical.memory_report({})
