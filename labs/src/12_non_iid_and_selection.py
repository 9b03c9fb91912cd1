# %% [markdown]
# # 12 · Skewed data, and whom to ask
#
# **You will** turn a knob from equal to very different devices, see local work drift apart, and repair it with a few
# shared pictures. Then you run a federation of wildlife cameras, some of them out of reach, some of them slow, and
# find out what a model never learns when you only ask the quick ones.
#
# **Objectives.** After this lab you can
# - measure how skewed a federation is by one number, and relate that number to drift;
# - judge three remedies (shared data, FedProx, weights) by a measurement instead of by their fame;
# - correct for devices that seldom answer, and say when nothing corrects it;
# - choose clients by data, speed and link, and name the price of each choice.
#
# **Prerequisites.** Lab 11.
#
# **Time.** About 50 minutes; the computer works about 10 seconds of it.
#
# **Where we are.** Section 12.5.5 of *On-Device Learning* (Handling non-IID Data) and section 12.5.6 (Client Selection);
# in volume 2, "Edge Intelligence": *Federated Learning: Algorithms*.

# %% tags=["imports"]
from dataclasses import replace
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, partition
from odl_kit.federation import fleet, local, rounds, selection, stages
from odl_kit.learners import cohort, train
from odl_kit.models import flat, nets

# %%
rng = lab.start("12_non_iid_and_selection")

# %% [markdown]
# ## 1 · How different are they? · 8 min
#
# **Independent and identically distributed** (iid) data would mean that every device draws from the same pot. Real
# devices do not. The chapter's examples: sensors of unequal quality, keyboards of different regions, cameras that see
# different animals. We make skew to order: each digit is dealt in proportions drawn from a Dirichlet distribution.
# `alpha` is the knob.
#
# **Your turn.** One number for the skew of a device. Zhao et al. (2018) take the **earth mover's distance** between its
# labels and those of all devices together: the sum over labels of |share here − share in all|. It is 0 for a device like
# all the others, and at most 2.

# %% exercise="earth_movers"
def earth_movers(histogram):
    """histogram (C, labels), counts of each client -> (C,): the distance of each client from all."""
    here = ...
    overall = ...
    return (here - overall).abs().sum(1)

# %%
earth_movers = lab.check("earth_movers", earth_movers)

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
net = nets.mlp(64, 32, 10, rng=rng)
w0 = flat.ravel(net)


def skewed(alpha, num_clients=20, seed=0):
    """(owner of each picture, mean earth mover's distance) of a Dirichlet deal."""
    owner = partition.dirichlet(train_set.y, num_clients=num_clients, alpha=float(alpha),
                                rng=torch.Generator().manual_seed(seed))
    histogram = partition.describe(owner, train_set.y).histogram
    weight = histogram.sum(1) / histogram.sum()
    return owner, float(weight @ earth_movers(histogram))


# %%
def knob(alpha=0.3, num_clients=20):
    owner, distance = skewed(alpha, num_clients)
    return viz.label_histograms(owner, train_set.y,
                                title=f"alpha = {alpha}: earth mover's distance {distance:.2f}")


lab.explore(knob, alpha=[0.1, 0.3, 1, 10, 100], num_clients=(5, 40))

# %% [markdown]
# ## 2 · Drift · 9 min
#
# Let all twenty devices train one round, from the same weights, and average. Beside it: *central* training on all
# pictures, from the same weights, with about as many steps. Zhao et al. call the distance between the two results **weight
# divergence**, $|w_{fed} - w_{central}| / |w_{central}|$.
#
# **Predict.** Go from alpha = 100 to alpha = 0.05. By which factor does the divergence grow?

# %%
lab.predict("divergence", "Weight divergence after one round, very skewed against nearly iid?",
            options={"it does not": (0, 1.3), "up to twice": (1.3, 2), "2 to 5 times": (2, 5),
                     "more than 5 times": (5, 1000)})

# %%
everybody = torch.arange(20)
central = w0 + cohort.train_cohort(net, w0, train_set.x[None], train_set.y[None],
                                   torch.tensor([len(train_set)]),
                                   epochs=5, batch_size=200, lr=0.2, rng=rng)[0]


def divergence(owner):
    """|w_fed - w_central| / |w_central| after one round in which all clients take part."""
    clients = partition.clients(train_set, owner)
    uplink = local.train_cohort(net, clients, w0, everybody, epochs=5, batch_size=10, lr=0.2, rng=rng)
    share = uplink.num_examples / len(train_set)
    return float((w0 + share @ uplink.updates - central).norm() / central.norm())


# %%
alphas = (0.05, 0.1, 0.3, 1, 10, 100)
worlds = [skewed(alpha) for alpha in alphas]
distances = [distance for _, distance in worlds]
apart = [divergence(owner) for owner, _ in worlds]
lab.claim(apart[0] > 1.8 * apart[-1], "divergence grows with the skew")
lab.reveal("divergence", apart[0] / apart[-1], unit="times", figure=viz.curve(
    {"one round": (distances, apart)}, x="earth mover's distance", y="weight divergence",
    title="The more the devices differ, the further their average is from where it should be"))

# %% [markdown]
# That is the finding of Zhao et al.: divergence follows the earth mover's distance. What does it cost? They report up to
# 55 points of accuracy on keyword spotting, when each device owned *one* class.
#
# **Predict.** Our digits, twenty rounds with all twenty devices: points lost at alpha = 0.05 against alpha = 100?

# %%
lab.predict("skew_cost", "Points of accuracy lost to skew after twenty rounds?",
            options={"less than 2": (-5, 2), "2 to 12": (2, 12), "12 to 30": (12, 30),
                     "more than 30": (30, 100)})

# %%
def accuracy(w):
    """Accuracy on all digits, and on 8 and 9 only."""
    x, y, far = test_set.x, test_set.y, test_set.y >= 8
    flat.assign(net, w)
    return {"accuracy": train.evaluate(net, x, y)["accuracy"],
            "far": train.evaluate(net, x[far], y[far])["accuracy"]}


def federate(clients, *, select, num_rounds=30, wrap=lambda work: work, uplink=(), seed=0, **options):
    """A History of FedAvg over `clients`; options for their training (epochs, prox, ...)."""
    work = partial(local.train_cohort, net, clients,
                   **{"epochs": 5, "batch_size": 10, "lr": 0.2, **options})
    return rounds.run(w0, train=wrap(work), select=select, rounds=num_rounds, uplink=uplink,
                      evaluate=accuracy, rng=torch.Generator().manual_seed(seed), progress=False)


# %%
curves = {f"alpha = {alpha}": federate(partition.clients(train_set, owner),
                                       select=selection.uniform(20, 20),
                                       num_rounds=20).curve("accuracy")
          for alpha, (owner, _) in zip(alphas, worlds, strict=True) if alpha in (0.05, 0.3, 100)}
ends = {name: 100 * sum(curve[-5:]) / 5 for name, curve in curves.items()}
lab.reveal("skew_cost", ends["alpha = 100"] - ends["alpha = 0.05"], unit="points", figure=viz.curve(
    curves, x="round", y="accuracy", title="Skew costs speed first, and some points in the end"))

# %% [markdown]
# After *one* round skew costs 30 to 55 points; twenty rounds win most of them back. Whether skew is a catastrophe or a
# delay depends on the task, on local work and on how many devices take part. Move them:

# %%
def skew_run(alpha=0.1, devices_per_round=10, epochs=5, rounds_run=30):
    owner, distance = skewed(alpha)
    got = federate(partition.clients(train_set, owner), select=selection.uniform(20, devices_per_round),
                   num_rounds=rounds_run, epochs=epochs).curve("accuracy")
    return viz.curve({f"distance {distance:.2f}": got}, x="round", y="accuracy", target=0.85,
                     title=f"{devices_per_round} of 20 devices, E = {epochs}: {got[-1]:.0%} in the end")


lab.explore(skew_run, alpha=list(alphas), devices_per_round=(1, 20), epochs=(1, 20),
            rounds_run=(5, 60, 5))

# %% [markdown]
# ## 3 · Three remedies · 12 min
#
# Now the deal of lab 11: fifty devices with two digits each, ten in a round.
#
# **FedProx** (Li et al. 2020) adds a spring to the local loss, $\frac{\mu}{2}|w - w_{start}|^2$: a device may learn, but
# not run far away. **Your turn:** one local step with the spring.

# %% exercise="prox_step"
def prox_step(w, start, gradient, lr, mu):
    """w, start, gradient (P,) -> w after one step on the loss plus mu / 2 * |w - start|^2."""
    slope = ...
    return w - lr * slope

# %%
prox_step = lab.check("prox_step", prox_step)

# %% [markdown]
# The remedy of **Zhao et al.** is blunter: the server has a few pictures of all kinds and gives the same ones to
# everybody. Each device trains on its own pictures and on these.

# %%
shards = partition.clients(train_set, partition.shards(train_set.y, num_clients=50, rng=rng))


def with_shared(own, percent):
    """The clients, each with the same `percent` of all pictures in front of its own."""
    count = round(percent / 100 * len(train_set))
    same = train_set.subset(torch.randperm(len(train_set),
                                           generator=torch.Generator().manual_seed(1))[:count])
    x, y = (torch.cat([common.expand(len(own), *common.shape), mine], 1)
            for common, mine in ((same.x, own.x), (same.y, own.y)))
    return partition.Clients(x, y, own.num_examples + count)


# %% [markdown]
# **Predict.** FedAvg needs 12 to 21 rounds to 85 % here (five seeds). With 5 % shared pictures, 72 of them, on every
# device?

# %%
lab.predict("shared", "Rounds to 85 % when every device also owns the same 72 pictures?",
            options={"1 to 6": (1, 6), "7 to 11": (7, 11), "12 or more": (12, 1000)})

# %%
ten = selection.uniform(50, 10)
remedies = {"FedAvg": federate(shards, select=ten),
            "FedProx, mu = 0.1": federate(shards, select=ten, prox=0.1),
            "FedProx, mu = 1": federate(shards, select=ten, prox=1.0),
            "5 % shared": federate(with_shared(shards, 5), select=ten)}
needed = {name: history.first_round_above("accuracy", 0.85) or 31 for name, history in remedies.items()}
lab.claim(needed["5 % shared"] <= needed["FedAvg"] - 4, "shared pictures save rounds")
lab.reveal("shared", needed["5 % shared"], unit="rounds", figure=viz.curve(
    {name: history.curve("accuracy") for name, history in remedies.items()}, x="round", y="accuracy",
    target=0.85, title="Seventy-two shared pictures do what the spring does not"))

# %% [markdown]
# Five seeds, recorded by `benchmarks/non_iid.py`:

# %%
recorded = lab.recorded("non_iid")
viz.spread(recorded["remedies"]["rounds"], y="rounds to 85 % (31: not in thirty)",
           live={"FedAvg": needed["FedAvg"], "FedProx 0.1": needed["FedProx, mu = 0.1"],
                 "FedProx 1": needed["FedProx, mu = 1"], "shared 5 %": needed["5 % shared"]},
           title="Shared data help in every seed, FedProx in none")

# %% [markdown]
# Two honest remarks.
#
# - **FedProx does not help here.** A soft spring changes little, a hard one slows everything. Its paper gains most where
#   devices do *unequal amounts* of work and stop half-way. Our drift costs speed, and a spring costs speed too.
# - The chapter names weighted aggregation as the remedy and cites Zhao et al. for it. **Their remedy is the shared
#   data.** Shared data are no small thing to ask, though: somebody must own pictures that may be given to everybody, and
#   each device must store them and train on them: 72 beside its own 29, so three times the work in a round.
#
# And a control that such a curve needs: what are the 72 pictures worth alone, with no federation at all?

# %%
few = with_shared(shards, 5)
alone = cohort.train_cohort(net, w0, few.x[:1, :72], few.y[:1, :72], torch.tensor([72]), epochs=50,
                            batch_size=10, lr=0.2, rng=rng)[0]
together = remedies["5 % shared"].curve("accuracy")[-1]
print(f"trained on the 72 shared pictures alone: {100 * accuracy(w0 + alone)['accuracy']:.0f} %")
print(f"federated, 5 % shared, after 30 rounds:  {100 * together:.0f} %")

# %% [markdown]
# So the early rounds are mostly the shared pictures at work. What the federation adds is the rest of the way up.

# %%
lab.quiz("remedy")

# %% [markdown]
# ## 4 · Cameras out of reach · 10 min
#
# Fifty wildlife cameras in five regions. Ten species (our digits): region 0 mostly sees species 0 and 1, and so on;
# region 4, far up the valley, sees 8 and 9. One picture in ten is of an animal that strayed. Each night the server asks
# twenty cameras. **Those of the far region answer one time in ten.**

# %%
def valley(seed=0):
    """Owner of each picture: cameras 10 r to 10 r + 9 stand in region r."""
    own, y = torch.Generator().manual_seed(seed), train_set.y
    region = torch.where(torch.rand(len(y), generator=own) < 0.9, y // 2,
                         torch.randint(5, y.shape, generator=own))
    return region * 10 + torch.randint(10, y.shape, generator=own)


cameras = partition.clients(train_set, valley())
viz.label_histograms(valley(), train_set.y,
                     title="Fifty cameras in five regions; species 8 and 9 live far away")

# %% [markdown]
# **Predict.** If all answer, the model names species 8 and 9 right in 80 to 90 of 100 cases. With one in ten answers from
# there?

# %%
lab.predict("far", "Accuracy on species 8 and 9 when their region answers one time in ten?",
            options={"below 20 %": (0, 20), "20 to 75 %": (20, 75), "above 75 %": (75, 100)})

# %%
def nights(reach, weigh=None, own=cameras):
    """History when the far region answers with chance `reach`; weigh: gives the weights of the mean."""
    reachable = torch.ones(50).index_fill(0, torch.arange(40, 50), reach)
    same = torch.ones(50)
    links = fleet.Fleet(same, same, same, same, reachable)
    fair = (stages.weigh_by(weigh(own.num_examples, reachable)),) if weigh else ()
    return federate(own, select=selection.uniform(50, 20), num_rounds=40, uplink=fair,
                    wrap=lambda work: fleet.attend(work, links, examples=0, nbytes=0))


def ending(history, name):
    return 100 * sum(history.curve(name)[-5:]) / 5


# %%
reached, lost = nights(1.0), nights(0.1)
lab.claim(ending(lost, "far") < ending(reached, "far") - 5, "the species of the far region suffer")
lab.reveal("far", ending(lost, "far"), unit="%", figure=viz.bars(
    {name: {"all species": ending(history, "accuracy"), "8 and 9": ending(history, "far")}
     for name, history in {"all answer": reached, "far region: 1 in 10": lost}.items()},
    y="accuracy, %", title="The average hides it: what lives out of reach is often missed"))

# %% [markdown]
# The server knows how often each camera answers. So let an answer from the far region stand for the nine that did not
# come.
#
# **Your turn.** Give each camera its weight in the mean, so that in the long run every *picture* counts the same.

# %% exercise="fair_weights"
def fair_weights(num_examples, reachable):
    """num_examples (C,), reachable (C,) in (0, 1] -> (C,): on average, clients count by examples."""
    return ...

# %%
fair_weights = lab.check("fair_weights", fair_weights)

# %%
fair = nights(0.1, fair_weights)
bars = {"all answer": reached, "1 in 10, plain": lost, "1 in 10, weighed": fair}
lab.claim(ending(fair, "far") > ending(lost, "far") + 6, "weights bring much of it back")
viz.bars({name: {"all species": ending(history, "accuracy"), "8 and 9": ending(history, "far")}
          for name, history in bars.items()}, y="accuracy, %",
         title="Weights by 1 / chance bring most of the loss back")

# %% [markdown]
# This *is* the weighted aggregation of the chapter, and here it works: nothing is wrong with the far region's updates,
# there are only too few of them. Where does it stop working? Try 0.02, and
# look at how the curve jumps.

# %%
def valley_run(chance_to_answer=0.1, weigh=True):
    history = nights(chance_to_answer, fair_weights if weigh else None)
    return viz.curve({"all species": history.curve("accuracy"), "8 and 9": history.curve("far")},
                     x="night", y="accuracy",
                     title=f"{'weighed' if weigh else 'plain'}: {ending(history, 'far'):.0f} % "
                                         "of species 8 and 9 in the end")


lab.explore(valley_run, chance_to_answer=[0.02, 0.05, 0.1, 0.2, 0.5, 1.0], weigh=True)

# %%
names = {"plain": "plain", "weighed": "weighed by 1 / chance"}
far = recorded["cameras"]["far"]
both = {label: {key.split()[1]: runs for key, runs in far.items() if key.startswith(kind)}
        for kind, label in names.items()}
today = {"plain": {"1.0": ending(reached, "far") / 100, "0.1": ending(lost, "far") / 100},
         "weighed by 1 / chance": {"0.1": ending(fair, "far") / 100}}
viz.spread(both, live=today, y="accuracy on species 8 and 9, by chance to answer",
           title="Weights help in every seed; rare answers stay noisy")

# %% [markdown]
# ## 5 · Whom to ask · 11 min
#
# Now all cameras answer, but they differ in speed and link (invented numbers, spread over two orders of magnitude), and
# the old hardware stands in the far region: ten times slower. A round lasts until the slowest chosen camera is done, the
# **straggler**.

# %%
devices = fleet.draw(50, rng=torch.Generator().manual_seed(3))
old = devices.seconds_per_example * torch.ones(50).index_fill(0, torch.arange(40, 50), 10)
devices = replace(devices, seconds_per_example=old)
work = {"examples": 5 * cameras.num_examples, "nbytes": 2 * 4 * len(w0)}
seconds = devices.time_s(**work)
slowest = seconds.sort().values
viz.curve({"seconds for one round": slowest.tolist()}, x="camera, from fast to slow", y="seconds",
          log="y",
          title=f"Half of them need {seconds.median():.0f} s or less, the slowest {slowest[-1]:.0f} s")

# %% [markdown]
# The chapter: "in an ideal scenario, you can always select the subset of clients with the greatest resources. However,
# this may skew your dataset." **Predict.** Only the faster half is asked. What does that cost
# on species 8 and 9?

# %%
lab.predict("fast", "Points lost on species 8 and 9 when only the faster half is asked?",
            options={"less than 5": (-20, 5), "5 to 50": (5, 50), "more than 50": (50, 100)})

# %%
histogram = partition.describe(valley(), train_set.y).histogram
policies = {
    "anyone": selection.uniform(50, 10),
    "the faster half": selection.within_budget(devices, 10, **work, deadline_s=float(seconds.median())),
    "diverse": selection.diverse(histogram, 10, candidates=30),
    "diverse and quick": selection.diverse(histogram, 10, candidates=30, cost=seconds, price=0.3)}
asked = {name: federate(cameras, select=select) for name, select in policies.items()}
duration = {name: [float(seconds[chosen].max()) for chosen in history.chosen]
            for name, history in asked.items()}

# %%
ends = {name: ending(history, "far") for name, history in asked.items()}
lab.claim(ends["the faster half"] < ends["anyone"] - 4, "asking only the fast ones loses the far species")
lab.reveal("fast", ends["anyone"] - ends["the faster half"], unit="points", figure=viz.bars(
    {name: {"all species": ending(history, "accuracy"), "8 and 9": ends[name]}
     for name, history in asked.items()},
    y="accuracy after 30 rounds, %", title="The quick ones hardly saw what lives far away"))

# %% [markdown]
# Look at time, though:

# %%
waiting = sum(duration["anyone"]) / sum(duration["diverse and quick"])
clocks = {name: torch.tensor(each).cumsum(0).tolist() for name, each in duration.items()}
viz.curve({name: (clocks[name], history.curve("accuracy")) for name, history in asked.items()},
          x="seconds since the start", y="accuracy", log="x", target=0.85,
          title=f"Asking anyone takes {waiting:.0f} times as long as asking the diverse and quick")

# %% [markdown]
# `selection.diverse` draws thirty candidates. One by one it picks the camera that brings the labels of the cohort closest
# to those of all, and adds a price for its seconds. At price 0 it serves the far species best and is as slow as anyone.
# With a price it is quick, and gives up some of the far species for that. How is it written?

# %%
viz.source(selection.diverse)

# %% [markdown]
# **Change one thing.** The price trades time against the far species. `power of choice` (Cho et al. 2020) asks
# candidates for their loss and takes those the model serves worst. `price` acts on *diverse* only, `deadline_s` on
# *within a deadline* only.

# %%
def choose(policy="diverse", price=0.3, deadline_s=5.0, per_round=10):
    clients, wrap = cameras, lambda work: work
    select = selection.diverse(histogram, per_round, candidates=min(50, 3 * per_round), cost=seconds,
                               price=price)
    if policy == "within a deadline":
        select = selection.within_budget(devices, per_round, **work, deadline_s=deadline_s)
    elif policy == "power of choice":
        select = selection.by_num_examples(clients.num_examples, min(50, 2 * per_round))
        wrap = partial(selection.power_of_choice, net=net, clients=clients, m=per_round)
    history = federate(clients, select=select, wrap=wrap)
    waited = sum(float(seconds[chosen].max()) for chosen in history.chosen)
    return viz.curve({"all species": history.curve("accuracy"), "8 and 9": history.curve("far")},
                     x="round", y="accuracy",
                     title=f"{ending(history, 'far'):.0f} % of 8 and 9, at most {waited:,.0f} s")

# %%
lab.explore(choose, policy=["diverse", "within a deadline", "power of choice"], price=(0.0, 2.0, 0.1),
            deadline_s=(2.0, 60.0, 1.0), per_round=(2, 16))

# %% [markdown]
# Five seeds. *Large ones* draws cameras by their number of pictures.

# %%
today = {name: ending(history, "accuracy") / 100 for name, history in asked.items()}
viz.spread({"all species": recorded["slow"]["accuracy"], "8 and 9": recorded["slow"]["far"]},
           live={"all species": today, "8 and 9": {name: end / 100 for name, end in ends.items()}},
           y="accuracy after 30 rounds",
           title="The policy that looks at speed alone loses the far species")

# %% [markdown]
# Mind what `diverse` needs: every camera must tell its label counts. On phones that is a confession, not a detail. Power
# of choice needs only one number a candidate, and hardly differs from a plain draw here.
#
# **What to keep.** Skew is measurable, and drift follows it. Shared data repair it best, if you have any. A bias in *who
# answers* becomes a bias of the model, and the average accuracy hides it: measure the groups. Of the ways to
# choose tried here, speed alone was the worst.

# %%
lab.quiz("who_is_missing")

# %% [markdown]
# ## Questions
#
# 1. A region with `reachable = 0` cannot be repaired by weights. Which remedy of section 3 would help there, and how?
# 2. The weights 1 / chance make single updates heavy. What does that do to a camera with a broken sensor?
# 3. Which number would you watch in production to notice that a group of clients has gone silent?
#
# **Exercise.** Give the cameras 2 % shared pictures *and* a far region that never answers:
# `nights(0.0, own=with_shared(cameras, 2))`. How much of species 8 and 9 comes back?
#
# **What to try next.** `num_clients` and `alpha` of section 1 with `per_round` of section 5: when is a random draw no
# longer good enough? Lab 13 makes the updates small, lab 14 asks what the server should do with them.
