"""Grouping without labels: k-means, with or without a start from elsewhere, and what groups are worth once somebody names them."""
import torch
from scipy.optimize import linear_sum_assignment


def k_means(x, k, *, start=None, starts=10, rng=None, most=100):
    """(centres (k, D), assigned (N,) int64) of x (N, D): each example with the nearest centre, each centre the mean of its group.

    start: (k, D) centres from elsewhere, say of the source: they are where the search begins, and group i remains what centre i becomes.
    None: the best of `starts` searches, each from centres that k-means++ draws with rng (Arthur and Vassilvitskii 2007).
    most: rounds of a search. A group that loses all its examples keeps its centre. Lloyd 1982: the sum of squares never rises, but may stop
    at a local minimum. Raises ValueError unless 1 <= k <= N, for a start of another shape, and without start and rng.
    """
    if x.dim() != 2 or not 1 <= k <= len(x) or (start is not None and start.shape != (k, x.shape[1])):
        raise ValueError(f"k={k}, x {tuple(x.shape)}, start {None if start is None else tuple(start.shape)}: give x (N, D), k from 1 to N, "
                         "and a start (k, D) or none")
    if start is None and (rng is None or starts < 1):
        raise ValueError(f"rng={rng}, starts={starts}: without a start, centres are drawn; pass a torch.Generator, and draw at least once")
    tries = [start] if start is not None else (_spread_out(x, k, rng) for _ in range(starts))
    return min((_search(x, centres, most) for centres in tries), key=lambda found: inertia(x, *found))


def inertia(x, centres, assigned):
    """The sum of squared distances from x (N, D) to the centres (k, D) of their groups, a float: what k-means makes small."""
    return (x - centres[assigned]).square().sum().item()


def nearest(x, centres):
    """The group of each example: x (N, D), centres (k, D) -> (N,) int64."""
    return torch.cdist(x, centres).argmin(1)


def named(assigned, y):
    """Share of examples that are right when each group gets the name that suits all best, one group a class: a float from 0 to 1.

    assigned, y: (N,) int64 from 0. It needs the labels, so it judges a grouping and is no way to make one: an upper bound for whoever
    names the groups. Unnamed groups count as wrong. Source: Yang et al. 2010, the accuracy of clustering, by the Hungarian method.
    """
    counts = _table(assigned, y)
    return counts[linear_sum_assignment(counts.numpy(), maximize=True)].sum().item() / len(y)


def shared(assigned, y):
    """How much groups and labels tell about each other, from 0 (nothing) to 1 (all): normalised mutual information, a float.

        I(G; Y) / ((H(G) + H(Y)) / 2)
    Unlike `named` it is 0 for putting all into one group, however common the most common label is; groups of a few examples by chance lie
    above 0. 1 if there is but one group and one label. Source: Strehl and Ghosh 2002, with the arithmetic mean, as scikit-learn has it.
    """
    joint = _table(assigned, y).double() / len(y)
    groups, labels, cells = (-torch.special.xlogy(p, p).sum().item() for p in (joint.sum(1), joint.sum(0), joint))
    return (groups + labels - cells) * 2 / (groups + labels) if groups + labels > 0 else 1.0


def _table(assigned, y):
    """(S, S) int64: how many examples are in group i and have label j."""
    if len(assigned) != len(y) or len(y) == 0:
        raise ValueError(f"{len(assigned)} groups for {len(y)} labels: give one of each for every example")
    size = int(max(assigned.max(), y.max())) + 1
    return torch.bincount(assigned * size + y, minlength=size * size).view(size, size)


def _spread_out(x, k, rng):
    """k centres out of x: the first at random, each next in proportion to its squared distance from those there are."""
    centres = x[torch.randint(len(x), (1,), generator=rng)]
    while len(centres) < k:
        far = torch.cdist(x, centres).min(1).values.square()
        pick = torch.multinomial(far, 1, generator=rng) if far.sum() > 0 else torch.randint(len(x), (1,), generator=rng)
        centres = torch.cat([centres, x[pick]])
    return centres


def _search(x, centres, most):
    assigned = nearest(x, centres)
    for _ in range(most):
        counts = torch.bincount(assigned, minlength=len(centres))[:, None]
        means = torch.zeros_like(centres).index_add(0, assigned, x) / counts.clamp_min(1)
        centres, before = torch.where(counts > 0, means, centres), assigned
        assigned = nearest(x, centres)
        if torch.equal(assigned, before):
            break
    return centres, assigned
