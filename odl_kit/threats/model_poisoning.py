"""Poisoned updates: a client need not touch its data, it can send what it likes. updates (C, P), bad (C,) bool, the rows of the attackers.

An attack is `(updates, bad, *, options) -> updates`; `stage` makes it a stage of a round. What honest rows it looks at is said in each.
"""
import math
from dataclasses import replace

import torch


def scaled(updates, bad, *, factor):
    """The bad rows times `factor`. -1 turns the sign; a negative one beyond it also shouts; a positive one boosts what they have learned.

    A boost of C / (number of bad ones) turns the plain mean into theirs, near enough ("model replacement", Bagdasaryan et al. 2020).
    """
    return torch.where(bad[:, None], factor * updates, updates)


def a_little(updates, bad, *, z=None):
    """"A little is enough": all bad rows send mean - z * std, coordinate by coordinate, which lies inside the spread of the honest ones.

    mean and std (of the sample, n - 1) are those of the bad rows themselves: nobody else's update is seen. z: None takes `most_z`.
    Raises ValueError for fewer than two bad rows, which have no spread. Source: Baruch et al. 2019.
    """
    if int(bad.sum()) < 2:
        raise ValueError(f"{int(bad.sum())} bad rows: two at least are needed to estimate a spread")
    z = most_z(len(bad), int(bad.sum())) if z is None else z
    own = updates[bad]
    return torch.where(bad[:, None], own.mean(0) - z * own.std(0), updates)


def most_z(num_clients, num_bad):
    """The largest z of `a_little` at which enough honest clients lie further out than the attackers, in each coordinate: float, 0 at least.

    Source: Baruch et al. 2019, the first lines of the attack. Raises ValueError unless 0 < num_bad, and less than a majority.
    """
    supporters = num_clients // 2 + 1 - num_bad             # honest ones that must be on the attackers' side for a majority
    honest = num_clients - num_bad
    if not (0 < num_bad and 0 < supporters):
        raise ValueError(f"num_bad={num_bad} of {num_clients}: give at least 1, and fewer than a majority")
    # z = max { z : Phi(z) < (honest - supporters) / honest }
    return max(0.0, torch.special.ndtri(torch.tensor((honest - supporters) / honest, dtype=torch.float64)).item())


def inflated(num_examples, bad, *, claim):
    """(C,): the bad clients say that `claim` examples stand behind their update. Nobody can check it: a count is a client's own claim."""
    return torch.where(bad, claim, num_examples)


def stage(bad, *, attack=None, claim=None):
    """The clients with ids `bad` ((k,) int64) run `attack(updates, bad_rows)` and claim so many examples, in each round in which they are.

    Returns a stage `(uplink, state, rng) -> (uplink, state)` for rounds.run. Raises ValueError for neither attack nor claim.
    """
    if attack is None and claim is None:
        raise ValueError("a stage of an attack needs an attack, a claim, or both")
    if claim is not None and not (claim >= 0 and math.isfinite(claim)):
        raise ValueError(f"claim={claim}: a count is at least 0 and finite, others are refused by the server anyway")
    bad = torch.as_tensor(bad)

    def poisoned(uplink, state, rng):
        rows = torch.isin(uplink.ids, bad)
        updates = attack(uplink.updates, rows) if attack and rows.any() else uplink.updates
        num_examples = uplink.num_examples if claim is None else inflated(uplink.num_examples, rows, claim=claim)
        return replace(uplink, updates=updates, num_examples=num_examples), state
    return poisoned
