"""Rounds until FedAvg reads 85 % of all digits, over five seeds: how much local work buys, on mixed and on skewed data (lab 11).

For each setting of E and B the learning rate is chosen on three seeds of its own (10, 11, 12) by the median of the rounds; the five
seeds that are reported (0 to 4) play no part in the choice. A seed draws the split, the deal, the first weights, the devices of a
round and the batches.

    python benchmarks/fedavg_rounds.py            prints a table, writes benchmarks/results/fedavg_rounds.json (about a minute)
"""
import argparse
import statistics
from functools import partial

import digits
import record
import torch
from tqdm import tqdm

from odl_kit.data import partition
from odl_kit.federation import local, rounds, selection

TARGET, LIMIT, CLIENTS, PER_ROUND = 0.85, 200, 50, 10
SETTINGS = {"E=1 B=all": (1, None), "E=1 B=10": (1, 10), "E=5 B=10": (5, 10), "E=20 B=10": (20, 10)}
RATES = (0.05, 0.1, 0.2, 0.5, 1.0)
DEALS = {"all digits everywhere": partition.iid, "two digits each": partition.shards}


def rounds_needed(deal, epochs, batch_size, lr, seed):
    """Rounds to TARGET, LIMIT + 1 if LIMIT rounds do not suffice."""
    world = digits.world(partial(deal, num_clients=CLIENTS), seed)
    work = partial(local.train_cohort, world.net, world.clients, epochs=epochs, batch_size=batch_size, lr=lr)
    w = world.w
    for done in range(0, LIMIT, 10):                          # ten at a time, so that a quick setting does not run 200 rounds
        history = rounds.run(w, train=work, select=selection.uniform(CLIENTS, PER_ROUND), rounds=10, evaluate=world.evaluate, rng=world.rng,
                             progress=False)
        first = history.first_round_above("accuracy", TARGET)
        if first is not None:
            return done + first
        w = history.w
    return LIMIT + 1


def best_rate(deal, epochs, batch_size):
    """The rate of RATES with the smallest median of rounds over the seeds 10, 11, 12."""
    return min(RATES, key=lambda lr: statistics.median(rounds_needed(deal, epochs, batch_size, lr, seed) for seed in (10, 11, 12)))


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {deal: {} for deal in DEALS}
    rates = {deal: {} for deal in DEALS}
    for deal, name in tqdm([(deal, name) for deal in DEALS for name in SETTINGS], unit="setting"):
        rates[deal][name] = best_rate(DEALS[deal], *SETTINGS[name])
        found[deal][name] = [rounds_needed(DEALS[deal], *SETTINGS[name], rates[deal][name], seed) for seed in range(5)]
    for deal in DEALS:
        for name in SETTINGS:
            print(f"{deal:<24} {name:<10} lr {rates[deal][name]:<5} rounds {found[deal][name]}")
    record.write("fedavg_rounds", rounds=found, lr=rates, target=TARGET, seeds=list(range(5)))


if __name__ == "__main__":
    main()
