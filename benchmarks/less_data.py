"""Fewer examples, fewer bits, fewer numbers, and words in a table: what each costs in accuracy, over five seeds (lab 07).

Digits: a dense net 64-32-10, 60 epochs of SGD, B = 16, lr = 0.1. Motion (simulated): 300-32-8, 100 epochs, B = 16, lr = 0.02. Typing
(generated): 20,000 windows of 80 users, tested on the 20 others, 10 epochs, B = 64, lr = 0.4. A seed draws the split, the first weights,
the choices by chance and the batches. Learning rates were chosen by a few trials on the seeds 0 and 1; 2 bits (digits), 4 bits (motion) and
the size of the dictionary on the seeds 0 to 2.

    python benchmarks/less_data.py                prints tables, writes benchmarks/results/less_data.json (five minutes)
"""
import argparse
from dataclasses import dataclass
from functools import partial

import record
import torch
from tqdm import tqdm

from odl_kit.data import coresets, datasets, dictionary, storage, text
from odl_kit.learners import sample_complexity, train
from odl_kit.models import flat, nets, two_component

SEEDS, DRAWS = range(5), 8
SIZES, PER_CLASS = (20, 40, 80, 160, 320, 640, 1280), (1, 2, 5, 10, 20, 50)
WORK = {"digits": {"epochs": 60, "batch_size": 16, "lr": 0.1}, "motion": {"epochs": 100, "batch_size": 16, "lr": 0.02}}
RANGE = {"digits": {"low": 0.0, "high": 1.0}, "motion": {"low": -2.0, "high": 2.0}}
FEW_BITS = {"digits": 2, "motion": 4}
BUDGETS = {"digits": (2, 4, 8, 12, 16, 24, 32, 48, 64, 96), "motion": (16, 32, 48, 64, 96, 128, 192, 256, 512, 704)}      # KiB


@dataclass(frozen=True, eq=False)
class World:
    """name, rng and the sets of a seed; net, its first weights w (P,), and the rest of the work."""
    name: str
    rng: torch.Generator
    train_set: datasets.Dataset
    test_set: datasets.Dataset
    net: torch.nn.Module
    w: torch.Tensor

    def learn(self, sets):
        """Accuracy of a net trained on each of `sets`, in per cent."""
        found = sample_complexity.accuracies(self.net, self.w, sets, self.test_set.x, self.test_set.y, rng=self.rng, **WORK[self.name])
        return [100 * value for value in found]


def world(name, seed):
    rng = torch.Generator().manual_seed(seed)
    train_set, test_set = datasets.split(datasets.load(name), test=0.2, rng=rng)
    net = nets.mlp(train_set.x[0].numel(), 32, len(train_set.classes), rng=rng)
    return World(name, rng, train_set, test_set, net, flat.ravel(net))


def complexity(seed):
    """The curve of digits, the mean of 8 draws; what a power law through the first four sizes expects of the last."""
    here = world("digits", seed)
    x, y = here.train_set.x, here.train_set.y
    draws = [torch.randperm(len(x), generator=here.rng)[:size] for size in SIZES for _ in range(DRAWS)]
    accuracy = torch.tensor(here.learn([(x[draw], y[draw]) for draw in draws])).view(len(SIZES), DRAWS).mean(1).tolist()
    law = sample_complexity.power_law(SIZES[:4], [100 - value for value in accuracy[:4]])
    return {"accuracy": accuracy, "power": law.power, "expected": 100 - law.error(SIZES[-1]),
            "needed 90": sample_complexity.needed(SIZES, accuracy, 90), "needed 94": sample_complexity.needed(SIZES, accuracy, 94)}


def chosen(seed):
    """{rule: accuracy by examples a class}: of a net trained on the chosen digits, and of nearest means of their features."""
    here = world("digits", seed)
    x, y, test_set = here.train_set.x, here.train_set.y, here.test_set
    train.fit(here.net, x, y, rng=here.rng, progress=False, **WORK["digits"])
    with torch.no_grad():
        features, test_features = here.net[:-1](x), here.net[:-1](test_set.x)       # before the head
    rules = {"random": (partial(coresets.random, rng=here.rng), x), "herding, pixels": (coresets.herding, x),
             "herding, features": (coresets.herding, features), "k-centre, pixels": (coresets.k_centre, x),
             "k-centre, features": (coresets.k_centre, features)}
    ranked = {rule: coresets.by_class(choose, measured, y) for rule, (choose, measured) in rules.items()}
    picks = {rule: [order[:10 * count] for count in PER_CLASS] for rule, order in ranked.items()}
    accuracy = here.learn([(x[own], y[own]) for some in picks.values() for own in some])
    trained = {rule: accuracy[k * len(PER_CLASS):][:len(PER_CLASS)] for k, rule in enumerate(picks)}
    nearest = {rule: [nearest_mean(features[own], y[own], test_features, test_set.y) for own in some] for rule, some in picks.items()}
    return {"trained": trained, "nearest mean": nearest}


def nearest_mean(features, y, test_features, test_y):
    """Accuracy in per cent of the class whose mean is nearest (iCaRL's rule)."""
    means = torch.stack([features[y == label].mean(0) for label in range(10)])
    return 100 * (torch.cdist(test_features, means).argmin(1) == test_y).float().mean().item()


def formats(name, seed):
    """{format: accuracy by budget, None where under ten examples fit}."""
    here = world(name, seed)
    x, y, span = here.train_set.x, here.train_set.y, RANGE[name]
    by_chance = coresets.by_class(partial(coresets.random, rng=here.rng), x, y)
    full = storage.in_bits(x, 8, **span)
    ways = {"random, 8 bits": (full, by_chance), "herding, 8 bits": (full, coresets.by_class(coresets.herding, x, y)),
            "k-centre, 8 bits": (full, coresets.by_class(coresets.k_centre, x, y)),
            "fewer bits": (storage.in_bits(x, FEW_BITS[name], **span), by_chance),
            "half resolution": (storage.in_half(x, 4, **span), by_chance),
            "dictionary": (storage.in_dictionary(x, dictionary.columns(x, 64, rng=here.rng), count=8, value_bits=6), by_chance)}
    room = {way: [stored.room(1024 * kib, label_bits=4) for kib in BUDGETS[name]] for way, (stored, _) in ways.items()}
    sets = [(ways[way][0].x[ways[way][1][:n]], y[ways[way][1][:n]]) for way, counts in room.items() for n in counts if n >= 10]
    accuracy = iter(here.learn(sets))
    return {"accuracy": {way: [next(accuracy) if n >= 10 else None for n in counts] for way, counts in room.items()},
            "examples": room, "fixed": {way: stored.fixed for way, (stored, _) in ways.items()},
            "each": {way: stored.each for way, (stored, _) in ways.items()}}


def dictionaries(seed):
    """Motion, all examples kept as codes: {setting: (bytes an example with its share of the dictionary, accuracy)}."""
    here = world("motion", seed)
    x, y = here.train_set.x, here.train_set.y
    atoms, worst = dictionary.columns(x, 64, rng=here.rng), dictionary.worst_first(x, 64)
    ways = {"8 atoms by chance": (atoms, {"count": 8}), "8 atoms, worst first": (worst, {"count": 8}),
            "2 atoms": (atoms, {"count": 2}), "5 single atoms": (atoms, {"count": 5}), "4 blocks of 2": (atoms, {"count": 4, "block": 2}),
            "2 blocks of 4": (atoms, {"count": 2, "block": 4})}
    ways |= {f"error {error}": (atoms, {"count": 32, "error": error}) for error in (0.5, 0.4, 0.3, 0.2, 0.15, 0.1)}
    kept = {way: storage.in_dictionary(x, d, value_bits=6, **options) for way, (d, options) in ways.items()}
    accuracy = here.learn([(stored.x, y) for stored in kept.values()])
    found = {way: (stored.each + stored.fixed / len(x), value) for (way, stored), value in zip(kept.items(), accuracy, strict=True)}
    codes, test_codes = (dictionary.pursue(part, atoms, count=8).rounded(6).dense() for part in (x, here.test_set.x))
    small = nets.mlp(64, 32, len(here.train_set.classes), rng=here.rng)
    [on_codes] = sample_complexity.accuracies(small, flat.ravel(small), [(codes / codes.std(), y)], test_codes / codes.std(),
                                              here.test_set.y, rng=here.rng, **WORK["motion"])
    moving, test_moving = (part - part.mean(2, keepdim=True) for part in (x, here.test_set.x))
    still_less = storage.in_dictionary(moving, dictionary.columns(moving, 64, rng=here.rng), count=2, value_bits=6)
    [on_moving] = sample_complexity.accuracies(here.net, here.w, [(still_less.x, y)], test_moving, here.test_set.y, rng=here.rng,
                                               **WORK["motion"])
    return found | {"trained on codes": (found["8 atoms by chance"][0], 100 * on_codes),
                    "2 atoms, means taken off": (found["2 atoms"][0], 100 * on_moving)}


def words(seed):
    """{model: bytes, loss in nats, accuracy}: plain embeddings of two sizes, and tables."""
    rng = torch.Generator().manual_seed(seed)
    own, others = (text.next_word(part) for part in datasets.split(datasets.load("typing"), by="user", test=0.2, rng=rng))
    keep = torch.randperm(len(own), generator=rng)[:20_000]
    x, y, vocabulary = own.x[keep], own.y[keep], len(own.classes)
    models = {"a vector for each word": nets.word_model(vocabulary, context=4, rng=rng),
              "smaller vectors": nets.word_model(vocabulary, context=4, embedding=3, hidden=9, rng=rng),
              "table, left as it was": two_component.word_table(vocabulary, context=4, rng=rng),
              "table, filled anew": two_component.word_table(vocabulary, context=4, rng=rng)}
    found = {}
    for name, net in models.items():
        for epochs in (2, 2, 2, 4):
            train.fit(net, x, y, epochs=epochs, batch_size=64, lr=0.4, rng=rng, progress=False)
            if name == "table, filled anew" and epochs == 2:
                two_component.reallocate(net, x, y)
        tested = train.evaluate(net, others.x, others.y)
        size = net.num_bytes() if isinstance(net, two_component.WordTable) else 4 * len(flat.ravel(net))
        found[name] = {"bytes": size, "loss": tested["loss"], "accuracy": 100 * tested["accuracy"]}
    return found


def over_seeds(work):
    """What `work` finds, one list over seeds in the place of each number."""
    def merge(runs):
        if isinstance(runs[0], dict):
            return {key: merge([run[key] for run in runs]) for key in runs[0]}
        if isinstance(runs[0], list | tuple):
            return [merge(list(column)) for column in zip(*runs, strict=True)]
        return [value if value is None else round(value, 3) for value in runs]
    return merge([work(seed) for seed in SEEDS])


def show(title, found, depth=0):
    """Print nested lists, a line each."""
    for key, value in found.items():
        if isinstance(value, dict):
            print(f"{'  ' * depth}{title if not depth else ''} {key}")
            show(title, value, depth + 1)
        else:
            print(f"{'  ' * depth}{key:<26}{value}")


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    parts = {"complexity": complexity, "chosen": chosen, "digits": partial(formats, "digits"), "motion": partial(formats, "motion"),
             "dictionary": dictionaries, "words": words}
    found = {name: over_seeds(work) for name, work in tqdm(parts.items(), unit="part")}
    for name, figures in found.items():
        show(name, {name: figures})
    record.write("less_data", **found, sizes=SIZES, per_class=PER_CLASS, budgets=BUDGETS, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
