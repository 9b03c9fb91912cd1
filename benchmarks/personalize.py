"""Personalising a keyword net, over five seeds (lab 10): what a new user gains, and what the users before lose.

`keywords`, synthetic speech; a net a seed, trained on 32 speakers (datasets/keywords/pretrain.py). A new user gives three clips a word and
is tested on six other takes of each; "old users" are ten speakers whom the net never met and serves well as shipped, 480 clips. Adam, 30
steps on all clips at once, each time jittered; rate 1e-2 for heads and biases, 1e-3 for whole nets, set once. Old clips: what a reservoir
of 30,000 bytes keeps of 16 training speakers; the gate has its own, of the other 16, and two confirmed takes a word of the user. A seed
draws the net, the takes, the old clips, the jitter, the days. Everything in %.

    python benchmarks/personalize.py              prints tables, writes benchmarks/results/personalize.json (about 25 minutes)
"""
import argparse
import copy
import runpy
from dataclasses import replace

import record
import torch
from tqdm import tqdm

from odl_kit import home
from odl_kit.data import cards, datasets, pretrained, sounds, stream
from odl_kit.learners import distil, drift, enrol, gate, optimizers, plan, regularise, replay, statistics, train, transfer
from odl_kit.models import flat, nets

SEEDS, NAMES = range(5), cards.read("keywords")["users"]
USERS = ("scotland", "german", "spanish", "turkish", "whisper", "travis", "marco")
WAKE, DAYS, BYTES = 10, 30, 30_000
seed_of = torch.Generator().manual_seed
data = datasets.load("keywords")
voices, strangers = data.group("train"), data.group("unseen")
strangers = strangers.subset(strangers.time < 4)


def shipped(seed):
    """The net of this seed."""
    net = nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm=None, rng=seed_of(0))
    return flat.assign(net, pretrained.load("keywords", seed=seed))


def kept(seed, *, budget=BYTES, odd=0):
    """(x, y): old clips that fit into so many bytes, of the training speakers with even numbers, or odd ones."""
    half = voices.subset(voices.user % 2 == odd)
    half = half.subset(torch.randperm(len(half), generator=seed_of(100 + seed)))
    return replay.examples(replay.add(replay.reservoir(budget, half.x, scale=4 / 127), half.x, half.y, rng=seed_of(seed)))


def takes(user, seed, shots=3):
    """(shots, pool, confirmed, test) of one user, takes drawn by seed: `shots` a word, the rest of eight, two, six."""
    number = NAMES.index(user)
    own, order = data.subset(data.user == number), torch.randperm(16, generator=seed_of(1000 * seed + number))
    return [own.subset(torch.isin(own.time, part)) for part in (order[:shots], order[shots:8], order[8:10], order[10:])]


def adapt(net, x, y, seed, *, old=None, what=None, lr=1e-3, steps=30, penalty=None):
    """A copy of the net after `steps` steps on (x, y), and on the clips `old` = (x, y) in the same batch."""
    made = copy.deepcopy(net)
    x, y = (x, y) if old is None else (torch.cat([x, old[0]]), torch.cat([y, old[1]]))
    clips = sounds.jitter(x.repeat(steps, 1, 1, 1), rng=seed_of(seed))
    train.fit(made, clips, y.repeat(steps), epochs=1, batch_size=len(x), lr=lr, plan=what and what(made), optimizer=optimizers.adam(),
              penalty=penalty, rng=seed_of(seed), progress=False)
    return made


def right(net, part):
    return 100 * train.evaluate(net, part.x, part.y)["accuracy"]


def importance_of(net, x):
    """The Fisher information, 1 on average, so that a pull means about the same for L2 and EWC."""
    found = regularise.fisher(net, x)
    return found / found.mean()


def methods(seed, note):
    """Enrolment, forgetting, pseudo-labels: accuracy of the user, of the old users. And the gate: let through, of the old nets' 100."""
    net, old, judges = shipped(seed), kept(seed), kept(seed, odd=1)
    features, importance = transfer.features(net, voices.x), importance_of(net, old[0])
    centre = features.mean(0)
    known = enrol.directions(features, voices.y, centre=centre)
    for user in USERS:
        shots, pool, confirmed, test = takes(user, seed)
        x, y = shots.x, shots.y
        own = enrol.directions(transfer.features(net, x), y, centre=centre)
        mixed, with_old = enrol.enrolled(net, enrol.mix(own, known), centre=centre), adapt(net, x, y, seed, old=old)
        sure, said = enrol.pseudo_labels(net, pool.x, threshold=0.9)
        made = {"as shipped": net, "prototypes, own": enrol.enrolled(net, own, centre=centre), "prototypes, mixed": mixed,
                "statistics": statistics.match(net, old[0], x), "head": adapt(net, x, y, seed, what=plan.head_only, lr=1e-2),
                "biases and head": adapt(net, x, y, seed, what=plan.bias_only, lr=1e-2), "full": adapt(net, x, y, seed),
                "full + L2": adapt(net, x, y, seed, penalty=regularise.ewc(net, 1.0, pull=3.0)),
                "full + EWC": adapt(net, x, y, seed, penalty=regularise.ewc(net, importance, pull=3.0)),
                "full + LwF": adapt(net, x, y, seed, penalty=regularise.lwf(net, x, pull=0.1)), "full + old clips": with_old,
                "no shots, pseudo-labels": adapt(net, pool.x[sure], said[sure], seed)}
        note(user, "sure without shots: kept, right of them", *shares(sure, said == pool.y))
        more = {"shots, twice the steps": (pool.x[:0], pool.y[:0]), "shots + true labels": (pool.x, pool.y)}
        for name, verify in (("pseudo-labels", None), ("verified ones", mixed)):
            sure, said = enrol.pseudo_labels(with_old, pool.x, threshold=0.6, verify=verify)
            note(user, f"shots + {name}: kept, right of them", *shares(sure, said == pool.y))
            more[f"shots + {name}"] = pool.x[sure], said[sure]
        for name, (more_x, more_y) in more.items():
            made[name] = adapt(net, torch.cat([x, more_x]), torch.cat([y, more_y]), seed, old=old, steps=60)
        for name, net_made in made.items():
            note(user, name, right(net_made, test), right(net_made, strangers))
        for name in ("no shots, pseudo-labels", "full", "full + old clips"):
            own_duel, others = gate.duel(net, made[name], confirmed.x, confirmed.y), gate.duel(net, made[name], *judges)
            note(user, f"gate: {name}", 100.0 * gate.passes(own_duel, others)[0], 100 * others.gain)


def every_user(seed, note):
    """All fourteen outliers: accuracy as shipped, and after three shots a word with old clips."""
    net, old = shipped(seed), kept(seed)
    for number in data.groups["outlier"]:
        shots, *_, test = takes(NAMES[number], seed)
        note(NAMES[number], "three shots", right(net, test), right(adapt(net, shots.x, shots.y, seed, old=old), test))


def pulls(seed, note):
    """How firmly to hold, or how many bytes of old clips to keep: accuracy of the user, of the old users."""
    net = shipped(seed)
    importance = importance_of(net, kept(seed)[0])
    for user in ("german", "turkish", "whisper", "travis"):
        shots, *_, test = takes(user, seed)
        ways = {f"{name} | {pull:g}": {"penalty": make(pull)} for pull in (1.0, 3.0, 10.0, 30.0) for name, make in (
            ("L2", lambda pull: regularise.ewc(net, 1.0, pull=pull)), ("EWC", lambda pull: regularise.ewc(net, importance, pull=pull)),
            ("LwF", lambda pull, x=shots.x: regularise.lwf(net, x, pull=pull / 30)))}
        ways |= {f"old clips | {budget}": {"old": kept(seed, budget=budget)} for budget in (6_000, 15_000, BYTES)}
        for name, options in ways.items():
            made = adapt(net, shots.x, shots.y, seed, **options)
            note(user, name, right(made, test), right(made, strangers))


def wake_word(seed, note):
    """Five clips of the wake word alone: detected; the user's false alarms; old users' detected; their accuracy on 12 words.

    The threshold is set anew for each net: 1 % false alarms on the other words among 1,200 clips of the training speakers.
    """
    net, old = shipped(seed), kept(seed)
    judges = voices.subset(torch.randperm(len(voices), generator=seed_of(seed))[:1200])
    for user in USERS:
        shots, *_, test = takes(user, seed, shots=5)
        x, y = shots.x[shots.y == WAKE], shots.y[shots.y == WAKE]
        ways = {"as shipped": net, "head": adapt(net, x, y, seed, what=plan.head_only, lr=1e-2, steps=20),
                "full": adapt(net, x, y, seed, steps=20), "full + LwF": adapt(net, x, y, seed, steps=20, penalty=regularise.lwf(net, x)),
                "full + old clips": adapt(net, x, y, seed, steps=20, old=old)}
        for name, made in ways.items():
            limit = torch.quantile(score(made, judges.x[judges.y != WAKE]), 0.99)
            heard = [100 * float((score(made, part) > limit).float().mean())
                     for part in (test.x[test.y == WAKE], test.x[test.y != WAKE], strangers.x[strangers.y == WAKE])]
            note(user, name, *heard, right(made, strangers))


def score(net, x):
    """How sure the net is of the wake word: its log-probability, (N,)."""
    return distil.ask(net, x).log_softmax(1)[:, WAKE]


def new_word(seed, note):
    """A net that never heard the wake word learns it from five clips of one user: that word; the user's others; the old users' others."""
    make = runpy.run_path(str(home() / "datasets" / "keywords" / "pretrain.py"))["make"]
    net = nets.ds_cnn(1, 11, width=48, blocks=3, stem=(10, 4), norm=None, rng=seed_of(0))
    flat.assign(net, make(seed, without=WAKE))
    place = torch.tensor([*range(10), 11, 10])          # the new word comes last
    known, others = (part.subset(part.y != WAKE) for part in (voices, strangers))
    features, (old_x, old_y) = transfer.features(net, known.x), kept(seed)
    centre, old = features.mean(0), (old_x[old_y != WAKE], place[old_y[old_y != WAKE]])
    before = enrol.directions(features, place[known.y], centre=centre)
    for user in USERS:
        shots, *_, test = takes(user, seed, shots=5)
        word = shots.subset(shots.y == WAKE)
        row = enrol.directions(transfer.features(net, word.x), torch.zeros_like(word.y), centre=centre)
        grown = enrol.enrolled(net, torch.cat([before, row]), centre=centre)
        ways = {"one more row": grown, "full, the word alone": adapt(grown, word.x, place[word.y], seed, steps=20),
                "full + old clips": adapt(grown, word.x, place[word.y], seed, steps=20, old=old)}
        for name, made in ways.items():
            parts = [replace(part, y=place[part.y]) for part in (test.subset(test.y == WAKE), test.subset(test.y != WAKE), others)]
            note(user, name, *(right(made, part) for part in parts))


def month(seed, note):
    """Drift from day 10, full on day 16: accuracy on the first ten days and from day 16 on; or on how many of these days an alarm rang."""
    net, old = shipped(seed), kept(seed)
    share, few = stream.ramp(DAYS, start=10, full=16), torch.zeros(12)
    few[[2, 3, 6, 7]] = 0.25        # up, down, on, off
    kinds = {"muffled": {"change": lambda x, day: sounds.muffled(x, amount=2.5 * float(share[day]))},
             "four words": {"shares": (1 - share)[:, None] / 12 + share[:, None] * few}}
    for user in ("german", "whisper"):
        shots, *later = takes(user, seed)
        mine = adapt(net, shots.x, shots.y, seed, old=old)
        x, y = (torch.cat([getattr(part, name) for part in later]) for name in ("x", "y"))
        for kind, options in kinds.items():
            days = stream.draw(x, y, days=DAYS, per_day=48, rng=seed_of(seed), **options)
            for name, values in a_month(mine, days, seed).items():
                note(user, f"{kind} | {name}", 100 * sum(values[:10]) / 10, 100 * sum(values[16:]) / (DAYS - 16))


def a_month(net, days, seed):
    """{remedy: accuracy a day} and {alarm: did it ring, a day}; remedies use the unlabelled clips of three days."""
    first = days.x[days.day < 5]
    said = distil.ask(net, first).softmax(1)
    found = {name: [] for name in ("nothing", "levels", "every layer", "alarm", "alarm, shares explained")}
    for day in range(DAYS):
        now, truth = days.on(day)
        recent, says = days.x[(days.day <= day) & (days.day > day - 3)], distil.ask(net, now).softmax(1)
        outputs = {"nothing": says, "levels": distil.ask(net, statistics.standardise(now, first, recent)),
                   "every layer": distil.ask(statistics.match(net, first, recent), now)}
        for name, out in outputs.items():
            found[name].append(float((out.argmax(1) == truth).float().mean()))
        found["alarm"].append(float(drift.alarm(said, says) > 1))
        found["alarm, shares explained"].append(float(drift.alarm(drift.explained(said, says, rng=seed_of(seed)), says) > 1))
    return found


def shares(sure, correct):
    """Kept, of all; right, of those kept; in %."""
    return 100 * float(sure.float().mean()), 100 * float(correct[sure].float().mean())


def over_seeds(run, columns, seeds=SEEDS):
    """{method: {column: {user: [one number a seed]}}} of run(seed, note); prints the mean over users, least and most of the seeds."""
    found = {}

    def note(user, name, *values):
        for column, value in zip(columns, values, strict=True):
            found.setdefault(name, {}).setdefault(column, {}).setdefault(user, []).append(round(value, 1))
    for seed in tqdm(seeds, desc=run.__name__):
        run(seed, note)
    for name, row in found.items():
        means = {column: torch.tensor(list(users.values())).nanmean(0) for column, users in row.items()}
        print(f"{run.__name__:<12}{name:<44}",
              "   ".join(f"{column} {m.min():5.1f} to {m.max():5.1f}" for column, m in means.items()), flush=True)
    return found


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    both = ("user", "old")
    record.write("personalize", seeds=list(SEEDS), users=list(USERS), wake=over_seeds(wake_word, ("detected", "false", "old", "accuracy")),
                 month=over_seeds(month, ("before", "after")), by_user=over_seeds(every_user, ("shipped", "enrolled")),
                 methods=over_seeds(methods, both), new_word=over_seeds(new_word, ("word", "user", "old"), range(3)),
                 pulls=over_seeds(pulls, both, range(3)))


if __name__ == "__main__":
    main()
