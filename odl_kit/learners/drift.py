"""Has the world changed? Detection without labels, from what the net says; and what the labels' shares are now.

A reference is what the net said while all was well. An alarm says that something differs, not that the net has become worse.
"""
import math

import torch


def distance(a, b):
    """The Kolmogorov-Smirnov distance of two samples (n,), (m,) float: the largest gap between their distribution functions, 0 to 1."""
    if min(len(a), len(b)) == 0:
        raise ValueError(f"{len(a)} and {len(b)} values: a distribution needs at least one on each side")
    at = torch.cat([a, b]).sort().values
    share_a, share_b = (torch.searchsorted(sample.sort().values, at, right=True) / len(sample) for sample in (a, b))
    return (share_a - share_b).abs().max().item()


def limit(n, m, *, alpha):
    """The distance that samples of n and m from one distribution exceed with probability alpha at most, roughly.

        sqrt(-ln(alpha / 2) / 2 * (n + m) / (n m))      (Smirnov 1948, large samples; with few values, or many equal ones, it is rarer)
    """
    if not 0 < alpha < 1 or min(n, m) < 1:
        raise ValueError(f"alpha={alpha}, n={n}, m={m}: alpha is a probability between 0 and 1, and both samples need a value")
    return math.sqrt(-math.log(alpha / 2) / 2 * (n + m) / (n * m))


def alarm(reference, now, *, alpha=0.01):
    """By how much the worst of several outputs differs more than chance explains: above 1 is an alarm.

    reference (n, K), now (m, K) float: softmax outputs, or any K numbers an example. Each is tested alone at alpha / K, so that K tests
    give a false alarm with probability alpha at most (Bonferroni). Source: Rabanser et al. 2019, sec. 3 ("BBSDs"). Takes the whole
    reference on board: n * K numbers.
    """
    if reference.shape[1:] != now.shape[1:] or reference.dim() != 2:
        raise ValueError(f"reference is {tuple(reference.shape)}, now {tuple(now.shape)}: give (n, K) and (m, K) of the same outputs")
    largest = max(distance(a, b) for a, b in zip(reference.T, now.T, strict=True))
    return largest / limit(len(reference), len(now), alpha=alpha / reference.shape[1])


def label_shares(confusion, said):
    """The shares of the true classes behind what the net said, if only the shares have changed: (K,), summing to 1.

    confusion (K, K): row i, column j is the share of reference examples that are j and were called i; said (K,): the shares of what the
    net says now. Solves confusion @ w = said for w, the new share of a class over the old one; below 0 becomes 0, which noise can cause.
    Source: Lipton et al. 2018, "Black box shift estimation", sec. 3. Raises ValueError where the net confuses classes so much that the
    shares cannot be told: confusion must be invertible.
    """
    if torch.linalg.matrix_rank(confusion) < len(confusion):
        raise ValueError(f"confusion has rank {int(torch.linalg.matrix_rank(confusion))} of {len(confusion)}: some classes cannot be told "
                         "apart; merge them, or take more reference examples")
    w = torch.linalg.solve(confusion, said)
    shares = (w * confusion.sum(0)).clamp(min=0)
    return shares / shares.sum()


def reweighed(y, shares, *, count, rng):
    """Which reference examples to take so that their labels y (N,) int64 have the shares (K,): (count,) int64, drawn with replacement.

    With the new shares of the labels: what the reference would have been, had only the shares been others. An alarm against it says that
    the words themselves sound different. Raises ValueError for a class with a share and no example.
    """
    counts = torch.bincount(y, minlength=len(shares))
    if ((shares > 0) & (counts == 0)).any():
        raise ValueError(f"class {int(((shares > 0) & (counts == 0)).nonzero()[0])} has no example in the reference, and a share")
    return torch.multinomial((shares / counts.clamp(min=1))[y], count, replacement=True, generator=rng)


def explained(reference, now, *, rng):
    """The reference as if its answers had today's shares: outputs (n, K), (m, K) -> (n, K), rows of the reference drawn with replacement.

    alarm(explained(reference, now, rng=rng), now) still rings if the words themselves sound different, and is silent if only others are
    said. Labels are what the net says, on both sides; a class that the reference never heard is left out. For true shares see
    `label_shares`: it needs labelled reference examples.
    """
    said, says = reference.argmax(1), now.argmax(1)
    shares = torch.bincount(says, minlength=now.shape[1]) * (torch.bincount(said, minlength=now.shape[1]) > 0)
    if not shares.any():
        raise ValueError("today's answers are all classes that the reference never heard: take a longer reference")
    return reference[reweighed(said, shares / shares.sum(), count=len(reference), rng=rng)]
