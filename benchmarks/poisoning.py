"""Poisoned labels and poisoned updates in a federation, against what stops them, over five seeds (lab 17).

Digits on 20 devices, all in each of 30 rounds, E = 2, B = 12, lr = 0.2, a net of 2,410 weights; accuracy after the last round. A seed draws
the split, the deal, the first weights, who is bad, the batches. Where a rule asks how many may lie, it is told the truth on equal deals;
on skewed ones it is told 4 of 20, attacked or not.

    python benchmarks/poisoning.py              prints tables, writes benchmarks/results/poisoning.json (a few minutes)
"""
import argparse
from dataclasses import replace
from functools import partial

import digits
import record
import torch
from poisoned_data import columns, table
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from odl_kit.data import partition
from odl_kit.defenses import detection, watch
from odl_kit.federation import aggregators, local, rounds
from odl_kit.models import flat
from odl_kit.threats import model_poisoning, poisoning

SEEDS, SHARES, ALPHAS, CLIENTS = range(5), (0.0, 0.1, 0.2, 0.3, 0.4), (None, 1.0, 0.3, 0.1), 20
SOURCE, TARGET = 4, 9
WRONG = {"9 - y": partial(poisoning.mirrored, num_classes=10), "4 becomes 9": partial(poisoning.targeted, source=SOURCE, target=TARGET)}


def clipped_at_the_median(updates, num_examples):
    """The mean of updates cut to the median of their lengths."""
    return aggregators.clipped_mean(updates, num_examples, clip=updates.norm(dim=1).median().item())


RULES = {"mean": lambda f: aggregators.mean, "clipped": lambda f: clipped_at_the_median, "median": lambda f: aggregators.median,
         "trimmed mean": lambda f: partial(aggregators.trimmed_mean, trim=f), "geometric median": lambda f: aggregators.geometric_median,
         "multi-Krum": lambda f: partial(aggregators.multi_krum, num_byzantine=f),
         "Krum": lambda f: partial(aggregators.krum, num_byzantine=f)}


def scaled(factor):
    return partial(model_poisoning.scaled, factor=factor)


# label attack, update attack, claimed count
ATTACKS = {"none": (None, None, None), "labels 9 - y": ("9 - y", None, None), "4 becomes 9": ("4 becomes 9", None, None),
           "4 becomes 9, five times": ("4 becomes 9", scaled(5), None), "minus three times": (None, scaled(-3), None),
           "a little": (None, model_poisoning.a_little, None), "a little, z = 1.5": (None, partial(model_poisoning.a_little, z=1.5), None),
           "minus once, claims a million": (None, scaled(-1), 1_000_000)}


def federation(seed, alpha):
    """A digits.World of 20 clients: equal deals (alpha None) or Dirichlet ones."""
    deal = partial(partition.iid, num_clients=CLIENTS) if alpha is None else partial(partition.dirichlet, num_clients=CLIENTS, alpha=alpha)
    return digits.world(deal, seed)


def run(attack, rule, share, seed, *, alpha=None, assumed=None, after=()):
    """(World, bad (20,) bool, History); assumed: how many the rule is told may lie, None: as many as do. after: stages of the defender."""
    world = federation(seed, alpha)
    bad, clients = poisoning.some(CLIENTS, share, rng=world.rng), world.clients
    wrong, updates, claim = ATTACKS[attack]
    if wrong is not None:
        clients = replace(clients, y=torch.where(bad[:, None], WRONG[wrong](clients.y), clients.y))
    ids = bad.nonzero().flatten()
    stages = (model_poisoning.stage(ids, attack=updates, claim=claim),) if updates and len(ids) > 1 or claim else ()
    aggregate = RULES[rule](len(ids) if assumed is None else assumed)
    history = rounds.run(world.w, train=partial(local.train_cohort, world.net, clients, epochs=2, batch_size=12, lr=0.2),
                         select=lambda number, rng: torch.arange(CLIENTS), rounds=30, uplink=(*stages, *after), aggregate=aggregate,
                         rng=world.rng, progress=False)
    return world, bad, history


def outcome(world, history):
    """{"accuracy", "success"} on the test set; success: the share of fours taken for nines."""
    said, y = flat.assign(world.net, history.w)(world.test_set.x).argmax(1), world.test_set.y
    return {"accuracy": (said == y).double().mean().item(), "success": (said[y == SOURCE] == TARGET).double().mean().item()}


def remember(uplink, state, rng):
    """A stage that keeps all updates."""
    return uplink, (*(state or ()), (uplink.ids, uplink.updates))


def detected(attack, share, seed, alpha):
    """{method: area under the ROC curve} for who is bad; PCA on the output that the attack aims at, or on all outputs."""
    world, bad, history = run(attack, "mean", share, seed, alpha=alpha, after=(remember,))
    seen = history.states[-1][5:]                                     # the first rounds of a fresh net say little
    places = detection.output_of(world.net, SOURCE if attack.startswith("4") else None)
    _, pca = detection.pca_distance([(ids, updates[:, places]) for ids, updates in seen])
    _, means = detection.mean_updates(seen)
    suspects, _ = detection.two_clusters(means)
    scores = {"PCA": pca, "cosine to the median": detection.cosine_to_median(means), "two clusters": suspects.double(),
              "cosine, the output's weights": detection.cosine_to_median(means[:, places])}
    return {name: roc_auc_score(bad, score) for name, score in scores.items()}


def watched(attack, share, seed, alpha):
    """What the watchman did: accuracy, share of bad and of honest uploads set aside."""
    world, bad, history = run(attack, "mean", share, seed, alpha=alpha, after=(watch.watch(),))
    log = watch.audit_log(history.set_aside)
    aside = torch.tensor([len(log.get(client, ((), ""))[0]) for client in range(CLIENTS)]).double() / 30
    return {**outcome(world, history), "bad set aside": aside[bad].mean().item() if bad.any() else None,
            "honest set aside": aside[~bad].mean().item()}


def named(alpha):
    """What a deal is called."""
    return f"alpha {alpha:g}" if alpha else "equal"


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    equal = {attack: {rule: {f"{share:.0%}": [outcome(*run(attack, rule, share, s)[::2]) for s in SEEDS] for share in SHARES}
                      for rule in RULES} for attack in tqdm([name for name in ATTACKS if name != "none"], desc="equal deals")}
    equal = {attack: {rule: {share: columns(runs) for share, runs in cells.items()} for rule, cells in found.items()}
             for attack, found in equal.items()}
    for attack, found in equal.items():
        for what in ("accuracy", "success"):
            table(f"equal deals, {attack}: {what}", {rule: {share: cell[what] for share, cell in cells.items()}
                                                   for rule, cells in found.items()})
    skew = {named(alpha): {rule: {what: columns([outcome(*run(attack, rule, share, s, alpha=alpha, assumed=4)[::2])
                                                 for s in SEEDS])["accuracy"]
                                  for what, attack, share in (("nobody bad", "none", 0.0), ("4 of 20 send 9 - y", "labels 9 - y", 0.2))}
                           for rule in RULES} for alpha in tqdm(ALPHAS, desc="skewed deals")}
    for alpha, found in skew.items():
        table(f"{alpha}, 4 of 20 assumed: accuracy", found)
    who = {f"{attack}, {named(alpha)}, {share:.0%}": columns([detected(attack, share, s, alpha) for s in SEEDS])
           for attack in ("4 becomes 9", "labels 9 - y", "minus three times", "a little, z = 1.5")
           for alpha in tqdm((None, 0.3), desc=attack) for share in (0.1, 0.2, 0.3)}
    table("who was it: area under the ROC curve", who)
    guard = {f"{attack}, {named(alpha)}": columns([watched(attack, share, s, alpha) for s in SEEDS])
             for attack, share in (("none", 0.0), ("labels 9 - y", 0.2), ("4 becomes 9", 0.2), ("4 becomes 9, five times", 0.1),
                                   ("minus three times", 0.2), ("a little, z = 1.5", 0.2)) for alpha in ALPHAS}
    table("the watchman, and the mean of the others", guard)
    record.write("poisoning", seeds=list(SEEDS), equal=equal, skew=skew, who=who, watched=guard)


if __name__ == "__main__":
    main()
