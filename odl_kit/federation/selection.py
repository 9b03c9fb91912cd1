"""Who takes part in a round. A selector is `(round_number, rng) -> chosen (m,) int64`, client ids in ascending order.

power_of_choice is a `train` instead, since it asks the clients for their loss under w, which a selector does not see.
"""
import math

import torch
from torch.func import functional_call
from torch.nn import functional as F

from odl_kit.models import flat


def uniform(num_clients, m):
    """m of num_clients, each set of m equally likely, drawn anew every round (McMahan et al. 2017: m = max(C * K, 1)).

    Raises ValueError unless 1 <= m <= num_clients.
    """
    _check(m, num_clients)

    def select(round_number, rng):
        return torch.randperm(num_clients, generator=rng)[:m].sort().values
    return select


def by_num_examples(num_examples, m):
    """m clients without repeats, drawn one after the other with chances in proportion to num_examples (C,).

    Aggregate with equal weights then (stages.weigh_by(ones)): `mean` would count the examples a second time. Li et al. 2020, scheme I, draw
    with repeats. Raises ValueError unless 1 <= m <= clients that have examples.
    """
    chances = torch.as_tensor(num_examples).float()
    _check(m, int((chances > 0).sum()))

    def select(round_number, rng):
        return torch.multinomial(chances, m, generator=rng).sort().values
    return select


def power_of_choice(train, net, clients, m):
    """`train` for rounds.run: the candidates that `select` drew report their loss under w, and the m with the largest loss train.

    Draw the candidates by_num_examples, as Cho et al. 2020 do (pow-d). All candidates get w and stand in history.chosen, so bytes_down
    counts them; the 4 bytes of each reported loss are not counted. clients: as for local.train_cohort. ValueError for m > candidates.
    """
    def trained(w, candidates, *, rng):
        _check(m, len(candidates))
        worst = losses(net, clients, w, candidates).argsort(descending=True, stable=True)[:m]
        return train(w, candidates[worst].sort().values, rng=rng)
    return trained


@torch.no_grad()
def losses(net, clients, w, chosen):
    """The mean cross-entropy (m,) of each client `chosen` (m,) int64 on its own examples, under the weights w (P,)."""
    x, y = clients.x[chosen], clients.y[chosen]
    each = F.cross_entropy(functional_call(net, flat.unravel(net, w), (x.flatten(0, 1),)), y.flatten(), reduction="none").view_as(y)
    there = torch.arange(y.shape[1]) < clients.num_examples[chosen, None]
    return (each * there).sum(1) / clients.num_examples[chosen]


def within_budget(fleet, m, *, examples, nbytes, deadline_s=math.inf, energy_mJ=math.inf):
    """m at random of the devices whose round fits deadline_s and energy_mJ; all of them where fewer fit. fleet: fleet.Fleet.

    examples, nbytes: as for Fleet.time_s. Nishio & Yonetani 2019 (FedCS) pack the round greedily instead, with links shared.
    Raises ValueError if no device fits.
    """
    seconds, energy = fleet.time_s(examples, nbytes), fleet.energy_mJ(examples, nbytes)
    fit = ((seconds <= deadline_s) & (energy <= energy_mJ)).nonzero().flatten()
    _check(m, len(fleet))
    if not len(fit):
        raise ValueError(f"no device fits {deadline_s} s and {energy_mJ} mJ: the fastest needs {float(seconds.min()):.3g} s, "
                         f"the thriftiest {float(energy.min()):.3g} mJ")

    def select(round_number, rng):
        return fit[torch.randperm(len(fit), generator=rng)[:m]].sort().values
    return select


def diverse(histogram, m, *, candidates, cost=None, price=0.0):
    """Of `candidates` clients drawn at random, m that together own the labels in the proportions of all, and are cheap.

    Greedy: each time the client that makes   sum over labels |share in the cohort - share in all| + price * its cost / mean cost   least.
    histogram: (C, labels) counts, which the clients must reveal. cost: (C,), say fleet.time_s(...). price: 0 looks at labels alone.
    Section 12.5.6 asks for this balance and names no rule; the greedy one is that of Duan et al. 2019 (Astraea), with L1 for their KL.
    Raises ValueError unless 1 <= m <= candidates <= C.
    """
    histogram = torch.as_tensor(histogram).float()
    _check(candidates, len(histogram))
    _check(m, candidates)
    wanted, charge = histogram.sum(0) / histogram.sum(), torch.zeros(len(histogram))
    if cost is not None:
        charge = price * cost / cost.mean()

    def select(round_number, rng):
        left = torch.randperm(len(histogram), generator=rng)[:candidates]
        chosen, owned = [], torch.zeros_like(wanted)
        for _ in range(m):
            together = owned + histogram[left]
            best = int(((together / together.sum(1, keepdim=True) - wanted).abs().sum(1) + charge[left]).argmin())
            owned = together[best]
            chosen.append(int(left[best]))
            left = torch.cat([left[:best], left[best + 1:]])
        return torch.tensor(chosen).sort().values
    return select


def _check(m, num_clients):
    if not 1 <= m <= num_clients:
        raise ValueError(f"m={m} clients asked of {num_clients}: give 1 to {num_clients}")
