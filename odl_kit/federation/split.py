"""Split training (Shi & Radu 2022): clients train the lower part by FedAvg and send a few activation maps; the server trains the upper.

A client sends the update of the layers up to `cut` only, and what these layers make of some of its examples, chosen to stand for the
others, with their labels. Labels and maps leave the device: `probe` measures how much of the inputs they give away.
"""
from dataclasses import dataclass

import torch
from torch import nn
from tqdm.auto import tqdm

from odl_kit.federation import aggregators, local, rounds
from odl_kit.learners import cohort, train
from odl_kit.models import flat


def parts(net, cut):
    """(lower, upper): two Sequentials that share the weights of `net`, a Sequential; layer `cut` is the last of lower.

    Raises ValueError if net has no such layer, or if a part has no weights.
    """
    names = [name for name, _ in net.named_children()]
    at = names.index(cut) + 1 if cut in names else 0
    lower, upper = net[:at], net[at:]
    if not (any(True for _ in lower.parameters()) and any(True for _ in upper.parameters())):
        raise ValueError(f"cut={cut!r} leaves a part without weights: give one of {', '.join(names)}, with weights before and behind it")
    return lower, upper


def run(net, w, clients, *, cut, select, num_rounds, per_class, server_epochs, server_lr, server_batch=32, evaluate=None, rng,
        progress=True, **options):
    """Rounds of split training from w (P,) -> rounds.History.

    per_class: the maps that a client sends of each of its classes. server_epochs, server_lr, server_batch: how the server trains the upper
    part on the maps of a round. options: of a client's training of the whole net, as for local.train_cohort (epochs, batch_size, lr, ...).
    Up: 4 bytes a weight of the lower part, 4 a number of a map, 1 a label (at most 256 classes). Down: the whole net.
    Deviations from the paper: representatives are found on the maps themselves, not on their principal components; the maps are those of
    the lower part as the client received it.
    """
    lower, upper = parts(net, cut)
    size = sum(p.numel() for p in lower.parameters())
    history = rounds.History(w, evaluate(w) if evaluate else {}, (), rng.get_state())
    for number in tqdm(range(1, num_rounds + 1), unit="round", disable=not progress):
        chosen = select(number, rng)
        uplink = local.train_cohort(net, clients, w, chosen, rng=rng, **options)
        flat.assign(net, w)
        sent = [representatives(lower, *clients[c], per_class=per_class, rng=rng) for c in chosen.tolist()]
        maps, labels = (torch.cat([pair[k] for pair in sent]) for k in (0, 1))
        update = aggregators.mean(uplink.updates[:, :size], uplink.num_examples)           # the lower part: FedAvg
        train.fit(upper, maps, labels, epochs=server_epochs, batch_size=server_batch, lr=server_lr, rng=rng, progress=False)
        w = torch.cat([w[:size] + update, flat.ravel(upper)])
        up = len(chosen) * size * 4 + maps.numel() * 4 + len(labels)
        arrived = cohort.Uplink(uplink.updates, uplink.num_examples, chosen, up, note=uplink.note)
        history = history.after(w, evaluate(w) if evaluate else {}, chosen, arrived, (), (), None, rng.get_state())
    return history


@torch.no_grad()
def representatives(lower, x, y, *, per_class, rng, iterations=10):
    """(maps (k, ...), labels (k,)): of each class in y (n,), the `per_class` examples nearest to the centres of k-means on their maps.

    A class with no more examples than that sends all of them.
    """
    maps = lower(x)
    flat_maps, picked = maps.flatten(1), []
    for label in y.unique():
        mine = (y == label).nonzero().flatten()
        points = flat_maps[mine]
        if len(mine) > per_class:
            centres = points[torch.randperm(len(mine), generator=rng)[:per_class]]
            for _ in range(iterations):
                nearest = torch.cdist(points, centres).argmin(1)
                member = nn.functional.one_hot(nearest, per_class).to(points)
                centres = torch.where(member.sum(0)[:, None] > 0, member.T @ points / member.sum(0)[:, None].clamp(min=1), centres)
            distance = torch.cdist(centres, points)
            mine = mine[torch.stack([_take(distance, row) for row in range(per_class)])]
        picked.append(mine)
    picked = torch.cat(picked)
    return maps[picked], y[picked]


def _take(distance, row):
    """The nearest point of a centre that no centre before it took; marks it taken, in place, for those behind it."""
    nearest = distance[row].argmin()
    distance[:, nearest] = torch.inf
    return nearest


@dataclass(frozen=True, eq=False)
class Leak:
    """pictures (m, ...): the inputs as guessed from the maps. explained: the share of the pixels' variance that the guess gets right; 1 is
    all of it, 0 no better than the mean picture."""
    pictures: torch.Tensor
    explained: float


@torch.no_grad()
def probe(lower, known, hidden, *, ridge=1e-3):
    """How much of `hidden` (m, ...) a linear map from activations back to pixels restores, fitted on `known` (n, ...) inputs -> Leak.

    The attacker has the lower part (every client has) and pictures of the same kind. Ridge regression with an intercept; ridge is relative
    to the mean square of the activations. A lower bound: a better attacker restores more.
    """
    maps, wanted = (lower(x).flatten(1).double() for x in (known, hidden))
    centre, mean = maps.mean(0), known.flatten(1).double().mean(0)
    a, b = maps - centre, known.flatten(1).double() - mean
    gram = a.T @ a
    gram += max(ridge * float(gram.diagonal().mean()), 1e-12) * torch.eye(len(gram), dtype=gram.dtype)
    guess = (wanted - centre) @ torch.linalg.solve(gram, a.T @ b) + mean
    truth = hidden.flatten(1).double()
    explained = 1 - float((guess - truth).square().sum() / (truth - mean).square().sum())
    return Leak(guess.view_as(hidden).to(hidden), explained)
