"""What an attacker without the net has: answers. They are counted, for a target that answers for money, or under a limit, gives few.

A target is a function of pictures: `scores` answers with probabilities, `decisions` with the class alone. Defences wrap such a function
(defenses.hardening.rounded, noisy). An attack returns `Found`, so that success can be told against queries.
"""
from dataclasses import dataclass

import torch

from odl_kit.threats import evasion


@dataclass(frozen=True, eq=False)
class Found:
    """x (N, ...) float: where each attack ended. success (N,) bool: the target reads it wrong, within eps of the original.

    queries (N,) int64: pictures that the target was asked about until then; for a failure, until the attacker gave up.
    """
    x: torch.Tensor
    success: torch.Tensor
    queries: torch.Tensor

    def within(self, budget):
        """The share of examples that were fooled with at most `budget` queries: float."""
        return (self.success & (self.queries <= budget)).double().mean().item()


def scores(net):
    """The target that tells probabilities: a function x (N, ...) -> softmax (N, K), without gradients."""
    def ask(x):
        with evasion.in_use(net), torch.no_grad():
            return net(x).softmax(1)
    return ask


def decisions(scores):
    """The target that tells the class alone: a function x (N, ...) -> (N,) int64, of one that tells scores."""
    return lambda x: scores(x).argmax(1)
