"""Metrics that a site computes on its own data and sends away as one number each: `(outputs, y) -> number`. METRICS has them by name."""
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Metric:
    """of(outputs, y) -> a number. per_example: it is a mean over examples, so that sites' values, weighted by their numbers of examples,
    give the value on the pooled data. False for anything that ranks or compares examples, or divides by what depends on others."""
    name: str
    of: object
    per_example: bool


def accuracy(outputs, y):
    """The share of right classes. outputs: (N, classes)."""
    return (outputs.argmax(-1) == y).double().mean()


def log_loss(outputs, y):
    """Mean cross-entropy in nats. outputs: (N, classes) logits."""
    return F.cross_entropy(outputs.double(), y)


def macro_f1(outputs, y):
    """The mean over the classes in y or predicted of 2 TP / (2 TP + FP + FN). outputs: (N, classes)."""
    predicted = outputs.argmax(-1)
    return torch.stack([2 * ((predicted == c) & (y == c)).sum() / ((predicted == c).sum() + (y == c).sum())
                        for c in torch.cat([predicted, y]).unique()]).double().mean()


def auc(outputs, y):
    """Area under the ROC curve: how often an example of class 1 scores above one of class 0, ties half. outputs: (N,), or (N, 2) logits."""
    own, other = _scores(outputs, y)
    below, up_to = torch.searchsorted(other, own), torch.searchsorted(other, own, right=True)
    return ((below + up_to).double() / 2).mean() / len(other)


def equal_error_rate(outputs, y):
    """The rate at the threshold where as large a share of class 1 is refused as of class 0 is let in, on a straight line between the two
    nearest thresholds. outputs: scores (N,), high for class 1, or (N, 2) logits."""
    own, other = _scores(outputs, y)
    thresholds = torch.cat([own, other]).unique()
    infinite = thresholds.new_tensor([math.inf])
    thresholds = torch.cat([thresholds, infinite])
    refused = torch.searchsorted(own, thresholds).double() / len(own)                   # rises from 0 to 1
    let_in = 1 - torch.searchsorted(other, thresholds).double() / len(other)            # falls from 1 to 0
    after = int((refused >= let_in).nonzero()[0])
    gap = (refused - let_in)[after - 1:after + 1]
    part = -gap[0] / (gap[1] - gap[0])
    return refused[after - 1] + part * (refused[after] - refused[after - 1])


METRICS = {metric.name: metric for metric in (
    Metric("accuracy", accuracy, True), Metric("log_loss", log_loss, True), Metric("macro_f1", macro_f1, False),
    Metric("auc", auc, False), Metric("equal_error_rate", equal_error_rate, False))}


def _scores(outputs, y):
    """The sorted scores of class 1 and of class 0."""
    scores = outputs[:, 1] - outputs[:, 0] if outputs.dim() == 2 and outputs.shape[1] == 2 else outputs.flatten()
    if scores.shape != y.shape or not 0 < int((y == 1).sum()) < len(y) or int(((y != 0) & (y != 1)).sum()):
        raise ValueError(f"outputs {tuple(outputs.shape)}, y {tuple(y.shape)}: give one score each, and examples of class 0 and of class 1")
    return scores[y == 1].sort().values, scores[y == 0].sort().values
