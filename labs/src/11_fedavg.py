# %% [markdown]
# # 11 · FedAvg: fifty devices make one model
#
# **You will** let fifty simulated devices, none of which knows more than two of the ten digits, make one model that knows
# all ten. You write the two halves of the algorithm, find out what more local work buys, and count every byte.
#
# **Objectives.** After this lab you can
# - turn the published pseudocode of FederatedAveraging into 20 lines that run;
# - explain what C, E and B do, and why FedSGD is FedAvg with E = 1 and B = all;
# - predict when fewer rounds are bought with local work, and when skewed data takes the gain away;
# - count the bytes of a federated run, and say when they exceed the data itself.
#
# **Prerequisites.** Lab 00; what a gradient step is.
#
# **Time.** About 45 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.5 of *On-Device Learning* (Federated Machine Learning, with Exercise 12.3); in volume 2,
# "Edge Intelligence": *Federated Learning: Algorithms*.

# %% tags=["imports"]
import time
from functools import partial

import torch
from torch.utils.data import DataLoader, TensorDataset

from odl_kit import lab, viz
from odl_kit.data import datasets, partition
from odl_kit.federation import aggregators, local, rounds, selection
from odl_kit.learners import cohort, train
from odl_kit.models import flat, nets

# %%
rng = lab.start("11_fedavg")

# %% [markdown]
# ## 1 · Fifty devices · 6 min
#
# 1,438 handwritten digits are dealt to fifty devices, 359 stay on the server to test with. We deal them in *shards*, as
# McMahan et al. (2017) did: sort by digit, cut into 100 pieces, two pieces for each device. That is skewed on purpose:
# real people do not all write the same things.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
owner = partition.shards(train_set.y, num_clients=50, per_client=2, rng=rng)
clients = partition.clients(train_set, owner)
viz.label_histograms(owner, train_set.y,
                     title="What fifty devices own: two or three digits each, about 29 pictures")

# %% [markdown]
# **Predict.** Every device trains alone, on its own pictures, as long as it likes. How good is such a model on
# *everybody's* digits, on average?

# %%
lab.predict("alone", "Accuracy on all ten digits of a model trained by one device alone?",
            options={"about 10 %": (0, 13), "about 20 %": (13, 35), "about 50 %": (35, 70),
                     "above 70 %": (70, 100)})

# %%
net = nets.mlp(64, 32, 10, rng=rng)
w0 = flat.ravel(net)
alone = cohort.train_cohort(net, w0, clients.x, clients.y, clients.num_examples, epochs=40, batch_size=10,
                            lr=0.1, rng=rng)


def accuracy(w):
    return {"accuracy": train.evaluate(flat.assign(net, w), test_set.x, test_set.y)["accuracy"]}


each = [100 * accuracy(w0 + update)["accuracy"] for update in alone]
lab.reveal("alone", sum(each) / len(each), unit="%")

# %% [markdown]
# A device that saw two digits answers with one of these two, always. To know all ten, the devices need each other. They
# will not send their pictures.

# %% [markdown]
# ## 2 · The algorithm · 10 min
#
# One **round** of FederatedAveraging:
#
# 1. The server picks a few devices and sends them the weights $w$.
# 2. Each device $k$ trains on its own $n_k$ examples and sends back its **update** $u_k = w_k - w$.
# 3. The server adds the average, weighted by examples: $w \leftarrow w + \sum_k \frac{n_k}{m} u_k$.
#
# Here $m$ is the sum of the $n_k$ of *the devices that took part*. The first version of the paper divided by all
# examples; the book's figure carries that erratum.
#
# The device's half, as the kit has it:

# %%
viz.source(local.client_update)

# %% [markdown]
# **Your turn: the device.** A smaller model makes the gradient visible. Softmax regression has one weight matrix $W$ and
# no bias. Its scores are $XW$. With $Y$ the matrix that has a one at each right answer, the gradient of the mean
# cross-entropy is
#
# $$\tfrac{1}{n} X^\top \big(\mathrm{softmax}(XW) - Y\big).$$
#
# Take `epochs` full steps.

# %% exercise="client_update"
def client_update(w, x, y, epochs, lr):
    """w (features, classes), x (n, features), y (n,) labels -> what this device adds to w, the update."""
    start = w
    target = torch.nn.functional.one_hot(y, w.shape[1]).to(w.dtype)
    for _ in range(epochs):
        gradient = ...
        w = ...
    return w - start

# %%
client_update = lab.check("client_update", client_update)

# %% [markdown]
# **Your turn: the server.** Weigh each update by the examples behind it.

# %% exercise="weighted_mean"
def weighted_mean(updates, num_examples):
    """updates (C, P) float, num_examples (C,) int -> (P,): the mean, each weighted by its examples."""
    share = ...
    return share @ updates

# %%
weighted_mean = lab.check("weighted_mean", weighted_mean)

# %% [markdown]
# The two halves make a federation. Here is **your** FedAvg, on the real digits, with all fifty devices in every round:
# Exercise 12.3 of the book, image classification, in eight lines.

# %%
pixels, test_pixels = clients.x.flatten(2), test_set.x.flatten(1)
w, mine = torch.zeros(64, 10), []
for _ in range(30):
    devices = zip(pixels, clients.y, clients.num_examples, strict=True)
    updates = [client_update(w, x[:n], y[:n], epochs=5, lr=0.5).flatten() for x, y, n in devices]
    w = w + weighted_mean(torch.stack(updates), clients.num_examples).view_as(w)
    mine.append(((test_pixels @ w).argmax(1) == test_set.y).float().mean().item())
lab.claim(mine[-1] > 0.8, "thirty rounds of softmax FedAvg read more than 80 % of all digits")
viz.curve({"your FedAvg": mine}, x="round", y="accuracy on all ten digits",
          title=f"Devices with two digits each make a model that reads {mine[-1]:.0%}")

# %% [markdown]
# The kit's round has the same shape: select, train, aggregate. It trains the network with 2,410 weights and picks ten
# devices a round.

# %%
viz.source(rounds.run)

# %% [markdown]
# ## 3 · FedSGD against FedAvg · 10 min
#
# The book introduces federated learning with *one gradient* per device and round: $w \leftarrow w - \eta \sum_k
# \frac{n_k}{m} g_k$. That is **FedSGD**. It is FedAvg with one epoch (E = 1) and the whole data as one batch (B = all):
# the average of the updates *is* the averaged gradient, times $-\eta$. Check it on a number rather than believe it.

# %%
five = torch.arange(5)
uplink = local.train_cohort(net, clients, w0, five, rng=rng, epochs=1, batch_size=None, lr=0.1)
n = uplink.num_examples
gradients = torch.stack([local.gradient(net, w0, *clients[k]) for k in five])
difference = (aggregators.mean(uplink.updates, n) + 0.1 * (n / n.sum()) @ gradients).abs().max().item()
lab.claim(difference < 1e-6, "FedSGD is FedAvg with E = 1 and B = all")
print(f"largest difference between the two, over 2,410 weights: {difference:.1e}")

# %% [markdown]
# Each call over the network costs time and energy. So count **rounds until the model reads 85 %**. Every setting gets the
# learning rate that suited it best on other seeds (`benchmarks/fedavg_rounds.py` made those trials).

# %%
def federate(owner, *, epochs, batch_size, lr, per_round=10, num_rounds=60, seed=0):
    """Train the network by FedAvg over the devices of `owner`; returns the history."""
    shares = partition.clients(train_set, owner)
    work = partial(local.train_cohort, net, shares, epochs=epochs, batch_size=batch_size, lr=lr)
    return rounds.run(w0, train=work, select=selection.uniform(len(shares), per_round), rounds=num_rounds,
                      evaluate=accuracy, rng=torch.Generator().manual_seed(seed), progress=False)


mixed = partition.iid(train_set.y, num_clients=50, rng=rng)
fedsgd = federate(mixed, epochs=1, batch_size=None, lr=0.5)
print(f"FedSGD, every device has all digits: {fedsgd.first_round_above('accuracy', 0.85)} rounds to 85 %")

# %% [markdown]
# **Predict.** Now each device makes five passes over its pictures in batches of ten: fifteen steps a round instead of
# one. Rounds to 85 %?

# %%
lab.predict("fedavg_iid", "Rounds to 85 % with E = 5, B = 10, all digits everywhere?",
            options={"1 or 2 (fifteen times fewer)": (1, 2), "3 to 8": (3, 8), "9 to 16": (9, 16),
                     "hardly fewer": (17, torch.inf)})

# %%
fedavg = federate(mixed, epochs=5, batch_size=10, lr=0.5)
curves = {"FedSGD": fedsgd.curve("accuracy")[:40], "FedAvg": fedavg.curve("accuracy")[:40]}
needed = fedavg.first_round_above("accuracy", 0.85)
lab.reveal("fedavg_iid", needed, unit="rounds", figure=viz.curve(
    curves, x="round", y="accuracy", target=0.85,
    title=f"Mixed data: local work cuts the rounds to {needed}"))

# %% [markdown]
# **Predict.** And with two digits on each device? Over five seeds FedSGD needs 26 to 32 rounds there.

# %%
lab.predict("fedavg_shards", "Rounds to 85 % with E = 5, B = 10, two digits each?",
            options={"as before, at most 6": (1, 6), "7 to 20": (7, 20),
                     "21 to 40 (no gain left)": (21, 40), "more than 40, or never": (41, torch.inf)})

# %%
fedsgd2 = federate(owner, epochs=1, batch_size=None, lr=0.5)
fedavg2 = federate(owner, epochs=5, batch_size=10, lr=0.5)
curves = {"FedSGD": fedsgd2.curve("accuracy")[:40], "FedAvg": fedavg2.curve("accuracy")[:40]}
needed2 = fedavg2.first_round_above("accuracy", 0.85)
lab.reveal("fedavg_shards", needed2, unit="rounds", figure=viz.curve(
    curves, x="round", y="accuracy", target=0.85,
    title=f"Two digits each: {needed2} rounds, and a rough ride"))

# %% [markdown]
# Local work still pays, but less. In a round, each device pulls the model towards its own two digits; the longer it
# works, the further it pulls. The average of these pulls is not where one training on all data would go. This is **client
# drift**.

# %%
lab.quiz("drift")

# %% [markdown]
# ## 4 · C, E and B · 8 min
#
# Three numbers steer FedAvg: **C**, the share of devices in a round; **E**, local epochs; **B**, the local batch. Move
# them. Each picture is a whole run of thirty rounds, computed when you let go of the slider.

# %%
deals = {"two digits each": owner, "all digits everywhere": mixed,
         "in between (Dirichlet 0.3)": partition.dirichlet(train_set.y, num_clients=50, alpha=0.3,
                                                           rng=rng)}


def thirty_rounds(data, devices_per_round=10, epochs=5, batch=10, lr=0.5):
    history = federate(deals[data], epochs=epochs, batch_size=None if batch == "all" else batch, lr=lr,
                       per_round=devices_per_round, num_rounds=30)
    got = history.curve("accuracy")
    return viz.curve({data: got}, x="round", y="accuracy", target=0.85,
                     title=f"E = {epochs}, B = {batch}: {got[-1]:.0%} after 30 rounds")


lab.explore(thirty_rounds, data=list(deals), devices_per_round=(1, 50), epochs=(1, 20),
            batch=[5, 10, 20, "all"], lr=[0.05, 0.1, 0.2, 0.5, 1.0])

# %% [markdown]
# One run is one throw of the dice. This is what five seeds say, recorded by `benchmarks/fedavg_rounds.py`, with the runs
# you just made laid on top.

# %%
recorded = lab.recorded("fedavg_rounds")
live = {"all digits everywhere": {"E=1 B=all": fedsgd.first_round_above("accuracy", 0.85),
                                  "E=5 B=10": needed},
        "two digits each": {"E=1 B=all": fedsgd2.first_round_above("accuracy", 0.85),
                            "E=5 B=10": needed2}}
viz.spread(recorded["rounds"], live=live, y="rounds to 85 %",
           title="Local work cuts rounds by half or more, most on mixed data (recorded, five seeds)")

# %% [markdown]
# The paper reports 10 to 100 times fewer rounds on MNIST. Its devices hold 600 examples each, so an epoch is 60 steps;
# ours hold 29 and an epoch is 3.

# %% [markdown]
# ## 5 · How fast is it? · 5 min
#
# A slider that trains ten devices thirty times must not take a minute. This is the loop one would write first: for each
# device a DataLoader and an optimizer.

# %%
def one_by_one(epochs=5):
    updates = []
    for k in range(len(clients)):
        model, data = flat.assign(net, w0), TensorDataset(*clients[k])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(epochs):
            for x, y in DataLoader(data, batch_size=10, shuffle=True, generator=rng):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        updates.append(flat.ravel(model) - w0)
    return torch.stack(updates)

# %% [markdown]
# The kit trains the fifty as a **cohort**. Its `batched` path stacks their weights into one array, so that PyTorch takes a
# step of all fifty at once. Its `native` path is C, compiled for your processor if a compiler is there, and trains one
# device after the other. Batches are drawn the same way; tests hold all paths equal to the plain loop to 0.000001.
#
# **Predict.** One round, all fifty devices, five passes each: how many times faster is the kit on *your* computer?

# %%
lab.predict("speedup", "The plain loop's time, divided by the kit's?",
            options={"at most 3 times": (0, 3), "3 to 10 times": (3, 10), "10 to 40 times": (10, 40),
                     "more than 40 times": (40, 10_000)})

# %%
best, why = cohort.choose(net, w0, clients.x, batch_size=10)
print(why)
all_fifty = partial(cohort.train_cohort, net, w0, clients.x, clients.y, clients.num_examples,
                    epochs=5, batch_size=10, lr=0.5, rng=rng)
ways = {"plain loop": one_by_one} | {path: partial(all_fifty, method=path) for path in ("batched", best)}
spent = {way: [] for way in ways}
for _ in range(5):
    for way, train_all in ways.items():
        begin = time.perf_counter()
        train_all()
        spent[way].append(time.perf_counter() - begin)

# %% [markdown]
# Timing is noisy: other programs take their turns, and the first run is always slow. So the ways took turns, and what
# counts is the middle one of five ratios. The range says how far to trust it.

# %%
ratios = sorted(plain / fast for plain, fast in zip(spent["plain loop"], spent[best], strict=True))
ms = {way: 1000 * sorted(times)[2] for way, times in spent.items()}
lab.reveal("speedup", ratios[2], unit="times", figure=viz.bars(
    ms, y="milliseconds a round", log=True,
    title=f"{ratios[2]:.0f} times faster (five tries: {ratios[0]:.0f} to {ratios[-1]:.0f})"))

# %% [markdown]
# Not one multiplication is saved. A step of this network is some 50,000 of them, a few millionths of a second; the rest
# of the plain loop's time goes into *asking* for it, in dozens of small requests to PyTorch. A cohort asks for fifty
# devices at once, or once for everything. With a larger network there is less to gain: on a convolutional one of 1.7
# million weights, where arithmetic is nearly all the work, it takes a second core (`benchmarks/federated.py`).

# %% [markdown]
# ## 6 · The bill · 6 min
#
# **Your turn.** Every chosen device receives all weights and sends back an update of the same size, 32-bit numbers. How
# many bytes is that in total?

# %% exercise="traffic"
def traffic(num_weights, devices_per_round, num_rounds):
    """Bytes that cross the network in a whole run, both directions together. Returns an int."""
    one_way = ...
    return ...

# %%
traffic = lab.check("traffic", traffic)

# %% [markdown]
# **Predict.** The alternative is to send every picture to the server, once: 1,438 pictures of 64 bytes. How does FedAvg's
# bill for reaching 85 % on skewed data compare with that?

# %%
lab.predict("bill", "Bytes of FedAvg, divided by the bytes of all pictures?",
            options={"a tenth: that is why one federates": (0, 0.3), "about the same": (0.3, 3),
                     "3 to 15 times": (3, 15), "more than 15 times": (15, 10_000)})

# %%
pictures = train_set.x.numel()                                        # one byte a pixel
bill = {"all pictures, once": pictures, "FedAvg to 85 %": traffic(len(w0), 10, needed2),
        "FedSGD to 85 %": traffic(len(w0), 10, live["two digits each"]["E=1 B=all"])}
lab.claim(bill["FedAvg to 85 %"] == needed2 * (fedavg2.bytes_up[0] + fedavg2.bytes_down[0]),
          "the kit counts the same bytes")
lab.reveal("bill", bill["FedAvg to 85 %"] / pictures, unit="times", figure=viz.bars(
    bill, y="bytes", log=True,
    title="On small pictures, federated learning costs more traffic, not less"))

# %% [markdown]
# Federated learning is not, by itself, a way to save bytes. Here it buys something else: no picture left its device. With
# phone photos of 3 MB each the same bill would be a bargain. What the updates still tell about the pictures is the
# subject of lab 19.
#
# **What to keep.** FedAvg trades local work for rounds. The trade is good when devices see similar data, and fair when
# they do not.

# %%
lab.quiz("what_leaves")

# %% [markdown]
# ## Questions
#
# 1. In the average, a device with 60 examples counts twice as much as one with 30. Who could abuse that, and how?
# 2. With C = 1 device a round, what does the algorithm remind you of? Why is its curve so rough on skewed data?
# 3. FedAvg with E = 20 does sixty steps per device and round. For which device would you still choose FedSGD?
#
# **Exercise.** Add *FedProx*: pass `prox=0.1` to `local.train_cohort` and read in its source what the term does. Does it
# help with two digits each at E = 20? Use three seeds before you answer.
#
# **What to try next.** Give every device its own `partition.dirichlet` share with alpha from 0.1 to 10, and draw rounds
# to 85 % against alpha. Lab 12 is about what you will see.
