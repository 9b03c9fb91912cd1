"""A whole round of secure aggregation among simulated clients: floats in, their exact quantised sum out, and every byte counted."""
from dataclasses import dataclass

import numpy as np
import torch

from odl_kit.federation import masking

ID_BYTES = 4
KEY_BYTES = 64            # an advert: two public keys


@dataclass(frozen=True)
class SecureSum:
    """What the server has learned, and what it cost.

    total: (P,) float64, the sum of the survivors' quantised vectors. survivors: their ids. step: the spacing of the fixed-point numbers;
    each coordinate of total is within len(survivors) * step / 2 of the sum of the floats.
    up, down: {"keys" | "shares" | "masked" | "unmask": (C,) int64}, bytes that each client sent and received; the server the reverse.
    """
    total: torch.Tensor
    survivors: tuple
    step: float
    up: dict
    down: dict

    def __repr__(self):
        client = sum(phase.double().mean() for phase in (*self.up.values(), *self.down.values()))
        server = sum(int(phase.sum()) for phase in (*self.up.values(), *self.down.values()))
        return f"sum of {len(self.survivors)} clients, step {self.step:.2g}; a client moved {client:,.0f} B, the server {server:,} B"


def aggregate(updates, num_examples, **options):
    """An aggregator for rounds.run: the plain mean (P,) of the survivors' rows, from their secure sum. options: those of `total`.

    num_examples is not used: the server sees no row that it could weigh. For a weighted mean, clients send n * update and n.
    """
    summed = total(updates, **options)
    return (summed.total / len(summed.survivors)).to(updates)


def total(updates, *, limit, ids=None, threshold=None, neighbours=None, dropped=(), silent=(), rng=None):
    """Run the protocol of module masking among C clients, updates (C, P) float -> SecureSum.

    limit: the largest absolute entry a client may send (a clip by norm bounds it). ids: (C,) ints >= 0, all different; None: row numbers.
    threshold: how many holders open a secret; None: floor(2/3 of them) + 1. neighbours: even number of clients that each shares
    masks with, on a random graph (Bell et al. 2020: about log C suffices; rng: torch.Generator, draws it); None: all others.
    dropped: ids that share their keys and then vanish. silent: ids whose vector arrived, and who vanish before the unmasking.
    Raises ValueError when too few are left, and for what quantise refuses.
    """
    ids = list(range(len(updates))) if ids is None else [int(client) for client in ids]
    unknown = ({*dropped} | {*silent}) - {*ids}
    if unknown or len({*ids}) != len(ids) or min(ids) < 0:
        raise ValueError(f"ids {ids}, dropped {list(dropped)}, silent {list(silent)}: give every client its own id, from 0 up, and name "
                         "only those")
    graph = _graph(ids, neighbours, rng)
    holders = len(graph[ids[0]]) + 1
    threshold = 2 * holders // 3 + 1 if threshold is None else threshold
    codes = {client: quantise(row, limit=limit, num_clients=len(ids)) for client, row in zip(ids, updates, strict=True)}
    count = _Bytes(ids)
    state, adverts, letters = _exchange_keys(ids, graph, threshold, count)
    masked = {}
    for client in ids:
        if client not in dropped:
            state[client], masked[client] = masking.mask(state[client], letters[client], codes[client])
            count.up("masked", client, masked[client].nbytes)
    gone = {*ids} - {*masked}
    answers = {}
    for client in {*masked} - {*silent}:
        count.down("unmask", client, len(graph[client]) * ID_BYTES)
        state[client], answers[client] = masking.open_shares(state[client], {*masked}, gone)
        opened = len(answers[client].seeds) + len(answers[client].mask_keys)
        count.up("unmask", client, opened * (masking.SHARE_BYTES + ID_BYTES))
    if not answers:
        raise ValueError(f"nobody of {len(ids)} clients is left to open the sum: too few survivors")
    summed = masking.unmask(masked, adverts, graph, answers, dropped=gone, threshold=threshold)
    step = limit / _levels(len(ids))
    return SecureSum(dequantise(summed, limit=limit, num_clients=len(ids)), tuple(masked), step, *count.tables())


def _exchange_keys(ids, graph, threshold, count):
    """Advertise and share -> ({id: Client}, {id: Advert}, {receiver: {sender: sealed shares}})."""
    state, adverts, letters = {}, {}, {client: {} for client in ids}
    for client in ids:
        state[client], adverts[client] = masking.advertise(client)
        count.up("keys", client, KEY_BYTES)
        count.down("keys", client, len(graph[client]) * (KEY_BYTES + ID_BYTES))
    for client in ids:
        state[client], sealed = masking.share(state[client], {peer: adverts[peer] for peer in graph[client]}, threshold=threshold)
        for peer, letter in sealed.items():
            letters[peer][client] = letter
            count.up("shares", client, len(letter) + ID_BYTES)
            count.down("shares", peer, len(letter) + ID_BYTES)
    return state, adverts, letters


def quantise(values, *, limit, num_clients):
    """(P,) float in [-limit, limit] -> (P,) uint32: round(values / step) mod 2^32, step = limit / floor((2^31 - 1) / num_clients).

    So the sum of num_clients codes stays within 2^31 - 1 and cannot overflow; each entry is within step / 2. Negative numbers are two's
    complement, zero stays zero. Rounding may lengthen a row by sqrt(P) * step / 2: add that to a clip which noise must cover.
    Raises ValueError for NaN and for entries beyond limit: nothing is clipped in silence.
    """
    values = values.double()
    largest = float(values.abs().max())
    if not largest <= limit:
        raise ValueError(f"the largest entry is {largest}, limit is {limit}: clip the update, or agree on a larger limit (a coarser step)")
    return np.rint(values.numpy() * (_levels(num_clients) / limit)).astype(np.int64).astype(np.uint32)


def dequantise(codes, *, limit, num_clients):
    """The sum of codes, (P,) uint32 -> (P,) float64."""
    return torch.from_numpy(codes.view(np.int32).astype(np.float64)) * (limit / _levels(num_clients))


def _levels(num_clients):
    """The largest code: num_clients of them add up to 2^31 - 1 at most."""
    if not 2 <= num_clients < 2 ** 16:
        raise ValueError(f"{num_clients} clients: give 2 (better 3: two know each other's vector) to {2 ** 16 - 1}, else steps are coarse")
    return (2 ** 31 - 1) // num_clients


def _graph(ids, neighbours, rng):
    """{id: set of its neighbours}: all others, or `neighbours` / 2 on either side of a random circle."""
    if neighbours is None:
        return {client: {*ids} - {client} for client in ids}
    if neighbours % 2 or not 2 <= neighbours < len(ids) or rng is None:
        raise ValueError(f"neighbours={neighbours} of {len(ids)} clients, rng={rng}: give an even number from 2 to {len(ids) - 1}, and rng")
    circle = [ids[place] for place in torch.randperm(len(ids), generator=rng)]
    near = [*range(-neighbours // 2, 0), *range(1, neighbours // 2 + 1)]
    return {client: {circle[(place + offset) % len(ids)] for offset in near} for place, client in enumerate(circle)}


class _Bytes:
    """Bytes by direction, phase and client."""

    def __init__(self, ids):
        self.row = {client: row for row, client in enumerate(ids)}
        self.sent, self.received = ({phase: torch.zeros(len(ids), dtype=torch.int64) for phase in ("keys", "shares", "masked", "unmask")}
                                    for _ in range(2))

    def up(self, phase, client, nbytes):
        self.sent[phase][self.row[client]] += nbytes

    def down(self, phase, client, nbytes):
        self.received[phase][self.row[client]] += nbytes

    def tables(self):
        return self.sent, self.received
