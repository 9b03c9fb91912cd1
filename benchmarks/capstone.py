"""The designs of the capstone (lab 28), from a plain federated mean to the reference solution, each scored over five seeds.

"these people": the lab's own brief, five seeds of training. "other people": five briefs with other people, volunteers and liars.
Accuracies in %, mean over fifty people who took no part, and mean over the worst tenth of them; points as the score card gives them.

    python benchmarks/capstone.py        prints a table, writes benchmarks/results/capstone.json (some minutes)
"""
import argparse
from dataclasses import asdict, replace
from functools import partial
from types import SimpleNamespace

import record
import torch
from tqdm import tqdm

from odl_kit.budget import BOARDS, KB, Budget
from odl_kit.data import messages, partition
from odl_kit.federation import scorecard
from odl_kit.federation.design import Brief, Design
from odl_kit.models import nets
from odl_kit.threats import model_poisoning

SEEDS = range(5)


def people(count, each, seed):
    """The messages of `count` new people as bags of words, as in the lab."""
    data = messages.generate(count, each, rng=torch.Generator().manual_seed(seed))
    words = torch.zeros(len(data.x), len(messages.VOCABULARY)).scatter_(1, data.x, 1.0)
    words[:, :3] = 0
    return SimpleNamespace(x=words, y=data.y, user=data.user, time=data.time)


def on_devices(data, when=slice(None)):
    return partition.clients(SimpleNamespace(x=data.x[when], y=data.y[when]), data.user[when])


def brief(cast=0):
    """The lab's brief (cast 0), or the same with other people."""
    badges, served, given = (people(count, each, 100 * cast + seed) for count, each, seed in ((1000, 40, 1), (50, 80, 2), (10, 40, 3)))
    early = served.time < 20
    liars = torch.randperm(1000, generator=torch.Generator().manual_seed(100 * cast + 4))[:50]
    return Brief(net=lambda hidden, rng: nets.mlp(len(messages.VOCABULARY), hidden, len(messages.CLASSES), rng=rng),
                 phones=on_devices(badges), first=on_devices(served, early), later=on_devices(served, ~early),
                 volunteers=(given.x, given.y), board=BOARDS["nano33"],
                 budget=Budget(flash=16 * KB, sram=48 * KB, energy_mJ=20, link_bytes=64 * KB), epsilon=1.0, delta=1000 ** -1.1,
                 secure=False, attack=model_poisoning.stage(liars, attack=partial(model_poisoning.scaled, factor=-10)),
                 mJ=lambda macs, link_bytes, calls: 3 * 3.3 * 5 * macs / 64e6 + 3 * 6.4 * 8 * link_bytes / 1e6 + calls)


def designs():
    """{name: Design}, in the order of the lab; "8 bits" is the reference solution."""
    plain = Design(hidden=10, lr=0.3, rounds=20, per_round=100)
    found = {"plain mean": plain, "median": replace(plain, rule="median"), "trimmed mean": replace(plain, rule="trimmed mean")}
    last = plain
    for name, change in (("clip", {"clip": 1.0, "server_lr": 2.0}), ("epsilon 1", {"epsilon": 1.0}),
                         ("volunteers", {"from_volunteers": True}), ("personal", {"personal_epochs": 10}),
                         ("8 bits", {"serves_in_bits": 8})):
        found[name] = last = replace(last, **change)
    return found | {"8 bits, secure sums": replace(last, secure=True)}


def measured(runs):
    """runs: (seed, brief) pairs -> {"accuracy" | "worst_tenth" | "points": {design: [one number a run]}}."""
    found = {"accuracy": {}, "worst_tenth": {}, "points": {}}
    for seed, given in runs:
        for name, design in designs().items():
            card = scorecard.score(design, given, seed=seed)
            for key, value in (("accuracy", 100 * card.accuracy), ("worst_tenth", 100 * card.worst_tenth), ("points", card.points)):
                found[key].setdefault(name, []).append(round(value, 2))
    return found


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    given = brief()
    casts = {"these people": measured(tqdm([(seed, given) for seed in SEEDS], desc="these people")),
             "other people": measured(tqdm(((seed, brief(1 + seed)) for seed in SEEDS), total=len(SEEDS), desc="other people"))}
    for cast, found in casts.items():
        for name in designs():
            print(f"{cast:<14}{name:<22}", *(f"{key} {found[key][name]}" for key in found))
    reference = designs()["8 bits"]
    record.write("capstone", brief=given.digest(), seeds=list(SEEDS), unit="accuracies in %", reference=asdict(reference),
                 reference_card=scorecard.score(reference, given).plain(), casts=casts)


if __name__ == "__main__":
    main()
