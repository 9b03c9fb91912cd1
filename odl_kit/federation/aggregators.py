"""Many updates into one. An aggregator is `(updates, num_examples, *, options) -> (P,)`, in the dtype of the updates.

updates: (C, P) float, one row a client. num_examples: (C,). `mean` and `weighted_mean` weigh by it; the clipped and the robust rules do
not, since a count is a client's own claim. A row with NaN or Inf raises ValueError and names the row: `finite` takes such rows out first.
num_byzantine is the papers' f: how many of the C clients may lie.
"""
import torch


def finite(updates, num_examples):
    """The quarantine: (updates, num_examples, rejected) without the rows that hold NaN or Inf. rejected: (k,) int64, their row numbers."""
    good = updates.amax(1).isfinite() & updates.amin(1).isfinite()          # both carry NaN along; much faster than updates.isfinite()
    if good.all():
        return updates, num_examples, torch.arange(0)
    return updates[good], num_examples[good], (~good).nonzero().flatten()


def mean(updates, num_examples):
    """FedAvg: sum over c of n_c / n * update_c (McMahan et al. 2017). Raises ValueError where no example is behind the updates."""
    return weighted_mean(updates, num_examples)


def weighted_mean(updates, num_examples, *, weights=None, cap=None):
    """sum of weight_c * update_c / sum of weight_c.

    weights: (C,), at least 0: what the server knows of the clients (link, battery, trust); None: num_examples. cap: no weight counts for
    more, since a client that claims a million examples would own the model. Raises ValueError for a negative weight or when all are 0.
    """
    _check(updates, num_examples)
    weights = torch.as_tensor(num_examples if weights is None else weights).to(updates)
    if weights.shape != updates.shape[:1]:
        raise ValueError(f"{len(weights)} weights for {len(updates)} updates: give one a client")
    if weights.isfinite().logical_not().any() or weights.min() < 0 or weights.sum() == 0:
        raise ValueError(f"weights {weights.tolist()}: give finite ones, none below 0 and one above 0 at least")
    weights = weights if cap is None else weights.clamp(max=cap)
    return (weights / weights.sum()) @ updates


def clipped_mean(updates, num_examples, *, clip):
    """The plain mean of updates cut to length: update * min(1, clip / |update|). clip: L2 norm, above 0."""
    _check(updates, num_examples)
    if not clip > 0:
        raise ValueError(f"clip={clip} must be above 0: it is the longest L2 norm an update may have")
    return _shortened(updates, clip).mean(0)


def median(updates, num_examples):
    """The median of each coordinate; for even C the mean of the middle two (Yin et al. 2018)."""
    return trimmed_mean(updates, num_examples, trim=(len(updates) - 1) // 2)


def trimmed_mean(updates, num_examples, *, trim):
    """Per coordinate, the mean without the `trim` smallest and the `trim` largest (Yin et al. 2018). A count; needs C > 2 * trim."""
    _check(updates, num_examples)
    if not 0 <= 2 * trim < len(updates):
        raise ValueError(f"trim={trim} on each side of {len(updates)} updates leaves none: trim {(len(updates) - 1) // 2} at most")
    return updates.sort(0).values[trim:len(updates) - trim].mean(0)


def krum(updates, num_examples, *, num_byzantine):
    """The update nearest to its C - f - 2 closest neighbours.

    Returns (P,), one of the rows. Cost O(C^2 P). Raises ValueError unless C >= 2f + 3. Source: Blanchard et al. 2017, sec. 4.
    """
    _check_byzantine(updates, num_examples, num_byzantine, 2, "Krum")
    return updates[_scores(_squared_distances(updates), num_byzantine).argmin()]


def multi_krum(updates, num_examples, *, num_byzantine):
    """The plain mean of the C - f updates with the best Krum scores (Blanchard et al. 2017). Raises ValueError unless C >= 2f + 3."""
    _check_byzantine(updates, num_examples, num_byzantine, 2, "Multi-Krum")
    scores = _scores(_squared_distances(updates), num_byzantine)
    return updates[scores.argsort(stable=True)[:len(updates) - num_byzantine]].mean(0)


def bulyan(updates, num_examples, *, num_byzantine):
    """Krum picks C - 2f updates one by one; then, per coordinate, the mean of the C - 4f picked values nearest to their median.

    Raises ValueError unless C >= 4f + 3. Source: El Mhamdi et al. 2018, sec. 4. Where so few are left to pick from that Krum has no
    neighbour to count (C' - f - 2 < 1), one is counted: the paper leaves this open.
    """
    f = num_byzantine
    _check_byzantine(updates, num_examples, f, 4, "Bulyan")
    distances, left, picked = _squared_distances(updates), list(range(len(updates))), []
    while len(picked) < len(updates) - 2 * f:
        best = left[int(_scores(distances[left][:, left], f).argmin())]
        left.remove(best)
        picked.append(best)
    values = updates[picked]
    middle = median(values, num_examples[picked])
    nearest = (values - middle).abs().argsort(dim=0, stable=True)[:len(updates) - 4 * f]
    return values.gather(0, nearest).mean(0)


def geometric_median(updates, num_examples, *, iterations=200):
    """The point with the smallest sum of distances to the updates, by Weiszfeld's iteration (Pillutla et al. 2022, without weights).

    A distance below a millionth of the median one counts as that, so that a point which falls on an update does not divide by zero.
    Stops when a step moves less than the last digits of the dtype, or after `iterations`.
    """
    _check(updates, num_examples)
    point = median(updates, num_examples)
    floor = (_norms(updates - point).median() * 1e-6).clamp(min=torch.finfo(updates.dtype).tiny * 1e6)
    for _ in range(iterations):
        weights = 1 / _norms(updates - point).clamp(min=floor)
        weights = weights / weights.max()
        before, point = point, (weights / weights.sum()) @ updates
        if _norms((point - before)[None]) <= torch.finfo(updates.dtype).eps * _norms(point[None]):
            break
    return point


def _norms(rows):
    """The L2 norm of each row (C,); scaled by the largest entry, so that squares of entries such as 1e30 do not overflow."""
    largest = rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    return largest.squeeze(1) * torch.linalg.vector_norm(rows / largest, dim=1)


def _shortened(updates, clip):
    norms = _norms(updates)
    return updates * torch.where(norms > clip, clip / norms.clamp(min=torch.finfo(updates.dtype).tiny), 1).unsqueeze(1)


def _squared_distances(updates):
    """(C, C), from the differences themselves: |x|^2 + |y|^2 - 2xy would cancel for rows of size 1e6."""
    return torch.cdist(updates, updates, compute_mode="donot_use_mm_for_euclid_dist").square()


def _scores(distances, num_byzantine):
    """Krum's score of each row of (C, C): the sum of its C - f - 2 smallest distances to others."""
    neighbours = max(len(distances) - num_byzantine - 2, 1)
    return distances.sort(1).values[:, 1:1 + neighbours].sum(1)           # the smallest is the row's own 0


def _check_byzantine(updates, num_examples, num_byzantine, factor, rule):
    _check(updates, num_examples)
    need = factor * num_byzantine + 3
    if num_byzantine < 0 or len(updates) < need:
        raise ValueError(f"{rule} needs C >= {factor}f + 3 = {need} updates for num_byzantine={num_byzantine}, and has {len(updates)}")


def _check(updates, num_examples):
    if updates.dim() != 2 or not len(updates) or len(num_examples) != len(updates):
        raise ValueError(f"updates {tuple(updates.shape)}, num_examples {tuple(num_examples.shape)}: give (C, P) and (C,), C at least 1")
    _, _, rejected = finite(updates, num_examples)
    if len(rejected):
        raise ValueError(f"rows {rejected.tolist()} hold NaN or Inf: take them out with aggregators.finite")
