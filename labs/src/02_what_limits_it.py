# %% [markdown]
# # 02 · What limits it: memory, time, and small data
#
# **You will** take the memory of training apart, byte by byte, see which nets fit on which of eight devices, and then
# meet the limit that no faster chip removes: a device has little data, all of one kind, with wrong labels in it.
#
# **Objectives.** After this lab you can
# - name the five things that fill memory in training, and say which grow with the batch;
# - tell what an inference runtime throws away, and why it therefore cannot train;
# - estimate the time of one update on a named board and hold it against a deadline;
# - show overfitting, label noise and skewed data on real numbers.
#
# **Prerequisites.** Lab 00.
#
# **Time.** About 40 minutes; the computer works about 15 seconds of it.
#
# **Where we are.** Section 12.2.2 of *On-Device Learning* (Limitations); in volume 2, "Edge Intelligence": *Design
# Constraints*.

# %% tags=["imports"]
import torch

from odl_kit import lab, viz
from odl_kit.budget import BOARDS
from odl_kit.data import datasets, partition
from odl_kit.learners import memory, plan, train
from odl_kit.models import layers, nets

# %%
rng = lab.start("02_what_limits_it")      # rng: the seeded source of the random numbers below

# %% [markdown]
# ## 1 · Where the bytes go · 8 min
#
# Three nets for the same 8x8 digits: a multilayer perceptron, a small convolutional net, and a net of depthwise separable
# convolutions, which phones and microcontrollers use because it needs so few weights.

# %%
digits = datasets.load("digits")
train_set, test_set = datasets.split(digits, test=0.2, rng=rng)
zoo = {"mlp": nets.mlp(64, 32, 10, rng=rng), "tiny_cnn": nets.tiny_cnn(1, 10, rng=rng),
       "ds_cnn": nets.ds_cnn(1, 10, rng=rng)}
viz.bars({name: sum(p.numel() for p in net.parameters()) for name, net in zoo.items()}, y="weights",
         title="Three nets for the same task")

# %% [markdown]
# While a net is *used*, a layer's output can be thrown away as soon as the next layer has read it. While it *learns*, the
# backward pass will come by once more and ask what each layer saw. So five things fill the memory:
#
# - the **weights**;
# - the **saved activations**: what the backward pass will ask for;
# - a **gradient** for every weight that learns;
# - the **optimizer**: momentum keeps one more number for each weight, plain SGD keeps nothing;
# - the **workspace**: the numbers that are passing from one layer to the next just now.
#
# `memory.memory_report` counts them from the list of layers. In this section it counts what PyTorch would keep.
#
# The book says that training takes 4 to 12 times the memory of inference. **Predict** for our `tiny_cnn`, at a batch of
# 16:

# %%
lab.predict("ratio16",
            "tiny_cnn, batch 16: memory for training divided by memory for inference on one image?",
            options={"below 4": (0, 4), "4 to 12, as the book says": (4, 12), "12 to 40": (12, 40),
                     "above 40": (40, 1000)})

# %%
def ratio(name, batch):
    """Memory for training on `batch` images, divided by memory for using the net on one."""
    learn = memory.memory_report(zoo[name], test_set.x[:batch])
    nothing_learns = plan.UpdatePlan()
    return learn.peak / memory.memory_report(zoo[name], test_set.x[:1], nothing_learns).peak


by_batch = {name: {batch: ratio(name, batch) for batch in (1, 2, 4, 8, 16, 32)} for name in zoo}
lab.reveal("ratio16", by_batch["tiny_cnn"][16], unit="times", figure=viz.curve(
    by_batch, x="batch size", y="training / inference", target=12,
    title="The ratio is no constant: it grows with the batch"))

# %% [markdown]
# There is no single ratio. `ds_cnn` has few weights, but many layers that pass on large maps: it pays mostly for saved
# activations, and those grow with the batch. `mlp` saves only 96 numbers an image: at a small batch it pays mostly for
# weights and gradients, which do not grow.
#
# **Change one thing.** Which of the five takes most at batch 1, which at 64?

# %%
def anatomy(net, batch=1):
    parts = memory.memory_report(zoo[net], train_set.x[:batch]).parts()
    most = max(parts, key=parts.get).replace("_", " ")
    return viz.bars({purpose: size / 1024 for purpose, size in parts.items()}, y="KiB",
                    title=f"{net}, batch {batch}: most bytes are {most}")


lab.explore(anatomy, net=list(zoo), batch=(1, 64))

# %% [markdown]
# **Your turn.** One linear layer reads `inputs` numbers and gives `outputs`, without bias; numbers have 4 bytes. Count
# what training needs with plain SGD: the weights, one gradient for each, and the saved input of every example in the
# batch. (SGD without momentum keeps nothing else.)

# %% exercise="training_bytes"
def training_bytes(inputs, outputs, batch):
    """Bytes for weights, gradients and saved inputs of one linear layer, 4 bytes a number; an int."""
    weights = ...
    saved = ...
    return ...

# %%
training_bytes = lab.check("training_bytes", training_bytes)

# %% [markdown]
# `mlp` is two such layers, 64 to 32 and 32 to 10. The kit counts a little more than your formula. What did you leave out?

# %%
by_formula = training_bytes(64, 32, 16) + training_bytes(32, 10, 16)
counted = memory.memory_report(zoo["mlp"], test_set.x[:16])
by_kit = counted.weights + counted.gradients + counted.saved_activations
lab.claim(by_kit - by_formula == 4 * 2 * (32 + 10), "only the 42 biases and their gradients are missing")
print(f"formula: {by_formula:,} bytes; kit: {by_kit:,} bytes")
print(f"the {by_kit - by_formula} bytes between them are 42 biases and their gradients")

# %% [markdown]
# ## 2 · On the shelf: eight devices · 6 min
#
# A Nano 33 BLE Sense has 256 KiB of working memory (SRAM) and 1 MiB of flash, of which a program may use 960 KiB. Flash
# keeps its content without power, but writing to it is slow and wears it out. So weights that change belong in SRAM.
#
# From here on, `rule="device"` counts what a C program written for the device would keep, not PyTorch.
#
# **Change one thing.** `ds_cnn` has the fewest weights. Does it need the least memory? Go to the UNO R4 (32 KiB): which
# nets fit at batch 1, which at batch 8?

# %%
def on_board(net="ds_cnn", board="nano33", batch=8, momentum=False):
    report = memory.memory_report(zoo[net], train_set.x[:batch], rule="device",
                                  momentum=0.9 if momentum else 0.0)
    return lab.budget_bar(report, BOARDS[board])


lab.explore(on_board, net=list(zoo), board=list(BOARDS), batch=(1, 64), momentum=False)

# %% [markdown]
# Can we save less? Let only the biases and the head (the last layer) of `tiny_cnn` learn, and freeze all other weights
# with `requires_grad=False`. The gradient of a bias does not need what its layer saw.
#
# **Predict.** How much does *PyTorch* still keep for the backward pass, compared with training everything?

# %%
lab.predict("biases",
            "tiny_cnn, batch 16, biases and head learn: what PyTorch saves, in % of full training?",
            options={"less than 10 %": (0, 10), "10 to 40 %": (10, 40), "40 to 80 %": (40, 80),
                     "80 to 100 %": (80, 101)})

# %%
batch = train_set.x[:16]
plans = {"everything": plan.full(zoo["tiny_cnn"]), "biases and head": plan.bias_only(zoo["tiny_cnn"]),
         "head only": plan.head_only(zoo["tiny_cnn"])}


def saved_kib(plan, rule):
    return memory.memory_report(zoo["tiny_cnn"], batch, plan, rule=rule).saved_activations / 1024


saved = {rule: {name: saved_kib(p, rule) for name, p in plans.items()} for rule in ("torch", "device")}
share = {rule: 100 * saved[rule]["biases and head"] / saved[rule]["everything"] for rule in saved}
lab.claim(share["torch"] > 95 and share["device"] < 40, "freezing weights helps the device, not PyTorch")
lab.reveal("biases", share["torch"], unit="%", figure=viz.bars(
    saved, y="saved for the backward pass, KiB",
    title="Biases and head: PyTorch keeps all it kept before, a device program a quarter"))

# %% [markdown]
# PyTorch keeps a convolution's input even where its weight is frozen, as long as something before it learns. A program
# for the device need not. It keeps less even when everything learns: of a ReLU it keeps one bit a number, where PyTorch
# keeps the number. With the head alone no gradient goes further down, and both keep 1 KiB; lab 05 asks how well such
# a net learns. This is one reason why on-device training has frameworks of its own (labs 21 and 22).

# %% [markdown]
# ## 3 · Why the usual runtimes cannot train · 4 min
#
# TensorFlow Lite Micro, TVM's micro runtime and MCUNet's engine run nets on microcontrollers. None of them was built to
# learn there. They reach their small size by throwing away, before the program is written to the chip, what learning
# would need:
#
# - weights become constants in flash, which the program does not rewrite;
# - BatchNorm is folded into the convolution before it, so its own scale can no longer move;
# - buffers are shared: one layer's output overwrites another layer's input, which the backward pass would ask for;
# - there is no code for the gradient of anything.
#
# What lies in SRAM then, for `tiny_cnn` and one image? Used, only the shared buffers. Trained, the weights move in from
# flash, and gradients and saved activations come on top. (Not all of it peaks at the same moment, so the need is a little
# below the height of the bar.)

# %%
use = memory.memory_report(zoo["tiny_cnn"], batch[:1], plan.UpdatePlan(), rule="device")
learn = memory.memory_report(zoo["tiny_cnn"], batch[:1], rule="device")
in_sram = {"inference": use.parts() | {"weights": 0},      # weights that do not change lie in flash
           "training": learn.parts()}
viz.bars({name: {part: size / 1024 for part, size in parts.items()} for name, parts in in_sram.items()},
         y="KiB of SRAM", stacked=True,
         title=f"Training needs {learn.sram / use.sram:.0f} times the SRAM of inference")

# %%
lab.quiz("runtimes")

# %% [markdown]
# ## 4 · In time? · 6 min
#
# Suppose a robot arm must update its model every 10 milliseconds. The work can be counted: one multiply-accumulate (MAC)
# each time a weight meets a number. A linear layer uses each weight once an image, a convolution at every place of its
# map. The way back takes about twice as much again. **The time is an estimate**: cycles per MAC depend on the code and
# the chip. With plain C code and 32-bit numbers a few cycles are usual; without a floating-point unit (rp2040, uno_r3),
# some tens. Lab 24 counts the instructions; time itself only a real board can tell.
#
# **Change one thing.** The slider sets the cycles of all boards. Which net misses the deadline on the Nano 33, and from
# how many cycles on? This counts time alone: whether a net fits, section 2 has shown.

# %%
def update_ms(net, board, batch, cycles_per_mac):
    """Estimated milliseconds of one SGD step: forward, and twice that backward."""
    macs = sum(layer.macs for layer in layers.trace(zoo[net], test_set.x[:1]))      # of one image
    return 1000 * 3 * batch * macs * cycles_per_mac / BOARDS[board].clock_hz


def deadline(net, batch=1, cycles_per_mac=5):
    times = {board: update_ms(net, board, batch, cycles_per_mac) for board in BOARDS}
    late = sum(ms > 10 for ms in times.values())
    return viz.bars(times, y="ms for one update (estimate)", log=True, target=10,
                    title=f"{late} of {len(times)} devices miss a deadline of 10 ms")


lab.explore(deadline, net=["tiny_cnn", "ds_cnn", "mlp"], batch=(1, 64), cycles_per_mac=(1, 40))

# %% [markdown]
# ## 5 · The small, skewed, noisy local data set · 12 min
#
# Memory and time are matters of engineering. This limit is not: a device sees only its own world.
#
# **Predict.** The perceptron learns from 20 images until it knows them by heart (100 % right). How often is it right on
# new ones?

# %%
lab.predict("twenty", "Accuracy on new digits after learning 20 images by heart?",
            options={"about 100 %": (95, 100), "75 to 95 %": (75, 95), "40 to 75 %": (40, 75),
                     "below 40 %": (0, 40)})

# %%
def by_heart(examples, wrong_labels=0.0, epochs=100):
    """Train on the first images, a share of them labelled at random; % right (on these, on new)."""
    own = torch.Generator().manual_seed(0)
    net, x, y = nets.mlp(64, 32, 10, rng=own), train_set.x[:examples], train_set.y[:examples].clone()
    noisy = torch.rand(examples, generator=own) < wrong_labels
    y[noisy] = torch.randint(10, (int(noisy.sum()),), generator=own)
    train.fit(net, x, y, epochs=epochs, batch_size=16, lr=0.1, rng=own, progress=False)
    sides = (x, y), (test_set.x, test_set.y)
    return tuple(100 * train.evaluate(net, *side)["accuracy"] for side in sides)


# %%
sizes = (20, 50, 100, 300, 1000)
seen, new = zip(*(by_heart(n) for n in sizes), strict=True)
lab.claim(seen[0] > 95 and new[0] < 80, "twenty images are learned by heart and do not suffice")
lab.reveal("twenty", new[0], unit="%", figure=viz.curve(
    {"on its own images": dict(zip(sizes, seen, strict=True)),
     "on new images": dict(zip(sizes, new, strict=True))},
    x="images on the device", y="accuracy, %",
    title="Every set is learned by heart; with more images the new ones follow"))

# %% [markdown]
# (One run for each size: a small dip in the curve is chance.)
#
# **Predict.** Now 300 images, but the owner was careless: a fifth of the labels is random. (One random label in ten is
# right by chance.) How much accuracy on new digits is lost?

# %%
lab.predict("careless", "Points of accuracy lost on new digits, when 20 % of 300 labels are random?",
            options={"none, the errors average out": (-5, 3), "3 to 10": (3, 10), "10 to 30": (10, 30),
                     "more than 30": (30, 100)})

# %%
shares = (0.0, 0.1, 0.2, 0.4)
own_labels, truth = zip(*(by_heart(300, share) for share in shares), strict=True)
lab.reveal("careless", truth[0] - truth[2], unit="points", figure=viz.curve(
    {"on its own labels": dict(zip(shares, own_labels, strict=True)),
     "on new images, true labels": dict(zip(shares, truth, strict=True))},
    x="share of random labels", y="accuracy, %",
    title="The net begins to learn the errors, and new images pay for it"))

# %% [markdown]
# With 20 % random labels, a net that ignored them would agree with about 82 % of its own labels. This one agrees with
# more: it has learned some errors, too.
#
# **Change one thing.** Can you rescue the careless owner by stopping earlier? And how would the owner know when?

# %%
def rescue(images=300, wrong_labels=0.2, epochs=100):
    own, truth = by_heart(images, wrong_labels, epochs)
    return viz.bars({"on its own labels": own, "on new images": truth}, y="accuracy, %",
                    title=f"After {epochs} passes: {truth:.0f} % on new images")


lab.explore(rescue, epochs=(1, 100), wrong_labels=[0.0, 0.1, 0.2, 0.4], images=(20, 500, 20))

# %% [markdown]
# And the data of one device are not like the data of all. Statisticians say *independent and identically distributed*
# (iid) when they are. (The chapter says that decentralized data lead to a need for iid data; it means that methods
# *assume* iid data, and decentralized data are not.)
#
# To study skew, one deals out a data set at random. For each class, a *Dirichlet distribution* draws how much of it
# each device gets. Its number alpha sets the skew: small is very skewed, large is nearly iid. **Change one thing.** From
# which alpha on has every device every class?

# %%
def deal(alpha=0.3):
    owner = partition.dirichlet(train_set.y, num_clients=30, alpha=float(alpha),
                                rng=torch.Generator().manual_seed(0))
    return viz.label_histograms(owner, train_set.y,
                                title=f"Thirty devices, Dirichlet with alpha = {alpha}")


lab.explore(deal, alpha=[0.1, 0.3, 1, 10, 100])

# %% [markdown]
# What does skew do to a model? Train on **one person's** gestures and let others use it. The data are *simulated*
# accelerometer recordings of 24 people, each with a style of their own. There are eight gestures, so guessing is right
# 12.5 % of the time. About 90 recordings of a person are there to learn from, about 30 to test on. We take the first
# 8 people.
#
# **Predict.** Trained on one person, tested on new recordings of the same person, then of everybody else. How many points
# of accuracy are lost?

# %%
lab.predict("one_person", "Points of accuracy lost from the same person to everybody else, on average?",
            options={"none": (-5, 3), "3 to 15": (3, 15), "15 to 40": (15, 40),
                     "more than 40": (40, 100)})

# %%
motion = datasets.load("motion")
train_motion, test_motion = datasets.split(motion, test=0.3, rng=rng)


def one_person(user):
    """Train on one person's gestures; accuracy in % on new ones of that person, and of everybody else."""
    own, mine = torch.Generator().manual_seed(0), train_motion.subset(train_motion.user == user)
    net = nets.mlp(motion.x[0].numel(), 32, len(motion.classes), rng=own)
    train.fit(net, mine.x, mine.y, epochs=60, batch_size=16, lr=0.05, rng=own, progress=False)
    sides = test_motion.subset(test_motion.user == user), test_motion.subset(test_motion.user != user)
    return [100 * train.evaluate(net, side.x, side.y)["accuracy"] for side in sides]


home, away = torch.tensor([one_person(user) for user in motion.user.unique()[:8]]).T
lab.claim(home.mean() > away.mean(), "a model of one person serves that person best")
lab.reveal("one_person", float(home.mean() - away.mean()), unit="points", figure=viz.bars(
    {f"person {k}": {"the same person": float(home[k]), "everybody else": float(away[k])}
     for k in range(8)}, y="accuracy, %",
    title=f"{home.mean():.0f} % with the same person, {away.mean():.0f} % with everybody else"))

# %% [markdown]
# **What to keep.** Memory: training keeps what the backward pass asks for, and that grows with the batch. Time: count
# MACs, then measure. Data: few, skewed and noisy, and no faster chip helps. Transfer learning (lab 08) and federated
# learning (lab 11) are two answers to the last.

# %%
lab.quiz("which_limit")

# %% [markdown]
# ## Questions
#
# 1. Which of the five things in memory would vanish if every update were applied as soon as its gradient is known?
# 2. A phone has plenty of memory. Name two limits from this lab that it still has.
# 3. The careless owner could label fewer images, more carefully. How would you find out which is better, with the code
#    above?
#
# **Exercise.** Find the largest batch with which `ds_cnn` trains on a Nano 33 BLE Sense, with and without momentum. Then
# find out what momentum costs on `mlp`.
#
# **What to try next.** Bring your own data: `datasets.from_csv` or `datasets.from_image_folder`, and run section 5 on
# them.
