"""What each way to aggregate fixes and where it loses, over five seeds (lab 14): rules and servers, each in six situations.

Digits on 50 devices, ten a round, 30 rounds, E = 5, B = 10, lr = 0.2; accuracy is the mean of the last five rounds. A seed draws the split,
the deal, the first weights, who is bad, the devices of a round and the batches. The knobs (clip, beta, the server's rate) were chosen by
a few trials on the seeds 0, 1 and 2.

    python benchmarks/aggregation.py              prints a table, writes benchmarks/results/aggregation.json (a minute)
"""
import argparse
from dataclasses import replace
from functools import partial

import digits
import record
import torch
from tqdm import tqdm

from odl_kit.data import partition
from odl_kit.federation import aggregators, local, rounds, selection, servers, stages

SEEDS = range(5)
RULES = {"mean": {}, "clipped at 1": {"aggregate": partial(aggregators.clipped_mean, clip=1.0)},
         "clipped at 0.3": {"aggregate": partial(aggregators.clipped_mean, clip=0.3)},
         "weights capped at 40": {"aggregate": partial(aggregators.weighted_mean, cap=40)}, "weighed by trust": {"trusted": True},
         "median": {"aggregate": aggregators.median}, "server momentum": {"server": servers.momentum(1.0, beta=0.9)},
         "client momentum": {"uplink": (stages.client_momentum(0.9),)}, "server rate 10": {"server": servers.sgd(10.0)},
         "FedAdam": {"server": servers.adam(0.1)}}
SITUATIONS = ("all well, all digits", "all well, two digits each", "3 of 50 send -10 times", "1 of 50 claims a million",
              "20 of 50 label at random", "tiny steps")


def bad_ones(rng, count):
    """(count,) ids of 50."""
    return torch.randperm(50, generator=rng)[:count]


def attacked(bad, factor, claim=None):
    """A stage: the clients `bad` send `factor` times their update, and claim so many examples."""
    def stage(uplink, state, rng):
        row = torch.isin(uplink.ids, bad)
        n = uplink.num_examples if claim is None else torch.where(row, claim, uplink.num_examples)
        return replace(uplink, updates=torch.where(row[:, None], factor * uplink.updates, uplink.updates), num_examples=n), state
    return stage


def run(rule, situation, seed):
    """Accuracy of one rule in one situation."""
    skewed = situation in ("all well, two digits each", "20 of 50 label at random")
    world = digits.world(partial(partition.shards if skewed else partition.iid, num_clients=50), seed)
    rng, clients = world.rng, world.clients
    before, trust, work = (), torch.ones(50), {"epochs": 5, "batch_size": 10, "lr": 0.2}
    if situation == "3 of 50 send -10 times":
        bad = bad_ones(rng, 3)
        before, trust = (attacked(bad, -10.0),), trust.index_fill(0, bad, 0.1)
    elif situation == "1 of 50 claims a million":
        bad = bad_ones(rng, 1)
        before, trust = (attacked(bad, -1.0, claim=1_000_000),), trust.index_fill(0, bad, 0.1)
    elif situation == "20 of 50 label at random":
        bad = bad_ones(rng, 20)
        y = clients.y.clone()
        y[bad] = torch.randint(10, y[bad].shape, generator=rng)
        clients, trust = replace(clients, y=y), trust.index_fill(0, bad, 0.1)
    elif situation == "tiny steps":
        work = {"epochs": 1, "batch_size": 10, "lr": 0.02}
    options = dict(RULES[rule])
    after = (stages.weigh_by(clients.num_examples * trust),) if options.pop("trusted", False) else options.pop("uplink", ())
    history = rounds.run(world.w, train=partial(local.train_cohort, world.net, clients, **work), select=selection.uniform(50, 10),
                         rounds=30, uplink=(*before, *after), evaluate=world.evaluate, rng=rng, progress=False, **options)
    return round(digits.final(history), 4)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {situation: {rule: [run(rule, situation, seed) for seed in SEEDS] for rule in RULES} for situation in tqdm(SITUATIONS)}
    for situation, rows in found.items():
        for rule, runs in rows.items():
            print(f"{situation:<28}{rule:<22}{min(runs):.3f} to {max(runs):.3f}   {runs}")
    record.write("aggregation", accuracy=found, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
