"""Uplink stages for the aggregation of section 12.5.4: client metadata as weights, and momentum that each client keeps.

Like all stages `(uplink, state, rng) -> (uplink, state)`; state is None before the first round and is replaced, never changed in place.
"""
from dataclasses import replace

import torch


def weigh_by(weights):
    """What `aggregators.mean` weighs a client by, in place of num_examples: weights (num_clients,), at least 0, looked up by client id.

    They are what the server knows of its clients (region, link, sensor, trust), so that no claim of a client counts. Later stages and the
    quarantine may drop rows: the weight goes with its row. Raises ValueError for a negative or infinite weight, or when all are 0.
    """
    weights = torch.as_tensor(weights, dtype=torch.get_default_dtype())
    if weights.isfinite().logical_not().any() or weights.min() < 0 or weights.sum() == 0:
        raise ValueError(f"weights {weights.tolist()}: give finite ones, none below 0 and one above 0 at least")

    def weighed(uplink, state, rng):
        return replace(uplink, num_examples=weights[uplink.ids]), state
    return weighed


def client_momentum(beta):
    """Each client sends m_c <- beta * m_c + update_c, from m_c = 0, and keeps m_c; the stage's state is {client id: m_c (P,)}.

    The book gives no formula; this is FedAvgM's (servers.momentum), kept by the clients. Where all take part in every round with the same
    weights, the two are one and the same, since the mean of sums is the sum of means. A client that is seldom chosen sends old news.
    The bytes do not change. Raises ValueError unless 0 <= beta < 1; 0 sends the update itself.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta={beta} must be at least 0 and below 1")

    def remembered(uplink, state, rng):
        kept, ids = state or {}, uplink.ids.tolist()
        before = torch.stack([kept.get(client, torch.zeros_like(update)) for client, update in zip(ids, uplink.updates, strict=True)])
        rows = beta * before + uplink.updates
        news = {client: row.clone() for client, row in zip(ids, rows, strict=True) if row.isfinite().all()}
        return replace(uplink, updates=rows), {**kept, **news}
    return remembered
