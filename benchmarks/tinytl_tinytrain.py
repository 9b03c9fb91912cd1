"""TinyTL, TinyTrain and their rivals on few-shot tasks of classes never seen (lab 22), over three seeds.

A task: 10 classes, 5 examples each to learn from, 15 to test on. Three kinds: `glyphs` (test classes of the data set), `sensor` (the same
through a second camera, images.bad_sensor), `digits` (handwritten, the clean half of sensor_shift). The net was trained on other glyphs
(datasets/glyphs/pretrain.py); its head is set by prototypes, then a plan learns for 100 steps of Adam, batch 25, jittered pictures. A seed
has its own net, its own split of the classes and two tasks of each kind. The rate of each method is picked from its grid on validation
classes of seed 0: one task of `glyphs`, two of `sensor`.

    python benchmarks/tinytl_tinytrain.py            prints tables, writes benchmarks/results/tinytl_tinytrain.json (fifteen minutes)
    python benchmarks/tinytl_tinytrain.py --again    the same, without what an earlier run left in build/tinytl_tinytrain/

Each part is kept there once it is done, so that a run that was cut off goes on where it was.
"""
import functools
import importlib.util
import json
from collections import Counter
from dataclasses import replace
from functools import partial

import record
import torch
from tqdm import tqdm

import odl_kit
from odl_kit.data import datasets, images, pretrained
from odl_kit.learners import cost, episodes, memory, optimizers, plan, tinytl, tinytrain, train
from odl_kit.models import flat, layers, nets

KEPT = odl_kit.home() / "build" / "tinytl_tinytrain"
SEEDS, TASKS, STEPS, BATCH = (0, 1, 2), 2, 100, 25
KINDS = ("glyphs", "sensor", "digits")
MEMORY, SHARE = 12 * 1024, 0.35      # TinyTrain's budgets: extra bytes, and of the MACs of a full backward pass
# chosen beforehand for every task, as in the published schemes (lab 05): the 1x1 convolutions that open the last blocks, the last biases
STATIC = plan.UpdatePlan({"head", "last", "block4.expand", "block4.depthwise", "block4.project"},
                         {"head": 64, "block4.expand": 32, "block3.expand": 24, "block2.expand": 24})


def chosen_by(score, net, x, y):
    """(net, plan) of TinyTrain within the budgets."""
    macs = cost.backward_macs(layers.trace(net, x[:1]), plan.full(net))
    return net, tinytrain.choose(net, x, y, memory=MEMORY, macs=int(SHARE * macs), score=score)


def random_channels(net, x, y):
    """The layers and counts of TinyTrain, other channels."""
    _, wish = chosen_by(tinytrain.scores, net, x, y)
    rng = torch.Generator().manual_seed(0)
    return net, replace(wish, order={name: torch.randperm(len(ranked), generator=rng).tolist() for name, ranked in wish.order.items()})


def with_branches(net, x, y):
    """TinyTL."""
    net = tinytl.add_branches(net, x, rng=torch.Generator().manual_seed(0))
    return net, tinytl.update_plan(net)


def by_potential(traced, potential):
    """A score without the division by weights and MACs."""
    return potential


SMALL, LARGE = (0.001, 0.003, 0.01), (0.003, 0.01, 0.03)
METHODS = {     # name: (function of net, x, y -> (net, plan); rates to try, or whose rate to take, or None: nothing is trained)
    "prototypes": (lambda net, x, y: (net, plan.UpdatePlan()), None),
    "head only": (lambda net, x, y: (net, plan.head_only(net)), (0.01, 0.03, 0.1)),
    "biases": (lambda net, x, y: (net, plan.bias_only(net)), (0.01, 0.03, 0.1)),
    "TinyTL": (with_branches, LARGE),
    "static sparse": (lambda net, x, y: (net, STATIC), SMALL),
    "TinyTrain": (partial(chosen_by, tinytrain.scores), LARGE),
    "potential alone": (partial(chosen_by, by_potential), "TinyTrain"),
    "random channels": (random_channels, "TinyTrain"),
    "everything": (lambda net, x, y: (net, plan.full(net)), SMALL),
}
VARIANTS = ("potential alone", "random channels")      # of TinyTrain: on `sensor` only
META = ("prototypes", "head only", "TinyTrain", "everything")      # what the nets with and without meta-training are compared on, `sensor`


@functools.cache
def glyphs():
    return datasets.load("glyphs")


def task(kind, seed, number, part="test"):
    """An Episode of one kind; `part` of the classes: "validation" or "test"."""
    rng = torch.Generator().manual_seed(seed)
    data = glyphs()
    _, validation, test = episodes.split_classes(data.y, (150, 40, 50), rng=rng)
    own = data.subset(torch.isin(data.y, validation if part == "validation" else test))
    if kind == "digits":
        digits = datasets.load("sensor_shift")
        own = digits.subset(digits.user == 0)
    rng = torch.Generator().manual_seed(1000 * seed + number + (500 if part == "validation" else 0))
    drawn = episodes.draw(own.x, own.y, ways=10, shots=5, queries=15, rng=rng)
    if kind != "sensor":
        return drawn
    return replace(drawn, support_x=images.bad_sensor(drawn.support_x, rng=rng), query_x=images.bad_sensor(drawn.query_x, rng=rng))


def adapt(w, episode, method, lr):
    """(accuracy on the queries, net, plan) after the weights w (P,) were adapted to the support."""
    x, y = episode.support_x, episode.support_y
    net = nets.glyph_net(10, rng=torch.Generator().manual_seed(0))
    net, wish = METHODS[method][0](episodes.set_head(flat.assign(net, w), x, y), x, y)
    if lr:
        rng, times = torch.Generator().manual_seed(0), STEPS * BATCH // len(x)
        train.fit(net, images.jitter(x.repeat(times, 1, 1, 1), rng=rng), y.repeat(times), epochs=1, batch_size=BATCH, lr=lr,
                  optimizer=optimizers.adam(), plan=wish, rng=rng, progress=False)
    return train.evaluate(net, episode.query_x, episode.query_y)["accuracy"], net, wish


def kept(name, make):
    """make() -> plain numbers, lists and dicts, computed once and kept in build/."""
    path = KEPT / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def try_rates(w, method):
    """{rate: mean accuracy on three validation tasks of seed 0}; w (P,): its weights."""
    cases = [task(kind, 0, number, "validation") for kind, number in (("glyphs", 0), ("sensor", 1), ("sensor", 2))]
    return {rate: round(sum(adapt(w, case, method, rate)[0] for case in cases) / len(cases), 4) for rate in METHODS[method][1]}


def costs(net, wish, x):
    """What one step with one example costs: the published rules, and what this kit holds in float32."""
    traced, report = layers.trace(net, x[:1]), memory.memory_report(net, x[:1], wish, rule="device")
    return {"extra_bytes": cost.extra_bits(traced, wish) // 8, "backward_macs": cost.backward_macs(traced, wish),
            "saved_bytes": report.saved_activations, "gradient_bytes": report.gradients, "sram": report.sram}


def methods_on(kind):
    return [method for method in METHODS if kind == "sensor" or method not in VARIANTS]


def cell(w, kind, seed, rate):
    """{method: {"accuracy", its costs, "layers": {layer: tasks in which it was chosen}}}: means over the tasks of one kind and seed."""
    found = {}
    for method in methods_on(kind):
        runs = [adapt(w, task(kind, seed, number), method, rate[method]) for number in range(TASKS)]
        spent = [{"accuracy": accuracy, **costs(net, wish, torch.zeros(1, 1, 16, 16))} for accuracy, net, wish in runs]
        chosen = Counter(name for _, _, wish in runs for name, count in wish.channels.items() if count and name != "head")
        found[method] = {key: round(sum(run[key] for run in spent) / TASKS, 4) for key in spent[0]} | {"layers": dict(chosen)}
    return found


@functools.cache
def without_episodes(seed):
    """w (P,) of the net after plain classification alone; trained once, then kept in build/."""
    path = KEPT / f"supervised_{seed}.pt"
    if not path.exists():
        spec = importlib.util.spec_from_file_location("pretrain", odl_kit.home() / "datasets" / "glyphs" / "pretrain.py")
        pretrain = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pretrain)
        torch.save(pretrain.make(seed, meta=0), path)
    return torch.load(path)


def cell_without_episodes(seed, rate):
    """{method: mean accuracy} of the tasks of kind `sensor`, begun from the net without meta-training."""
    return {method: round(sum(adapt(without_episodes(seed), task("sensor", seed, number), method, rate[method])[0]
                              for number in range(TASKS)) / TASKS, 4) for method in META}


def main():
    record.begin(KEPT, __doc__)
    tried = {method: kept(f"rates {method}", lambda method=method: try_rates(pretrained.load("glyphs", seed=0), method))
             for method, (_, grid) in tqdm(METHODS.items(), desc="rates") if isinstance(grid, tuple)}
    rate = {method: float(max(tried[method], key=tried[method].get)) for method in tried} | {"prototypes": 0.0}
    rate |= {method: rate[grid] for method, (_, grid) in METHODS.items() if isinstance(grid, str)}
    pairs = [(kind, seed) for seed in SEEDS for kind in KINDS]
    cells = {pair: kept(f"{pair[0]} {pair[1]}", lambda pair=pair: cell(pretrained.load("glyphs", seed=pair[1]), *pair, rate))
             for pair in tqdm(pairs, desc="cells")}
    plain = {seed: kept(f"supervised {seed}", lambda seed=seed: cell_without_episodes(seed, rate))
             for seed in tqdm(SEEDS, desc="without episodes")}
    accuracy = {kind: {method: [cells[kind, seed][method]["accuracy"] for seed in SEEDS] for method in methods_on(kind)}
                for kind in KINDS}
    keys = [key for key in cells[pairs[0]]["TinyTrain"] if key not in ("accuracy", "layers")]
    spent = {}
    for method in METHODS:
        own = [one[method] for one in cells.values() if method in one]
        spent[method] = {key: round(sum(each[key] for each in own) / len(own)) for key in keys}
    chosen = dict(sum((Counter(one["TinyTrain"]["layers"]) for one in cells.values()), Counter()).most_common())
    meta = {method: {"without episodes": [plain[seed][method] for seed in SEEDS], "with episodes": accuracy["sensor"][method]}
            for method in META}
    for kind, rows in accuracy.items():
        for method, runs in rows.items():
            print(f"{kind:<8}{method:<17}{sum(runs) / len(runs):.3f}   {runs}")
    print(*(f"{method:<17}{each}" for method, each in spent.items()), rate, tried, chosen, meta, sep="\n")
    record.write("tinytl_tinytrain", seeds=list(SEEDS), tasks=TASKS, rates=rate, tried=tried, accuracy=accuracy, costs=spent, layers=chosen,
                 meta_training=meta, budgets={"memory": MEMORY, "macs_share": SHARE})


if __name__ == "__main__":
    main()
