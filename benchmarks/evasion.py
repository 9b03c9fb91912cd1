"""Evasion and its defences on digits, over five seeds (lab 18): white box, a copy, queries; unpairing, adversarial training, distillation.

A net 64-128-128-10 (the server's) learns 1,006 digits; 252 others are the attacker's own; 539 are attacked. Success is the share of digits
that the net read right and reads wrong afterwards, with a change of at most eps in each of the 64 values, which lie in [0, 1].
Query attacks take the first 100 test digits that are read right. A seed draws the split, all first weights, batches and probes.
The knobs of unpairing (weight, rate) and of distillation (rate) were chosen by a few trials on the seeds 0 to 3.

    python benchmarks/evasion.py              prints tables, writes benchmarks/results/evasion.json (some minutes)
"""
import argparse
import copy
from dataclasses import dataclass
from functools import partial

import record
import torch
from tqdm import tqdm

from odl_kit.data import datasets
from odl_kit.defenses import hardening, labels, unpairing
from odl_kit.learners import distil, optimizers, train
from odl_kit.models import nets, quantize
from odl_kit.threats import boundary, estimation, evasion, poisoning, queries

SEEDS, EPS = range(5), (0.05, 0.1, 0.15, 0.2)
MAIN = 0.15                                     # the size of change that is taken where only one is
BUDGETS = (1, 10, 30, 100, 300, 1000, 3000)     # queries for one digit
TEMPERATURE = 50.0


@dataclass(frozen=True, eq=False)
class World:
    """own: the attacker's digits. big: the server's net. rng: the generator behind all of it, ready for the rest."""
    rng: torch.Generator
    train_set: datasets.Dataset
    own: datasets.Dataset
    test_set: datasets.Dataset
    big: torch.nn.Module

    def accuracy(self, net):
        return train.evaluate(net, self.test_set.x, self.test_set.y)["accuracy"]

    def carried(self, source, target, eps=MAIN):
        """Success on `target` of PGD that climbs `source`."""
        return evasion.success(target, self.test_set.x, pgd(source, self.test_set.x, self.test_set.y, eps=eps), self.test_set.y)


def pgd(net, x, y, *, eps=MAIN):
    return evasion.pgd(net, x, y, eps=eps, step=eps / 5, steps=20)


def big_net(rng):
    return nets.mlp(64, (128, 128), 10, rng=rng)


def learn(net, data, rng, y=None):
    train.fit(net, data.x, data.y if y is None else y, epochs=30, batch_size=32, lr=0.1, momentum=0.9, rng=rng, progress=False)
    return net


def world(seed):
    rng = torch.Generator().manual_seed(seed)
    rest, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
    train_set, own = datasets.split(rest, test=0.2, rng=rng)
    return World(rng, train_set, own, test_set, learn(big_net(rng), train_set, rng))


def int4(net, w):
    return quantize.quantize_model(net, w.train_set.x, bits=4)


def finetuned(w, weight):
    """A copy of the big net, fine-tuned with the penalty of unpairing at this weight (0: the same fine-tuning without it)."""
    net, data = copy.deepcopy(w.big), w.train_set
    penalty = unpairing.penalty(w.big, data.x, data.y, weight=weight, batch_size=256, rng=w.rng) if weight else None
    train.fit(net, data.x, data.y, epochs=25, batch_size=64, lr=optimizers.cosine(0.01), optimizer=optimizers.adam(), penalty=penalty,
              rng=w.rng, progress=False)
    return net


def siblings(w):
    """{name: net} that an attacker may hold in place of the big one."""
    data, small = w.train_set, nets.mlp(64, 32, 10, rng=w.rng)
    distil.fit(small, w.big, data.x, data.y, epochs=40, batch_size=32, lr=0.05, momentum=0.9, rng=w.rng, progress=False)
    return {"the net itself": w.big, "int4 copy": int4(w.big, w), "distilled": small,
            "trained apart, same data": learn(nets.mlp(64, 32, 10, rng=w.rng), data, w.rng),
            "trained apart, same shape": learn(big_net(w.rng), data, w.rng),
            "attacker's own": learn(nets.mlp(64, 32, 10, rng=w.rng), w.own, w.rng),
            "int4, only fine-tuned": int4(finetuned(w, 0.0), w), "int4, unpaired": int4(finetuned(w, 0.3), w)}


def white_box(w):
    """Success of a random change, FGSM and PGD for each eps."""
    x, y = w.test_set.x, w.test_set.y
    signs = 2 * torch.randint(0, 2, x.shape, generator=w.rng) - 1
    attacks = {"random signs": lambda eps: (x + eps * signs).clamp(0, 1), "FGSM": lambda eps: evasion.fgsm(w.big, x, y, eps=eps),
               "PGD": lambda eps: pgd(w.big, x, y, eps=eps)}
    return {name: {f"eps {eps:g}": evasion.success(w.big, x, attack(eps), y) for eps in EPS} for name, attack in attacks.items()}


def transfer(w, known):
    """What each net an attacker may hold does to the big one; an attacker who knows of unpairing divides the copy's logits by 10."""
    x, y, unpaired = w.test_set.x, w.test_set.y, known["int4, unpaired"]
    known = known | {"unpaired, logits / 10": lambda x: unpaired(x) / 10}
    return {"success": {name: {f"eps {eps:g}": w.carried(net, w.big, eps) for eps in EPS[1:]} for name, net in known.items()},
            "cosine": {name: unpairing.alignment(net, w.big, x, y).mean().item() for name, net in known.items()},
            "accuracy": {name: w.accuracy(net) for name, net in known.items() if isinstance(net, torch.nn.Module)},
            "itself": {name: {f"eps {eps:g}": w.carried(net, net, eps) for eps in EPS[1:]} for name, net in known.items()}}


def hundred(w, net):
    """The first 100 test digits that `net` reads right, and for each the nearest of the attacker's digits of another class: x, y, start."""
    right = (net(w.test_set.x).argmax(1) == w.test_set.y).nonzero().flatten()[:100]
    x, y = w.test_set.x[right], w.test_set.y[right]
    far = torch.cdist(x.flatten(1), w.own.x.flatten(1)).masked_fill(y[:, None] == w.own.y, float("inf"))
    return x, y, w.own.x[far.argmin(1)]


def by_scores(w, scores, data, **options):
    x, y, _ = data
    return estimation.nes(scores, x, y, eps=MAIN, step=0.03, steps=45, directions=options.pop("directions", 10), rng=w.rng, **options)


def by_class(w, scores, data, start=None):
    x, y, other = data
    return boundary.hop_skip_jump(queries.decisions(scores), x, y, start=other if start is None else start, eps=MAIN, rounds=12, rng=w.rng)


def asked(w, known):
    """Success within each budget of queries."""
    data, scores = hundred(w, w.big), queries.scores(w.big)
    x, y, _ = data
    prior = {name: partial(evasion.input_gradient, known[name]) for name in ("int4 copy", "attacker's own", "int4, unpaired")}
    first = pgd(known["attacker's own"], x, y)
    two, noise = hardening.rounded(scores, decimals=2), hardening.noisy(scores, sigma=0.02, rng=w.rng)
    found = {"scores": by_scores(w, scores, data), "class alone": by_class(w, scores, data),
             **{f"scores, {name} as prior": by_scores(w, scores, data, prior=hint, directions=2) for name, hint in prior.items()},
             "scores, from the attacker's own": by_scores(w, scores, data, start=first),
             "2 decimals": by_scores(w, two, data), "2 decimals, class alone": by_class(w, two, data),
             "noise of 0.02": by_scores(w, noise, data), "noise of 0.02, class alone": by_class(w, noise, data)}
    told = {name: {f"{n}": result.within(n) for n in BUDGETS} for name, result in found.items()}
    fooled = found["noise of 0.02, class alone"]       # noise may have called a right answer wrong: ask the net itself
    really = fooled.success & (w.big(fooled.x).argmax(1) != y)
    told["noise of 0.02, class alone, asked without noise"] = {"3000": really.double().mean().item()}
    return told


def harder(w, y):
    """The big net, trained on PGD examples of size 0.1."""
    net, attack = big_net(w.rng), partial(evasion.pgd, eps=0.1, step=0.1 / 3, steps=5)
    hardening.adversarial_training(net, w.train_set.x, y, attack=attack, epochs=30, batch_size=32, lr=0.1, momentum=0.9, rng=w.rng,
                                   progress=False)
    return net


def hardened(w, known):
    """Each defence against each attacker, at MAIN, and what it costs in accuracy."""
    own, data = known["attacker's own"], w.train_set
    robust, cold = harder(w, data.y), big_net(w.rng)
    hardening.distillation(big_net(w.rng), cold, data.x, data.y, temperature=TEMPERATURE, epochs=30, batch_size=32, lr=0.3, momentum=0.9,
                           rng=w.rng, progress=False)
    table = {}
    for name, net in {"plain": w.big, "adversarial training": robust, "distilled at T = 50": cold}.items():
        aim, of_hundred = net, hundred(w, net)
        gradient = evasion.input_gradient(net, w.test_set.x, w.test_set.y)
        table[name] = {"accuracy": w.accuracy(net), "PGD": w.carried(net, net),
                       "PGD, logits / 50": w.carried(lambda x, aim=aim: aim(x) / 50, net),
                       "PGD on the attacker's own": w.carried(own, net),
                       "scores, 946 queries": by_scores(w, queries.scores(net), of_hundred).within(946),
                       "class alone, 3000 queries": by_class(w, queries.scores(net), of_hundred).within(3000),
                       "no gradient": (gradient.flatten(1) == 0).all(1).double().mean().item(), "PGD, eps 0.1": w.carried(net, net, 0.1),
                       "PGD, eps 0.2": w.carried(net, net, 0.2)}
    return table, robust


def table_12_2(w, robust):
    """Poisoning (30 % of the fours that it learns are labelled 9) and evasion (PGD), each with each defence: fours misread, accuracy."""
    data, x, y = w.train_set, w.test_set.x[w.test_set.y == 4], w.test_set.y[w.test_set.y == 4]
    hit = (data.y == 4) & poisoning.some(len(data), 0.3, rng=w.rng)
    bad = torch.where(hit, poisoning.targeted(data.y, source=4, target=9), data.y)

    def sanitised(labels_):
        keep = ~labels.suspects(data.x, labels_, rng=w.rng)
        return learn(big_net(w.rng), data.subset(keep), w.rng, labels_[keep])

    def misread(net, at):
        return (net(at).argmax(1) != y).double().mean().item()
    trained = {"none": (w.big, learn(big_net(w.rng), data, w.rng, bad)), "labels sanitised": (sanitised(data.y), sanitised(bad)),
               "adversarial training": (robust, harder(w, bad))}
    return {"labels changed": hit.double().mean().item(),
            **{name: {"poisoning": misread(poisoned, x), "evasion": misread(clean, pgd(clean, x, y)), "no attack": misread(clean, x),
                      "accuracy, clean": w.accuracy(clean), "accuracy, poisoned": w.accuracy(poisoned)}
               for name, (clean, poisoned) in trained.items()}}


def run(seed):
    w = world(seed)
    known = siblings(w)
    found = {"white_box": white_box(w), "transfer": transfer(w, known), "queries": asked(w, known)}
    found["hardened"], robust = hardened(w, known)
    return {**found, "table_12_2": table_12_2(w, robust)}


def gather(runs):
    """[{key: ... number}, ...] of the seeds -> {key: ... [number of each seed]}, rounded."""
    if not isinstance(runs[0], dict):
        return [round(value, 4) for value in runs]
    return {key: gather([one[key] for one in runs]) for key in runs[0]}


def show(found, depth=0):
    for key, value in found.items():
        if isinstance(value, dict):
            print("  " * depth + str(key))
            show(value, depth + 1)
        else:
            print("  " * depth + f"{key:<40} {sorted(value)[2]:.3f}   {min(value):.3f} to {max(value):.3f}")


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = gather([run(seed) for seed in tqdm(SEEDS)])
    show(found)
    record.write("evasion", **found, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
