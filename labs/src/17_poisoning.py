# %% [markdown]
# # 17 · Poisoning: when the data or the updates lie
#
# **You will** poison a learner: with wrong labels, with a back door, by talking more than others, and as 4 of 20
# devices in a federation. Each time you will try to stop it, and pay for the defence.
#
# **Objectives.** After this lab you can
# - say which models ten per cent of wrong labels hurt, and which hardly;
# - measure what accuracy hides: a confusion row, and how often a back door opens;
# - write a robust aggregation rule, and show where it costs more than the attack it is meant for;
# - score clients by how unlike the others they are, read an audit log, and say what it proves;
# - set an alarm on a stream, and say what a short calibration costs.
#
# **Prerequisites.** Lab 14.
#
# **Time.** About 60 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.6.1 of *On-Device Learning* (Data Poisoning), and Anomaly Detection in Section 12.6.6; in
# volume 2, "Edge Intelligence": *Security*. In MITRE ATLAS this is the technique *Poison Training Data*; of the Five Safes it
# asks for safe data and safe people.

# %% tags=["imports"]
from dataclasses import replace
from functools import partial

import torch
from sklearn.svm import SVC

from odl_kit import lab, viz
from odl_kit.data import datasets, messages, partition
from odl_kit.defenses import cusum, detection, labels, provenance, two_sample, watch
from odl_kit.devices import board
from odl_kit.engine import program
from odl_kit.federation import aggregators, local, rounds
from odl_kit.learners import train
from odl_kit.models import flat, nets
from odl_kit.threats import inserted, model_poisoning, online, poisoning
from odl_kit.threats import provenance as origins

# %%
rng = lab.start("17_poisoning")
recorded = {**lab.recorded("poisoned_data"), **lab.recorded("poisoning")}

# %% [markdown]
# ## 1 · One label in ten · 9 min
#
# "Flipping even 10 % of labels can have significant consequences on the model", says the chapter. Let us see on which.
# 1,438 digits; of the labels every tenth, drawn at random, becomes another digit.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
wrong = poisoning.some(len(train_set), 0.1, rng=rng)
flipped = torch.where(wrong, poisoning.at_random(train_set.y, num_classes=10, rng=rng), train_set.y)
some = wrong.nonzero().flatten()[:10]
pairs = zip(train_set.y[some].tolist(), flipped[some].tolist(), strict=True)
viz.images(train_set.x[some], titles=[f"{was}, now {label}" for was, label in pairs],
           title=f"Ten of the {int(wrong.sum())} pictures whose label is wrong")

# %% [markdown]
# Four learners. *Nearest neighbour* remembers every example and answers with the label of the closest. *Support vectors*
# draw a smooth border. The same *net* is trained for 2 epochs, or for 100, until it knows the training set by heart.
#
# **Predict.** How many points of accuracy does the **nearest neighbour** lose to one wrong label in ten?

# %%
lab.predict("memorise", "Points that nearest neighbour loses with 10 % of labels wrong?",
            options={"none, or up to 3": (-3, 3), "3 to 7": (3, 7), "more than 7": (7, 100)})

# %%
def train_net(epochs, x, y, x_test):
    model = nets.mlp(64, 128, 10, rng=rng)
    train.fit(model, x, y, epochs=epochs, batch_size=32, lr=0.1, momentum=0.9, rng=rng, progress=False)
    return model(x_test).argmax(1)


def support_vectors(x, y, x_test):
    return torch.from_numpy(SVC().fit(x.flatten(1), y).predict(x_test.flatten(1)))


LEARNERS = {"nearest neighbour": partial(labels.nearest_neighbours, k=1), "support vectors": support_vectors,
            "net, 2 epochs": partial(train_net, 2), "net, 100 epochs": partial(train_net, 100)}


# %%
def accuracy(learner, y):
    return 100 * (LEARNERS[learner](train_set.x, y, test_set.x) == test_set.y).double().mean().item()


right = {name: accuracy(name, train_set.y) for name in LEARNERS}
poisoned = {name: accuracy(name, flipped) for name in LEARNERS}
lost = {name: right[name] - poisoned[name] for name in LEARNERS}
lab.claim(lost["nearest neighbour"] > 4 and lost["support vectors"] < 2, "wrong labels hurt who remembers them")
lab.reveal("memorise", lost["nearest neighbour"], unit="points", figure=viz.bars(
    {name: {"right labels": right[name], "10 % wrong": poisoned[name]} for name in LEARNERS}, y="accuracy, %",
    title="Who learns each label by heart learns the wrong ones too"))

# %% [markdown]
# The lost points of five recorded seeds (`benchmarks/poisoned_data.py`), and of this run:

# %%
def points_lost(name):
    runs = recorded["flips"][name]
    return [100 * (before - after) for before, after in zip(runs["0%"], runs["10%"], strict=True)]


viz.spread({name: points_lost(name) for name in LEARNERS}, live=lost, y="points lost to 10 % wrong labels",
           title="It is the learner that decides what a wrong label costs")

# %% [markdown]
# So the sentence holds for models that memorise, and not for a smooth one. (The net after two epochs has not learned enough
# to tell: it differs more from seed to seed than from label to label.) Random flips contradict each other, and a
# smooth border outvotes them. What if they *agree*? **Change one thing.**

# %%
def flip(kind="at random", share=0.1, learner="nearest neighbour"):
    draw = torch.Generator().manual_seed(1)
    bad = poisoning.some(len(train_set), share, rng=draw)
    other = (poisoning.at_random(train_set.y, num_classes=10, rng=draw) if kind == "at random"
             else poisoning.mirrored(train_set.y, num_classes=10))
    reached = accuracy(learner, torch.where(bad, other, train_set.y))
    return viz.bars({"right labels": right[learner], f"{share:.0%} {kind}": reached}, y="accuracy, %",
                    title=f"{learner}: {right[learner]:.0f} % becomes {reached:.0f} %")


lab.explore(flip, kind=["at random", "9 - y"], share=(0.0, 0.5, 0.05), learner=list(LEARNERS))

# %% [markdown]
# A defence for wrong labels: let five models, each trained on four fifths of the data, predict the rest. A label that
# they contradict is a **suspect**. Against random flips that works well. Now an attacker changes the *logic*: every four
# with a bright pixel at one place is called a nine. (The chapter's example are very negative reviews, marked positive.)
#
# **Predict.** How many of these wrong labels are among the suspects?

# %%
lab.predict("logic", "Share of the labels moved by a rule that the sanitiser suspects?",
            options={"nearly all": (80, 100), "about half": (20, 80), "hardly any": (0, 20)})

# %%
moved = poisoning.by_feature(train_set.x, train_set.y, feature=(0, 5, 2), above=0.5, source=4, target=9)
found = {}
for name, y in {"at random": flipped, "by a rule": moved}.items():
    suspects, bad = labels.suspects(train_set.x, y, rng=rng), y != train_set.y
    found[f"{name}: {int(bad.sum())} wrong, {int(suspects.sum())} suspects"] = 100 * suspects[bad].double().mean().item()
by_chance, by_rule = found.values()
lab.claim(by_chance > 90 and by_rule < 15, "disagreement finds random flips, not a rule")
lab.reveal("logic", by_rule, unit="%", figure=viz.bars(
    found, y="wrong labels found, %", title="What follows a rule is learned, and then contradicts nobody"))

# %%
viz.source(poisoning.by_feature)

# %% [markdown]
# ## 2 · A back door · 9 min
#
# Now whole examples are inserted. The attacker takes a few digits, sets a square of four pixels in the corner to white,
# calls them all *zero*, and waits.

# %%
bad = poisoning.some(len(train_set), 0.05, rng=rng)
x_bad, y_bad = inserted.back_door(train_set.x[bad], train_set.y[bad], target=0)
x, y = torch.cat([train_set.x[~bad], x_bad]), torch.cat([train_set.y[~bad], y_bad])
viz.images(x_bad[:10], titles=[f"{was}, now 0" for was in train_set.y[bad][:10].tolist()],
           title=f"Ten of {int(bad.sum())} inserted pictures: each carries the trigger")

# %% [markdown]
# **Your turn.** Does the door work? Count how often it opens.

# %% exercise="opened"
def opened(predicted, y, target):
    """predicted, y (N,) int64 -> float: the share of the examples of *other* classes that are taken for `target`."""
    others = ...
    return (predicted[others] == target).double().mean().item()

# %%
opened = lab.check("opened", opened)

# %% [markdown]
# **Predict.** A net learns from data of which 5 % are inserted. By how many points does its accuracy on clean digits fall?

# %%
lab.predict("hidden", "Points of clean accuracy lost to the back door?",
            options={"less than 2": (-5, 2), "2 to 5, about its share": (2, 5), "more than 5": (5, 100)})

# %%
def learn(x, y, seed=0):
    draw = torch.Generator().manual_seed(seed)
    model = nets.mlp(64, 32, 10, rng=draw)
    train.fit(model, x, y, epochs=20, batch_size=32, lr=0.1, momentum=0.9, rng=draw, progress=False)
    return model


clean_net, owned_net = learn(train_set.x, train_set.y), learn(x, y)
share = {}
for name, model in {"clean net": clean_net, "poisoned net": owned_net}.items():
    said, stamped = model(test_set.x).argmax(1), model(inserted.stamp(test_set.x)).argmax(1)
    share[name] = {"accuracy": 100 * (said == test_set.y).double().mean().item(),
                   "door opens": 100 * opened(stamped, test_set.y, 0)}

# %%
drop = share["clean net"]["accuracy"] - share["poisoned net"]["accuracy"]
open_now, open_before = (share[f"{which} net"]["door opens"] for which in ("poisoned", "clean"))
lab.claim(drop < 2.5 and open_now > open_before + 40, "the door opens, accuracy hides it")
lab.reveal("hidden", drop, unit="points", figure=viz.bars(
    share, y="%", title="Both nets read digits about equally well; one obeys a stamp"))

# %% [markdown]
# Who could see it? A **two-sample test** compares each pixel of the new data with a clean reference, whatever the labels.
# *Kolmogorov-Smirnov* (KS) takes the largest distance between the two cumulative shares, the *population stability index*
# (PSI) compares shares in bins. Half of the clean data serve as the reference; the others arrive clean, stamped, blurred,
# or with wrong labels.

# %%
reference, arriving = datasets.split(train_set, test=0.5, rng=rng)
tenth = poisoning.some(len(arriving), 0.1, rng=rng)[:, None, None, None]
kinds = {"clean": arriving.x, "10 % stamped": torch.where(tenth, inserted.stamp(arriving.x), arriving.x),
         "10 % of labels wrong": arriving.x, "blurred": inserted.blurred(arriving.x)}
TESTS = {"KS": two_sample.ks, "PSI": two_sample.psi}
shifts = {name: {which: int(two_sample.shifted(test(reference.x, new)[1]).sum()) for which, test in TESTS.items()}
          for name, new in kinds.items()}
lab.claim(shifts["10 % stamped"]["PSI"] >= 1 and shifts["blurred"]["KS"] > 32, "PSI sees stamps, both see a blur")
viz.bars(shifts, y="pixels that shifted, of 64", title="A blur moves every pixel, a stamp a few, a wrong label none")

# %% [markdown]
# A blurred camera is seen at once. Wrong labels are not, since no pixel moved. The stamp is a value that this corner has
# hardly ever shown. PSI has a bin for that; KS sees two cumulative shares that differ by a tenth at most.
# **Change one thing**: how large may a stamp be, and how frequent, before a test sees it? The back door had 5 %.

# %%
def stamps(size=2):
    found = {which: {} for which in TESTS}
    for percent in (0, 2, 5, 10, 15, 20, 30):
        bad = poisoning.some(len(arriving), percent / 100, rng=torch.Generator().manual_seed(2))
        new = torch.where(bad[:, None, None, None], inserted.stamp(arriving.x, size=size), arriving.x)
        for which, test in TESTS.items():
            found[which][percent] = int(two_sample.shifted(test(reference.x, new)[1]).sum())
    return viz.curve(found, x="pictures that carry a stamp, %", y="pixels that shifted",
                     title=f"A stamp of {size * size} pixels: when do the tests see it?")


lab.explore(stamps, size=(1, 4))

# %%
lab.quiz("who_sees")

# %% [markdown]
# ## 3 · Whoever talks most · 9 min
#
# In 2016 the chat bot *Tay* learned from everybody who wrote to it, at once. Some users wrote a lot. It was offline within
# a day. Ours is smaller: it counts which word follows which, in 10,000 messages of a hundred (synthetic) users, and says
# the most frequent chain. Three of the hundred now write nothing but one sentence.

# %%
chat = datasets.load("typing")
loud = torch.randperm(100, generator=rng)[:3]
slogan = torch.zeros(messages.LENGTH, dtype=torch.int64)
sentence = [messages.START, *(messages.TOKEN[word] for word in "the soup is burnt".split()), messages.END]
slogan[:len(sentence)] = torch.tensor(sentence)
tokens = torch.where(torch.isin(chat.user, loud)[:, None], slogan, chat.x)

# %%
def bot_says(times, most=None):
    """What the bot says if the three write `times` times as much; most: messages of each user that count."""
    heard = online.crowd(chat.user, loud=loud, times=times, rng=torch.Generator().manual_seed(3))
    heard = heard if most is None else heard[provenance.capped(chat.user[heard], most=most)]
    counts = online.learn(torch.zeros(len(messages.VOCABULARY), len(messages.VOCABULARY)), tokens[heard])
    return " ".join(messages.VOCABULARY[word] for word in online.utter(counts))


print("before:", bot_says(1))

# %% [markdown]
# **Predict.** Three of a hundred users. How many times more than the others must they write before the bot says nothing
# but their sentence?

# %%
lab.predict("loud", "Three of 100 users: how many times as loud until the bot repeats them?",
            options={"2 to 6": (2, 6), "7 to 20": (7, 20), "more than 20": (21, 1000)})

# %%
needed = next(times for times in range(1, 200) if bot_says(times) == "the soup is burnt")
lab.claim(3 <= needed <= 30, "a few loud users are enough")
lab.reveal("loud", needed, unit="times")

# %% [markdown]
# The same crowd, as loud as that. Of each user only the first so many messages of the evening count:

# %%
for most in (None, 1000, 100, 20):
    print(f"{'all' if most is None else most:>4} messages of each user: {bot_says(needed, most=most)}")

# %%
viz.source(provenance.capped)

# %% [markdown]
# A cap on each *source* stops this: what counts is how many people say it, not how often. It needs to know where a
# message came from: **provenance**. And it is as good as names are dear.

# %%
def how_loud(times=10, cap=1000):
    return f"The bot: {bot_says(times, most=cap)}"


lab.explore(how_loud, times=(1, 40), cap=[20, 50, 100, 200, 500, 1000])

# %% [markdown]
# The chapter's attackers "purchase domains". A data set of links is a list of addresses, and what stands behind an address may
# change hands. Suppose that our digits came from 60 domains, a few large and many small (simulated: the k-th in proportion to
# 1/k). How much of the set does somebody write who owns the largest few?

# %%
draw = torch.Generator().manual_seed(4)
domain = torch.multinomial(1 / torch.arange(1.0, 61), len(train_set), replacement=True, generator=draw)
few = provenance.capped(domain, most=20)
reach = {"all examples": 100 * origins.reach(domain), "20 of each domain": 100 * origins.reach(domain[few])}
viz.curve({name: share[:15].tolist() for name, share in reach.items()}, x="domains owned, the largest first",
          y="share of the data, %", title=f"Three domains of sixty write {reach['all examples'][2]:.0f} % of the data, "
                                          f"with a cap {reach['20 of each domain'][2]:.0f} %")

# %% [markdown]
# Who makes the list can record a **fingerprint** (SHA-256) of each example. Three domains are bought after that, and their
# new owner turns the labels:

# %%
listed = provenance.fingerprints(train_set.x, train_set.y)
planted = origins.planted(domain, origins.buy(domain, budget=3))
arrived = torch.where(planted, poisoning.mirrored(train_set.y, num_classes=10), train_set.y)
same = provenance.unchanged(train_set.x, arrived, listed)
lab.claim(bool((same == ~planted).all()), "a fingerprint tells what was changed, and nothing else")
print(f"{int(planted.sum())} of {len(same)} examples were changed, {int((~same).sum())} have another fingerprint")

# %% [markdown]
# All are found, and no other. An attacker who owned the domain *before* the list was made has right fingerprints.

# %% [markdown]
# ## 4 · Twenty devices · 11 min
#
# Now the data stay on devices, and nobody can look at them. Twenty devices, all in each of thirty rounds. Some are bad.
# What they can do:

# %%
deals = {"equal": partition.iid(train_set.y, num_clients=20, rng=rng)}
for alpha in (1.0, 0.3, 0.1):
    deals[f"alpha {alpha:g}"] = partition.dirichlet(train_set.y, num_clients=20, alpha=alpha, rng=rng)
net = nets.mlp(64, 32, 10, rng=rng)
w0, bad_order = flat.ravel(net), torch.randperm(20, generator=rng)

# %% [markdown]
# A bad client may lie about its labels, change its update, or claim that a million examples stand behind it. *A little* sends
# the mean of the bad clients' honest updates minus 1.5 of their deviations: nothing loud.

# %%
shout = partial(model_poisoning.scaled, factor=-3)
boost = partial(model_poisoning.scaled, factor=5)
hide = partial(model_poisoning.a_little, z=1.5)
turn = partial(model_poisoning.scaled, factor=-1)
# what happens to the labels, to the update, and the number of examples that a bad client claims
four, mirror = partial(poisoning.targeted, source=4, target=9), partial(poisoning.mirrored, num_classes=10)
ATTACKS = {"none": (None, None, None), "labels 9 - y": (mirror, None, None), "4 becomes 9": (four, None, None),
           "4 becomes 9, five times": (four, boost, None), "minus three times": (None, shout, None),
           "a little, z = 1.5": (None, hide, None), "minus once, claims a million": (None, turn, 1_000_000)}

# %%
def federate(attack="none", num_bad=4, rule=aggregators.mean, deal="equal", after=()):
    """A History of thirty rounds; after: stages of the defender."""
    bad, clients = bad_order[:num_bad], partition.clients(train_set, deals[deal])
    lie, change, claim = ATTACKS[attack]
    if lie:
        rows = torch.isin(torch.arange(20), bad)[:, None]
        clients = replace(clients, y=torch.where(rows, lie(clients.y), clients.y))
    attacked = (model_poisoning.stage(bad, attack=change, claim=claim),) if change and num_bad else ()
    work = partial(local.train_cohort, net, clients, epochs=2, batch_size=12, lr=0.2)
    return rounds.run(w0, train=work, select=lambda number, rng: torch.arange(20), rounds=30,
                      uplink=(*attacked, *after), aggregate=rule, rng=torch.Generator().manual_seed(0), progress=False)

# %%
def fours(history):
    """(accuracy in %, what fours are taken for: (10,) in %)."""
    said = flat.assign(net, history.w)(test_set.x).argmax(1)
    row = torch.bincount(said[test_set.y == 4], minlength=10).double()
    return 100 * (said == test_set.y).double().mean().item(), 100 * row / row.sum()


for attack in ATTACKS:
    reached, row = fours(federate(attack))
    print(f"{attack:<29} 4 of 20 bad: accuracy {reached:4.1f} %, fours read as nines {row[9]:4.1f} %")

# %% [markdown]
# **Your turn.** A rule that trusts nobody too much: in each coordinate, leave out the `trim` smallest and the `trim`
# largest of the twenty numbers, and take the mean of the rest.

# %% exercise="trimmed_mean"
def trimmed_mean(updates, trim):
    """updates (C, P) -> (P,): per coordinate, the mean without the `trim` smallest and the `trim` largest."""
    ordered = ...
    return ordered[trim:len(updates) - trim].mean(0)

# %%
trimmed_mean = lab.check("trimmed_mean", trimmed_mean)

# %% [markdown]
# **Predict.** Four of twenty turn *4 becomes 9* and send five times their update. Your rule trims four on each side. How
# many of the fours are then read as nines?

# %%
lab.predict("trimmed", "Fours read as nines under the trimmed mean, boosted attack?",
            options={"5 % or less": (0, 5), "5 to 25 %": (5, 25), "more than 25 %": (25, 100)})

# %%
plain_accuracy, plain_row = fours(federate("4 becomes 9, five times"))
held_accuracy, held_row = fours(federate("4 becomes 9, five times", rule=lambda u, n: trimmed_mean(u, 4)))
lab.claim(plain_row[9] > held_row[9] + 5, "trimming stops the boosted attack")
lab.reveal("trimmed", held_row[9], unit="%", figure=viz.bars(
    {"mean": {"accuracy": plain_accuracy, "fours read as nines": plain_row[9].item()},
     "trimmed mean": {"accuracy": held_accuracy, "fours read as nines": held_row[9].item()}}, y="%",
    title="Look at the confusion row: accuracy hides an attack on one class"))

# %% [markdown]
# The playground. The figure is the **confusion row** of the fours. *Clipped* cuts each update to the median length.
# *Multi-Krum* keeps the 16 updates that lie closest together. The *watchman* comes in section 6; it writes an audit log.

# %%
def clipped(updates, num_examples):
    return aggregators.clipped_mean(updates, num_examples, clip=updates.norm(dim=1).median().item())


RULES = {"mean": aggregators.mean, "clipped": clipped, "median": aggregators.median,
         "trimmed mean": lambda u, n: trimmed_mean(u, 4), "geometric median": aggregators.geometric_median,
         "multi-Krum": partial(aggregators.multi_krum, num_byzantine=4),
         "Krum": partial(aggregators.krum, num_byzantine=4)}


# %%
def play(attack="4 becomes 9, five times", bad=4, defence="mean", deal="equal"):
    guard = (watch.watch(),) if defence == "watchman" else ()
    history = federate(attack, bad, RULES.get(defence, aggregators.mean), deal, guard)
    for client, (when, why) in watch.audit_log(history.set_aside).items():
        kind = "bad" if client in bad_order[:bad] else "HONEST"
        print(f"client {client}, {kind}, set aside in {len(when)} rounds; the last time: {why}")
    reached, row = fours(history)
    return viz.bars({f"read as {digit}": row[digit].item() for digit in range(10)}, y="fours, %",
                    title=f"{attack}, {bad} of 20, {defence}, {deal}: "
                          f"accuracy {reached:.0f} %, fours read as nines {row[9]:.0f} %")


lab.explore(play, attack=list(ATTACKS), bad=(0, 8), defence=[*RULES, "watchman"], deal=list(deals))

# %% [markdown]
# ## 5 · The defence that costs more than the attack · 6 min
#
# Equal deals are rare. Take **alpha 0.1**: most devices own little but one to three digits. Nobody attacks, but the server is
# careful and aggregates by the **median**, or by Krum.
#
# **Predict.** How many points does the median cost, compared with the mean, when nobody is bad?

# %%
lab.predict("careful", "Points that the median costs at alpha 0.1 with nobody bad?",
            options={"less than 5": (-10, 5), "5 to 12": (5, 12), "more than 12": (12, 100)})

# %%
skewed = {}
for name, rule in RULES.items():
    quiet, attacked = (fours(federate(attack, 4, rule, "alpha 0.1"))[0] for attack in ("none", "labels 9 - y"))
    skewed[name] = {"nobody bad": quiet, "4 of 20 send 9 - y": attacked}
cost = skewed["mean"]["nobody bad"] - skewed["median"]["nobody bad"]
lab.claim(cost > 5, "on skewed data the median costs accuracy without any attack")
lab.reveal("careful", cost, unit="points", figure=viz.bars(
    skewed, y="accuracy, %", title="On skewed data every honest client is an outlier to some rule"))

# %% [markdown]
# A rule that throws away what is rare throws away the only device that owns sevens. Five seeds, recorded by
# `benchmarks/poisoning.py`; the median and Krum lose more to caution than the mean loses to the attack:

# %%
def skew(deal="alpha 0.1", situation="nobody bad"):
    seen = {rule: [100 * run for run in runs[situation]] for rule, runs in recorded["skew"][deal].items()}
    live = {rule: skewed[rule][situation] for rule in RULES} if deal == "alpha 0.1" else None
    return viz.spread(seen, live=live, y="accuracy, %", title=f"{deal}: {situation}")


lab.explore(skew, deal=list(deals), situation=["nobody bad", "4 of 20 send 9 - y"])

# %%
lab.quiz("careful_server")

# %% [markdown]
# ## 6 · Who was it, and since when? · 11 min
#
# A rule treats everybody alike. A **detector** names names. One update is mostly noise, but what a client's data want is
# the same in every round. So take each client's mean over the rounds, and compare its direction with the coordinate-wise
# median of all clients: 0 is the same way, 1 across, 2 against it.
#
# **Your turn.**

# %% exercise="unlike"
def unlike(means):
    """means (K, D), a row a client -> (K,): 1 - cosine of each row with the coordinate-wise median of all rows."""
    middle = means.quantile(0.5, dim=0)
    cosine = ...
    return 1 - cosine

# %%
unlike = lab.check("unlike", unlike)

# %%
def remember(uplink, state, rng):
    """A stage that keeps what came in."""
    return uplink, (*(state or ()), (uplink.ids, uplink.updates))


def scores(attack, deal):
    """(K,) scores of the clients, without the first five rounds of a fresh net."""
    _, means = detection.mean_updates(federate(attack, 4, deal=deal, after=(remember,)).states[-1][5:])
    return unlike(means)


def caught(score):
    """How many of the four bad clients have one of the four largest scores."""
    return int(torch.isin(score.topk(4).indices, bad_order[:4]).sum())

# %% [markdown]
# **Predict.** *4 becomes 9*, four bad of twenty. On equal deals the four largest scores are the four bad ones. How many of
# them are at **alpha 0.3**?

# %%
lab.predict("skewed_detection", "Of the four bad clients, how many have one of the four largest scores at alpha 0.3?",
            options={"all four": (4, 4), "two or three": (2, 3), "none or one": (0, 1)})

# %%
even, uneven = scores("4 becomes 9", "equal"), scores("4 becomes 9", "alpha 0.3")
bad, honest = bad_order[:4], bad_order[4:]
gap = {name: {"least unlike of the bad": score[bad].min().item(), "most unlike of the honest": score[honest].max().item()}
       for name, score in {"equal deals": even, "alpha 0.3": uneven}.items()}
wide, narrow = (score[bad].min() - score[honest].max() for score in (even, uneven))
lab.claim(wide > narrow + 0.05, "a skewed deal shrinks the gap")
lab.reveal("skewed_detection", caught(uneven), unit="of 4", figure=viz.bars(
    gap, y="1 - cosine to the median", title="Equal deals leave a gap between bad and honest; a skewed deal shrinks it"))

# %% [markdown]
# That was one deal. The chapter names principal components (PCA) and clustering too. Five seeds, recorded as *area under the
# ROC curve*: 1 finds all, 0.5 is a coin, and **below 0.5 the bad look better than the honest**. Go through the attacks; do
# not miss *a little*, which sits next to the median by design, and is found by PCA all the same.

# %%
def methods(attack="4 becomes 9", deal="alpha 0.3", share="20%"):
    return viz.spread(recorded["who"][f"{attack}, {deal}, {share}"], y="area under the ROC curve",
                      title=f"{attack}, {deal}, {share} bad")


lab.explore(methods, attack=["4 becomes 9", "labels 9 - y", "minus three times", "a little, z = 1.5"],
            deal=["alpha 0.3", "equal"], share=["10%", "20%", "30%"])

# %% [markdown]
# The **watchman** scores all clients in every round, sets aside who is more than 3.5 robust deviations out, and writes down
# why. In the recorded seeds with equal deals that was every bad client in every judged round under *labels 9 - y*, *minus
# three times* and *five times*, and hardly ever an honest one. At alpha 0.1 it was next to nobody under *9 - y*: among
# clients that all differ, nobody is far out. (The log is in the playground: choose *watchman* there.)

# %%
viz.source(watch.watch)

# %% [markdown]
# **Since when?** A device gets twelve labelled examples a day. Its old model contradicts some of them, always. From day 120
# on, a share of the labels is wrong. A **CUSUM** chart adds up what is above the usual: $S_t = \max(0, S_{t-1} + z_t - k)$,
# and rings at $S_t > 8$. The usual is estimated on the first days.

# %%
said = labels.nearest_neighbours(train_set.x[:100], train_set.y[:100], train_set.x[100:])


def days(share):
    """(240,): the share of each day's twelve labels that the old model contradicts."""
    draw = torch.Generator().manual_seed(0)
    day = torch.randint(len(said), (240, 12), generator=draw)
    late = (torch.rand(240, 12, generator=draw) < share) & (torch.arange(240) >= 120)[:, None]
    y = train_set.y[100:][day]
    return (torch.where(late, poisoning.at_random(y, num_classes=10, rng=draw), y) != said[day]).double().mean(1)

# %%
def chart(wrong=0.1, calibrated_on=50, limit=8.0):
    stream = days(wrong)
    mean, std = cusum.calibrate(stream[:calibrated_on])
    s = cusum.upper(stream[calibrated_on:], mean=mean, std=std)
    rang = calibrated_on + int(cusum.alarm(s, limit=limit))
    how = f"rings on day {rang}" if rang < 240 else "never rings"
    return viz.curve({"": (list(range(calibrated_on, 240)), s.tolist())}, x="day", y="S, in deviations", target=limit,
                     title=f"{wrong:.0%} wrong from day 120, calibrated on {calibrated_on} days: it {how}")


lab.explore(chart, wrong=(0.0, 0.3, 0.05), calibrated_on=[10, 20, 50, 100], limit=(2.0, 20.0, 1.0))

# %% [markdown]
# Twenty recorded streams with a tenth wrong, by the days that the usual was estimated on. An alarm before day 120 is false;
# a stream that never rings has no point:

# %%
viz.spread({f"{days} days": [run["alarm"] for run in runs if run["alarm"]] for days, runs in recorded["alarms"].items()},
           y="day of the alarm", title="A tenth wrong from day 120: most streams ring within two months, a few too early")

# %% [markdown]
# A short calibration misjudges the usual, and CUSUM takes the difference for a shift that never ends. Of quiet streams of
# 1,400 (simulated) numbers, so many ring all the same:

# %%
price = {"mean known" if count == "known" else f"{count} numbers to calibrate": 100 * rate
         for count, rate in recorded["cusum"].items()}
viz.bars(price, y="quiet streams that ring, %", title="The price of an estimated mean is false alarms")

# %% [markdown]
# ## 7 · One of the twenty is a board · 5 min
#
# Nineteen clients are simulated, as before. The twentieth is a Cortex-M4 that trains in machine code, here a virtual one.
# Somebody has filled its memory with labels *9 - y*. The board is honest: it learns what it is given. On the wire its
# update looks like any other.

# %%
clients = partition.clients(train_set, deals["equal"])
step = program.compile(net, train_set.x[:1], None, precision="float32", batch=12)


def with_board(b, lie, w, chosen, *, rng):
    """An Uplink of nineteen simulated clients and, as client 19, of the board; lie: what its labels become."""
    work = local.train_cohort(net, clients, w, chosen[:-1], epochs=2, batch_size=12, lr=0.2, rng=rng)
    x, y = clients[19]
    update, count = b.update(w, x, lie(y), lr=0.2, steps=2 * len(y) // 12)
    return replace(work, updates=torch.cat([work.updates, update[None]]), ids=chosen,
                   num_examples=torch.cat([work.num_examples, torch.tensor([count])]))


# %% [markdown]
# **Predict.** The watchman judges from the fourth round on. In how many of six rounds is the poisoned board set aside?

# %%
lab.predict("board", "Rounds of six in which the poisoned board is set aside?",
            options={"none": (0, 0), "one or two": (1, 2), "all three that are judged": (3, 3)})

# %%
def six_rounds(lie):
    """A History with a board that was switched on for it."""
    with board.open_board("virtual") as b:
        b.load(step)
        return rounds.run(w0, train=partial(with_board, b, lie), select=lambda number, rng: torch.arange(20), rounds=6,
                          uplink=(watch.watch(),), rng=torch.Generator().manual_seed(0), progress=False)


histories = {"right labels": six_rounds(lambda y: y), "labels 9 - y": six_rounds(mirror)}

# %%
seen = {}
for name, history in histories.items():
    ids, sums, times, _ = history.states[0]
    score = unlike(sums / times[:, None])
    seen[name] = {"the board": score[19].item(), "most unlike of the others": score[:19].max().item()}
aside = watch.audit_log(histories["labels 9 - y"].set_aside).get(19, ((), ""))
lab.claim(len(aside[0]) >= 2, "the poisoned board is set aside")
lab.reveal("board", len(aside[0]), unit="rounds", figure=viz.bars(
    seen, y="1 - cosine to the median after six rounds", title="A chip is judged by what it sends, like everybody"))

# %%
print(f"client 19, set aside in rounds {list(aside[0])}; the last time: {aside[1]}")

# %% [markdown]
# With `"/dev/ttyACM0"` in place of `"virtual"` the same lines speak to a real board. What the log cannot say: whether its owner
# is an attacker, or a victim who bought a poisoned data set.

# %% [markdown]
# **What to keep.** Poison hurts who memorises, and who aggregates by a mean. Accuracy hides it: look at the class that is
# attacked, and at the trigger. Each defence is a guess about what is normal. On equal data the guess is good. On skewed
# data, the usual case on devices, robust rules take honest minorities for attackers, and detectors see nobody. The price of
# a rule is paid every day; the attack may never come. Caps on sources and on counts, and clipping, ask the least.

# %% [markdown]
# ## Questions
#
# 1. Your federation learns from keyboards in forty countries. Which defence of this lab would you switch on, and whose
#    words might it cost?
# 2. The audit log says "client 7, 4.1 deviations". What may you do with client 7, and what must you know before?
# 3. A rule and a random flip move the same number of labels. Why is one found by disagreement and the other not?
#
# **Exercise.** Let the watchman look at the weights of one output only: `watch.watch(places=detection.output_of(net, 4))`.
# Does it find *4 becomes 9* at alpha 0.3? What does it do to honest clients without fours?
#
# **What to try next.** Set `z=3.0` in `hide`: how far can four devices go before a rule notices? Lab 18 attacks the model
# after training, and lab 20 shows which of these defences secure aggregation makes blind.
