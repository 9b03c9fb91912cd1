"""What skewed data cost and what helps, over five seeds (lab 12): drift against earth mover's distance, remedies, cameras out of reach, and
who is chosen when devices are slow.

Digits; a seed draws the split, the deal, the first weights, the devices and all that happens in a run. E = 5, B = 10, lr = 0.2 throughout.

    python benchmarks/non_iid.py                  prints tables, writes benchmarks/results/non_iid.json (a minute)
"""
import argparse
from functools import partial

import digits
import record
import torch
from tqdm import tqdm

from odl_kit.data import partition
from odl_kit.federation import fleet, local, rounds, selection, stages
from odl_kit.learners import cohort, train
from odl_kit.models import flat

SEEDS, ALPHAS = range(5), (0.05, 0.1, 0.3, 1, 10, 100)
WORK = {"epochs": 5, "batch_size": 10, "lr": 0.2}
POLICIES = ("anyone", "large ones", "power of choice", "the faster half", "diverse", "diverse and quick")
REACH = (1.0, 0.2, 0.1, 0.05)
BYTES = 2 * 9640


class World(digits.World):
    """digits.World with the far region's accuracy beside the other, and a run."""

    def evaluate(self, w):
        """Accuracy on all digits, and on 8 and 9, which only the far region knows."""
        x, y, far = self.test_set.x, self.test_set.y, self.test_set.y >= 8
        net = flat.assign(self.net, w)
        return {"accuracy": train.evaluate(net, x, y)["accuracy"], "far": train.evaluate(net, x[far], y[far])["accuracy"]}

    def run(self, *, num_rounds, select, clients=None, wrap=lambda work: work, uplink=(), **work):
        """A History of FedAvg in this world."""
        clients = self.clients if clients is None else clients
        trains = wrap(partial(local.train_cohort, self.net, clients, **{**WORK, **work}))
        return rounds.run(self.w, train=trains, select=select, rounds=num_rounds, uplink=uplink, evaluate=self.evaluate, rng=self.rng,
                          progress=False)


def world_of(seed, deal):
    """The World of one seed; `deal(y, rng=) -> owner`."""
    return World(**vars(digits.world(deal, seed)))


def drift(alpha, seed):
    """(mean earth mover's distance, divergence after one round, accuracy after 1 and 20 rounds), all of 20 clients in every round."""
    world = world_of(seed, partial(partition.dirichlet, num_clients=20, alpha=alpha))
    n = world.clients.num_examples
    histogram = partition.describe(world.owner, world.train_set.y).histogram.float()
    distance = (histogram / histogram.sum(1, keepdim=True) - histogram.sum(0) / histogram.sum()).abs().sum(1)
    updates = local.train_cohort(world.net, world.clients, world.w, torch.arange(20), rng=world.rng, **WORK).updates
    x, y = world.train_set.x[None], world.train_set.y[None]
    central = world.w + cohort.train_cohort(world.net, world.w, x, y, torch.tensor([y.numel()]), epochs=5, batch_size=200, lr=0.2,
                                            rng=world.rng)[0]
    apart = (world.w + n / n.sum() @ updates - central).norm() / central.norm()
    history = world.run(num_rounds=20, select=selection.uniform(20, 20))
    return float(n / n.sum() @ distance), float(apart), history.curve("accuracy")[0], digits.final(history)


def with_shared(world, share):
    """The clients, each with the same `share` of all pictures in front of its own (Zhao et al. 2018)."""
    count = round(share * len(world.train_set))
    common = world.train_set.subset(torch.randperm(len(world.train_set), generator=world.rng)[:count])
    own = world.clients
    x, y = (torch.cat([same.expand(len(own), *same.shape), mine], 1) for same, mine in ((common.x, own.x), (common.y, own.y)))
    return partition.Clients(x, y, own.num_examples + count)


def remedy(name, seed):
    """(accuracy after 30 rounds, rounds to 85 % or 31) with two digits on each of 50 devices, ten a round."""
    world = world_of(seed, partial(partition.shards, num_clients=50))
    kind, _, amount = name.partition(" ")
    options = {"FedProx": lambda: {"prox": float(amount)}, "shared": lambda: {"clients": with_shared(world, int(amount.split()[0]) / 100)},
               "FedAvg": dict}[kind]()
    history = world.run(num_rounds=30, select=selection.uniform(50, 10), **options)
    return digits.final(history), history.first_round_above("accuracy", 0.85) or 31


def regions(y, *, rng):
    """Fifty cameras, ten in each of five regions; region r sees species 2r and 2r + 1, and one picture in ten from anywhere."""
    region = torch.where(torch.rand(len(y), generator=rng) < 0.9, y // 2, torch.randint(5, (len(y),), generator=rng))
    return region * 10 + torch.randint(10, (len(y),), generator=rng)


def cameras(reach, weighed, seed):
    """(accuracy, accuracy on the far species) when the far region answers with chance `reach`; 20 of 50 cameras are asked a round."""
    world = world_of(seed, regions)
    reachable = torch.ones(50).index_fill(0, torch.arange(40, 50), reach)
    same = torch.ones(50)
    devices = fleet.Fleet(same, same, same, same, reachable)
    uplink = (stages.weigh_by(world.clients.num_examples / reachable),) if weighed else ()
    history = world.run(num_rounds=40, select=selection.uniform(50, 20), uplink=uplink,
                        wrap=lambda work: fleet.attend(work, devices, examples=0, nbytes=0))
    return digits.final(history), digits.final(history, "far")


def slow(policy, seed):
    """(accuracy, far, seconds to 85 % or NaN, seconds a round); the devices of the far region are ten times slower."""
    world = world_of(seed, regions)
    devices = fleet.draw(50, rng=world.rng)
    devices = fleet.Fleet(devices.seconds_per_example * torch.ones(50).index_fill(0, torch.arange(40, 50), 10), devices.bytes_per_s,
                          devices.mJ_per_example, devices.mJ_per_byte, devices.reachable)
    n, histogram = world.clients.num_examples, partition.describe(world.owner, world.train_set.y).histogram
    seconds = devices.time_s(5 * n, BYTES)
    budget = {"examples": 5 * n, "nbytes": BYTES, "deadline_s": float(seconds.median())}
    select = {"anyone": lambda: selection.uniform(50, 10), "large ones": lambda: selection.by_num_examples(n, 10),
              "power of choice": lambda: selection.by_num_examples(n, 20),
              "the faster half": lambda: selection.within_budget(devices, 10, **budget),
              "diverse": lambda: selection.diverse(histogram, 10, candidates=30),
              "diverse and quick": lambda: selection.diverse(histogram, 10, candidates=30, cost=seconds, price=0.3)}[policy]()

    def wrap(work):
        return selection.power_of_choice(work, world.net, world.clients, 10) if policy == "power of choice" else work
    history = world.run(num_rounds=30, select=select, wrap=wrap)
    each = [float(seconds[chosen].max()) for chosen in history.chosen]       # for power of choice: that of its candidates, a bound
    first = history.first_round_above("accuracy", 0.85)
    return digits.final(history), digits.final(history, "far"), sum(each[:first]) if first else None, sum(each) / len(each)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    tables = {
        "drift": {str(alpha): [drift(alpha, seed) for seed in SEEDS] for alpha in tqdm(ALPHAS, desc="drift")},
        "remedies": {name: [remedy(name, seed) for seed in SEEDS]
                     for name in tqdm(("FedAvg", "FedProx 0.1", "FedProx 1", "shared 2 %", "shared 5 %", "shared 10 %"), desc="remedies")},
        "cameras": {f"{'weighed' if weighed else 'plain'} {reach}": [cameras(reach, weighed, seed) for seed in SEEDS]
                    for weighed in (False, True) for reach in tqdm(REACH, desc="cameras")},
        "slow": {policy: [slow(policy, seed) for seed in SEEDS] for policy in tqdm(POLICIES, desc="slow")}}
    columns = {"drift": ("distance", "divergence", "first", "accuracy"), "remedies": ("accuracy", "rounds"), "cameras": ("accuracy", "far"),
               "slow": ("accuracy", "far", "seconds_to_85", "seconds_a_round")}
    found = {table: {column: {row: [None if run[k] is None else round(run[k], 4) for run in runs] for row, runs in rows.items()}
                     for k, column in enumerate(columns[table])} for table, rows in tables.items()}
    for table, rows in found.items():
        for column, values in rows.items():
            for row, runs in values.items():
                print(f"{table:<10}{column:<16}{row:<20}{runs}")
    record.write("non_iid", **found, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
