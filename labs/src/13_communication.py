# %% [markdown]
# # 13 · Communication: fewer bytes, and what they cost
#
# **You will** make the updates of lab 11 up to seventy times smaller, find out which of these savings are free, and look
# at what a device gives away when it sends activations in place of weights.
#
# **Objectives.** After this lab you can
# - name four ways to send an update in fewer bytes, and count the bytes of each;
# - tell a compressor that is right *on average* from one that is not, and say which of them needs error feedback;
# - compress the model on its way down, and say when a device's memory gains by it;
# - weigh selective sharing and split training: bytes, accuracy, and what leaks.
#
# **Prerequisites.** Lab 11.
#
# **Time.** About 50 minutes; the computer works about 15 seconds of it.
#
# **Where we are.** Section 12.5.1 of *On-Device Learning* (Communication Efficiency), section 12.5.2 (Model Compression)
# and section 12.5.3 (Selective Update Sharing); in volume 2, "Edge Intelligence": *Federated Learning: Systems at Scale*.

# %% tags=["imports"]
import math
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, partition
from odl_kit.federation import compression, local, online, rounds, selection, split
from odl_kit.learners import cohort, plan, train
from odl_kit.models import flat, nets

# %%
rng = lab.start("13_communication")

# %% [markdown]
# ## 1 · Send the largest · 9 min
#
# The federation is that of lab 11: fifty devices with two digits each, ten of them in a round, five passes over their
# pictures. A device receives 2,410 weights and sends back an update of 2,410 numbers, 9,640 bytes each way. Accuracy in
# this lab is the mean of the last five of forty rounds, since single rounds jump.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
deals = {"two digits each": partition.shards(train_set.y, num_clients=50, rng=rng)}
net = nets.mlp(64, 32, 10, rng=rng)
w0 = flat.ravel(net)
deals["all digits everywhere"] = partition.iid(train_set.y, num_clients=50, rng=rng)
clients = {name: partition.clients(train_set, owner) for name, owner in deals.items()}


def accuracy(w):
    return {"accuracy": train.evaluate(flat.assign(net, w), test_set.x, test_set.y)["accuracy"]}

# %% [markdown]
# In `rounds.run`, what happens to updates on their way up is a list of **stages**. A compressor is a stage: it replaces
# each update by what the server will read, and it counts the bytes.

# %%
def federate(*stages, data="two digits each", num_rounds=40, bits_down=None, part=None):
    """FedAvg with these stages on the way up; returns (accuracy in %, history)."""
    work = partial(local.train_cohort, net, clients[data], epochs=5, batch_size=10, lr=0.2, plan=part)
    work = work if bits_down is None else online.downlink(work, net, bits=bits_down)
    history = rounds.run(w0, train=work, select=selection.uniform(50, 10), rounds=num_rounds,
                         uplink=stages, evaluate=accuracy, rng=torch.Generator().manual_seed(0),
                         progress=False)
    return 20 * sum(history.curve("accuracy")[-5:]), history


plain, plain_history = federate()
print(f"nothing left out: {plain:.1f} %, {plain_history.bytes_up[0] // 10:,} bytes up each time")

# %% [markdown]
# The first idea: most entries of an update are small. **Send only the tenth with the largest absolute values**, and treat
# the others as zero.
#
# **Predict.** How many points of accuracy does that cost?

# %%
lab.predict("tenth", "Points of accuracy lost when nine of ten entries are never sent?",
            options={"less than 4": (-5, 4), "4 to 10": (4, 10), "10 to 30": (10, 30),
                     "more than 30": (30, 100)})

# %%
tenth, tenth_history = federate(compression.top_k(0.1))
lab.reveal("tenth", plain - tenth, unit="points", figure=viz.curve(
    {"everything": plain_history.curve("accuracy"), "largest tenth": tenth_history.curve("accuracy")},
    x="round", y="accuracy", title="Nine tenths of an update are hardly missed"))

# %% [markdown]
# A tenth of the entries is not a tenth of the bytes. The server must also learn *which* entries they are. Two ways to say
# that: a list of indices, or a bitmap with one bit for each weight.
#
# **Your turn.** Count the bytes. An index needs $\lceil \log_2 P \rceil$ bits, for $P$ weights.

# %% exercise="top_k_bytes"
def top_k_bytes(num_weights, k):
    """Bytes of k numbers of 32 bits and of their k places, by whichever of list and bitmap is shorter."""
    list_bits = ...
    bitmap_bits = ...
    return 4 * k + math.ceil(min(list_bits, bitmap_bits) / 8)

# %%
top_k_bytes = lab.check("top_k_bytes", top_k_bytes)

# %%
counted = top_k_bytes(2410, 241)
lab.claim(counted == tenth_history.bytes_up[0] // 10, "the kit counts the same bytes")
print(f"largest tenth: {counted:,} bytes, {9640 / counted:.1f} times fewer than everything")

# %% [markdown]
# ## 2 · Fewer bits · 8 min
#
# The second idea: send every entry, but coarsely. Take `bits` for each and let them count steps from $-L$ to
# $L = 2^{bits-1}-1$; one step is $\max|u| / L$. With two bits an entry is $-1$, $0$ or $1$ times the largest.
#
# Almost all entries are nearer to 0 than to the largest, so rounding to the nearest makes them 0. QSGD (Alistarh et al.
# 2017) **rounds by chance**: 0.3 steps become one step in three of ten cases, else none. Every single entry is then
# wrong, but right *on average*.
#
# **Predict.** At two bits, which rounding gives the better model?

# %%
lab.predict("nearest", "Two bits: accuracy by chance, minus accuracy to the nearest, in points?",
            options={"chance is worse by 2 or more": (-100, -2), "no difference": (-2, 2),
                     "chance is better by 2 or more": (2, 100)})

# %%
nearest, nearest_history = federate(compression.quantise(2, stochastic=False))
chance, chance_history = federate(compression.quantise(2))
lab.claim(chance > nearest + 3.5, "rounding by chance beats rounding to the nearest at two bits")
lab.reveal("nearest", chance - nearest, unit="points", figure=viz.curve(
    {"to the nearest": nearest_history.curve("accuracy"), "by chance": chance_history.curve("accuracy")},
    x="round", y="accuracy", title="Noise that averages out does less harm than an error that does not"))

# %% [markdown]
# The server averages ten devices and many rounds. Errors of chance cancel there. Rounding to the nearest makes the same
# error everywhere and always, so nothing cancels.
#
# **Your turn.** Write the rounding. `chance` holds a number from 0 to 1 for each entry: add it, then round *down*.

# %% exercise="quantise"
def quantise(update, bits, chance):
    """update (P,), chance (P,) in [0, 1) -> update in whole steps, rounded up or down by chance."""
    levels = 2 ** (bits - 1) - 1
    step = update.abs().max() / levels
    multiple = ...
    return multiple * step

# %%
quantise = lab.check("quantise", quantise)

# %%
first = clients["two digits each"]
one = cohort.train_cohort(net, w0, first.x[:1], first.y[:1], first.num_examples[:1], epochs=5,
                          batch_size=10, lr=0.2, rng=rng)[0]
draws = [quantise(one, 2, torch.rand(len(one), generator=rng)) for _ in range(200)]
far = {n: float((torch.stack(draws[:n]).mean(0) - one).norm() / one.norm())
       for n in (1, 3, 10, 30, 100, 200)}
viz.curve({"relative error": far}, x="draws averaged", y="relative error", log="xy",
          title=f"One draw is off by {far[1]:.1f} times the update, a hundred by {far[100]:.2f}")

# %% [markdown]
# ## 3 · Remember what was left out · 12 min
#
# The extreme: **one bit** an entry, its sign, and one number for the size of all. That is 306 bytes in place of 9,640. It
# is not right on average: a tiny entry counts as much as a large one.
#
# An old remedy (Seide et al. 2014) is **error feedback**. The device keeps what it did not send, and adds it to its next
# update. An entry that is too small today adds up until it is sent.
#
# **Predict.** Sign alone reached about 70 % in most of five seeds, where everything reached 90 to 93. With error feedback?

# %%
lab.predict("feedback", "Points of accuracy won by error feedback around the sign?",
            options={"none": (-100, 2), "2 to 8": (2, 8), "more than 8": (8, 40)})

# %%
sign, sign_history = federate(compression.sign())
kept, kept_history = federate(compression.error_feedback(compression.sign()))
lab.claim(kept > sign + 4.5, "error feedback mends the sign")
lab.reveal("feedback", kept - sign, unit="points", figure=viz.curve(
    {"everything": plain_history.curve("accuracy"), "sign": sign_history.curve("accuracy"),
     "sign, with feedback": kept_history.curve("accuracy")}, x="round", y="accuracy",
    title=f"A memory on the device lifts {sign:.0f} % to {kept:.0f} %, at no extra byte"))

# %% [markdown]
# **Your turn.** One device's step: `update` is new, `left` is what it kept so far. It sends the `k` largest entries.

# %% exercise="send"
def send(update, left, k):
    """update (P,), left (P,) -> (sent (P,), left (P,)): the k largest of what there is to say."""
    wanted = ...
    places = wanted.abs().topk(k).indices
    sent = torch.zeros_like(wanted)
    sent[places] = wanted[places]
    left = ...
    return sent, left

# %%
send = lab.check("send", send)

# %%
left, total = torch.zeros_like(one), torch.zeros_like(one)
missing = []
for number in range(1, 31):                              # thirty rounds with the same update
    sent, left = send(one, left, 24)
    total = total + sent
    missing.append(float((number * one - total).norm() / (number * one).norm()))
viz.curve({"with feedback": missing, "without": [missing[0]] * 30}, x="round", y="share not yet said",
          title=f"With 24 of 2,410 entries a round, {100 - 100 * missing[-1]:.0f} % is said after thirty rounds")

# %% [markdown]
# Does feedback always help? **Predict** for the two bits by chance, which were right on average to begin with.

# %%
lab.predict("feedback_chance", "Points won by error feedback around two bits by chance?",
            options={"it loses 2 or more": (-100, -2), "no difference": (-2, 2),
                     "it wins 2 or more": (2, 100)})

# %%
remembered, _ = federate(compression.error_feedback(compression.quantise(2)))
lab.claim(remembered < chance - 2, "error feedback around two bits by chance does harm")
lab.reveal("feedback_chance", remembered - chance, unit="points")

# %% [markdown]
# It does harm. Two bits by chance leave an error *longer* than the update itself (section 2 measured it). Feedback
# promises to send all of that later, and the debt grows. The theory of error feedback (Karimireddy et al. 2019) asks for
# a compressor whose error is shorter than what it compresses. Top-k, sign and rounding to the nearest qualify.
#
# Now all of them, bytes against accuracy. The points from left to right: largest 1 %, sign, 2 bits to the nearest, rank
# 1, largest 10 %, 8 bits.

# %%
compressors = {"largest 1 %": compression.top_k(0.01), "sign": compression.sign(),
          "2 bits to the nearest": compression.quantise(2, stochastic=False),
          "rank 1": compression.low_rank(net, 1), "largest 10 %": compression.top_k(0.1),
          "8 bits by chance": compression.quantise(8)}
alone = [federate(stage) for stage in compressors.values()]
fed_back = [federate(compression.error_feedback(stage)) for stage in compressors.values()]
sizes = [history.bytes_up[0] / 10 for _, history in alone]
viz.curve({"alone": (sizes, [a for a, _ in alone]),
           "with error feedback": (sizes, [a for a, _ in fed_back])},
          x="bytes up, a device and round", y="accuracy, %", log="x", target=plain,
          title=f"With a memory, a thirtieth of the bytes costs {plain - fed_back[1][0]:.0f} points")

# %% [markdown]
# *Rank 1* writes the update of each weight matrix as a column times a row. The kit takes the best such product.
#
# This is one seed. Five seeds, recorded by `benchmarks/communication.py`, with today's runs laid on top. *Random 10 %*
# sends a tenth drawn by chance; alone it multiplies what it sends by ten, so that it is right on average:

# %%
recorded = lab.recorded("communication")
today = {kind: {name: a / 100 for name, (a, _) in zip(compressors, runs, strict=True)}
         for kind, runs in {"alone": alone, "with error feedback": fed_back}.items()}
viz.spread(recorded["accuracy"]["two digits each"], live=today, y="accuracy after 40 rounds",
           title="Feedback mends what is wrong on average, and spoils 2 bits by chance")

# %% [markdown]
# **Change one thing.** With all digits on every device the differences shrink. From which `share` or `bits` on does it
# hurt there? `share` (in %) acts on the two kinds of entries. `bits` acts on *bits by chance*, and is the rank of *low
# rank*. The target is what the federation reaches with nothing left out.

# %%
def compressed(method="largest entries", share=10, bits=2, feedback=False, data="two digits each"):
    stage = {"largest entries": compression.top_k(share / 100), "sign": compression.sign(),
             "random entries": compression.random_k(share / 100, unbiased=not feedback),
             "bits by chance": compression.quantise(bits),
             "low rank": compression.low_rank(net, bits)}[method]
    got, history = federate(compression.error_feedback(stage) if feedback else stage, data=data)
    target = federate(data=data)[0] / 100
    return viz.curve({method: history.curve("accuracy")}, x="round", y="accuracy", target=target,
                     title=f"{history.bytes_up[0] // 10:,} bytes an update: {got:.0f} %")


lab.explore(compressed, method=["largest entries", "random entries", "sign", "bits by chance",
                                "low rank"],
            share=(1, 100), bits=(2, 8), feedback=False, data=list(deals))

# %%
lab.quiz("who_needs_feedback")

# %% [markdown]
# ## 4 · The way down · 8 min
#
# Each chosen device also *receives* the whole model. The chapter describes online model compression (Yang et al. 2023):
# the server sends weights in few bits, and the device keeps them so. The server itself goes on with the exact weights and
# adds the updates to them.
#
# The weights of a matrix become whole numbers $q$ of a few bits. Then a scale $s$ and an offset $b$ are fitted by least
# squares, $\min \sum (w - s q - b)^2$, so that the errors do not all point one way.

# %%
viz.source(online.pack)

# %% [markdown]
# **Predict.** Weights of 4 bits on the way down, 7 times fewer bytes. Points of accuracy lost?

# %%
lab.predict("down", "Points lost with a model of 4 bits on the way down?",
            options={"less than 3": (-5, 3), "3 to 10": (3, 10), "more than 10": (10, 100)})

# %%
below = {bits: federate(bits_down=bits) for bits in (8, 4, 3, 2)}
lab.reveal("down", plain - below[4][0], unit="points", figure=viz.curve(
    {"two digits each": ([h.bytes_down[0] / 10 for _, h in below.values()],
                         [a for a, _ in below.values()])},
    x="bytes down, a device and round", y="accuracy, %", target=plain,
    title="Four bits are enough on the way down; two are not"))

# %% [markdown]
# The same trick saves memory on the device: it unpacks **one layer at a time**, also while it trains, and packs it again
# with its step taken. Count the most bytes that weights take at any moment, against 32-bit weights. Which net does *not*
# gain?

# %%
deep, cnn = nets.mlp(64, (32,) * 6, 10, rng=rng), nets.tiny_cnn(1, 10, rng=rng)
x, y = clients["all digits everywhere"][0]
order = cohort.batch_order(torch.tensor([len(x)]), 1, rng=rng)[0]
held = {}
for name, model in {"mlp 64-32-10": net, "mlp with six hidden layers": deep, "tiny_cnn": cnn}.items():
    packed = online.compress(model, flat.ravel(model), bits=4)
    _, most = online.client_update(model, packed, x, y, order=order, batch_size=10, lr=0.1, rng=rng)
    held[name] = {"32 bits": 4 * len(flat.ravel(model)), "packed, a layer at a time": most}
viz.bars(held, y="bytes of weights, at most", title="No gain where one layer is most of the net")

# %% [markdown]
# ## 5 · Send a part of the model · 10 min
#
# **Selective sharing**: only a part of the net learns, and only that part is sent. `plan.head_only` freezes all but the
# last layer.
#
# **Predict.** Our net starts from random weights. How much is lost if only the head learns?

# %%
lab.predict("head", "Points lost when only the last layer learns and is sent?",
            options={"less than 3": (-5, 3), "3 to 30": (3, 30), "more than 30": (30, 100)})

# %%
parts = {"everything": plan.full(net), "biases and head": plan.bias_only(net),
         "head only": plan.head_only(net)}
shared = {name: federate(part=part) for name, part in parts.items()}
lab.reveal("head", plain - shared["head only"][0], unit="points", figure=viz.bars(
    {f"{name}, {history.bytes_up[0] // 10:,} bytes": got for name, (got, history) in shared.items()},
    y="accuracy, %", title="A frozen random layer saves bytes, and costs more than two bits do"))

# %% [markdown]
# The biases beside the head learn more of the model, and hardly change the result on such skewed data.
#
# Sharing a part pays when the frozen part was trained before, on other data (lab 08). From random weights, compression is
# the better bargain: two bits by chance send *fewer* bytes than the head alone.
#
# **Split training** (Shi and Radu 2022) goes further. Clients train the lower layers by FedAvg. The upper layers are
# trained *by the server*, on activation maps that the clients send: for each class the one nearest to the
# mean of that class. The chapter says this "drastically reduces communication". Whether it does depends on where the weights are.

# %%
weights = {}
for name, model in {"mlp 64-32-10, cut after relu1": (net, "relu1"),
                    "tiny_cnn, cut after pool2": (cnn, "pool2"),
                    "tiny_cnn, cut after pool1": (cnn, "pool1")}.items():
    lower, upper = split.parts(*model)
    weights[name] = {"below, sent": len(flat.ravel(lower)),
                     "above, at the server": len(flat.ravel(upper))}
viz.bars(weights, y="weights", stacked=True, title="Where to cut decides what is saved")

# %% [markdown]
# In the convolutional net most weights lie high. Cut after `pool2`, a device sends a third of the bytes. But it sends
# maps with their labels, computed from its pictures.
#
# **Predict.** An attacker at the server fits a straight line from activations to pixels, on digits of his own. How much
# of the variation between your pictures can he restore?

# %%
lab.predict("restored", "Share of the pixels' variance restored from maps after pool2?",
            options={"none, maps are not pictures": (-100, 10), "10 to 50 %": (10, 50),
                     "50 to 90 %": (50, 90), "all": (90, 101)})

# %%
wc, deal = flat.ravel(cnn), clients["two digits each"]


def score(w):
    return {"accuracy": train.evaluate(flat.assign(cnn, w), test_set.x, test_set.y)["accuracy"]}


options = {"select": selection.uniform(50, 10), "evaluate": score, "rng": rng, "progress": False}
whole = rounds.run(wc, train=partial(local.train_cohort, cnn, deal, epochs=5, batch_size=10, lr=0.1),
                   rounds=25, **options)
halves = split.run(cnn, wc, deal, cut="pool2", num_rounds=25, per_class=1, server_epochs=20,
                   server_lr=0.1, epochs=5, batch_size=10, lr=0.1, **options)
for name, history in {"FedAvg": whole, "split after pool2": halves}.items():
    print(f"{name}: {history.bytes_up[0] // 10:,} bytes an update, "
          f"{100 * history.metrics[-1]['accuracy']:.0f} % after 25 rounds")

# %%
lower, _ = split.parts(flat.assign(cnn, halves.w), "pool2")
leak = split.probe(lower, train_set.x, test_set.x)
lab.claim(leak.explained > 0.35, "a straight line restores much of the pictures from their maps")
lab.reveal("restored", 100 * leak.explained, unit="%", figure=viz.images(
    torch.cat([test_set.x[:10], leak.pictures[:10]]),
    title="Above: pictures of the test set. Below: guessed from their activation maps"))

# %% [markdown]
# Many can be read. A better attacker may restore more: this one fits only a linear map. And the *labels* were
# sent in the clear. What the updates of lab 11 give away is harder to get at (lab 19).
#
# The costs together, means of five seeds (recorded). After 25 rounds the split at `pool2` is even ahead of FedAvg. At
# `pool1` the lower part is tiny, 80 weights, and training becomes a gamble: 33 to 72 %, and 46 to 73 % of the pixels.

# %%
def mean(values):
    return 100 * sum(values) / len(values)


cost, told = recorded["split"], {}
for cut, name in {"None": "FedAvg", "pool2": "split after pool2", "pool1": "split after pool1"}.items():
    told[f"{name}, {cost['bytes'][cut][0]:,} bytes"] = {
        "accuracy": mean(cost["accuracy"][cut]),
        "pixels restored": None if cut == "None" else mean(cost["restored"][cut])}
viz.bars(told, y="%, mean of five seeds", title="Split training: fewer bytes, and pictures in them")

# %% [markdown]
# ## 6 · The bill, again · 3 min
#
# In lab 11 the federation sent many times the bytes of all its pictures (92,032). Now 4 bits down and 2 bits by chance
# up. How many rounds to 85 %, and how many bytes?

# %%
_, both = federate(compression.quantise(2), bits_down=4)
bill = {"all pictures, once": train_set.x.numel()}
for name, history in {"FedAvg": plain_history, "4 bits down, 2 bits up": both}.items():
    needed = history.first_round_above("accuracy", 0.85)
    bill[f"{name}, {needed} rounds"] = sum(history.bytes_up[:needed]) + sum(history.bytes_down[:needed])
both_ways = list(bill.values())
viz.bars(bill, y="bytes to 85 %, both ways", log=True,
         title=f"Compressed, the bill is {both_ways[-1] / both_ways[0]:.0f} times that of the pictures, "
               f"not {both_ways[1] / both_ways[0]:.0f} times")

# %% [markdown]
# **What to keep.** Rounding by chance to two bits is nearly free. What is cut off for good needs a memory on the device.
# What is right on average does not, and coarse
# noise is spoiled by one. Sending less of the *model* costs more than sending all of it
# coarsely. Activations are data: whoever sends them sends pictures.

# %%
lab.quiz("what_would_you_send")

# %% [markdown]
# ## Questions
#
# 1. Error feedback keeps one number for each weight on each device. What does that mean for a board with 256 KiB of SRAM?
# 2. A device that takes part every hundredth round has an old residual. What could go wrong with it?
# 3. Secure aggregation (lab 15) adds up masked updates. Which of the compressors can it still work with?
#
# **Exercise.** Combine: `federate(compression.only(mask, compression.quantise(2)), part=plan.bias_only(net))` with the
# plan's `mask(net)`. How many bytes is that, and is it worth it?
#
# **What to try next.** Put the best compressor on fifty devices with *all digits everywhere*, and lower the rounds to
# ten. Then lab 14: what the server should do with the updates that arrive.
