"""How much of its own data a thermostat needs, over twenty seeds: degrees off on two held-out weeks (lab 01).

A seed draws which eight of the 24 simulated households are held out, the first weights and the batches; the recipe is that of the lab, and
run(0) gives its numbers. All numbers of one seed share the same eight households, so they rise and fall together.
Copying the dial of yesterday's same hour, which needs no learning, stands beside it.

    python benchmarks/personal_thermostat.py      prints a table, writes benchmarks/results/personal_thermostat.json (a minute)
"""
import argparse

import record
import torch
from tqdm import tqdm

from odl_kit.data import datasets, partition
from odl_kit.learners import cohort, train
from odl_kit.models import flat, nets

HOURS, SEEDS = (6, 12, 24, 48, 168, 336, 1008), range(1, 21)        # the lab itself runs seed 0
NAMES = {6: "6 hours", 12: "12 hours", 24: "1 day", 48: "2 days", 168: "1 week", 336: "2 weeks", 1008: "6 weeks"}


def learn(net, start, first, hours, seed):
    """Weights (8, P): each household of `first` takes about 300 steps from `start` on its first hours, as lab 01 does."""
    mine = first.subset(first.time < hours)
    shares = partition.clients(mine, partition.by_user(mine.user))
    batch = min(16, hours)
    return start + cohort.train_cohort(net, start, shares.x, shares.y, shares.num_examples, epochs=max(2, 300 * batch // hours),
                                       batch_size=batch, lr=0.1, rng=torch.Generator().manual_seed(seed))


def run(seed):
    """{start: {hours of own data: (degrees off, % exactly right)}} of one seed."""
    rng = torch.Generator().manual_seed(seed)
    others, own = datasets.split(datasets.load("thermostat"), by="user", test=1 / 3, rng=rng)
    (known, _), (first, last) = (datasets.split(part, by="time", test=0.25) for part in (others, own))
    held_out = partition.clients(last, partition.by_user(last.user))
    net, fresh = nets.mlp(8, 24, 11, rng=rng), flat.ravel(nets.mlp(8, 24, 11, rng=rng))
    train.fit(net, known.x, known.y, epochs=6, batch_size=64, lr=0.1, rng=rng, progress=False)
    generic = flat.ravel(net)

    def score(weights):
        guesses = torch.stack([flat.assign(net, w)(x).argmax(1) for w, x in zip(weights, held_out.x, strict=True)])
        return measure(guesses, held_out.y)
    found = {name: {NAMES[hours]: score(learn(net, start, first, hours, seed)) for hours in HOURS}
             for name, start in (("from nothing", fresh), ("from the generic model", generic))}
    dial = own.y.view(len(held_out), -1)
    found["no learning"] = {"generic": score(generic.expand(len(held_out), -1)),
                            "copy yesterday": measure(dial[:, -held_out.y.shape[1] - 24:-24], held_out.y)}
    return found


def measure(guesses, dial):
    """(mean error in degrees, % exactly right) of guesses and set-points, both (8, N)."""
    return (guesses - dial).abs().float().mean().item(), 100 * (guesses == dial).float().mean().item()


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    runs = [run(seed) for seed in tqdm(SEEDS, unit="seed")]
    degrees, percent = ({name: {row: [round(one[name][row][k], 4) for one in runs] for row in rows} for name, rows in runs[0].items()}
                        for k in (0, 1))
    for name, rows in degrees.items():
        for row, values in rows.items():
            print(f"{name:<24}{row:<16}{min(values):6.2f} to {max(values):4.2f} degrees off"
                  f"{min(percent[name][row]):8.1f} to {max(percent[name][row]):4.1f} % right")
    record.write("personal_thermostat", degrees=degrees, percent=percent, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
