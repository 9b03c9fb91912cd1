"""A watchman in the round: scores all clients that he has seen so far, sets aside who is far out, and writes down who, why, by what number.

`watch` is a stage `(uplink, state, rng) -> (uplink, state)`; what it sets aside stands in the history's set_aside beside the NaN rows.
"""
from dataclasses import replace

import torch

from odl_kit.defenses import detection


def watch(*, score=detection.cosine_to_median, name="1 - cosine to the median", limit=3.5, patience=3, places=None):
    """A stage that sets aside the updates of clients whose `score` is more than `limit` robust deviations above the median client's.

    score: means (K, D) -> (K,), high is suspect; it sees each client's mean update so far. patience: rounds in which nobody is set aside,
    since one round says little. places: (D,) int64, the weights to look at; None: all. A client is judged anew in every round, and what it
    sends is remembered while it is set aside too. Rows with NaN or Inf are passed on unseen: the quarantine names them.
    The stage's state: (ids (K,), sums (K, D) of their updates, times (K,) that each took part, rounds). Raises ValueError for limit <= 0.
    """
    if not limit > 0:
        raise ValueError(f"limit={limit}: at 0 half of all clients are above it; 3.5 is usual")

    def watched(uplink, state, rng):
        looked = uplink.updates if places is None else uplink.updates[:, places]
        finite = looked.isfinite().all(1)
        ids, sums, times, rounds = state = _remember(state, uplink.ids[finite], looked[finite])
        if rounds <= patience:
            return uplink, state
        scores = score(sums / times[:, None])
        z = detection.robust_z(scores)
        at = torch.searchsorted(ids, uplink.ids).clamp(max=len(ids) - 1)
        far = finite & (z[at] > limit)
        why = tuple((int(ids[k]), f"{name} {scores[k]:.3g} over {int(times[k])} rounds: {z[k]:.1f} deviations, the limit is {limit:g}")
                    for k in at[far].tolist())
        return replace(uplink, updates=uplink.updates[~far], num_examples=uplink.num_examples[~far], ids=uplink.ids[~far],
                       failed=(*uplink.failed, *why)), state
    return watched


def _remember(state, ids, updates):
    """The state of `watch` with one more round: ids (m,), updates (m, D)."""
    old, sums, times, rounds = state or (ids[:0], updates[:0], ids[:0], 0)
    every = torch.cat([old, ids]).unique()
    place, again = torch.searchsorted(every, ids), torch.searchsorted(every, old)
    sums = updates.new_zeros(len(every), updates.shape[1]).index_add(0, again, sums).index_add(0, place, updates)
    times = torch.zeros_like(every).index_add(0, again, times).index_add(0, place, torch.ones_like(ids))
    return every, sums, times, rounds + 1


def audit_log(set_aside):
    """What a history's set_aside says, client by client: {client: (rounds (tuple of int, from 1), the last reason)}, most often first."""
    found = {}
    for number, entries in enumerate(set_aside, start=1):
        for client, why in entries:
            found[client] = ((*found.get(client, ((), ""))[0], number), why)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1][0]), item[0])))
