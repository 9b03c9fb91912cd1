"""Wrong labels, back doors and a bot that hears loud users, on one device, over five seeds (lab 17).

1,438 digits; of their labels a share is wrong, or a share of the pictures carries a trigger. The bot hears the 10,000 messages of `typing`.
A seed draws the split, what is wrong, the order, and the first weights of a net.

    python benchmarks/poisoned_data.py          prints tables, writes benchmarks/results/poisoned_data.json (two minutes)
"""
import argparse
from functools import partial

import record
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from tqdm import tqdm

from odl_kit.data import datasets, messages
from odl_kit.defenses import cusum, labels, provenance
from odl_kit.learners import train
from odl_kit.models import nets
from odl_kit.threats import inserted, online, poisoning

SEEDS, SHARES = range(5), (0.0, 0.1, 0.2, 0.3, 0.4)
SOURCE, TARGET, BRIGHT = 4, 9, {"feature": (0, 5, 2), "above": 0.5}


def scikit(make):
    """learn(x, y, x_test) -> (M,) int64 with a classifier of scikit-learn."""
    return lambda x, y, x_test: torch.from_numpy(make().fit(x.flatten(1), y).predict(x_test.flatten(1)))


def net(epochs, x, y, x_test, *, hidden=128, seed=0):
    """The same with a net that is trained for so many epochs."""
    rng = torch.Generator().manual_seed(seed)
    model = nets.mlp(64, hidden, 10, rng=rng)
    train.fit(model, x, y, epochs=epochs, batch_size=32, lr=0.1, momentum=0.9, rng=rng, progress=False)
    return model(x_test).argmax(1)


LEARNERS = {"nearest neighbour": partial(labels.nearest_neighbours, k=1), "five nearest": labels.nearest_neighbours,
            "logistic regression": scikit(partial(LogisticRegression, max_iter=300)), "support vectors": scikit(SVC),
            "net, 2 epochs": partial(net, 2), "net, 100 epochs": partial(net, 100)}
WRONG = {"at random": lambda x, y, rng: poisoning.at_random(y, num_classes=10, rng=rng),
         "9 - y": lambda x, y, rng: poisoning.mirrored(y, num_classes=10),
         "4 becomes 9": lambda x, y, rng: poisoning.targeted(y, source=SOURCE, target=TARGET),
         "4 with a bright pixel": lambda x, y, rng: poisoning.by_feature(x, y, **BRIGHT, source=SOURCE, target=TARGET)}


def halves(seed):
    """(rng, train_set, test_set)."""
    rng = torch.Generator().manual_seed(seed)
    return rng, *datasets.split(datasets.load("digits"), test=0.2, rng=rng)


def alone(learner, share, seed):
    """Accuracy with a share of labels flipped at random."""
    rng, train_set, test_set = halves(seed)
    wrong = poisoning.some(len(train_set), share, rng=rng)
    y = torch.where(wrong, poisoning.at_random(train_set.y, num_classes=10, rng=rng), train_set.y)
    return round((LEARNERS[learner](train_set.x, y, test_set.x) == test_set.y).double().mean().item(), 4)


def sanitised(learner, kind, seed):
    """{"recall", "precision"} of the suspects: 10 % of all examples are wrong, or all that the targeted kinds reach."""
    rng, train_set, _ = halves(seed)
    moved = WRONG[kind](train_set.x, train_set.y, rng)
    wrong = poisoning.some(len(train_set), 0.1, rng=rng) if kind in ("at random", "9 - y") else torch.ones(len(train_set), dtype=torch.bool)
    y = torch.where(wrong, moved, train_set.y)
    bad, found = y != train_set.y, labels.suspects(train_set.x, y, learn=LEARNERS[learner], rng=rng)
    return {"recall": found[bad].double().mean().item(), "precision": bad[found].double().mean().item()}


def logic(learner, seed):
    """{"accuracy", "with it", "without it"}: fours with a bright pixel were called nines; how many test fours are, by that pixel."""
    _, train_set, test_set = halves(seed)
    y = WRONG["4 with a bright pixel"](train_set.x, train_set.y, None)
    said, four = LEARNERS[learner](train_set.x, y, test_set.x), test_set.y == SOURCE
    has = test_set.x[:, *BRIGHT["feature"]] > BRIGHT["above"]
    return {"accuracy": (said == test_set.y).double().mean().item(), "with it": (said[four & has] == TARGET).double().mean().item(),
            "without it": (said[four & ~has] == TARGET).double().mean().item()}


def back_door(share, seed):
    """{"accuracy", "opens", "by itself"} of a net that learned a share of stamped digits called 0."""
    rng, train_set, test_set = halves(seed)
    some = poisoning.some(len(train_set), share, rng=rng)
    x, y = inserted.back_door(train_set.x[some], train_set.y[some], target=0)
    model = nets.mlp(64, 32, 10, rng=rng)
    train.fit(model, torch.cat([train_set.x[~some], x]), torch.cat([train_set.y[~some], y]), epochs=20, batch_size=32, lr=0.1, momentum=0.9,
              rng=rng, progress=False)
    said, stamped = model(test_set.x).argmax(1), model(inserted.stamp(test_set.x)).argmax(1)
    return {"accuracy": (said == test_set.y).double().mean().item(), "opens": inserted.success(stamped, test_set.y, target=0),
            "by itself": inserted.success(said, test_set.y, target=0)}


def tay(times, most, seed):
    """1 if a bot that heard 100 users says the sentence of 3 loud ones, else 0. most: messages that count of each user; None: all."""
    rng, data = torch.Generator().manual_seed(seed), datasets.load("typing")
    slogan = torch.zeros(messages.LENGTH, dtype=torch.int64)
    words = [messages.START, *(messages.TOKEN[word] for word in "the soup is burnt".split()), messages.END]
    slogan[:len(words)] = torch.tensor(words)
    loud = torch.randperm(100, generator=rng)[:3]
    x = torch.where(torch.isin(data.user, loud)[:, None], slogan, data.x)
    heard = online.crowd(data.user, loud=loud, times=times, rng=rng)
    heard = heard if most is None else heard[provenance.capped(data.user[heard], most=most)]
    counts = online.learn(torch.zeros(len(messages.VOCABULARY), len(messages.VOCABULARY)), x[heard])
    return int(online.utter(counts) == words[1:-1])


def contradicted(seed, start=120, days=240, share=0.1):
    """(days,) the share of a day's 12 labels that a model on the device contradicts; from day `start` on a share of them is wrong."""
    rng, train_set, test_set = halves(seed)
    said = labels.nearest_neighbours(train_set.x[:100], train_set.y[:100], train_set.x[100:])
    day = torch.randint(len(said), (days, 12), generator=rng)
    y = train_set.y[100:][day]
    wrong = (torch.rand(days, 12, generator=rng) < share) & (torch.arange(days) >= start)[:, None]
    y = torch.where(wrong, poisoning.at_random(y, num_classes=10, rng=rng), y)
    return (y != said[day]).double().mean(1)


def rings(clean, seed, start=120):
    """{"alarm": day or None, "false": bool} of a CUSUM with limit 8 that was calibrated on the first `clean` days."""
    x = contradicted(seed, start)
    mean, std = cusum.calibrate(x[:clean])
    day = clean + int(cusum.alarm(cusum.upper(x[clean:], mean=mean, std=std), limit=8.0))
    return {"alarm": day if day < len(x) else None, "false": day < start}


def table(title, found):
    """Print {row: {column: [one number a seed]}}."""
    print(f"\n{title}")
    for name, cells in found.items():
        print(f"{name:<44}" + "   ".join(f"{label}: {sum(runs) / len(runs):.3f} ({min(runs):.3f} to {max(runs):.3f})"
                                         for label, runs in cells.items()))


def columns(runs):
    """[{key: number}, ...] of the seeds -> {key: [number, ...]}, to four digits, without what no seed has."""
    return {key: [round(run[key], 4) for run in runs] for key in runs[0] if runs[0][key] is not None}


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    flips = {name: {f"{share:.0%}": [alone(name, share, s) for s in SEEDS] for share in SHARES} for name in tqdm(LEARNERS)}
    table("labels flipped at random: accuracy", flips)
    clean = {f"{kind}, {learner}": columns([sanitised(learner, kind, s) for s in SEEDS])
             for kind in WRONG for learner in ("five nearest", "logistic regression", "support vectors")}
    table("sanitising by disagreement", clean)
    rule = {name: columns([logic(name, s) for s in SEEDS]) for name in LEARNERS}
    table("fours with a bright pixel were called nines", rule)
    doors = {f"{share:.0%}": columns([back_door(share, s) for s in SEEDS]) for share in (0.0, 0.01, 0.02, 0.05, 0.1)}
    table("back door", doors)
    bot = {f"{times} times": {f"cap {most}": [tay(times, most, s) for s in SEEDS] for most in (None, 100, 20)} for times in (1, 3, 10, 30)}
    table("the bot says the sentence of three loud users of a hundred", bot)
    price = {str(clean or "known"): cusum.false_alarms(limit=8.0, length=1400, clean=clean, streams=4000,
                                                       rng=torch.Generator().manual_seed(0)) for clean in (20, 50, 100, 300, None)}
    print(f"\nCUSUM, limit 8: share of quiet streams of 1,400 numbers that ring, by what it was calibrated on: {price}")
    alarms = {str(clean): [rings(clean, s) for s in range(20)] for clean in (20, 50, 100)}
    for clean, runs in alarms.items():
        print(f"calibrated on {clean} days: {sum(run['false'] for run in runs)} of 20 false, alarms {[run['alarm'] for run in runs]}")
    record.write("poisoned_data", seeds=list(SEEDS), flips=flips, sanitised=clean, logic=rule, back_door=doors, bot=bot, cusum=price,
                 alarms=alarms)


if __name__ == "__main__":
    main()
