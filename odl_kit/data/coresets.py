"""Which examples to keep: rankings, the one to keep first comes first. All are greedy: the best n are the first n of the best n + 1.

Features are what distances are measured in: pixels, or what a layer of a net makes of them.
"""
import math

import torch


def random(features, count, *, rng):
    """`count` of the examples by chance, none twice: (count,) int64. The rival of every other choice. Arguments as for `herding`."""
    _check(features, count)
    return torch.randperm(len(features), generator=rng)[:count]


def herding(features, count):
    """The examples whose mean stays nearest to the mean of all: (count,) int64, in the order of choice.

    features: (N, ...) float. Cost O(count N D). Raises ValueError unless 1 <= count <= N.
    Source: Welling 2009; in this form Rebuffi et al. 2017 (iCaRL), algorithm 4, which scales each feature vector to length 1 first: do so
    before the call if you wish. An example is not chosen twice, which the algorithm leaves open.
    """
    _check(features, count)
    features = features.flatten(1)
    mean, total = features.mean(0), torch.zeros_like(features[0])
    chosen = []
    for k in range(1, count + 1):
        # p_k = argmin_x | mean - (phi(x) + phi(p_1) + ... + phi(p_(k-1))) / k |
        distance = (mean - (total + features) / k).norm(dim=1)
        distance[chosen] = math.inf
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return torch.tensor(chosen)


def k_centre(features, count):
    """Examples such that no other is far from all of them: (count,) int64, in the order of choice. Arguments as for `herding`.

    The farthest example from those chosen comes next; the largest distance left is at most twice the least that `count` centres can reach.
    Source: Gonzalez 1985; for training sets Sener and Savarese 2018, algorithm 1, which goes on from examples that are labelled already.
    Here the first one is the example nearest to the mean.
    """
    _check(features, count)
    features = features.flatten(1)
    chosen = [int((features - features.mean(0)).norm(dim=1).argmin())]
    nearest = (features - features[chosen[0]]).norm(dim=1)          # distance of each example to its nearest centre
    while len(chosen) < count:
        nearest[chosen] = -1                                        # equal examples have distance 0 too: never choose one twice
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)


def by_class(choose, features, y):
    """A ranking of all examples in which the classes take turns: (N,) int64. Its first n hold each class equally often, give or take one,
    as long as no class runs out.

    choose(features, count) -> (count,) ranks the examples of one class: herding, k_centre, or partial(random, rng=rng). y: (N,) int64.
    """
    if len(features) != len(y):
        raise ValueError(f"{len(features)} examples have {len(y)} labels: give one each")
    turn = torch.empty(len(y), dtype=torch.int64)                   # at which turn of its class an example is taken
    for label in y.unique():
        own = (y == label).nonzero()[:, 0]
        turn[own[choose(features[own], len(own))]] = torch.arange(len(own))
    return (turn * (y.max() + 1) + y).argsort()


def _check(features, count):
    if not 1 <= count <= len(features):
        raise ValueError(f"{count} of {len(features)} examples wanted: ask for 1 to {len(features)}")
