# %% [markdown]
# # 14 · Aggregation: what the server does with updates
#
# **You will** replace one line of FedAvg, the mean, by clipped, weighted, momentum and adaptive aggregation. For each you
# will see the trouble that it cures, and the trouble that it causes somewhere else.
#
# **Objectives.** After this lab you can
# - write clipped, momentum and adaptive aggregation in a few lines each;
# - say which trouble each one cures: an attacker, a liar, careless owners, rounds that disagree, tiny steps;
# - show for each a case where the plain mean is better;
# - explain why momentum kept by the clients is the server's momentum only if everybody takes part.
#
# **Prerequisites.** Lab 11; lab 12 helps.
#
# **Time.** About 45 minutes; the computer works about 10 seconds of it.
#
# **Where we are.** Section 12.5.4 of *On-Device Learning* (Optimized Aggregation); in volume 2, "Edge Intelligence":
# *Federated Learning: Algorithms*.

# %% tags=["imports"]
from dataclasses import replace
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, partition
from odl_kit.federation import aggregators, local, rounds, selection, servers, stages
from odl_kit.learners import train
from odl_kit.models import flat, nets

# %%
rng = lab.start("14_aggregation")

# %% [markdown]
# ## 1 · The mean trusts everybody · 8 min
#
# Fifty devices, ten in a round, thirty rounds. Two deals: all digits on every device, or two digits on each.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
owner = partition.shards(train_set.y, num_clients=50, rng=rng)
net = nets.mlp(64, 32, 10, rng=rng)
w0 = flat.ravel(net)
clients = {"two digits each": partition.clients(train_set, owner),
           "all digits": partition.clients(train_set,
                                           partition.iid(train_set.y, num_clients=50, rng=rng))}


def accuracy(w):
    """Accuracy on all digits, and on 8 and 9 only."""
    x, y, last = test_set.x, test_set.y, test_set.y >= 8
    flat.assign(net, w)
    return {"accuracy": train.evaluate(net, x, y)["accuracy"],
            "8 and 9": train.evaluate(net, x[last], y[last])["accuracy"]}


# %%
def federate(data="two digits each", *, uplink=(), per_round=10, num_rounds=30, epochs=5, lr=0.2,
             **server_side):
    """A History; server_side: aggregate=..., server=... of rounds.run."""
    work = partial(local.train_cohort, net, clients[data], epochs=epochs, batch_size=10, lr=lr)
    return rounds.run(w0, train=work, select=selection.uniform(50, per_round), rounds=num_rounds,
                      uplink=uplink, evaluate=accuracy, rng=torch.Generator().manual_seed(0),
                      progress=False, **server_side)


def ending(history, name="accuracy"):
    """The mean of the last five rounds, in %."""
    return 20 * sum(history.curve(name)[-5:])

# %% [markdown]
# Three of the fifty devices are broken, or hostile. They send **minus ten times** their update. On average 0.6 of them
# are in a round of ten. `sabotage` makes a **stage**, a function that changes the updates on their way to the server.
#
# **Predict.** All others have all digits, and reach 93 to 96 % without them. With them?

# %%
lab.predict("attack", "Accuracy of the plain mean when 3 of 50 send minus ten times their update?",
            options={"above 90 %, they are so few": (90, 100), "75 to 90 %": (75, 90),
                     "below 75 %": (0, 75)})

# %%
def sabotage(factor=-10.0, bad=(3, 17, 29), claim=None):
    """A stage: these clients send `factor` times their update and, if given, claim so many examples."""
    def stage(uplink, state, rng):
        row = torch.isin(uplink.ids, torch.tensor(bad))
        n = uplink.num_examples if claim is None else torch.where(row, claim, uplink.num_examples)
        updates = torch.where(row[:, None], factor * uplink.updates, uplink.updates)
        return replace(uplink, updates=updates, num_examples=n), state
    return stage


well, attacked = federate("all digits"), federate("all digits", uplink=(sabotage(),))
lab.claim(ending(attacked) < ending(well) - 2.5, "three of fifty do damage to the mean")
lab.reveal("attack", ending(attacked), unit="%", figure=viz.curve(
    {"all well": well.curve("accuracy"), "3 of 50 hostile": attacked.curve("accuracy")},
    x="round", y="accuracy", title="One loud voice in ten decides where the mean goes"))

# %% [markdown]
# ## 2 · Clipped · 9 min
#
# **Clipped averaging** gives everybody the same loudest voice: an update longer than `clip` is shortened to that length,
# and keeps its direction. No client is weighed by its examples, since a count is its own claim.
#
# **Your turn.**

# %% exercise="clipped_mean"
def clipped_mean(updates, clip):
    """updates (C, P) -> (P,): the mean of updates cut to length `clip` (L2) at most; none grows."""
    lengths = updates.norm(dim=1, keepdim=True)
    factor = ...
    return (updates * factor).mean(0)

# %%
clipped_mean = lab.check("clipped_mean", clipped_mean)

# %%
def clipped(clip):
    return lambda updates, num_examples: clipped_mean(updates, clip)


saved = federate("all digits", uplink=(sabotage(),), aggregate=clipped(1.0))
lab.claim(ending(saved) > ending(attacked) + 2, "clipping saves the model from three loud devices")
viz.curve({"mean": attacked.curve("accuracy"), "clipped at 1": saved.curve("accuracy")},
          x="round", y="accuracy", title=f"Clipped at 1, the same attack leaves {ending(saved):.0f} %")

# %% [markdown]
# So why not clip always, and hard? **Predict.** Nobody attacks, two digits on each device, clipped at 0.3. How many
# points does that cost against the mean?

# %%
lab.predict("hard", "Points lost by clipping at 0.3, two digits each, nobody hostile?",
            options={"none, or less than 5": (-5, 5), "5 to 40": (5, 40), "more than 40": (40, 100)})

# %%
plain, hard = federate(), federate(aggregate=clipped(0.3))
lab.claim(ending(hard) < ending(plain) - 7, "a small clip slows honest devices down")
lab.reveal("hard", ending(plain) - ending(hard), unit="points", figure=viz.curve(
    {"mean": plain.curve("accuracy"), "clipped at 0.3": hard.curve("accuracy")}, x="round", y="accuracy",
    title="Cut to 0.3, honest updates are too short for thirty rounds"))

# %% [markdown]
# A clip can be judged only against the length of honest updates:

# %%
for name, dealt in clients.items():
    first = local.train_cohort(net, dealt, w0, torch.arange(50), epochs=5, batch_size=10, lr=0.2,
                               rng=torch.Generator().manual_seed(0))
    lengths = first.updates.norm(dim=1)
    print(f"{name}: honest updates are {lengths.min():.1f} to {lengths.max():.1f} long in round 1")

# %% [markdown]
# **Change one thing.** Find a clip that survives three hostile devices *and* costs little on skewed data. The line
# across the figure is the mean with nobody hostile. With the three, the mean ends near guessing on skewed data.

# %%
def clip_run(clip=1.0, data="two digits each", hostile=3, factor=-10):
    attack = (sabotage(float(factor), tuple(range(3, 3 + 4 * hostile, 4))),) if hostile else ()
    history = federate(data, uplink=attack, aggregate=partial(aggregators.clipped_mean, clip=clip))
    return viz.curve({f"clip {clip:.1f}": history.curve("accuracy")}, x="round", y="accuracy",
                     target=ending(plain) / 100,
                     title=f"{hostile} hostile, clip {clip:.1f}: {ending(history):.0f} %")


lab.explore(clip_run, clip=(0.1, 5.0, 0.1), data=list(clients), hostile=(0, 10), factor=[-10, -1, -100])

# %% [markdown]
# Mind what a clip does *not* see: an attacker with updates of honest length. That takes other rules (lab 20). Clipping is
# also the first half of differential privacy, the *differential privacy average* of the chapter (lab 15).

# %% [markdown]
# ## 3 · Weighted · 9 min
#
# FedAvg weighs by examples. The count is what the client says. One client that claims a million examples owns each
# round in which it takes part:

# %%
liar = sabotage(factor=-1.0, bad=(3,), claim=1_000_000)
lied = federate("all digits", uplink=(liar,))
capped = federate("all digits", uplink=(liar,), aggregate=partial(aggregators.weighted_mean, cap=40))
lab.claim(ending(capped) > ending(lied), "a cap on claimed counts helps")
viz.curve({"claims believed": lied.curve("accuracy"), "capped at 40": capped.curve("accuracy")},
          x="round", y="accuracy", title="One liar in fifty; a cap is enough")

# %% [markdown]
# The chapter suggests **client metadata** as weights: type of device, quality of sensor, link. In the kit a stage puts
# them in place of the counts. Twenty of the fifty owners label their pictures at random, and the server knows which
# (cheap devices, say). It counts them a tenth.

# %%
careless = torch.randperm(50, generator=rng)[:20]
honest = clients["two digits each"]
y = honest.y.clone()
y[careless] = torch.randint(10, y[careless].shape, generator=rng)
clients["20 careless"] = replace(honest, y=y)
trust = torch.ones(50).index_fill(0, careless, 0.1)
believed = federate("20 careless")
doubted = federate("20 careless", uplink=(stages.weigh_by(honest.num_examples * trust),))
viz.curve({"by examples": believed.curve("accuracy"), "by trust": doubted.curve("accuracy")},
          x="round", y="accuracy",
          title=f"Trust that is deserved: {ending(believed):.0f} % becomes {ending(doubted):.0f} %")

# %% [markdown]
# **Predict.** Now the metadata are wrong. Nobody labels at random; but cheap devices happen to be the ones that own
# eights and nines, and they are counted a tenth. The plain mean reads 70 to 87 % of the eights and nines. How many are
# read now?

# %%
lab.predict("distrust", "Accuracy on 8 and 9 when the devices that own them count a tenth?",
            options={"hardly less": (60, 100), "about half of it": (25, 60), "below 25 %": (0, 25)})

# %%
histogram = partition.describe(owner, train_set.y).histogram
cheap = histogram[:, 8:].sum(1) > 0
wrong = stages.weigh_by(honest.num_examples * torch.where(cheap, 0.1, 1.0))
distrusted = federate(uplink=(wrong,))
lab.claim(ending(distrusted, "8 and 9") < ending(plain, "8 and 9") - 25,
          "wrong metadata erase two digits")
lab.reveal("distrust", ending(distrusted, "8 and 9"), unit="%", figure=viz.bars(
    {name: {"all digits": ending(history), "8 and 9": ending(history, "8 and 9")}
     for name, history in {"by examples": plain,
                           f"{int(cheap.sum())} devices count a tenth": distrusted}.items()},
    y="accuracy, %", title="Weights by device type erase what only that type knows"))

# %%
lab.quiz("metadata")

# %% [markdown]
# ## 4 · Momentum · 9 min
#
# Two digits each: the mean of ten updates points somewhere else in each round. **Momentum** keeps a fading sum of past
# updates and moves along it. What all rounds agree on adds up; what they disagree on cancels.
#
# **Your turn.** One step of a server with momentum.

# %% exercise="momentum_step"
def momentum_step(w, update, m, lr, beta):
    """w, update, m (P,) -> (w, m): m fades by beta and takes the update in; w moves along the new m."""
    m = ...
    return w + lr * m, m

# %%
momentum_step = lab.check("momentum_step", momentum_step)

# %% [markdown]
# **Predict.** How many rounds to 85 % does your momentum (beta = 0.9) need? The plain mean needs 12 to 21.

# %%
lab.predict("momentum", "Rounds to 85 % with server momentum, two digits each?",
            options={"1 to 6": (1, 6), "7 to 15": (7, 15), "16 to 30": (16, 30),
                     "not in thirty": (31, 1000)})

# %%
def momentum(w, update, state):
    return momentum_step(w, update, torch.zeros_like(w) if state is None else state, 1.0, 0.9)


fast = federate(server=momentum)
needed = fast.first_round_above("accuracy", 0.85) or 31
lab.reveal("momentum", needed, unit="rounds", figure=viz.curve(
    {"mean": plain.curve("accuracy"), "server momentum": fast.curve("accuracy")}, x="round", y="accuracy",
    target=0.85, title=f"Momentum gets there sooner, and ends at {ending(fast):.0f} %, not {ending(plain):.0f} %"))

# %% [markdown]
# In the chapter it is the *clients* who keep the momentum: "each client stores a momentum term locally". Client $c$ sends
# $m_c \leftarrow \beta m_c + u_c$. The mean of fading sums is the fading sum of means, so that should be the same thing.
# Let all fifty take part and look:

# %%
same = federate(per_round=50, num_rounds=5, server=servers.momentum(1.0, beta=0.9))
kept = federate(per_round=50, num_rounds=5, uplink=(stages.client_momentum(0.9),))
difference = float((same.w - kept.w).norm() / same.w.norm())
lab.claim(difference < 1e-3, "with everybody there, momentum at the clients is momentum at the server")
print(f"all fifty in each round: the two models differ by {difference:.1e} of their length")

# %% [markdown]
# **Predict.** Ten of fifty take part. A client is asked every fifth round or so. Momentum at the clients, against the
# plain mean?

# %%
lab.predict("clients_momentum",
            "Points won by client momentum over the plain mean, ten of fifty a round?",
            options={"it loses 3 or more": (-100, -3), "no difference": (-3, 3),
                     "it wins 3 or more": (3, 100)})

# %%
at_clients = federate(uplink=(stages.client_momentum(0.9),))
lab.claim(ending(at_clients) < ending(plain) - 4, "old momentum does harm when few take part")
lab.reveal("clients_momentum", ending(at_clients) - ending(plain), unit="points", figure=viz.curve(
    {"mean": plain.curve("accuracy"), "at the server": fast.curve("accuracy"),
     "at the clients": at_clients.curve("accuracy")}, x="round", y="accuracy",
    title="A client that was asleep sends yesterday's direction"))

# %% [markdown]
# What a client remembers is the direction in which the model *had* to go when it last took part. That costs memory on
# each device, too: one number for each weight. The server's momentum costs the devices nothing.

# %% [markdown]
# ## 5 · Adaptive · 7 min
#
# **FedAdam** (Reddi et al. 2021) gives each weight its own step. It keeps two fading *means*, not sums: $m$ of the
# updates (with $\beta_1$) and $v$ of the squared updates (with $\beta_2$). Then
# $w \leftarrow w + \eta\, m / (\sqrt{v} + \tau)$. A weight that hardly moves gets a large step.
#
# **Your turn.**

# %% exercise="adam_step"
def adam_step(w, update, m, v, lr, tau):
    """w, update, m, v (P,) -> (w, m, v), with beta1 = 0.9 and beta2 = 0.99, and no bias correction."""
    m = ...
    v = ...
    return w + lr * m / (v.sqrt() + tau), m, v

# %%
adam_step = lab.check("adam_step", adam_step)

# %% [markdown]
# The trouble that it cures: devices that take **tiny steps**, one epoch at a learning rate of 0.02, since they are short
# of energy, or cautious. Thirty rounds of the plain mean then reach 30 to 45 %.

# %%
def adam(w, update, state):
    m, v = state or (torch.zeros_like(w), torch.full_like(w, 1e-6))
    w, m, v = adam_step(w, update, m, v, 0.1, 1e-3)
    return w, (m, v)


tiny = {"epochs": 1, "lr": 0.02}
slow, adaptive = federate("all digits", **tiny), federate("all digits", **tiny, server=adam)
lab.claim(ending(adaptive) > ending(slow) + 20, "FedAdam wakes up a federation of tiny steps")
viz.curve({"mean": slow.curve("accuracy"), "FedAdam": adaptive.curve("accuracy")},
          x="round", y="accuracy",
          title=f"Tiny steps: the mean reaches {ending(slow):.0f} %, FedAdam {ending(adaptive):.0f} %")

# %% [markdown]
# Is that the wisdom of one step for each weight, or only a *larger* step? A fair rival: the plain mean, taken ten times
# (`servers.sgd(10.0)`). **Predict** how much of FedAdam's gain the rival gets.

# %%
lab.predict("rival", "Share of FedAdam's gain that taking the mean ten times gets as well?",
            options={"less than a third": (-100, 33), "a third to three quarters": (33, 75),
                     "more than three quarters": (75, 120)})

# %%
rival = federate("all digits", **tiny, server=servers.sgd(10.0))
share = 100 * (ending(rival) - ending(slow)) / (ending(adaptive) - ending(slow))
lab.reveal("rival", share, unit="%", figure=viz.curve(
    {"mean": slow.curve("accuracy"), "mean, ten times": rival.curve("accuracy"),
     "FedAdam": adaptive.curve("accuracy")}, x="round", y="accuracy",
    title="Most of the gain is a larger step, not one step for each weight"))

# %% [markdown]
# But the factor ten is right for tiny steps only. With ordinary clients it blows up, and FedAdam with the same settings
# does not. Too large a rate breaks FedAdam as well. **Change one thing** until it breaks. The line across the figure is
# the plain mean, two digits each, ordinary steps.

# %%
SERVERS = {"FedAvg": servers.sgd, "momentum": servers.momentum, "FedAdam": servers.adam,
           "FedYogi": servers.yogi, "FedAdagrad": servers.adagrad}


def serve(server="FedAdam", rate=0.1, data="two digits each", clients_steps="ordinary"):
    options = tiny if clients_steps == "tiny" else {}
    history = federate(data, server=SERVERS[server](rate), **options)
    return viz.curve({server: history.curve("accuracy")}, x="round", y="accuracy",
                     target=ending(plain) / 100,
                     title=f"{server}, rate {rate:g}, {clients_steps} steps: {ending(history):.0f} %")


lab.explore(serve, server=list(SERVERS), rate=[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
            data=["two digits each", "all digits"], clients_steps=["ordinary", "tiny"])

# %% [markdown]
# ## 6 · All together · 3 min
#
# Every rule in every situation, five seeds, recorded by `benchmarks/aggregation.py`. *Server
# rate 10* is the rival of section 5. The **median** is new: it takes for each weight the middle one of the ten updates.
# Go through the situations. Is there a rule that is never far behind?

# %%
recorded = lab.recorded("aggregation")["accuracy"]
live = {"all well, two digits each": {"mean": plain, "clipped at 0.3": hard, "server momentum": fast,
                                      "client momentum": at_clients},
        "3 of 50 send -10 times": {"mean": attacked, "clipped at 1": saved},
        "tiny steps": {"mean": slow, "FedAdam": adaptive, "server rate 10": rival}}


def compare(situation):
    now = {rule: ending(history) / 100 for rule, history in live.get(situation, {}).items()}
    best = max(recorded[situation], key=lambda rule: sorted(recorded[situation][rule])[2])
    return viz.spread(recorded[situation], live=now, y="accuracy after 30 rounds",
                      title=f"{situation}: best is {best}")


lab.explore(compare, situation=list(recorded))

# %% [markdown]
# There is none. Momentum and FedAdam win with two digits each and nobody hostile. Momentum falls far below the mean
# under attack, since it *remembers* what the attacker sent. FedAdam is no shelter either: in one seed it ends at
# guessing. The median resists, and loses 7 to 15 points on skewed data with nobody hostile, because there every honest
# update looks like an outlier. Trust does well in every attack, but it was told who the bad devices are.
#
# **What to keep.** An aggregation rule is a statement about who is out there. Clipping: nobody should be loud. Weights: I
# know more than the clients say. Momentum: rounds disagree by chance. Adaptive: steps have the wrong size. If the
# statement is wrong, the rule does harm.

# %%
lab.quiz("which_rule")

# %% [markdown]
# ## Questions
#
# 1. Clipping and momentum together: which must come first on the way from the device to the weights, and why?
# 2. A client that lies can also claim a good sensor. Which weights of section 3 can a server know by itself?
# 3. FedAdam divides by the size of past updates. What can an attacker do with one huge update in the first round?
#
# **Exercise.** Build the rule that you would ship: clipped at 1 *and* server momentum (`aggregate=clipped(1.0),
# server=momentum`). Run it in the situations of section 1 and section 4. What does it cost, and what does it save?
#
# **What to try next.** In `SERVERS`, compare FedAdagrad and FedYogi under attack. Lab 15 adds noise to the clipped mean,
# so that no single user can be told from it.
