"""Equal error rates of user verification, over five seeds: an embedding trained in one place, by secret codes, or on volunteers (lab 16).

Two simulated sets: gestures (`motion`) and, with an embedding of volunteers only, speech (`keywords`). A seed draws who is a volunteer, who
is at home and who is a stranger, the codes, the weights and the batches. Everybody enrols with early takes and is tested on later ones.
"fellows" are the other users at home, "strangers" took part in nothing. The learning rate of each way to train on codes is chosen on the
seeds 10 and 11, which play no further part.

    python benchmarks/user_verification.py        prints a table, writes benchmarks/results/user_verification.json (a few minutes)
"""
import argparse
import statistics
from functools import partial
from types import SimpleNamespace

import record
import torch
from tqdm import tqdm

from odl_kit.data import datasets, partition
from odl_kit.federation import rounds, selection, verification
from odl_kit.learners import train
from odl_kit.models import flat, nets

BITS, ROUNDS, RATES = 32, 40, (0.1, 0.2, 0.5, 1.0)
SEEDS, TUNING = range(5), (10, 11)


def people(data, enrol, num_volunteers, num_strangers, rng):
    """Who is who, and their takes: enrolment and probes of those at home, probes of strangers, all takes of volunteers."""
    order = data.user.unique()[torch.randperm(len(data.user.unique()), generator=rng)]
    volunteers, strangers, home = order.split([num_volunteers, num_strangers, len(order) - num_volunteers - num_strangers])
    early = data.time < enrol

    def takes(users, when=True):
        part = data.subset(torch.isin(data.user, users) & when)
        return SimpleNamespace(x=part.x, user=part.user)
    return SimpleNamespace(volunteers=takes(volunteers), enrol=takes(home, early), probe=takes(home, ~early),
                           strangers=takes(strangers, ~early), home=home.sort().values)


def both_rates(embed, targets, who):
    """Mean equal error rate in % against (fellows, strangers) of outputs `embed(x)` matched with targets (U, D)."""
    with torch.no_grad():
        scores = verification.match(embed(torch.cat([who.probe.x, who.strangers.x])), targets)
    user = torch.cat([who.probe.user, who.strangers.user])
    return tuple(100 * verification.error_rates(scores, user, who.home, against=others).mean().item()
                 for others in (who.home, who.strangers.user.unique()))


def at_home(embed, who):
    """Plain prototypes: every user's mean embedding, kept on its device."""
    with torch.no_grad():
        targets = verification.prototypes(embed(who.enrol.x), who.enrol.user, who.home)
    return both_rates(embed, targets, who)


def classifier(net, part, rng, *, epochs, lr):
    """Everybody's takes in one place: learn to tell these users apart; returns the net without its head."""
    users = part.user.unique()
    train.fit(net, part.x, torch.searchsorted(users, part.user), epochs=epochs, batch_size=32, lr=lr, momentum=0.9, rng=rng, progress=False)
    return net[:-1].eval()


def on_codes(net, who, lr, rng, *, unit=True):
    """FedAvg in which each user at home pulls the net towards its own secret code; returns (net, codes)."""
    clients = partition.clients(datasets.from_arrays(who.enrol.x, torch.zeros(len(who.enrol.x), dtype=torch.int64)),
                                torch.searchsorted(who.home, who.enrol.user))
    codes = verification.secret_codes(len(who.home), BITS, rng=rng)
    work = partial(verification.train_codes, net, clients, codes, steps=5, batch_size=20, lr=lr, unit=unit)
    everybody = selection.uniform(len(codes), len(codes))
    history = rounds.run(flat.ravel(net), train=work, select=everybody, rounds=ROUNDS, rng=rng, progress=False)
    return flat.assign(net, history.w), codes


def over(embed, who):
    """The same people, seen through a frozen embedding."""
    parts = {"enrol": who.enrol, "probe": who.probe, "strangers": who.strangers}
    with torch.no_grad():
        outputs = {name: SimpleNamespace(x=embed(part.x), user=part.user) for name, part in parts.items()}
    scale = outputs["enrol"].x.std()
    for part in outputs.values():
        part.x = part.x / scale
    return SimpleNamespace(home=who.home, **outputs)


def code_rates(who, inputs, seed, lr, *, unit=True):
    """((fellows, strangers) decided by the code, the same decided by prototypes) after training on codes."""
    rng = torch.Generator().manual_seed(1000 + seed)
    net, codes = on_codes(nets.mlp(inputs, (128, 64), BITS, rng=rng), who, lr, rng, unit=unit)
    return both_rates(net, codes, who), at_home(net, who)


def motion(seed, rates):
    """{method: (fellows, strangers)} on gestures. rates: learning rates of the three ways to train on codes."""
    rng = torch.Generator().manual_seed(seed)
    who = people(datasets.load("motion"), 10, 6, 4, rng)
    everybody = classifier(nets.mlp(300, (128, 64), len(who.home), rng=rng), who.enrol, rng, epochs=15, lr=0.02)
    volunteers = classifier(nets.mlp(300, (128, 64), 6, rng=rng), who.volunteers, rng, epochs=15, lr=0.02)
    found = {"no training: prototypes of raw takes": at_home(torch.nn.Flatten(), who),
             "volunteers' embedding, prototypes": at_home(volunteers, who),
             "all takes in one place, prototypes": at_home(everybody, who)}
    found["secret codes"], found["trained on codes, prototypes"] = code_rates(who, 300, seed, rates["codes"])
    found["secret codes, outputs of any length"], _ = code_rates(who, 300, seed, rates["any length"], unit=False)
    found["secret codes over volunteers' embedding"], _ = code_rates(over(volunteers, who), 64, seed, rates["over"])
    return found


def keywords(seed, rates):
    """{method: (fellows, strangers)} on synthetic speech; strangers are ordinary speakers, too."""
    rng = torch.Generator().manual_seed(seed)
    data = datasets.load("keywords")
    who = people(data.subset(data.user < 42), 5, 16, 6, rng)
    volunteers = classifier(nets.ds_cnn(1, 16, width=32, blocks=3, norm="batch", rng=rng), who.volunteers, rng, epochs=8, lr=0.05)
    seen = over(volunteers, who)
    found = {"no training: prototypes of raw takes": at_home(torch.nn.Flatten(), who),
             "volunteers' embedding, prototypes": at_home(torch.nn.Identity(), seen)}
    found["secret codes over volunteers' embedding"], found["trained on codes, prototypes"] = code_rates(seen, 32, seed, rates["over"])
    return found


def tuned():
    """{data set: {way: learning rate}}, the lowest mean rate against fellows on the seeds of TUNING."""
    scores = {}
    for seed in TUNING:
        for name, load, args in (("motion", motion, ("codes", "any length", "over")), ("keywords", keywords, ("over",))):
            for lr in tqdm(RATES, desc=f"{name}, tuning on seed {seed}", leave=False):
                found = load(seed, dict.fromkeys(args, lr))
                label = {"codes": "secret codes", "any length": "secret codes, outputs of any length",
                         "over": "secret codes over volunteers' embedding"}
                for way in args:
                    scores.setdefault((name, way), {}).setdefault(lr, []).append(found[label[way]][0])
    best = {key: min(by_lr, key=lambda lr: statistics.mean(by_lr[lr])) for key, by_lr in scores.items()}        # noqa: B023
    return {name: {way: lr for (of, way), lr in best.items() if of == name} for name in ("motion", "keywords")}


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rates, found = tuned(), {}
    for name, load in (("motion", motion), ("keywords", keywords)):
        found[name] = {"fellows": {}, "strangers": {}}
        for seed in tqdm(SEEDS, desc=name, leave=False):
            for method, (fellows, strangers) in load(seed, rates[name]).items():
                found[name]["fellows"].setdefault(method, []).append(round(fellows, 2))
                found[name]["strangers"].setdefault(method, []).append(round(strangers, 2))
        for method, values in found[name]["fellows"].items():
            print(f"{name:<9} {method:<42} fellows {values}  strangers {found[name]['strangers'][method]}")
    record.write("user_verification", lr=rates, seeds=list(SEEDS), unit="equal error rate in %", **found)


if __name__ == "__main__":
    main()
