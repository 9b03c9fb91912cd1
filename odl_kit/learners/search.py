"""The sparse plan with the greatest sum of gains within a memory budget: exact, and by evolution, as the paper searches."""
import numpy as np
import torch

from odl_kit.learners import cost, plan


def search_plan(scores, layers, budget, *, method="exact", rng=None):
    """The UpdatePlan, in the paper's notation, with the greatest scores.predicted(plan) whose cost.extra_bits are at most 8 * budget.

    scores: sparse.Contribution. layers: as layers.trace gives them. budget: bytes, int. method: "exact", dynamic programming (nothing
    better exists), or "evolution" (rng: torch.Generator). Both keep to the budget always. Raises ValueError for a budget below that of the
    head alone, an unknown method, a missing rng, and scores of another net.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.2: maximise gain_b[k] + sum of gain_w[i, r] by evolutionary search. Population, mutation and
    number of generations are ours.
    """
    convs = [layer for layer in layers if layer.kind == "conv"]
    if [conv.name for conv in convs] != list(scores.weights):
        raise ValueError(f"the scores are of the convolutions {', '.join(scores.weights)}; the layers have others")
    if method not in METHODS or (method == "evolution" and rng is None):
        raise ValueError(f"method {method!r} is unknown: use {' or '.join(map(repr, METHODS))}" if method not in METHODS else
                         'method="evolution" draws: pass rng, a torch.Generator')
    bases = [plan.from_scheme(layers, num_bias=k) for k in range(len(convs) + 1)]
    room = [(8 * budget - cost.extra_bits(layers, base)) // 8 for base in bases]      # bytes for weights, when the last k biases learn
    if room[0] < 0:
        raise ValueError(f"a budget of {budget} B is too small: the head alone takes {-(-cost.extra_bits(layers, bases[0]) // 8)} B")
    options = [[(0, 0, 0.0), *((n, _weight_bytes(conv, n), gain) for n, gain in scores.weights[conv.name].items())]
               for conv in reversed(convs)]        # from the last convolution to the first: those of the last k biases are options[:k]
    k, picks = METHODS[method](options, scores.biases, room, rng)
    channels = {conv.name: choice[pick][0] for conv, choice, pick in zip(reversed(convs), options, picks, strict=False) if pick}
    return plan.UpdatePlan(bases[k].biases, bases[k].channels | channels)


def _weight_bytes(conv, count):
    """8 bits for each kept input and for each weight that reads it: the part of cost.extra_bits that grows with the channels."""
    return count * (conv.h_in * conv.w_in + conv.weights // conv.c_in)


def _exact(options, biases, room, rng):
    """(k, picks): a knapsack with one choice a layer, by dynamic programming over the bytes.

      best[j][b] = max over options o of layer j:  gain(o) + best[j-1][b - bytes(o)]        best[0][b] = 0
    The layers are taken from the last to the first, so that best[k] holds the answer for k biases: max over k of biases[k] + best[k][room].
    """
    whole = sum(max(size for _, size, _ in choice) for choice in options)
    room = [min(left, whole) for left in room]
    best, picked, top = np.zeros(max(room) + 1), [], (biases[0], 0, [])
    for k, choice in enumerate(options, start=1):
        rows = np.full((len(choice), len(best)), -np.inf)
        for row, (_, size, gain) in zip(rows, choice, strict=True):
            row[size:] = best[:max(0, len(best) - size)] + gain
        picked.append(rows.argmax(0))
        best = rows.max(0)
        if room[k] >= 0 and biases[k] + best[room[k]] > top[0]:
            top = biases[k] + best[room[k]], k, _walk_back(options, picked, room[k])
    return top[1:]


def _walk_back(options, picked, left):
    picks = []
    for choice, pick in zip(reversed(options[:len(picked)]), reversed(picked), strict=True):
        picks.append(int(pick[left]))
        left -= choice[picks[-1]][1]
    return picks[::-1]


def _evolution(options, biases, room, rng, population=200, generations=60, mutation=0.1):
    """(k, picks): in each generation the best quarter stays; children take each gene from one of two parents, and some genes change.

    A gene is the option of a layer, one more gene is k; layers before the last k are silent. What exceeds the budget does not survive: its
    fitness is -inf. The head alone is among the first, so that there always is one that fits.
    """
    n, most = len(options), max(map(len, options))
    table = torch.tensor([choice + [(0, 2**40, 0.0)] * (most - len(choice)) for choice in options], dtype=torch.float64)   # (n, most, 3)
    biases, room = torch.tensor(biases, dtype=torch.float64), torch.tensor(room)

    def draw(count):
        genes = torch.randint(most, (count, n), generator=rng) * (torch.rand(count, n, generator=rng) < 0.5)
        return torch.cat([genes, torch.randint(n + 1, (count, 1), generator=rng)], 1)

    def fitness(genes):
        k, live = genes[:, n], torch.arange(n) < genes[:, n:]
        chosen = table[torch.arange(n), genes[:, :n]] * live[..., None]
        return torch.where(chosen[..., 1].sum(1) <= room[k], biases[k] + chosen[..., 2].sum(1), -torch.inf)

    genes = draw(population)
    genes[0] = 0
    for _ in range(generations):
        parents = genes[fitness(genes).argsort(descending=True, stable=True)[:population // 4]]
        mother, father = parents[torch.randint(len(parents), (2, population - len(parents)), generator=rng)]
        children = torch.where(torch.rand(mother.shape, generator=rng) < 0.5, mother, father)
        changed = torch.rand(children.shape, generator=rng) < mutation
        genes = torch.cat([parents, torch.where(changed, draw(len(children)), children)])
    best = genes[fitness(genes).argmax()].tolist()
    return best[n], best[:best[n]]


METHODS = {"exact": _exact, "evolution": _evolution}
