# %% [markdown]
# # 06 · Memory for compute: in pieces, again, or layer by layer
#
# **You will** train with a sixteenth of the activations, with a third, in the end with a fiftieth, and see what each way
# costs: hardly anything, computing time, or accuracy.
#
# **Objectives.** After this lab you can
# - train on a large batch in small pieces, and say what that does *not* save;
# - read and write a schedule: which layers are kept, which are run again, and when;
# - say what recomputation holds and costs, for segments of equal length and for the best schedule of a byte budget;
# - train a net layer by layer, and judge what its layers learned.
#
# **Prerequisites.** Lab 02.
#
# **Time.** About 45 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.3.2 of *On-Device Learning* (Modifying Optimization Processes: *Layer-Wise Training* and
# *Trading Computation for Memory*); in volume 2, "Edge Intelligence": *Model Adaptation*.

# %% tags=["imports"]
import copy
import time

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, pretrained
from odl_kit.learners import layerwise, memory, recompute, schedules, small_steps, tradeoff, train
from odl_kit.models import chain, flat, nets

# %%
rng = lab.start("06_memory_for_compute")
recorded = lab.recorded("memory_for_compute")

# %% [markdown]
# ## 1 · The batch in pieces · 7 min
#
# A net of 13 convolutions was trained on clean digits. It now adapts to a camera that turns, inverts and blurs them:
# sixteen images a step. Lab 02 named the five things that fill the memory. Here they are for this net. As PyTorch does,
# we keep 4 bytes a number. (The peak is less than the sum of the parts: they are not at their highest at the same moment.)

# %%
data = datasets.load("sensor_shift")
rest, test_set = datasets.split(data.subset(data.user == 1), test=0.35, rng=rng)
train_set, validation = datasets.split(rest, test=0.231, rng=rng)
net = flat.assign(nets.mobile_net(1, 10, norm=None, rng=rng), pretrained.load("sensor_shift"))
x, y = train_set.x[:16], train_set.y[:16]
whole = memory.memory_report(net, x)
print(whole)

# %% [markdown]
# The loss of a batch is a mean over its images. So its gradient is a mean, too, and can be computed in pieces: sixteen
# times one image, the gradients added up (*gradient accumulation*). For pieces of $n_k$ of the $N$ images:
# $g = \sum_k \frac{n_k}{N}\, g_k$.
#
# **Predict.** The saved activations fall to a sixteenth. What is left of the **peak**, the most bytes at any moment?

# %%
lab.predict("pieces", "Peak memory in sixteen pieces of one image, in % of the whole batch?",
            options={"about 6 %, a sixteenth": (0, 8), "8 to 20 %": (8, 20), "20 to 50 %": (20, 50),
                     "more than half": (50, 100)})

# %%
one = memory.memory_report(net, x[:1])
loss = train.loss_of(net(x), y)
at_once = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])
in_pieces = small_steps.gradient(net, x, y, size=1)
difference = float((in_pieces - at_once).norm() / at_once.norm())
lab.claim(difference < 1e-4, "the pieces add up to the gradient of the batch")
print(f"the two gradients differ by {difference:.0e} of their length: rounding")
lab.reveal("pieces", 100 * one.peak / whole.peak, unit="%", figure=viz.bars(
    {name: {part: size / 1024 for part, size in report.parts().items() if size}
     for name, report in {"16 images at once": whole, "one at a time": one}.items()},
    y="KiB, each part at its highest", stacked=True,
    title="In pieces, weights and gradients are most of what is left"))

# %% [markdown]
# The report counts the gradients once: a device adds each layer's part to the sum as soon as it is known. (The kit's
# function is written to be read, and holds copies.)
#
# The gradient is the same, and so are the multiply-accumulates (MACs). Is the time? A computer like this one is built for
# large matrices. A microcontroller works on one number or a few at a time anyway, and should lose less; we have not
# measured one.

# %%
for size in (16, 4, 1):
    start = time.process_time()
    small_steps.gradient(net, x, y, size=size)
    print(f"in pieces of {size:>2}: {1000 * (time.process_time() - start):.0f} ms of processor time")

# %% [markdown]
# Now weights and gradients weigh more than the activations. Must all gradients of a step be there at once? Update each
# weight **in place**, as soon as its gradient is known, and drop the gradient. The way back never asks for the weights
# above again. Here is one step on all sixteen images:

# %%
ordinary, direct = copy.deepcopy(net), copy.deepcopy(net)
train.loss_of(ordinary(x), y).backward()
torch.optim.SGD(ordinary.parameters(), lr=0.01).step()
most = small_steps.in_place(direct, x, y, lr=0.01)
lab.claim(torch.equal(flat.ravel(direct), flat.ravel(ordinary)), "in place is the same step")
print(f"the same weights, bit for bit; gradients held: {most:,} bytes instead of {whole.gradients:,}")
viz.source(small_steps.in_place)

# %%
lab.quiz("both")

# %% [markdown]
# Pieces fail in one case. A BatchNorm in training takes the mean over what it sees, and it would see one image. The kit
# refuses. Our net has its norms **folded**, as nets on microcontrollers do: after training, each was merged into the
# weights of its convolution.

# %% [markdown]
# ## 2 · Forget, and run again · 9 min
#
# Can we hold less for *one* image, without changing the net? The way back asks each layer what it saw. If that was
# thrown away, it can be computed **again**, from an earlier activation that was kept. Cut the net into segments. Keep only
# the input of each. When the way back reaches a segment, run it again, this time keeping everything inside.
#
# In the kit a **schedule** is a tuple over the layers. A number is a layer that is kept, a tuple is a segment that will
# be run again: `((0, 1, 2), (3, 4, 5), 6, 7, 8)`. The claim of Chen et al. 2016: cut $n$ layers into $\sqrt n$
# segments, and the memory falls to $O(\sqrt n)$ for one more forward pass.

# %%
WORDS = {"run": "forward, forgotten", "keep": "forward, kept", "back": "backward",
         "held": "activations held", "input": "input held"}


def picture(schedule, title, names=None):
    rows = schedules.timeline(schedule)
    return viz.grid({names[i] if names else f"layer {i}": [WORDS.get(state) for state in row]
                     for i, row in enumerate(rows)}, x="step", title=title, kinds=WORDS.values())


picture(schedules.sqrt(16), "Sixteen layers in four segments: three are run twice")

# %% [markdown]
# Read it from left to right. Three segments are run and forgotten, the last is kept. Then back, and each segment is run
# once more, just before it is needed.
#
# **Predict.** A net of 36 equal dense layers in six segments of six. What is held at the worst moment, in % of what plain
# backpropagation holds?

# %%
lab.predict("root", "36 equal layers, six segments: bytes held, in % of plain backpropagation?",
            options={"about 17 %, one segment of six": (0, 22), "22 to 45 %": (22, 45),
                     "45 to 70 %": (45, 70), "more than 70 %": (70, 100)})

# %%
def dense(n, width=16, examples=64):
    """n equal layers as a list of units, and a batch of examples for them."""
    own = torch.Generator().manual_seed(0)
    layers = chain.units(nets.mlp(width, (width,) * (n - 1), width, rng=own))
    return list(layers.values()), torch.rand(examples, width, generator=own)


units, batch = dense(36)
kept, again = (recompute.measure(units, schedule, batch)
               for schedule in (schedules.plain(36), schedules.sqrt(36)))
same = all(torch.equal(a, b) for a, b in zip(kept.gradients, again.gradients, strict=True))
lab.claim(same, "what is run again gives the same gradients, bit for bit")
share = 100 * again.held_bytes / kept.held_bytes
lab.reveal("root", share, unit="%")
print(f"held: {again.held_bytes:,} of {kept.held_bytes:,} bytes; all gradients equal: {same}")

# %% [markdown]
# Six inputs, and five activations in the last segment: eleven instead of 36. With $\sqrt n$ segments, about $\sqrt n$
# inputs are held, and $\sqrt n$ layers of the segment at work. And not a bit of the gradient has changed:
# the same operations on the same numbers. These bytes are **measured**. PyTorch tells us of each tensor that it stores
# for the way back (`saved_tensors_hooks`), and we note when the last user lets go of it.
#
# **See the source.** This class is all there is to recomputation. Where is the segment run for the first time, and why
# does nothing stay behind? Where is it run again?

# %%
viz.source(recompute._Again)

# %% [markdown]
# How does it grow? Four times the layers: four times the bytes, or twice? The third line belongs to the next section.

# %%
grows = {"plain": {}, "sqrt(n) segments": {}, "shrinking segments": {}}
for n in (4, 16, 64, 256):
    units, batch = dense(n)
    for name, plan_of in zip(grows, (schedules.plain, schedules.sqrt, schedules.shrinking), strict=True):
        grows[name][n] = recompute.measure(units, plan_of(n), batch, repeats=0).held_bytes / 1024
ratio = grows["sqrt(n) segments"][256] / grows["sqrt(n) segments"][64]
lab.claim(1.9 < ratio < 2.2, "four times the layers hold twice the bytes")
viz.curve(grows, x="layers n", y="held, KiB", log="xy",
          title=f"From 64 to 256 layers, sqrt(n) segments hold {ratio:.1f} times as much")

# %% [markdown]
# ## 3 · Segments that shrink · 8 min
#
# Segments of equal length waste memory. In the picture above, look at the step where the *first* segment is run again.
# Which inputs are still held then? Only its own: everything above is done. The first segment could be longer than the
# last.
#
# **Your turn.** All layers are equal: what one keeps takes one slot, and so does an input. While segment $j$
# (counted from 0) is run again, the inputs of segments $0 \ldots j$ are held, and all layers of segment $j$. How many
# slots are needed at the worst moment?

# %% exercise="slots"
def slots(lengths):
    """lengths: of the segments, in layers, from the input up.

    Returns the slots needed at the worst moment, an int.
    """
    return max(... for j, length in enumerate(lengths))

# %%
slots = lab.check("slots", slots)

# %%
for lengths in ([6] * 6, [10] * 10, [20] * 5, [9, *range(13, 0, -1)]):
    print(f"{sum(lengths)} layers, segments {lengths}: {slots(lengths)} slots")

# %% [markdown]
# (For six segments of six we measured eleven, not twelve. The very last layer of a net keeps nothing: no layer behind it
# reads its output. And the 9 of the last line is what 100 layers leave over: $13 + 12 + \ldots + 1$ is 91.)
#
# In $B$ slots there is room for segments of $B-1, B-2, \ldots, 1$ layers, $B(B-1)/2$ in all, and none is run more than
# twice. So $n$ layers need about $\sqrt{2n}$ slots and not $2\sqrt n$. `schedules.shrinking(n)` builds that schedule.
#
# **Predict.** A chain of 1,000 equal layers. What is left of the bytes?

# %%
lab.predict("thousand", "1,000 layers in shrinking segments: bytes held, in % of plain?",
            options={"below 1 %": (0, 1), "1 to 3 %": (1, 3), "3 to 8 %": (3, 8), "8 to 30 %": (8, 30)})

# %%
units, batch = dense(1000, examples=256)
kept, again = (recompute.measure(units, schedule, batch)
               for schedule in (schedules.plain(1000), schedules.shrinking(1000)))
left = 100 * again.held_bytes / kept.held_bytes
slower = again.seconds / kept.seconds
lab.claim(4 < left < 5.2, "about 95 % of the bytes are saved")
lab.reveal("thousand", left, unit="%")
print(f"processor time of this run: {slower:.2f} times that of plain backpropagation")

# %% [markdown]
# Gruslys et al. 2016 claim for recurrent nets of 1,000 steps: **95 % of the memory saved, for one third more time**. For
# memory, a chain of 1,000 layers is the same thing, and the bytes are as published. The third can be argued for: the way
# back costs about twice a forward pass, so one more forward pass is 4 instead of 3. That counts MACs. The clock counts
# all that Python and PyTorch do for each layer as well. Five runs, recorded by `benchmarks/memory_for_compute.py`:

# %%
deep = recorded["recomputation"]["1,000 dense layers, batch 256"]
viz.spread({"sqrt(n) segments": deep["sqrt"]["seconds"], "shrinking segments": deep["shrinking segments"]["seconds"]},
           live={"shrinking segments": slower}, y="processor time, plain = 1 (by MACs 1.33)",
           title="One more forward pass takes more than a third more time here")

# %% [markdown]
# **Change one thing.** Twenty-four equal layers, and fewer and fewer slots. From 8 slots on, no layer runs more than twice.
# With fewer, segments are cut into segments again, and layers run three times, four times or more. Where does the price
# explode?
# (How the best schedule for each budget is found, section 4 says.)

# %%
equal_layers = tradeoff.frontier((tradeoff.Cost(1, 1, 1, 1, 1),) * 24)      # one slot each, one unit of work


def squeeze(slots=6):
    best = tradeoff.within(equal_layers, slots)
    return picture(best.schedule, f"{slots} slots: {best.macs / 24:.1f} forward passes")


lab.explore(squeeze, slots=(3, 25))

# %% [markdown]
# ## 4 · The best schedule for a budget · 11 min
#
# Real layers are not equal. These are the units of our net. A block with a shortcut around it is one unit: a cut inside
# would have to keep the shortcut as well. Blocks without one come as their three convolutions: `expand` to more channels,
# `depthwise` (a filter for each channel), `project` to fewer. The `stem` is the first convolution. Which unit is cheap to
# hold, and which is cheap to run again?

# %%
units = chain.units(net)
names, units = list(units), list(units.values())
costs = tradeoff.costs(units, x)
viz.bars({name: {"kept, KiB": cost.kept_bytes / 1024, "forward, kMAC for one image": cost.macs / 1000}
          for name, cost in zip(names, costs, strict=True)}, y="KiB (batch of 16) and kMAC",
         title="Bytes to keep and work to repeat are not shared out alike")

# %% [markdown]
# **Dynamic programming** (DP) finds the best schedule for *every* budget at once. Take the layers $s$ to $t$. Either $s$ is
# kept, or the layers up to some $k$ are run and forgotten, and both parts are smaller problems of the same kind. Segments
# may be cut into segments again. Gruslys et al. do this for equal steps; ours are unequal.
#
# The chapter says that the memory fits "almost any budget". **Predict.** The least that any schedule holds for
# our net, in % of plain backpropagation?

# %%
lab.predict("least", "Least bytes held by any schedule of this net, in % of plain backpropagation?",
            options={"below 5 %, almost any budget": (0, 5), "5 to 20 %": (5, 20), "20 to 50 %": (20, 50),
                     "above 50 %": (50, 100)})

# %%
choices = tradeoff.frontier(costs)
plain_macs = choices[-1].macs
turns = [[recompute.measure(units, choice.schedule, x, repeats=1) for choice in choices] for _ in range(9)]
measured = [min(runs, key=lambda run: run.seconds) for runs in zip(*turns, strict=True)]     # the fastest of nine
lab.claim([m.held_bytes for m in measured] == [c.held_bytes for c in choices],
          "what is predicted is what PyTorch holds, to the byte")
least = 100 * choices[0].held_bytes / choices[-1].held_bytes

# %%
def work(macs):
    """MACs of a whole step, plain = 1: the way back takes about two forward passes."""
    return (macs / plain_macs + 2) / 3


root, held = schedules.sqrt(len(units)), [m.held_bytes / 1024 for m in measured]
lab.reveal("least", least, unit="%", figure=viz.curve(
    {"best for each budget, MACs": (held, [work(choice.macs) for choice in choices]),
     "the same, seconds (fastest of nine)": (held, [m.seconds / measured[-1].seconds for m in measured]),
     "sqrt(n) segments, MACs": ([tradeoff.held_bytes(costs, root) / 1024],
                                [work(tradeoff.macs(costs, root))])},
    x="held for the way back, KiB (batch of 16)", y="a step's MACs or seconds, plain = 1",
    title=f"Cut by count: more held and more MACs than the best; the floor is {held[0]:.0f} KiB"))

# %% [markdown]
# The limit is the largest unit: while `block1` works backward, all its insides are there. Long chains of small layers fit
# almost any budget. A short chain with one large block does not. And the schedule of section 2 is no good here. It cuts by
# count, where the DP keeps what is small and runs again what is large. As in section 3, the seconds lie above the MACs.
#
# **See the source.** The two lines in the docstring are the two choices above. Find each in the code.

# %%
viz.source(tradeoff.frontier)

# %% [markdown]
# **Your turn.** What does a schedule cost? A layer that is kept costs its MACs once. A segment costs the MACs of all its
# layers, *and then* whatever its own schedule costs. `schedules.flat(item)` lists the layers in a segment.

# %% exercise="forward_macs"
def forward_macs(schedule, macs):
    """schedule: nested tuple; macs: list, forward MACs of each layer.

    Returns all forward MACs of a step, an int.
    """
    total = 0
    for item in schedule:
        if isinstance(item, int):
            total += ...
        else:
            total += ...
    return total

# %%
forward_macs = lab.check("forward_macs", forward_macs)

# %%
for schedule in (schedules.plain(3), ((0, 1), 2), (((0,), 1), 2)):
    print(f"{schedule}: {forward_macs(schedule, [1, 1, 1])} forward runs of a layer")

# %% [markdown]
# **Change one thing.** Move the budget. Which units are run again first? What does the kit say below 336 KiB? (Bytes and
# processor time are measured anew each time, so the time wavers a little; the MACs do not.)

# %%
def afford(budget_KiB=480):
    best = tradeoff.within(choices, budget_KiB * 1024)
    found = recompute.measure(units, best.schedule, x, repeats=5)
    plain = recompute.measure(units, schedules.plain(len(units)), x, repeats=5)
    passes = forward_macs(best.schedule, [cost.macs for cost in costs]) / plain_macs
    return picture(best.schedule, f"{found.held_bytes / 1024:.0f} KiB held, {passes:.2f} forward passes, "
                   f"{found.seconds / plain.seconds:.2f} times the seconds", names)


lab.explore(afford, budget_KiB=(300, 980, 20))

# %% [markdown]
# Is what is *held* all there is? No: gradients on their way down and buffers of the convolutions come and go. PyTorch's
# allocator keeps a log of every byte that it gives out. Its highest mark, at a batch of 128, recorded:

# %%
logged = recorded["recomputation"]["mobile_net, batch 128"]
viz.bars({way: {"held for the way back": row["held_bytes"] / 2**20,
                "given out by the allocator": row["allocated_bytes"] / 2**20}
          for way, row in logged.items()}, y="MiB, batch of 128",
         title="sqrt(n) segments hold less and still need more at the worst moment")

# %% [markdown]
# Held bytes are what the paper counts, and what a schedule is chosen by. But in our net the worst moment is a large
# block at work, with its gradients. Cut by count, the recomputed segment falls together with that moment, and the peak
# *rises*. The best schedule lowers it by less than the held bytes promise. Measure the peak before you believe a
# count, ours included.

# %% [markdown]
# ## 5 · Layer by layer · 10 min
#
# The chapter's other idea gives up the long way back. Train the first block with a head of its own, a small classifier.
# Freeze it, throw the head away, train the second block on what the first puts out, and so on. At any time, only the
# activations of one block are kept. Each block is one **stage**. This is **greedy layer-wise training** (Bengio et al.
# 2007). The claim of Belilovsky et al. 2019: on ImageNet, with heads of several layers, a VGG-11 trained so is as
# accurate as one trained end to end. Our heads are one linear layer. (The chapter cites Chen et al. 2016 for it, but
# that is the paper of section 2.)
#
# A net of three convolutions, from scratch, on the bad camera. Each stage gets as many epochs as the whole net gets end
# to end.
#
# **Predict.** How many points of accuracy does the greedy way lose?

# %%
lab.predict("greedy", "Points of accuracy that layer-by-layer training loses, mean of five seeds?",
            options={"none, or less than 2": (-10, 2), "2 to 8": (2, 8), "8 to 25": (8, 25),
                     "more than 25": (25, 100)})

# %%
def fresh():
    return nets.tiny_cnn(1, 10, width=16, rng=torch.Generator().manual_seed(0))


def how(way):
    """Options of training; the learning rate was the best of three on validation images."""
    return {"epochs": 20, "batch_size": 16, "lr": recorded["rates"]["from scratch"][way][0], "momentum": 0.9,
            "rng": torch.Generator().manual_seed(0), "progress": False}


at_once, greedy, frozen = fresh(), fresh(), fresh()
history = train.fit(at_once, train_set.x, train_set.y, **how("end to end"))

# %%
histories = layerwise.fit(greedy, train_set.x, train_set.y, **how("layer by layer"))

# %%
control = how("last stage alone")        # the blocks below stay as they were drawn
last = layerwise.stages(frozen, x, rng=control["rng"])[-1]
train.fit(last.learns, layerwise.inputs_of(last, train_set.x), train_set.y, **control)
live = {way: train.evaluate(net, test_set.x, test_set.y)["accuracy"] for way, net in
        {"end to end": at_once, "layer by layer": greedy, "last stage alone": frozen}.items()}
lab.claim(live["layer by layer"] > live["last stage alone"] + 0.04, "the early stages have learned something")

# %%
def lost(task):
    """Points lost, mean of five seeds (recorded)."""
    runs = recorded["accuracy"][task]
    return 100 * (sum(runs["end to end"]) - sum(runs["layer by layer"])) / 5


lab.reveal("greedy", lost("from scratch"), unit="points", figure=viz.spread(
    recorded["accuracy"]["from scratch"], live=live, y="accuracy on new images, from scratch",
    title=f"Greedy stages learn, and lose {lost('from scratch'):.0f} points on average"))
print("right on its own images, by the head of each stage:",
      [f"{history.curve('accuracy')[-1]:.0%}" for history in histories])

# %% [markdown]
# *Last stage alone* is the control. The first two convolutions stay at random, only the third and the head learn. What
# the greedy way gains over it is what its early stages have learned. The first head is hardly better than guessing: the
# mean over all places of one convolution says little about a digit. Yet that is all the first block is trained for. And
# it is a gamble: of five seeds one loses nothing, and one 30 points.
#
# And adapting the pre-trained net of section 1, block by block? Recorded, five seeds, the learning rate chosen on
# validation images for each way and seed:

# %%
viz.spread(recorded["accuracy"]["adapted"], y="accuracy on new images, pre-trained and adapted",
           title=f"Adapted block by block, {lost('adapted'):.0f} points are lost on average")

# %% [markdown]
# Of the learning rates, three were tried. End to end, the best was the largest or the smallest in three of the ten runs
# of both tasks, layer by layer in four. A wider search could move both rows.
#
# **See the source.** Which line keeps the gradient of a stage from reaching the blocks below?

# %%
viz.source(layerwise.fit)

# %% [markdown]
# What does it save? Each stage has its own report. Its input can be computed again for every batch, or kept for all
# images once and for all (**cached**). Here with `rule="device"`, what a C program would keep.

# %%
end_to_end = memory.memory_report(fresh(), x, rule="device")
reports = {stage.name: layerwise.report(stage, x, cache=False) for stage in layerwise.stages(fresh(), x, rng=rng)}
cached = {stage.name: layerwise.report(stage, x, cache=True) for stage in layerwise.stages(fresh(), x, rng=rng)}
viz.bars({"end to end": {"kept": end_to_end.saved_activations / 1024, "peak": end_to_end.peak / 1024}}
         | {name: {"kept": report.saved_activations / 1024, "peak": report.peak / 1024,
                   "peak, input cached": cached[name].peak / 1024} for name, report in reports.items()},
         y="KiB, batch of 16", title="A stage keeps about half or less; a cache lowers the later peaks only")

# %%
for stage in layerwise.stages(fresh(), x, rng=rng):
    size = layerwise.cache_bytes(stage, train_set.x) / 1024
    print(f"{stage.name}: its inputs for all {len(train_set)} images take {size:,.0f} KiB")

# %% [markdown]
# The peak hardly falls, because the large maps of the first convolution pass through memory even in plain use. A cache
# avoids that for the later stages; the first one stays as it is. And the cache has to lie somewhere: for the second stage
# it takes four times the bytes of the images, which could even be kept in one byte a pixel.

# %%
lab.quiz("cache")

# %% [markdown]
# ## 6 · The bill · 3 min
#
# All ways for the net of section 1 and the same sixteen images: the activations they hold (PyTorch's rule), and the price.

# %%
single = tradeoff.frontier(tradeoff.costs(units, x[:1]))[0]
worst = max(layerwise.report(stage, x, cache=True, rule="torch").saved_activations
            for stage in layerwise.stages(net, x, rng=rng))
passes = f"{choices[0].macs / plain_macs:.1f}"        # a batch of one has the same schedule
bill = {"all at once": whole.saved_activations, f"best recomputation, {passes} forward passes": choices[0].held_bytes,
        "block by block, less accurate": worst, "16 pieces, 1 forward pass": one.saved_activations,
        f"16 pieces and recomputation, {passes} passes": single.held_bytes}
lab.claim(single.schedule == choices[0].schedule, "one image has the same best schedule as sixteen")
lab.claim(single.held_bytes * 40 < whole.saved_activations, "pieces and recomputation multiply")
viz.bars({way: size / 1024 for way, size in bill.items()}, y="activations held, KiB", log=True,
         title=f"Pieces, each with recomputation: a {whole.saved_activations / single.held_bytes:.0f}th of the activations, "
               "the same gradient")

# %% [markdown]
# **What to keep.** Pieces first: they cost no MACs and no accuracy (on a large processor, some time), and divide the
# activations by the size of the batch. Then recomputation: the gradient stays the same to the last bit, the price here
# is less than one more forward pass, the floor is the largest unit. Greedy layers save about as much here, and cost
# accuracy. None of them makes the weights smaller, and with the pieces comes a sum of gradients.
#
# ## Questions
#
# 1. Sixteen pieces of one image, or sixteen steps of one image in place: the second needs no sum of gradients. What else
#    is different between them?
# 2. Why does recomputation not change a single bit here, while pieces change the last digits?
# 3. A device has a slow flash of 1 MiB beside 256 KiB of SRAM. Would you cache the inputs of stages there, or write
#    activations to it instead of recomputing them?
#
# **Exercise.** `tradeoff.costs(units, x, rule="device")` gives the bytes of a C program, where ReLU keeps one bit a
# number. Find its best schedules. Does the device run the same units again as PyTorch?
#
# **What to try next.** Give the first stages more to learn for: a deeper head in `layerwise.stages`, or two
# convolutions a block. Then lab 07: less data.
