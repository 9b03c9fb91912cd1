"""How far two sets of examples lie apart (MMD, proxy A-distance), and how much two layers say the same (CKA). No labels are needed.

mmd and a_distance compare two *domains*: different examples, the same kind of numbers. cka compares two *representations* of the same
examples: two nets, two layers, or one net that sees the same pictures at two resolutions.
"""
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression


def mmd(x, y, *, width=None):
    """Squared maximum mean discrepancy of x (N, D) and y (M, D), a float: 0 if both come from one distribution, above 0 if not.

    It is the unbiased estimate, so it scatters around 0 and may be slightly negative. Kernel: k(a, b) = exp(-|a - b|^2 / (2 width^2)).
    width: a distance; None: the median distance of all pairs of the two sets together. Cost O((N + M)^2 D).
    Raises ValueError for fewer than two examples on a side, rows of unequal length, and examples that are all the same.
    Source: Gretton et al. 2012, lemma 6, eq. 3; the median is from sec. 8.
    """
    x, y = _pair(x, y)
    both = torch.cat([x, y])
    distance = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")
    if width is None:
        width = distance[tuple(torch.triu_indices(len(both), len(both), 1))].median().item()
    if not width > 0:
        raise ValueError(f"width={width}: at least half of all pairs are the same example, or you gave it; give a distance above 0")
    k, n, m = torch.exp(-distance ** 2 / (2 * width ** 2)), len(x), len(y)
    within_x, within_y, across = k[:n, :n], k[n:, n:], k[:n, n:]
    # sum_{i != j} k(x_i, x_j) / (n (n - 1))  +  the same for y  -  2 mean k(x_i, y_j);   k(a, a) = 1
    return ((within_x.sum() - n) / (n * (n - 1)) + (within_y.sum() - m) / (m * (m - 1)) - 2 * across.mean()).item()


def a_distance(x, y, *, rng):
    """Proxy A-distance of x (N, D) and y (M, D), a float: about 0 if a linear classifier cannot tell them apart, 2 if it always can.

    2 (1 - 2 error), where error is that of a classifier which learns one half of each set and is asked about the other half, the mean of
    both sides, so that unequal sizes do not matter. By chance it may be slightly negative. rng: torch.Generator, draws the halves.
    Unlike the paper, which minimises a modified Huber loss, it is logistic regression (scikit-learn's) on values of unit variance.
    Raises ValueError as `mmd` does; each side needs two examples.
    Source: Ben-David et al. 2007, "Analysis of Representations for Domain Adaptation", sec. 4 and 7.
    """
    x, y = _pair(x, y)
    (learn_x, ask_x), (learn_y, ask_y) = (part[torch.randperm(len(part), generator=rng)].tensor_split(2) for part in (x, y))
    learn, side = torch.cat([learn_x, learn_y]), np.repeat([0, 1], [len(learn_x), len(learn_y)])
    mean, scale = learn.mean(0), learn.std(0).clamp_min(1e-9)       # a value that never changes tells nothing
    judge = LogisticRegression(class_weight="balanced", max_iter=1000).fit(((learn - mean) / scale).numpy(), side)
    wrong = [(judge.predict(((ask - mean) / scale).numpy()) != label).mean() for label, ask in enumerate((ask_x, ask_y))]
    return float(2 * (1 - 2 * np.mean(wrong)))


def cka(a, b):
    """Linear centred kernel alignment of a (N, D) and b (N, E), a float from 0 to 1: row n of both is the same example.

    1 if b is a turned, mirrored or scaled a, 0 if nothing in b goes with anything in a. With few examples for the width (N near D) it is
    too high even for noise: take N >= 10 D, or compare with another b of the same width.
    Raises ValueError for unequal numbers of examples, fewer than two, and a representation that is the same for all examples.
    Source: Kornblith et al. 2019, sec. 3, "linear CKA".
    """
    if a.dim() != 2 or b.dim() != 2 or len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a is {tuple(a.shape)}, b is {tuple(b.shape)}: give (N, D) and (N, E) of the same N >= 2 examples")
    a, b = (part.double() - part.double().mean(0) for part in (a, b))
    same_a, same_b = (a.T @ a).norm(), (b.T @ b).norm()
    if not min(same_a, same_b) > 0:
        raise ValueError("a representation is the same for all examples: there is nothing to align")
    # |A^T B|_F^2 / (|A^T A|_F |B^T B|_F)
    return ((a.T @ b).norm() ** 2 / (same_a * same_b)).item()


def _pair(x, y):
    """Both as (., D) float64."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"x is {tuple(x.shape)}, y is {tuple(y.shape)}: give (N, D) and (M, D), at least two examples each; "
                         "flatten pictures with x.flatten(1)")
    return x.double(), y.double()
