"""What transfer is worth, and when it is not (lab 08), over five seeds.

Source: nets.glyph_net, trained on 150 printed characters (datasets/glyphs/pretrain.py; three nets, seed s takes number s mod 3). Targets:
`digits`, handwritten (the clean half of sensor_shift), and `another camera`, the other half of it. A seed draws 400 pictures to test on
and n / 10 of each digit to learn from. Each run is 4,000 pictures through Adam, batch 10, cosine rate; its rate is picked on the seeds 10
and 11 at n = 100, one for a method and both targets. Further parts: the pull of L2-SP; source nets of four widths (trained here on the same
150 characters, each with rates of its own, three seeds); what cameras and resolutions do to features; TrAdaBoost and density ratios on
the swipes of 24 simulated people; enrolment of one person by a net that tells twelve others apart.

    python benchmarks/transfer.py            prints tables, writes benchmarks/results/transfer.json (fifteen minutes)
    python benchmarks/transfer.py --again    the same, without what an earlier run left in build/transfer/

Each part is kept there once it is done, so that a run that was cut off goes on where it was.
"""
import copy
import json
import statistics

import record
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F
from tqdm import tqdm

import odl_kit
from odl_kit.data import datasets, images, pretrained
from odl_kit.learners import episodes, instances, optimizers, plan, similarity, train, transfer
from odl_kit.models import flat, nets

KEPT = odl_kit.home() / "build" / "transfer"
SEEDS, TUNING, TARGETS, SIZES, DEPTHS = range(5), (10, 11), ("digits", "another camera"), (20, 50, 100, 200, 400), (1, 4, 7, 10, 13, 15)
PICTURES, BATCH = 4000, 10      # that pass through a net while it learns
METHODS = {     # name: (starts from the source net?, layers that learn, rates to try)
    "scratch": (False, 15, (0.001, 0.002, 0.005, 0.01)), "head only": (True, 1, (0.01, 0.03, 0.1, 0.3)),
    "last 7 layers": (True, 7, (0.005, 0.01, 0.02)), "everything": (True, 15, (0.003, 0.005, 0.01, 0.02))}
NARROW = {"head only": (0.01, 0.03, 0.1), "everything": (0.005, 0.01, 0.02, 0.03), "scratch": (0.005, 0.01, 0.02, 0.03)}   # source nets
PULLS, WIDTHS, SHOTS, TAKES = (0.01, 0.1), (4, 8, 16, 32), (1, 2, 5), (1, 2, 5)
seed = torch.Generator().manual_seed


def task(target, s, n):
    """(learn, test): Datasets of n and 400 pictures."""
    data = datasets.load("sensor_shift")
    data = data.subset(data.user == TARGETS.index(target))
    order = torch.randperm(len(data), generator=seed(s))
    pool = data.subset(order[400:])
    return pool.subset(torch.cat([(pool.y == c).nonzero().flatten()[:n // 10] for c in range(10)])), data.subset(order[:400])


def source(s):
    """The net that knows 150 characters, with a fresh head for ten digits."""
    net = flat.assign(nets.glyph_net(10, rng=seed(s)), pretrained.load("glyphs", seed=s % 3))
    return transfer.with_head(net, 10, rng=seed(s))


def adapt(net, learn, test, layers, lr, s, pull=0.0):
    """Accuracy on the test after the last `layers` have learned."""
    penalty = transfer.l2_sp(net, pull=pull, decay=pull / 10) if pull else None
    train.fit(net, learn.x, learn.y, epochs=PICTURES // len(learn), batch_size=BATCH, lr=optimizers.cosine(lr), optimizer=optimizers.adam(),
              plan=plan.last_layers(net, layers), rng=seed(s), progress=False, penalty=penalty)
    return round(train.evaluate(net, test.x, test.y)["accuracy"], 4)


def one(target, s, n, method, lr, layers=None, pull=0.0):
    """Accuracy of one method from its start."""
    known, usual, _ = METHODS[method]
    net = source(s) if known else nets.glyph_net(10, rng=seed(s))
    return adapt(net, *task(target, s, n), layers or usual, lr, s, pull)


def starts(s, rates):
    """{start: {leave one out, accuracy}}, 100 pictures of the other camera: one net, trained on characters, on clean digits, or not."""
    digits, (learn, test) = datasets.load("sensor_shift"), task("another camera", s, 100)
    clean = digits.subset(digits.user == 0)
    read = nets.glyph_net(10, rng=seed(s))
    train.fit(read, clean.x, clean.y, epochs=9, batch_size=BATCH, lr=optimizers.cosine(rates["scratch"]), optimizer=optimizers.adam(),
              rng=seed(s), progress=False)
    found = {}
    for name, net in {"characters": source(s), "clean digits": read, "nothing": nets.glyph_net(10, rng=seed(s))}.items():
        suits = transfer.leave_one_out(transfer.features(net, learn.x), learn.y)
        right = adapt(net, learn, test, 15, rates["scratch" if name == "nothing" else "everything"], s)
        found[name] = {"leave one out": round(suits, 4), "accuracy": right}
    return found


def by_width(width, s):
    """{weights, source accuracy, {method: {rate: accuracy}}}: tiny_cnn, trained on 150 characters, then on 100 clean digits."""
    rng = seed(s)
    data = datasets.load("glyphs")
    mine, *_ = episodes.split_classes(data.y, (150, 40, 50), rng=rng)
    seen = data.subset(torch.isin(data.y, mine))
    x, y = seen.x, torch.searchsorted(mine.sort().values, seen.y)
    held = torch.arange(len(y)) % 8 == 0
    net = nets.tiny_cnn(1, 150, width=width, rng=rng)
    train.fit(net, x[~held], y[~held], epochs=12, batch_size=75, lr=optimizers.cosine(0.01), optimizer=optimizers.adam(), rng=rng,
              progress=False)
    learn, test = task("digits", s, 100)
    known, layers = transfer.with_head(net, 10, rng=seed(s)), {"head only": 1, "everything": 4, "scratch": 4}
    starts = {method: nets.tiny_cnn(1, 10, width=width, rng=seed(s)) if method == "scratch" else known for method in layers}
    return {"weights": sum(p.numel() for p in net[:-1].parameters()), "source": round(train.evaluate(net, x[held], y[held])["accuracy"], 4),
            **{method: {lr: adapt(copy.deepcopy(starts[method]), learn, test, layers[method], lr, s) for lr in grid}
               for method, grid in NARROW.items()}}


@torch.no_grad()
def seen_by(s):
    """What other cameras and resolutions do to the features of 600 digits, and how far domains lie apart in them."""
    net, digits, glyphs = source(s), task("digits", s, 400), datasets.load("glyphs")
    x, y = (torch.cat([getattr(part, key) for part in digits])[:600] for key in "xy")
    camera, found = images.bad_sensor(x, rng=seed(s)), {"depth": {}, "as it is": {}, "enlarged": {}, "nearest mean, as it is": {},
                                                       "nearest mean, enlarged": {}}
    for i, (name, _) in enumerate(net.named_children(), start=1):
        if name.startswith(("stem", "block", "last")) and not name.endswith("relu"):
            here, there = (net[:i](part).mean((2, 3)) for part in (x, camera))
            found["depth"][name] = similarity.cka(here, there)
    for side in (16, 12, 8, 6, 4):
        low = F.interpolate(x, size=(side, side), mode="area")
        for name, part in (("as it is", low), ("enlarged", F.interpolate(low, size=(16, 16), mode="bilinear"))):
            made = transfer.features(net, part)
            found[name][side] = similarity.cka(transfer.features(net, x), made)
            found[f"nearest mean, {name}"][side] = transfer.leave_one_out(made, y)
    here = glyphs.x[torch.randperm(len(glyphs), generator=seed(s))]
    parts = {"other characters": here[400:800], "digits": x[:400], "another camera": task("another camera", s, 400)[1].x}
    made = {name: transfer.features(net, part) for name, part in parts.items()} | {"source": transfer.features(net, here[:400])}
    found["mmd"] = {name: similarity.mmd(made["source"], made[name]) for name in parts}
    found["a_distance"] = {name: similarity.a_distance(made["source"], made[name], rng=seed(s)) for name in parts}
    return found


def swipes():
    """(features (N, 30), y of 0 and 1, user, time): left or right, by 24 people; means of ten samples each, of unit variance."""
    data = datasets.load("motion")
    data = data.subset((data.y == 1) | (data.y == 2))
    x = F.avg_pool1d(data.x, 10).flatten(1)
    return (x - x.mean(0)) / x.std(0), data.y - 1, data.user, data.time


def swiped(s, shots):
    """{way: {user: accuracy}}, and the others' effective number: a user's `shots` takes of each swipe, and all of the others'."""
    x, y, user, time = swipes()
    own_takes = torch.randperm(15, generator=seed(s))
    found = {}
    for u in range(24):
        others, mine = user != u, user == u
        learn, test = (mine & torch.isin(time, own_takes[:shots]), mine & torch.isin(time, own_takes[5:]))
        ratio = instances.density_ratio(x[others], x[mine & torch.isin(time, own_takes[:5])])
        judges = {"others' swipes alone": (others, None), "own swipes alone": (learn, None), "both, all alike": (others | learn, None),
                  "others', by density ratio": (others, (ratio / ratio.mean()).numpy())}
        for name, (rows, weights) in judges.items():
            judge = LogisticRegression(max_iter=1000).fit(x[rows].numpy(), y[rows].numpy(), sample_weight=weights)
            found.setdefault(name, {})[u] = judge.score(x[test].numpy(), y[test].numpy())
        boosted = instances.tradaboost(x[others], y[others], x[learn], y[learn], rounds=20)
        found.setdefault("TrAdaBoost", {})[u] = (instances.predict(boosted, x[test]) == y[test]).float().mean().item()
    return found


ENROL = {       # name: (starts from the source net?, with clips of others?, layers that learn, rate)
    "child alone, head": (True, False, 1, 0.01), "with others, head": (True, True, 1, 0.01),
    "with others, everything": (True, True, 3, 0.002), "with others, scratch": (False, True, 3, 0.002)}


def enrolled(s, takes):
    """{way: [share of the child's clips found, share of strangers' taken for it]}, mean over six children."""
    data = datasets.load("motion")
    known, children, strangers = torch.randperm(24, generator=seed(s)).split([12, 6, 6])
    old = data.subset(torch.isin(data.user, known))
    net = nets.mlp(300, (64, 32), 12, rng=seed(s))
    train.fit(net, old.x, torch.searchsorted(known.sort().values, old.user), epochs=15, batch_size=32, lr=0.02, momentum=0.9, rng=seed(s),
              progress=False)
    some = old.x[torch.randperm(len(old), generator=seed(s))[:200]]
    others, found = data.subset(torch.isin(data.user, strangers) & (data.time >= 8)), {}
    for child in children.tolist():
        early, late = (data.subset((data.user == child) & when) for when in (data.time < takes, data.time >= 8))
        own = early.x.repeat(200 // len(early), 1, 1)
        for name, (known_net, with_others, layers, lr) in ENROL.items():
            judge = transfer.with_head(net, 2, rng=seed(s)) if known_net else nets.mlp(300, (64, 32), 2, rng=seed(s))
            x = torch.cat([own, some]) if with_others else own
            train.fit(judge, x, (torch.arange(len(x)) < len(own)).long(), epochs=12, batch_size=16, lr=lr, optimizer=optimizers.adam(),
                      plan=plan.last_layers(judge, layers), rng=seed(s), progress=False)
            said = [judge(part.x).argmax(1).float().mean().item() for part in (late, others)]
            found.setdefault(name, []).append(said)
    return {name: [round(statistics.mean(row), 4) for row in zip(*rows, strict=True)] for name, rows in found.items()}


def kept(name, make, *arguments):
    """make(*arguments) -> plain numbers, lists and dicts, computed once and kept in build/."""
    path = KEPT / f"{name} {' '.join(map(str, arguments[:5]))}.json"
    if not path.exists():
        path.write_text(json.dumps(make(*arguments)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def show(title, rows):
    """A table of {name: [one number a seed]}."""
    print(title)
    for name, runs in rows.items():
        print(f"  {name:<34}{statistics.mean(runs):8.3f}   {[round(run, 3) for run in runs]}")


def main():
    record.begin(KEPT, __doc__)
    tried = {name: {str(lr): statistics.mean(kept("rate", one, target, s, 100, name, lr) for s in TUNING for target in TARGETS)
                    for lr in tqdm(grid, desc=name, leave=False)} for name, (_, _, grid) in METHODS.items()}
    rates = {name: float(max(tried[name], key=tried[name].get)) for name in METHODS}
    labels = {target: {name: {n: [kept("labels", one, target, s, n, name, rates[name]) for s in SEEDS] for n in SIZES}
                       for name in tqdm(METHODS, desc=target, leave=False)} for target in TARGETS}
    named = {1: "head only", 15: "everything"}       # the ends have rates of their own, what lies between that of seven layers
    depth = {target: {k: [kept(f"depth {k}", one, target, s, 100, name, rates[name], k) for s in SEEDS]
                      for k in tqdm(DEPTHS, desc="depth", leave=False) for name in (named.get(k, "last 7 layers"),)} for target in TARGETS}
    pulled = {target: {str(pull): [kept(f"pull {pull}", one, target, s, 50, "everything", rates["everything"], None, pull) for s in SEEDS]
                       for pull in tqdm(PULLS, desc="pull", leave=False)} for target in TARGETS}
    sides = {key: [] for key in kept("seen", seen_by, 0)}
    for s in SEEDS:
        for key, value in kept("seen", seen_by, s).items():
            sides[key].append(value)
    seen = {key: {name: [run[name] for run in runs] for name in runs[0]} for key, runs in sides.items()}
    moved = {shots: [kept("swipes", swiped, s, shots) for s in tqdm(SEEDS, desc="swipes", leave=False)] for shots in SHOTS}
    child = {takes: [kept("child", enrolled, s, takes) for s in tqdm(SEEDS, desc="child", leave=False)] for takes in TAKES}
    begun = [kept("starts", starts, s, rates) for s in tqdm(SEEDS, desc="starts", leave=False)]
    widths = {width: {s: kept("widths", by_width, width, s) for s in (*TUNING, *SEEDS[:3])}
              for width in tqdm(WIDTHS, desc="width", leave=False)}
    # whom the others' swipes serve worse than a coin would: a group made by its result, and named so in the lab
    turned = sorted(u for u in range(24) if statistics.mean(run["others' swipes alone"][str(u)] for run in moved[SHOTS[0]]) < 0.5)
    by_hand = {shots: {group: {way: [statistics.mean(run[way][str(u)] for u in range(24) if (u in turned) == (group == "turned round"))
                                     for run in runs] for way in runs[0]} for group in ("like most", "turned round")}
               for shots, runs in moved.items()}
    enrol = {takes: {way: {"found": [run[way][0] for run in runs], "false alarms": [run[way][1] for run in runs]} for way in runs[0]}
             for takes, runs in child.items()}
    started = {what: {name: [run[name][what] for run in begun] for name in begun[0]} for what in ("accuracy", "leave one out")}
    complexity = {}
    for width, runs in widths.items():
        best = {method: max(runs[TUNING[0]][method], key=lambda lr: sum(runs[s][method][lr] for s in TUNING)) for method in NARROW}    # noqa: B023
        print(f"width {width}: rates {best}")
        complexity[width] = {key: [runs[s][key][best[key]] if key in best else runs[s][key] for s in SEEDS[:3]] for key in runs[0]}
    print(rates, tried)
    for target in TARGETS:
        show(f"labels, {target}", {f"{name} {n}": runs for name, each in labels[target].items() for n, runs in each.items()})
        show(f"depth, {target}", {f"last {k}": runs for k, runs in depth[target].items()})
        show(f"L2-SP at 50, {target}", pulled[target])
    for key, rows in seen.items():
        show(key, rows)
    for shots, groups in by_hand.items():
        for group, rows in groups.items():
            show(f"swipes, {shots} of each, {group}", rows)
    for takes, ways in enrol.items():
        show(f"child, {takes} takes", {f"{way}: {what}": runs for way, each in ways.items() for what, runs in each.items()})
    for what, rows in started.items():
        show(f"start of the net, the other camera: {what}", rows)
    for width, rows in complexity.items():
        show(f"source of width {width}", rows)
    record.write("transfer", seeds=list(SEEDS), rates=rates, tried=tried, pictures=PICTURES, labels=labels, depth=depth, l2_sp=pulled,
                 seen=seen, swipes=by_hand, turned=turned, child=enrol, starts=started, complexity=complexity)


if __name__ == "__main__":
    main()
