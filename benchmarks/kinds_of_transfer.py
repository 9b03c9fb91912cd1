"""Table 12.1 measured: transductive, inductive and unsupervised transfer on digits and on messages, over three seeds.

Digits, enlarged to 16x16: 900 of the source, 450 of the target to adapt to, 447 to test on; a seed deals them and draws all weights.
`transductive`: the source net (nets.mobile_net with norms, 15 epochs) behind other cameras, 450 pictures without labels; and mmd of pixels.
`shares`: norms from pictures of some digits only, the same camera and the table's other one, asked about all ten.
`inductive`: another owner sorts the digits into two piles; 20 labels; how many of the ten digits both owners sort alike.
`unsupervised`: k-means on pixels of a turned, flat, noisy camera, 30 or 450 pictures; no labels on any side but to judge (clusters.named).
`pretraining`: features from 900 pictures without labels, then 5 labels of each digit: a new head (`head`), or everything (`all`).
`topics`: of messages, learned from 60 users, or from the first 50 messages of one; mean over users of clusters.shared on their last 50.

    python benchmarks/kinds_of_transfer.py            prints all, writes benchmarks/results/kinds_of_transfer.json (five minutes)
    python benchmarks/kinds_of_transfer.py --again    the same, without what an earlier run left in build/kinds_of_transfer/
"""
import copy
import json
from functools import cache, partial

import record
import torch
from torch.nn import functional as F
from tqdm import tqdm

import odl_kit
from odl_kit.data import datasets, images, messages
from odl_kit.learners import clusters, domains, instances, optimizers, plan, selfsup, similarity, topics, train, transfer
from odl_kit.models import nets

KEPT, SEEDS = odl_kit.home() / "build" / "kinds_of_transfer", (0, 1, 2)
OTHER = {"turn": 20, "contrast": 0.4, "noise": 0.1}      # the target camera of the table
CAMERAS = {"the same": {}, "turned 20": {"turn": 20}, "turned 40": {"turn": 40}, "turned 90": {"turn": 90},
           "contrast 0.5": {"contrast": 0.5}, "contrast 0.2": {"contrast": 0.2}, "negative": {"contrast": -1}, "noise 0.2": {"noise": 0.2},
           "noise 0.4": {"noise": 0.4},
           "turned, flat, noisy": OTHER}
AGREE = (10, 9, 8, 6, 5, 2, 0)
seed_of = torch.Generator().manual_seed


@cache
def world(seed):
    """(source, pool, test), each a (x, y); x (n, 1, 16, 16)."""
    data = datasets.load("digits")
    x, order = F.interpolate(data.x, scale_factor=2, mode="bilinear"), torch.randperm(len(data), generator=seed_of(seed))
    return [(x[part], data.y[part]) for part in order.split((900, 450, 447))]


@cache
def source_net(seed):
    net, (x, y) = nets.mobile_net(1, 10, rng=seed_of(seed)), world(seed)[0]
    train.fit(net, x, y, epochs=15, batch_size=32, lr=optimizers.cosine(0.1), momentum=0.9, rng=seed_of(seed), progress=False)
    return net


def percent(net, x, y):
    return round(100 * train.evaluate(net, x, y)["accuracy"], 2)


def transductive(seed, camera):
    """{method: accuracy} and the distance of the cameras."""
    (source_x, source_y), (pool, _), (test, y) = world(seed)
    pool, test = (images.camera(x, **CAMERAS[camera], rng=seed_of(seed + k)) for k, x in enumerate((pool, test)))
    net = source_net(seed)
    old, new, asked = (transfer.features(net, x) for x in (source_x, pool, test))

    def by_features(align):
        moved = align(torch.cat([new, asked]), old)[len(new):]
        return percent(net[-1], moved, y)

    def retrained(weights):
        """Three epochs more, on source examples drawn in this proportion."""
        drawn = torch.multinomial(weights.double().clamp_min(1e-12), 900, replacement=True, generator=seed_of(seed))
        again = copy.deepcopy(net)
        train.fit(again, source_x[drawn], source_y[drawn], epochs=3, batch_size=32, lr=0.01, momentum=0.9, rng=seed_of(seed),
                  progress=False)
        return percent(again, test, y)

    return {"as it is": percent(net, test, y), "examples drawn evenly": retrained(torch.ones(900)),
            "examples drawn by density ratio": retrained(instances.density_ratio(old, new)),
            "moments": by_features(domains.match_moments), "CORAL": by_features(partial(domains.coral, ridge=0.01)),
            "norms": percent(domains.adapt_norms(net, pool), test, y), "norms of 8": percent(domains.adapt_norms(net, pool[:8]), test, y),
            "Tent": percent(domains.tent(net, pool, epochs=5, batch_size=64, lr=0.003, rng=seed_of(seed)), test, y),
            "mmd": round(similarity.mmd(pool[:200].flatten(1), source_x[:200].flatten(1)), 4)}


def shares(seed, digits):
    """{camera: accuracy on all ten digits} with norms from those pictures of the pool that show a digit below `digits`; 137 at most."""
    (pool, y), (test, test_y) = world(seed)[1:]
    some, found = (y < digits).nonzero().flatten()[:137], {}
    for name in ("the same", "turned, flat, noisy"):
        seen, asked = (images.camera(x, **CAMERAS[name], rng=seed_of(seed + k)) for k, x in enumerate((pool, test)))
        found[name] = percent(domains.adapt_norms(source_net(seed), seen[some]), asked, test_y)
    return found


def inductive(seed, agree):
    """{method: accuracy}: owners sort `agree` of the ten digits alike; 20 labels of the second owner."""
    (x, y), (few, few_y), (test, test_y) = world(seed)
    few, few_y, order = few[:20], few_y[:20], torch.randperm(10, generator=seed_of(seed))
    first = torch.zeros(10, dtype=torch.int64).index_fill(0, order[:5], 1)
    second, other = first.clone(), torch.stack([order[:5], order[5:]], 1).flatten()[:10 - agree]
    second[other] = 1 - second[other]

    def learn(net, x, y, epochs, **options):
        train.fit(net, x, y, epochs=epochs, batch_size=16, lr=0.1, rng=seed_of(seed), progress=False, **options)
        return net

    def fresh(number):
        return nets.mlp(256, 32, 2, rng=seed_of(10 * seed + number))
    source = learn(fresh(0), x, first[y], 15)
    both = torch.cat([x, few.repeat(20, 1, 1, 1)]), torch.cat([first[y], second[few_y].repeat(20)])
    headed = transfer.with_head(source, 2, rng=seed_of(seed))
    made = {"as it is": source, "scratch": learn(fresh(1), few, second[few_y], 60), "both owners' examples": learn(fresh(1), *both, 10),
            "new head": learn(headed, few, second[few_y], 60, plan=plan.head_only(headed)),
            "fine-tuned": learn(copy.deepcopy(source), few, second[few_y], 60)}
    return {name: percent(net, test, second[test_y]) for name, net in made.items()}


def unsupervised(seed, number):
    """{method: share of the test pictures in the right group}: `number` pictures of the other camera."""
    source, (pool, _), (test, y) = world(seed)[0][0].flatten(1), *world(seed)[1:]
    own, test = (images.camera(x, **OTHER, rng=seed_of(seed + k)).flatten(1) for k, x in enumerate((pool[:number], test)))
    moved, asked = domains.match_moments(own, source), domains.match_moments(torch.cat([own, test]), source)[len(own):]
    group = partial(clusters.k_means, k=10)
    centres, _ = group(source, rng=seed_of(seed))
    found = {"own pictures": (group(own, rng=seed_of(seed)), test), "pooled": (group(torch.cat([source, own]), rng=seed_of(seed)), test),
             "pooled, aligned": (group(torch.cat([source, moved]), rng=seed_of(seed)), asked), "source centres": ((centres,), test),
             "source centres, aligned": ((centres,), asked), "source centres as start, aligned": (group(moved, start=centres), asked)}
    return {name: round(100 * clusters.named(clusters.nearest(x, made[0]), y), 2) for name, (made, x) in found.items()}


def a_view(x, *, rng):
    """Held otherwise, in other light: what SimCLR's features shall ignore."""
    x = images.jitter(x, rng=rng, turn=20, shift=0.1, scale=0.15)
    return 0.5 + (0.4 + 0.8 * torch.rand(len(x), 1, 1, 1, generator=rng)) * (x - 0.5) + 0.1 * torch.randn(x.shape, generator=rng)


def pretraining(seed, name):
    """Accuracy with five labels of each digit, by a new head and by training all; first what was learned without labels."""
    (x, y), (pool, pool_y), (test, test_y) = world(seed)
    few = torch.cat([(pool_y == c).nonzero().flatten()[:5] for c in range(10)])
    net, options = nets.mobile_net(1, 10, rng=seed_of(seed)), {"lr": 0.01, "rng": seed_of(seed), "progress": False}
    {"nothing": lambda: None, "turns": lambda: selfsup.learn_turns(net[:-1], x, epochs=8, batch_size=64, **options),
     "pixels": lambda: selfsup.learn_pixels(net[:-1], x, epochs=20, batch_size=64, **options),
     "views": lambda: selfsup.learn_views(net[:-1], x, a_view, epochs=20, batch_size=64, **options)}[name]()
    old, new, asked = (transfer.features(net, part) for part in (x, pool[few], test))
    scaled = [(part - old.mean(0)) / old.std(0).clamp_min(1e-6) for part in (new, asked)]
    head, whole = nets.softmax(32, 10, rng=seed_of(seed)), transfer.with_head(net, 10, rng=seed_of(seed))
    train.fit(head, scaled[0], pool_y[few], epochs=100, batch_size=None, lr=0.3, rng=seed_of(seed), progress=False)
    train.fit(whole, pool[few], pool_y[few], epochs=60, batch_size=10, lr=0.003, optimizer=optimizers.adam(), rng=seed_of(seed),
              progress=False)
    return {"head": percent(head, scaled[1], test_y), "all": percent(whole, test, test_y)}


def messages_of(seed, group):
    """{whose topics: mean of what they share with the true subjects of a user's last 50 messages}."""
    data = datasets.load("typing")
    counts, order = topics.counts(data.x, len(messages.VOCABULARY)), torch.randperm(90, generator=seed_of(seed))
    counts = counts[:, topics.telling(counts)]
    model = topics.learn(counts[torch.isin(data.user, order[:60])], 8, rng=seed_of(seed))
    shared = {"sixty other users": [], "the user's own": []}
    for user in order[60:75].tolist() if group == "usual" else range(90, 100):
        own, y = counts[data.user == user], data.y[data.user == user][50:]
        alone = topics.learn(own[:50], 8, passes=30, rng=seed_of(seed))
        for name, each in zip(shared, (model, alone), strict=True):
            shared[name].append(clusters.shared(topics.mixture(each, own[50:]).argmax(1), y))
    return {name: round(sum(values) / len(values), 4) for name, values in shared.items()}


PARTS = {"unsupervised": (unsupervised, (30, 450)), "inductive": (inductive, AGREE), "transductive": (transductive, tuple(CAMERAS)),
         "shares": (shares, (10, 5, 3)), "topics": (messages_of, ("usual", "hobby")),
         "pretraining": (pretraining, ("nothing", "turns", "pixels", "views"))}


def kept(part, case, seed):
    """One cell, computed once and kept in build/."""
    path = KEPT / f"{part} {case} {seed}.json"
    if not path.exists():
        path.write_text(json.dumps(PARTS[part][0](seed, case)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    record.begin(KEPT, __doc__)
    jobs, found = [(part, case, seed) for part, (_, cases) in PARTS.items() for case in cases for seed in SEEDS], {}
    for part, case, seed in tqdm(jobs):
        for method, value in kept(part, case, seed).items():
            found.setdefault(part, {}).setdefault(str(case), {}).setdefault(method, []).append(value)
    for part, cases in found.items():
        for case, rows in cases.items():
            print(part, case, {method: (min(runs), max(runs)) for method, runs in rows.items()})
    record.write("kinds_of_transfer", seeds=list(SEEDS), **found)


if __name__ == "__main__":
    main()
