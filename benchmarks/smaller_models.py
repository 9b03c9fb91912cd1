"""What each way to a smaller model saves, and what it costs, over five seeds (lab 03): zeros, fewer channels, code books, a teacher,
separable convolutions, pruned trees, classical learners on a stream.

A seed draws the split (70 % of the digits to learn from, 539 to test), the first weights, the batches, and in the stream who the eight
newcomers are. Seed 0 is the lab's own. Nets of the digits learn by one recipe: SGD with momentum 0.9, batch 32, 15 passes at rate 0.05 and
5 at 0.01; fine-tuning is 8 passes at 0.02 (books: at 0.002, those of one bit, which move thousands of weights at a time, at 0.0002). Rates
and passes were chosen on the seeds 0 to 2; nothing else is tuned. Times are PyTorch's for 64 images, in processor time of one thread of
this computer, the least of 200 runs.

    python benchmarks/smaller_models.py           prints a table, writes benchmarks/results/smaller_models.json (five minutes)
"""
import argparse
import copy
from functools import partial

import record
import torch
from tqdm import tqdm

from odl_kit.data import datasets
from odl_kit.learners import distil, train
from odl_kit.models import channels, classical, layers, nets, prune, separable, share, speed

SEEDS, AMOUNTS, CUTS, BITS = range(1, 6), (0.5, 0.8, 0.9, 0.95, 0.98), (0.25, 0.5, 0.75), (1, 2, 3, 4, 5)
STEPS = (0.5, 0.8, 0.9, 0.95, 0.98)
LEARNERS = {"naive Bayes": classical.naive_bayes, "logistic regression": classical.logistic, "linear SVM": classical.linear_svm,
            "rebuilt tree": partial(classical.RebuiltTree, 400)}
PASSES = {"naive Bayes": 1, "rebuilt tree": 1}      # over the people known before; the others, by SGD, take three


class Digits:
    """The digits of one seed, its recipe, and the net that was trained whole."""

    def __init__(self, seed):
        self.rng = torch.Generator().manual_seed(seed)
        self.train_set, self.test_set = datasets.split(datasets.load("digits"), test=0.3, rng=self.rng)
        self.whole = self.learn(nets.tiny_cnn(1, 10, width=16, rng=self.rng))

    def fit(self, net, x=None, y=None, **options):
        train.fit(net, self.train_set.x if x is None else x, self.train_set.y if y is None else y, batch_size=32, momentum=0.9,
                  rng=self.rng, progress=False, **options)
        return net

    def learn(self, net):
        return self.fit(self.fit(net, epochs=15, lr=0.05), epochs=5, lr=0.01)

    def tune(self, net, epochs=8):
        return self.fit(net, epochs=epochs, lr=0.02)

    def score(self, net):
        """% of the test images right."""
        return round(100 * train.evaluate(net, self.test_set.x, self.test_set.y)["accuracy"], 2)


def zeros(world):
    """% right {before or after fine-tuning: {share of zeros: ...}}, bytes {share: {format: ...}}."""
    ways = ("right after pruning", "one shot, fine-tuned", "in steps, fine-tuned", "each layer alone, fine-tuned")
    right, size = {way: {} for way in ways}, {}
    for amount in AMOUNTS:
        name, net = f"{100 * amount:.0f} %", copy.deepcopy(world.whole)
        with prune.held(net, prune.magnitude(net, amount)):
            right["right after pruning"][name] = world.score(net)
        steps = [step for step in STEPS if step <= amount]
        passes = 4 * len(steps)             # as many for one shot as for all steps together
        for how, amounts, each, scope in (("one shot", [amount], passes, "global"), ("in steps", steps, 4, "global"),
                                          ("each layer alone", [amount], passes, "layer")):
            pruned, _ = prune.iterative(world.whole, amounts, partial(world.tune, epochs=each), scope=scope, progress=False)
            right[f"{how}, fine-tuned"][name] = world.score(pruned)
            if how == "one shot":
                size[name] = prune.nbytes(pruned)
    return right, size


def fewer_channels(world):
    """% right {how: {share cut: ...}}, ms {net: ...}, macs {net: ...}, weights {net: ...}."""
    x, right = world.test_set.x, {"largest stay, fine-tuned": {}, "random stay, fine-tuned": {}, "same net from scratch": {}}
    timed = {"whole": world.whole, "90 % zeros": copy.deepcopy(world.whole)}
    with prune.held(timed["90 % zeros"], prune.magnitude(timed["90 % zeros"], 0.9)):
        pass
    for amount in CUTS:
        name = f"{100 * amount:.0f} % cut"
        for order in ("largest", "random"):
            small = world.tune(channels.cut(world.whole, x, amount, order=order, rng=world.rng))
            right[f"{order} stay, fine-tuned"][name] = world.score(small)
        fresh = nets.tiny_cnn(1, 10, width=round(16 * (1 - amount)), rng=world.rng)
        right["same net from scratch"][name] = world.score(world.tune(world.learn(fresh)))      # as many passes as its rival had
        timed[name] = small
    macs = {name: sum(layer.macs for layer in layers.trace(net, x)) for name, net in timed.items()}
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in timed.items()}
    return right, speed.milliseconds(timed, x[:64], repeats=200), macs, count


def books(world):
    """% right {before or after: {bits: ...}}, bytes {bits: ...}; "4 bits, 90 % zeros" is pruning and a book together."""
    pruned, _ = prune.iterative(world.whole, (0.9,), world.tune, progress=False)
    right, size = {"before fine-tuning": {}, "books fine-tuned": {}}, {}
    for name, net, bits in (*((f"{b} bits", world.whole, b) for b in BITS), ("4 bits, 90 % zeros", pruned, 4)):
        shared = share.share(net, bits)
        right["before fine-tuning"][name] = world.score(shared)
        right["books fine-tuned"][name] = world.score(world.fit(shared, epochs=8, lr=0.002 if bits > 1 else 0.0002))
        size[name] = share.nbytes(shared)
    return right, size


def taught(world):
    """% right {source of truth: {student: ...}}, and % of the threes right by students that never saw one {temperature: ...}."""
    right, threes, x, y = {}, {}, world.train_set.x, world.train_set.y
    teach = partial(distil.fit, teacher=world.whole, epochs=30, batch_size=32, lr=0.03, momentum=0.9, progress=False)
    start = world.rng.initial_seed()

    def student(width):
        return nets.mlp(64, width, 10, rng=torch.Generator().manual_seed(100 + start)), torch.Generator().manual_seed(start)
    for width in (4, 8, 16, 32):
        name, (net, rng) = f"{width} units", student(width)
        train.fit(net, x, y, epochs=30, batch_size=32, lr=0.03, momentum=0.9, rng=rng, progress=False)
        right.setdefault("labels", {})[name] = world.score(net)
        for how, options in (("labels and teacher, T = 4", {"y": y}), ("labels and teacher, T = 1", {"y": y, "temperature": 1.0}),
                             ("teacher alone, T = 4", {})):
            net, rng = student(width)
            teach(net, x=x, rng=rng, **options)
            right.setdefault(how, {})[name] = world.score(net)
    unseen, only = world.train_set.subset(y != 3), world.test_set.subset(world.test_set.y == 3)
    for temperature in (1.0, 2.0, 4.0, 8.0):
        net, rng = student(32)
        teach(net, x=unseen.x, temperature=temperature, rng=rng)
        threes[f"T = {temperature:.0f}"] = round(100 * train.evaluate(net, only.x, only.y)["accuracy"], 2)
    return right, threes


def pairs(world):
    """% right, ms, macs, weights, each {"separable" or "plain": {width: ...}}."""
    found = tuple({"separable": {}, "plain": {}} for _ in range(4))
    for width in (8, 16, 32):
        pair = nets.ds_cnn(1, 10, width=width, rng=world.rng)
        both = {"separable": pair, "plain": separable.joined(pair, rng=world.rng)}
        timed = speed.milliseconds(both, world.test_set.x[:64], repeats=200)
        for kind, net in both.items():
            world.learn(net)
            values = (world.score(net), timed[kind], sum(s.macs for s in layers.trace(net, world.test_set.x)),
                      sum(p.numel() for p in net.parameters()))
            for part, value in zip(found, values, strict=True):
                part[kind][f"width {width}"] = value
    return found


def noisy(seed):
    """% right on true labels of a net that learned with 0 or 20 % random labels: {labels: {"20 passes": ..., ...}}."""
    found = {}
    for share_wrong in (0.0, 0.2):
        rng = torch.Generator().manual_seed(seed)
        train_set, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
        y, wrong = train_set.y.clone(), torch.rand(len(train_set), generator=rng) < share_wrong
        y[wrong] = torch.randint(10, (int(wrong.sum()),), generator=rng)
        fit = partial(train.fit, x=train_set.x, y=y, epochs=20, batch_size=32, momentum=0.9, rng=rng, progress=False)
        net = nets.mlp(64, (128, 64), 10, rng=rng)
        fit(net, lr=0.05)
        longer = copy.deepcopy(net)
        fit(longer, lr=0.02)
        pruned, _ = prune.iterative(net, (0.9,), partial(fit, lr=0.02), progress=False)
        found[f"{100 * share_wrong:.0f} % random labels"] = {
            name: round(100 * train.evaluate(one, test_set.x, test_set.y)["accuracy"], 2)
            for name, one in (("dense, 20 passes", net), ("dense, 40 passes", longer), ("90 % zeros, 40 passes", pruned))}
    return found


def trees(learn, choose, test):
    """(leaves, % right) of the full tree and of the pruned one that does best on `choose`: {"full": ..., "pruned": ...}."""
    path = classical.pruned_trees(learn.x.flatten(1), learn.y)
    best = max(path, key=lambda tree: (tree.score(choose.x.flatten(1), choose.y), -tree.get_n_leaves()))
    return {name: (int(tree.get_n_leaves()), round(100 * tree.score(test.x.flatten(1), test.y), 2))
            for name, tree in (("full", path[0]), ("pruned", best))}


def tree_spread():
    """{data: {"full": [(leaves, % right), ...], "pruned": [...]}}: digits over five seeds, thermostats over all 24 households."""
    found = {"digits": [], "thermostat": []}
    for seed in SEEDS:
        rng = torch.Generator().manual_seed(seed)
        learn, test = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
        found["digits"].append(trees(*datasets.split(learn, test=0.25, rng=rng), test))
    homes = datasets.load("thermostat")
    for user in homes.user.unique():
        learn, test = datasets.split(homes.subset(homes.user == user), by="time", test=0.25)
        found["thermostat"].append(trees(*datasets.split(learn, by="time", test=0.25), test))
    return {data: {kind: [run[kind] for run in runs] for kind in ("full", "pruned")} for data, runs in found.items()}


def newcomers(seed):
    """% right in the last 40 of a newcomer's 120 gestures, the mean of eight newcomers, {way to learn: {learner: ...}}; bytes {learner:
    (as a C program, in scikit-learn)}."""
    rng = torch.Generator().manual_seed(seed)
    known, new = datasets.split(datasets.load("motion"), by="user", test=1 / 3, rng=rng)
    x = classical.summary(known.x)
    mean, deviation, order = x.mean(0), x.std(0), torch.randperm(len(x), generator=rng)
    found, size = {"frozen": {}, "goes on learning": {}, "starts from nothing": {}}, {}
    for name, make in LEARNERS.items():
        base, right = make(), dict.fromkeys(found, 0)
        for _ in range(PASSES.get(name, 3)):
            base.partial_fit((x[order] - mean) / deviation, known.y[order], classes=range(8))
        size[name] = classical.memory_report(base, batch=8).sram, classical.arrays_bytes(base)
        for user in new.user.unique():
            own = in_time(new.subset(new.user == user), rng)
            features, y = (classical.summary(own.x) - mean) / deviation, own.y.numpy()
            alone = make().partial_fit(features[:8], y[:8], classes=range(8))
            right["frozen"] += (base.predict(features) == y)[-40:].mean()
            right["goes on learning"] += (classical.stream(copy.deepcopy(base), features, y, batch=8) == y)[-40:].mean()
            right["starts from nothing"] += (classical.stream(alone, features[8:], y[8:], batch=8) == y[8:])[-40:].mean()
        for way, total in right.items():
            found[way][name] = round(100 * float(total) / len(new.user.unique()), 2)
    return found, size


def in_time(own, rng):
    """The gestures of one person, repeat after repeat, those of one repeat in an order of chance."""
    return own.subset((own.time + 0.9 * torch.rand(len(own), generator=rng)).argsort())


def run(seed):
    """All figures of one seed: a dict of dicts."""
    world = Digits(seed)
    right_zeros, size_zeros = zeros(world)
    right_cut, ms_cut, macs_cut, weights_cut = fewer_channels(world)
    right_books, size_books = books(world)
    right_taught, threes = taught(world)
    right_pairs, ms_pairs, macs_pairs, weights_pairs = pairs(world)
    stream, size_stream = newcomers(seed)
    return {"whole": world.score(world.whole), "zeros": right_zeros, "channels": right_cut, "books": right_books, "taught": right_taught,
            "threes": threes, "pairs": right_pairs, "noisy": noisy(seed), "stream": stream, "ms": {"channels": ms_cut, "pairs": ms_pairs},
            "size": {"zeros": size_zeros, "books": size_books, "stream": size_stream, "weights": weights_cut, "macs": macs_cut,
                     "pairs_weights": weights_pairs, "pairs_macs": macs_pairs}}


def gathered(runs):
    """[{...: number}, ...] -> {...: [number, ...]}, through all levels."""
    return {key: gathered([one[key] for one in runs]) for key in runs[0]} if isinstance(runs[0], dict) else list(runs)


def show(name, value):
    """One line for each list of numbers."""
    if isinstance(value, dict):
        for key, part in value.items():
            show(f"{name}  {key}", part)
    elif not isinstance(value[0], tuple):
        print(f"{name:<70}{min(value):>10,.2f} to {max(value):>10,.2f}")


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    runs = [run(seed) for seed in tqdm(SEEDS, unit="seed")]
    found = gathered([{key: value for key, value in one.items() if key != "size"} for one in runs])
    show("", found)
    spread_of_trees = tree_spread()
    for data, kinds in spread_of_trees.items():
        for kind, values in kinds.items():
            show(f"{data}  {kind}", {"leaves": [v[0] for v in values], "% right": [v[1] for v in values]})
    record.write("smaller_models", **found, trees=spread_of_trees, size=runs[0]["size"], seeds=list(SEEDS))


if __name__ == "__main__":
    main()
