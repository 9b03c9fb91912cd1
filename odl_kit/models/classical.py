"""Classical learners that go on learning on a device, example by example, and the RAM that each needs. The learning is scikit-learn's.

A learner has partial_fit(x, y, classes=...) and predict(x); classes, all there will ever be, is for the first call. Trees have no
partial_fit in scikit-learn: a node once chosen stays. Hoeffding trees (Domingos and Hulten 2000) do grow from a stream, but only grow;
`RebuiltTree` keeps recent examples and is built anew.
"""
import numpy as np
import torch
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from odl_kit.budget import MemoryReport

FLOAT, NODE = 4, 7      # bytes of a float32; of a tree node in C: feature (1), threshold (4), place of its right child (2)


def naive_bayes(*, smoothing=1e-2):
    """Gaussian naive Bayes: mean and variance of each feature in each class. smoothing: added to all variances, times the largest one.

    Its statistics are those of all it has seen, in any order: it needs no learning rate, and it never forgets. (scikit-learn takes the
    smoothing of the newest batch also from what earlier batches added, so variances are off by a part of the smoothing.)
    """
    return GaussianNB(var_smoothing=smoothing)


def logistic(*, lr=0.03):
    """Logistic regression, each class against the rest, by SGD with a constant rate, one example after the other."""
    return SGDClassifier(loss="log_loss", learning_rate="constant", eta0=lr, alpha=1e-5, random_state=0)


def linear_svm(*, lr=0.01):
    """Linear support vector machine, each class against the rest, by SGD with a constant rate: it moves near the border only."""
    return SGDClassifier(loss="hinge", learning_rate="constant", eta0=lr, alpha=1e-5, random_state=0)


def linear_regression(*, lr=0.01):
    """Linear regression by SGD with a constant rate (least mean squares, Widrow and Hoff 1960)."""
    return SGDRegressor(learning_rate="constant", eta0=lr, alpha=0.0, random_state=0)


class RebuiltTree:
    """A decision tree of at most `max_leaves` leaves, built anew from the last `capacity` examples whenever new ones come."""

    def __init__(self, capacity, *, max_leaves=32):
        if capacity < 1 or max_leaves < 2:
            raise ValueError(f"capacity={capacity}, max_leaves={max_leaves}: a tree needs an example to remember and two leaves")
        self.capacity, self.max_leaves = capacity, max_leaves

    def partial_fit(self, x, y, classes=None):
        """Remember x (N, F), y (N,), forget the oldest beyond `capacity`, build the tree. classes is not needed. Returns self."""
        x, y = np.asarray(x, np.float32), np.asarray(y)
        if hasattr(self, "x"):
            x, y = np.concatenate([self.x, x]), np.concatenate([self.y, y])
        self.x, self.y = x[-self.capacity:], y[-self.capacity:]
        self.tree = DecisionTreeClassifier(max_leaf_nodes=self.max_leaves, random_state=0).fit(self.x, self.y)
        return self

    def predict(self, x):
        """(N,) classes of x (N, F)."""
        return self.tree.predict(np.asarray(x, np.float32))


def stream(learner, x, y, *, batch=1):
    """Test, then learn: predictions (N,) that were made for each example before it was learned, `batch` examples at a time.

    x (N, F), y (N,), in the order of the stream. learner: has learned something before, and learns y here. Source: Gama et al. 2013.
    """
    precision = getattr(learner, "coef_", np.empty(0)).dtype       # scikit-learn's SGD refuses to change it halfway
    x, y, said = np.asarray(x, precision), np.asarray(y), []
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        said.append(learner.predict(x[part]))
        learner.partial_fit(x[part], y[part])
    return np.concatenate(said)


def summary(x):
    """Mean, deviation, least, most and mean step of each axis, which one pass over a window gives: (N, C, T) -> (N, 5 C) float32."""
    if x.dim() != 3 or x.shape[2] < 2:
        raise ValueError(f"x is {tuple(x.shape)}: give windows (N, axes, samples), at least two samples each")
    return torch.cat([x.mean(2), x.std(2, correction=0), x.amin(2), x.amax(2), x.diff(dim=2).abs().mean(2)], 1)


def pruned_trees(x, y, *, most=25):
    """Trees for x (N, F), y (N,), from full grown to a single leaf: a tuple of at most `most` + 1 DecisionTreeClassifier.

    Cost-complexity pruning cuts the branch that lowers the training error least for each leaf it spends, again and again: the trees
    minimise error + alpha * leaves, one for each alpha (their `ccp_alpha`). The error is the Gini impurity of the leaves, scikit-learn's
    choice. Source: Breiman et al. 1984, ch. 3.
    """
    x, y = np.asarray(x, np.float32), np.asarray(y)
    alphas = np.unique(np.maximum(DecisionTreeClassifier(random_state=0).cost_complexity_pruning_path(x, y).ccp_alphas, 0))
    chosen = np.unique(np.linspace(0, len(alphas) - 1, min(most + 1, len(alphas))).round().astype(int))
    return tuple(DecisionTreeClassifier(random_state=0, ccp_alpha=alphas[k]).fit(x, y) for k in chosen)


def memory_report(learner, *, batch=1):
    """What a C program that learns this way would hold, in float32: a MemoryReport. learner: one of the above, fitted.

    weights: naive Bayes mean, variance and count of each class; linear ones weights and intercepts; a tree 7 B a node, and as
    saved_activations the examples it remembers, a float32 a feature and a byte for the class. workspace: a score a class, and the `batch`
    examples that wait to be learned. No gradient is stored: each moves its weights at once. `arrays_bytes` says what scikit-learn holds.
    Raises TypeError for another learner.
    """
    examples = 0
    if isinstance(learner, GaussianNB):
        (classes, features), count = learner.theta_.shape, 2 * learner.theta_.size + len(learner.class_count_)
        weights = FLOAT * count
    elif isinstance(learner, (SGDClassifier, SGDRegressor)):
        rows = np.atleast_2d(learner.coef_)
        (classes, features), weights = rows.shape, FLOAT * (rows.size + len(rows))
    elif isinstance(learner, (RebuiltTree, DecisionTreeClassifier)):
        tree = learner.tree if isinstance(learner, RebuiltTree) else learner
        classes, features, weights = 0, tree.n_features_in_, NODE * tree.tree_.node_count
        examples = learner.capacity * (FLOAT * features + 1) if isinstance(learner, RebuiltTree) else 0
    else:
        raise TypeError(f"{type(learner).__name__} is none of the learners here: naive_bayes, logistic, linear_svm, linear_regression, "
                        "a tree")
    workspace = FLOAT * classes + batch * (FLOAT * features + 1)
    return MemoryReport(int(weights), examples, 0, 0, workspace, int(weights) + examples + workspace)


def arrays_bytes(learner):
    """Bytes of all arrays that the fitted scikit-learn learner itself holds (float64 mostly), without Python's own."""
    tree = getattr(learner, "tree", learner)
    state = tree.tree_.__getstate__() if hasattr(tree, "tree_") else {}
    return sum(value.nbytes for held in (vars(learner), state) for value in held.values() if isinstance(value, np.ndarray))
