"""Instance transfer: old examples go on teaching, each as much as it deserves. By a density ratio (no new labels), or by TrAdaBoost.

Whoever learns this way must carry the old examples along: their bytes, and their owners' privacy.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What `tradaboost` makes. hypotheses: the later half of all rounds, each x (N, ...) -> (N,) of 0 and 1; votes: ln(1 / beta_t) of each.

    shares: (rounds + 1, n + m) float64, what each example counted in each round, rows of sum 1; errors: (rounds,) on the target.
    """
    hypotheses: tuple[Callable, ...]
    votes: tuple[float, ...]
    shares: torch.Tensor
    errors: tuple[float, ...]


def density_ratio(source, target, *, strength=1.0):
    """How much more often an example like this occurs at the target than at the source: (N,) float32, for each of source (N, D).

    A classifier learns to tell source from target (M, D); p is what it says for "target". Then
        p_T(x) / p_S(x)  =  N / M * p / (1 - p).
    Train on the source with these weights (or draw from it in their proportion), and you train for the target, if p(y | x) is the same on
    both sides and the source has examples wherever the target has some. strength: of the classifier's L2 pull, which holds the ratios near
    1. Raises ValueError for rows of unequal length. Sources: Bickel et al. 2009, sec. 4; Sugiyama et al. 2012, ch. 4 (logistic).
    """
    if source.dim() != 2 or target.dim() != 2 or source.shape[1] != target.shape[1] or min(len(source), len(target)) == 0:
        raise ValueError(f"source is {tuple(source.shape)}, target is {tuple(target.shape)}: give (N, D) and (M, D), at least one each")
    x, side = torch.cat([source, target]).double(), torch.arange(len(source) + len(target)) >= len(source)
    scaled = (x - x.mean(0)) / x.std(0).clamp_min(1e-9)
    judge = LogisticRegression(C=1 / strength, max_iter=1000).fit(scaled.numpy(), side.numpy())
    log_odds = torch.from_numpy(judge.decision_function(scaled[:len(source)].numpy()))       # ln p / (1 - p)
    return (len(source) / len(target) * log_odds.exp()).float()


def effective_size(weights):
    """How many equally weighted examples tell as much as these: (sum w)^2 / sum w^2, a float. Source: Kish 1965, sec. 8.2."""
    return (weights.sum() ** 2 / weights.square().sum()).item()


def logistic(x, y, weights):
    """A learner for `tradaboost`: logistic regression (scikit-learn's) of x (N, D), y (N,) of 0 and 1, weights (N,) of mean 1."""
    if len(y[weights > 0].unique()) < 2:
        return lambda new: torch.full((len(new),), float(y[weights > 0][0]))
    judge = LogisticRegression(max_iter=1000).fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
    return lambda new: torch.from_numpy(judge.predict(new.numpy())).double()


def tradaboost(source_x, source_y, target_x, target_y, *, rounds, learn=logistic):
    """Boosting that trusts the target: TrAdaBoost. Returns an Ensemble, for `predict`.

    source_x (n, ...), target_x (m, ...); source_y, target_y: int64, 0 or 1. learn(x, y, weights) -> hypothesis, x -> (N,) of 0 and 1.
    Each round, a target example that was got wrong counts more, as in AdaBoost, and a source example that was got wrong counts less:
    it seems to follow other rules. Only the later half of the rounds votes.
    Deviation: the error is kept within 1/(2m) and 1/2. The paper asks for less than 1/2; the vote of an error of 0 would be infinite.
    Raises ValueError for other labels, no example on a side, and less than one round. Source: Dai et al. 2007, algorithm 1.
    """
    n, m = len(source_x), len(target_x)
    y = torch.cat([source_y, target_y])
    if rounds < 1 or not n or not m or not torch.isin(y, torch.tensor([0, 1])).all():
        raise ValueError(f"rounds={rounds}, {n} source and {m} target examples, labels {y.unique().tolist()[:5]}: give at least one of "
                         "each, and labels 0 and 1")
    x, weights = torch.cat([source_x, target_x]), torch.ones(n + m, dtype=torch.float64)
    beta = 1 / (1 + math.sqrt(2 * math.log(n) / rounds))
    hypotheses, votes, errors, shares = [], [], [], [weights / weights.sum()]
    for _ in range(rounds):
        h = learn(x, y, shares[-1] * (n + m))
        wrong = (h(x) - y).abs().double()
        # epsilon_t = sum over the target of w |h - y| / sum over the target of w
        error = (weights[n:] @ wrong[n:] / weights[n:].sum()).clamp(1 / (2 * m), 0.5).item()
        weights = reweigh(weights, wrong, n, beta=beta, beta_t=error / (1 - error))
        hypotheses, votes, errors = [*hypotheses, h], [*votes, math.log((1 - error) / error)], [*errors, error]
        shares.append(weights / weights.sum())
    late = math.ceil(rounds / 2) - 1        # rounds are counted from 1 in the paper
    return Ensemble(tuple(hypotheses[late:]), tuple(votes[late:]), torch.stack(shares), tuple(errors))


def reweigh(weights, wrong, n, *, beta, beta_t):
    """The weights after one round. weights, wrong: (n + m,), the first n of the source; wrong: |h(x) - y|. Dai et al. 2007, step 5."""
    # source: w * beta^|h - y|, which falls.   target: w * beta_t^-|h - y|, which grows
    return torch.cat([weights[:n] * beta ** wrong[:n], weights[n:] * beta_t ** -wrong[n:]])


def predict(ensemble, x):
    """(N,) int64, 0 or 1, for x (N, ...): 1 where those who say 1 have at least half of the votes."""
    said = sum(vote * h(x) for vote, h in zip(ensemble.votes, ensemble.hypotheses, strict=True))
    # prod beta_t^-h(x)  >=  prod beta_t^(-1/2), in logarithms
    return (said >= sum(ensemble.votes) / 2).long()
