"""Do new data look like a clean reference? Feature by feature, the Kolmogorov-Smirnov test and the population stability index.

reference (n, ...) and new (m, ...) float; a feature is an entry of an example, F in all. A shift is not yet an attack: a new season does it
too. What neither sees: features whose shares stay as they are, while the labels change, or what goes with what.
"""
import torch
from scipy.stats import chi2, kstwobign


def ks(reference, new):
    """(statistic (F,), p (F,)) float64: the largest distance between the two cumulative shares, and how often chance makes it as large.

    p is the one for many examples (Smirnov 1939), near enough from ten on; where values repeat (pixels), it is larger than the true one.
    """
    a, b = _columns(reference, new)
    both = torch.cat([a, b], 1)
    # D = max over v of |F_a(v) - F_b(v)|, F(v) the share of values <= v
    share_a, share_b = (torch.searchsorted(rows.sort(1).values, both, right=True).double() / rows.shape[1] for rows in (a, b))
    statistic = (share_a - share_b).abs().amax(1)
    # sqrt(nm / (n + m)) * D follows Kolmogorov's distribution, in the limit
    return statistic, torch.from_numpy(kstwobign.sf((a.shape[1] * b.shape[1] / both.shape[1]) ** 0.5 * statistic.numpy()))


def psi(reference, new, *, bins=10):
    """(index (F,), p (F,)) float64: sum over bins of (q - r) * ln(q / r), r and q the shares of reference and new.

    Bins end at quantiles of the reference; equal ends are one, so that a feature with few values has few bins; the last is open: what the
    reference never showed falls there. A share of 0 counts as half an example, a bin that both leave empty not at all. p: index /
    (1/n + 1/m) is nearly chi-squared with (bins - 1) degrees where nothing changed (Yurdakul 2018). The usual limits 0.1 and 0.25 know
    nothing of n and m: with few examples chance alone exceeds them.
    Raises ValueError for bins < 2.
    """
    if bins < 2:
        raise ValueError(f"bins={bins}: give 2 or more")
    a, b = _columns(reference, new)
    found = []
    for old, now in zip(a, b, strict=True):
        ends = old.quantile(torch.linspace(0, 1, bins + 1, dtype=old.dtype)[1:-1]).unique()
        counts = torch.stack([torch.bincount(torch.bucketize(values, ends), minlength=len(ends) + 1) for values in (old, now)])
        counts = counts[:, counts.sum(0) > 0].double().clamp(min=0.5)
        r, q = counts[0] / len(old), counts[1] / len(now)
        found.append((((q - r) * (q / r).log()).sum(), len(r) - 1))
    index, degrees = torch.stack([value for value, _ in found]), torch.tensor([count for _, count in found])
    p = chi2.sf((index / (1 / a.shape[1] + 1 / b.shape[1])).numpy(), degrees.clamp(min=1).numpy())
    return index, torch.where(degrees == 0, 1.0, torch.from_numpy(p))


def shifted(p, *, level=0.01):
    """(F,) bool: features with p <= level / F (Bonferroni), so that any false one comes with probability `level` at most."""
    return p <= level / len(p)


def _columns(reference, new):
    a, b = reference.double().flatten(1).T.contiguous(), new.double().flatten(1).T.contiguous()
    if a.shape[0] != b.shape[0] or not a.shape[1] or not b.shape[1]:
        raise ValueError(f"reference {tuple(reference.shape)}, new {tuple(new.shape)}: give examples of one shape, one of each at least")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("nan or infinite entries have no rank: refuse them first, with defenses.validation")
    return a, b
