# %% [markdown]
# # 22 · TinyTL and TinyTrain: which weights shall learn?
#
# **You will** teach a net ten characters that it has never seen, from five pictures each. First without any training, then
# with the two methods that were made for it, TinyTL and TinyTrain. And you will hold what their papers claim against what
# happens on our data.
#
# **Objectives.** After this lab you can
# - turn a few examples into a classifier without a single gradient;
# - say what backpropagation must keep for a weight, for a bias, for a ReLU;
# - build TinyTL's lite residual module, and say when it pays;
# - rank layers as TinyTrain does, by one backward pass, and fill a byte and a computing budget with them;
# - name tasks where none of this helps.
#
# **Prerequisites.** Lab 02; lab 05 helps.
#
# **Time.** About 50 minutes; the computer works about 25 seconds of it.
#
# **Where we are.** Section 12.7.2 (Tiny Transfer Learning) and section 12.7.3 (Tiny Train) of *On-Device Learning*; in
# volume 2, "Edge Intelligence": *Model Adaptation*.

# %% tags=["imports"]
from dataclasses import replace

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, images, pretrained
from odl_kit.learners import cost, episodes, memory, optimizers, plan, tinytl, tinytrain, train
from odl_kit.models import flat, layers, nets

# %%
rng = lab.start("22_tinytl_tinytrain")
recorded = lab.recorded("tinytl_tinytrain")
seed = torch.Generator().manual_seed

# %% [markdown]
# ## 1 · Five pictures of each are enough · 9 min
#
# `glyphs` are characters of printed alphabets, arrows and signs, distorted by a program: 16 by 16 pixels. A net of 14
# convolutions has been trained on 150 of the 240. Fifty others it has never seen. A **task** is ten of those: five
# pictures each to learn from (the *support*), fifteen each to be tested on (the *queries*).

# %%
glyphs = datasets.load("glyphs")
*_, new = episodes.split_classes(glyphs.y, (150, 40, 50), rng=seed(0))       # as the net was trained
unseen = glyphs.subset(torch.isin(glyphs.y, new))
net = flat.assign(nets.glyph_net(10, rng=rng), pretrained.load("glyphs"))
task = episodes.draw(unseen.x, unseen.y, ways=10, shots=5, queries=15, rng=seed(1))
viz.images(task.support_x.view(10, 5, 1, 16, 16).transpose(0, 1).flatten(0, 1), columns=10,
           title="The whole training set of the device: ten characters, five pictures each")

# %% [markdown]
# Below its head the net makes 64 numbers, *features*, of a picture. **Prototypes** (Snell et al. 2017): take the mean of
# the five features of each character. A new picture is whatever prototype is nearest. Nothing is trained.
#
# **Your turn.** The nearest of the prototypes $c$ has the least $|f - c|^2$. Multiply it out, and it becomes a linear layer,
# which is all that a device needs: weight and bias, so that the *largest* output is the nearest prototype.

# %% exercise="prototype_head"
def prototype_head(features, y):
    """features (N, D), y (N,) int64 from 0 -> weight (C, D), bias (C,) of a linear layer whose largest output is the nearest mean."""
    centres = torch.stack([features[y == c].mean(0) for c in range(int(y.max()) + 1)])
    weight = ...
    bias = ...
    return weight, bias

# %%
prototype_head = lab.check("prototype_head", prototype_head)

# %% [markdown]
# **Predict.** Guessing is right in 10 %. How many of the 150 queries are right, without any training on the device?

# %%
lab.predict("untrained", "Accuracy of prototypes on ten new characters, five examples each?",
            options={"below 30 %": (0, 30), "30 to 60 %": (30, 60), "60 to 80 %": (60, 80),
                     "80 to 100 %": (80, 100)})

# %%
@torch.no_grad()
def by_prototypes(net, task):
    """% of the queries that the head made of prototypes answers right."""
    weight, bias = prototype_head(net[:-1](task.support_x), task.support_y)
    answers = (net[:-1](task.query_x) @ weight.T + bias).argmax(1)
    return 100 * float((answers == task.query_y).float().mean())


fresh = nets.glyph_net(10, rng=seed(5))      # the same net, its weights drawn at random
at_once = {"trained on other characters": by_prototypes(net, task), "random weights": by_prototypes(fresh, task)}
lab.claim(at_once["trained on other characters"] > 75, "prototypes of a trained net tell new characters apart")
lab.reveal("untrained", at_once["trained on other characters"], unit="%", figure=viz.bars(
    at_once, y="accuracy, %", title="New characters, no training on the device"))

# %% [markdown]
# **Change one thing.** How far do you get with *one* picture of each? With twenty characters? `digits` are handwritten
# and come from another data set; `another camera` is the subject of section 2.

# %%
digits = datasets.load("sensor_shift")
digits = digits.subset(digits.user == 0)


def draw(kind, number=1, ways=10, shots=5):
    """Task `number` of one kind."""
    own, data = seed(number), digits if kind == "digits" else unseen
    drawn = episodes.draw(data.x, data.y, ways=ways, shots=shots, queries=15, rng=own)
    if kind != "another camera":
        return drawn
    return replace(drawn, support_x=images.bad_sensor(drawn.support_x, rng=own),
                   query_x=images.bad_sensor(drawn.query_x, rng=own))

# %%
def few_shots(shots=5, ways=10, kind="glyphs"):
    ways = min(ways, 10) if kind == "digits" else ways
    right = [by_prototypes(net, draw(kind, number, ways, shots)) for number in range(5)]
    return viz.bars({f"task {k + 1}": value for k, value in enumerate(right)}, y="accuracy, %",
                    title=f"{ways} classes, {shots} examples each: {sum(right) / 5:.0f} % on average")


lab.explore(few_shots, shots=(1, 10), ways=[2, 5, 10, 20, 50], kind=["glyphs", "digits", "another camera"])

# %% [markdown]
# ## 2 · Another camera · 8 min
#
# The device has a camera of its own. It is mounted sideways, swaps light and dark, and darkens the corners. Nobody thought
# of that when the net was trained.

# %%
shifted = draw("another camera")
viz.images(torch.cat([task.support_x[::5], shifted.support_x[::5]]), columns=10,
           title="The same ten characters through the other camera")

# %% [markdown]
# Now the net itself must learn. The head starts as the prototypes; then 100 steps of Adam on the 50 pictures, each time
# turned and shifted a little (`images.jitter`), since 50 are few. A *plan* says what learns. The learning rate of each
# method was chosen on other characters, by `benchmarks/tinytl_tinytrain.py`.
#
# **Predict.** Everything learns. How many points are won on the other camera?

# %%
lab.predict("gain", "Points won over prototypes when everything learns, another camera?",
            options={"it loses": (-100, 0), "0 to 5": (0, 5), "5 to 15": (5, 15), "more than 15": (15, 100)})

# %%
def adapt(task, method, make=lambda net: (net, plan.full(net))):
    """Accuracy in % on the queries after adapting a copy of the net to the support; make(net) -> (net, plan)."""
    copied = flat.assign(nets.glyph_net(10, rng=seed(0)), flat.ravel(net))
    own, wish = make(episodes.set_head(copied, task.support_x, task.support_y))
    x = images.jitter(task.support_x.repeat(50, 1, 1, 1), rng=seed(0))
    train.fit(own, x, task.support_y.repeat(50), epochs=1, batch_size=25, lr=recorded["rates"][method],
              optimizer=optimizers.adam(), plan=wish, rng=seed(2), progress=False)
    return 100 * train.evaluate(own, task.query_x, task.query_y)["accuracy"]


# %%
def head_only(net):
    return net, plan.head_only(net)


live = {kind: {"prototypes": by_prototypes(net, t), "head only": adapt(t, "head only", head_only),
               "everything": adapt(t, "everything")}
        for kind, t in (("glyphs", task), ("another camera", shifted))}
gain = {kind: row["everything"] - row["prototypes"] for kind, row in live.items()}
lab.claim(gain["another camera"] > 5, "training pays where the camera has changed")
lab.reveal("gain", gain["another camera"], unit="points", figure=viz.bars(
    live, y="accuracy, %", title=f"Training wins {gain['another camera']:.0f} points where something has changed, "
                                 f"{gain['glyphs']:.0f} where nothing has"))

# %% [markdown]
# On the known camera there is little to win; over several tasks it is nothing, as section 5 will show. And **head only** is the
# cheapest training there is: 650 numbers, no gradient below the head. Whatever costs more must beat it, so it stands in every
# figure below. On this one task of 150 queries it is level with everything; `draw("another camera", 4)` is a task where
# everything wins clearly. One task cannot rank methods. Watch in sections 3 and 4 what each *costs*; section 5 has the
# accuracy of many tasks.

# %%
lab.quiz("prototypes")

# %% [markdown]
# ## 3 · TinyTL: no weights, so no inputs · 10 min
#
# What must the forward pass keep? The gradient of a **weight** needs the layer's whole input. The gradient of a **bias**
# needs nothing of it. A ReLU needs one bit for each value: was it above 0? Cai et al. 2020 draw the conclusion: memory, not
# the number of weights, is what is scarce, so freeze the weights and learn the biases.
#
# **Your turn.** Count the bits for a chain of layers, each with a ReLU behind it, 32 bits a number.

# %% exercise="saved_bits"
def saved_bits(inputs, outputs, learns):
    """inputs, outputs (L,) int64: values that layer l reads and makes; learns (L,) bool: its weight learns. Bits kept, an int."""
    masks = ...
    saved = ...
    return int(masks + saved)

# %%
saved_bits = lab.check("saved_bits", saved_bits)

# %% [markdown]
# Your formula has a ReLU behind every layer; our net has none behind `project` (and the head), so those layers count 0.
# Numbers have 32 bits. The kit's meter, which a test holds against what PyTorch's autograd really keeps, must agree:

# %%
one = torch.zeros(1, 1, 16, 16)
traced = layers.trace(net, one)
weighed = [(i, layer) for i, layer in enumerate(traced) if layer.kind in ("conv", "linear")]
relu = {j for layer in traced if layer.kind == "relu" for j in layer.inputs}
inputs = torch.tensor([layer.in_elements for _, layer in weighed])
outputs = torch.tensor([layer.out_elements if i in relu else 0 for i, layer in weighed])
head = torch.tensor([layer.name == "head" for _, layer in weighed])
kept = {"everything": saved_bits(inputs, outputs, torch.ones_like(head)) // 8,
        "biases and head": saved_bits(inputs, outputs, head) // 8}
counted = {name: memory.memory_report(net, one, wish, rule="device").saved_activations
           for name, wish in (("everything", plan.full(net)), ("biases and head", plan.bias_only(net)))}
lab.claim(kept == counted, "your count is the kit's")
print(f"bytes kept for one picture: {kept}; the kit says {counted}")

# %% [markdown]
# Biases alone cannot change much. So TinyTL puts a small branch beside each block, the **lite residual module**. It works
# on a map of a quarter of the size, has grouped convolutions, and starts with a gain of 0, so that at first nothing
# changes:

# %%
viz.source(tinytl.lite_residual)

# %% [markdown]
# These branches do have weights that learn, so their inputs are kept. But those are small, since the map is. **Predict.** By
# how much does what is kept grow, from biases to biases with branches?

# %%
lab.predict("branches", "Bytes kept with branches, divided by bytes kept with biases alone?",
            options={"less than 1.5": (1, 1.5), "1.5 to 4": (1.5, 4), "4 to 10": (4, 10),
                     "more than 10": (10, 100)})

# %%
def held(side=16):
    """KiB kept for the backward pass of one picture of side x side."""
    x = torch.zeros(1, 1, side, side)
    branched = tinytl.add_branches(net, x, rng=seed(0))
    wishes = {"everything": (net, plan.full(net)), "TinyTL": (branched, tinytl.update_plan(branched)),
              "biases and head": (net, plan.bias_only(net)), "head only": (net, plan.head_only(net))}
    return {name: memory.memory_report(own, x, wish, rule="device").saved_activations / 1024
            for name, (own, wish) in wishes.items()}

# %%
kib = held()
growth = kib["TinyTL"] / kib["biases and head"]
added = sum(p.numel() for p in tinytl.add_branches(net, one, rng=seed(0)).parameters()) / flat.ravel(net).numel() - 1
print(f"the branches add {added:.0%} to the weights of the net")
lab.reveal("branches", growth, unit="times", figure=viz.bars(
    kib, y="kept for the backward pass, KiB",
    title=f"With branches {kib['everything'] / kib['TinyTL']:.1f} times less than everything, "
          f"{growth:.1f} times more than biases"))

# %% [markdown]
# Part of it is GroupNorm, which TinyTL needs at batch one: its gradient asks for the norm's whole input, even where its
# gain is frozen. (The paper's own count takes it as free.)
#
# The paper tells of 6.5 times less memory than training everything, and of branches that add 3.8 %. **Change one thing:**
# does it become true for larger pictures?

# %%
def by_size(side=16):
    kib = held(side)
    return viz.bars(kib, y="kept for the backward pass, KiB",
                    title=f"{side} x {side} pixels: TinyTL keeps {kib['everything'] / kib['TinyTL']:.1f} times less than everything")


lab.explore(by_size, side=[8, 16, 32, 48, 64])

# %% [markdown]
# It does not: both grow alike. What counts is the shape of the net. A branch sees only the ends of a block; what is kept of
# the block itself is mostly its inside. Ours is three times as wide inside, the nets of the paper up to six times. And a branch's
# 5x5 convolution grows with the square of the channels, so that even its *weights* are no small thing in a narrow net.
#
# What is it worth? On the other camera:

# %%
def tiny_tl(net):
    net = tinytl.add_branches(net, one, rng=seed(0))
    return net, tinytl.update_plan(net)


row = live["another camera"]
row["biases"] = adapt(shifted, "biases", lambda net: (net, plan.bias_only(net)))
row["TinyTL"] = adapt(shifted, "TinyTL", tiny_tl)
viz.bars(row, y="accuracy, %", title=f"Biases {row['biases']:.0f} %, with TinyTL's branches {row['TinyTL']:.0f} %")

# %% [markdown]
# ## 4 · TinyTrain: ask the task · 14 min
#
# Lab 05 searched for the weights that matter, once and for all tasks, by hundreds of trial runs. TinyTrain (Kwon et al. 2024)
# asks the *new task*, by one backward pass on its 50 pictures. How much would the loss change if output $o$ of a layer went
# missing? With its values $a$ and their gradients $g$ at the places $d$ of example $n$:
#
# $$D_o = \frac{1}{2N} \sum_n \Big(\sum_d a_{nd}\, g_{nd}\Big)^2 \qquad P_i = \sum_o D_o$$
#
# This is the **Fisher potential** of a channel, and of layer $i$.

# %%
prepared = episodes.set_head(net, shifted.support_x, shifted.support_y)
potential = tinytrain.fisher(prepared, shifted.support_x, shifted.support_y)
loudest = max(potential.layer, key=potential.layer.get)
viz.bars(potential.layer, y="Fisher potential P of a layer",
         title=f"By potential alone, {loudest} asks loudest to learn")

# %% [markdown]
# But layers differ in what they cost. TinyTrain's score divides by a layer's share of weights and of MACs:
# $s_i = P_i \,/\, \big(\frac{|W_i|}{\max |W|} \cdot \frac{M_i}{\max M}\big)$.
#
# **Your turn.**

# %% exercise="score"
def score(potential, weights, macs):
    """potential (L,) float, weights (L,), macs (L,) int64 -> (L,) float: potential for each weight and each MAC."""
    cost = ...
    return potential / cost

# %%
score = lab.check("score", score)

# %%
convs = {layer.name: layer for layer in traced if layer.name in potential.layer}
scored = score(torch.tensor(list(potential.layer.values())),
               torch.tensor([convs[name].weights for name in potential.layer]),
               torch.tensor([convs[name].macs for name in potential.layer]))
ranked = sorted(zip(scored.tolist(), potential.layer, strict=True), reverse=True)
viz.bars({name: value for value, name in ranked}, y="score s", log=True,
         title=f"For each weight and MAC: {ranked[0][1]}, then {ranked[1][1]} and {ranked[2][1]}")

# %% [markdown]
# From the highest score on, layers join the plan, with all their channels or an eighth of them at least, as long as both
# budgets hold: extra bytes, by MCUNetV3's count (lab 05), and MACs of the way back. The stem has the highest score, and will
# not join. A gradient would have to go all the way back to it, and $M_i$, the layer's own MACs, does not know that.

# %%
viz.source(tinytrain.choose)

# %% [markdown]
# **Predict.** Twelve tasks: four of new characters, four through the other camera, four of handwritten digits. 12 KiB, and
# 35 % of the MACs of a full backward pass. How many *different* sets of layers does TinyTrain choose for them?

# %%
lab.predict("choices", "Different sets of layers, chosen for twelve tasks of three kinds?",
            options={"one to three": (1, 3), "four to eight": (4, 8), "nine to twelve": (9, 12)})

# %%
everything = cost.backward_macs(traced, plan.full(net))


def choose(task, kib=12, macs_percent=35, score=tinytrain.scores):
    """TinyTrain's plan for a task."""
    own = episodes.set_head(net, task.support_x, task.support_y)
    return tinytrain.choose(own, task.support_x, task.support_y, memory=1024 * kib,
                            macs=everything * macs_percent // 100, score=score)


kinds = ["glyphs", "another camera", "digits"]
chosen = [frozenset(choose(draw(kind, number)).channels) for kind in kinds for number in range(4)]
depthwise = all(name == "head" or name.endswith("depthwise") for names in chosen for name in names)
lab.claim(depthwise, "only depthwise convolutions are chosen, never the stem")
lab.reveal("choices", len(set(chosen)), unit="sets", figure=viz.bars(
    {name: sum(name in names for names in chosen) for name in convs}, y="chosen in so many of 12 tasks",
    title=f"Twelve tasks, {len(set(chosen))} different choices"))

# %% [markdown]
# Why so little choice? Look at what stands below the line of the score: weights times MACs of a depthwise convolution are a
# seventh to a twenty-eighth of its neighbours'. The potentials shift less than that from task to task. **Change one thing.**
# Take the division away (*potential alone*), or change the budgets: when do the kinds of task differ?

# %%
def budgeted(kind="another camera", kib=12, macs_percent=35, score="as published"):
    wish = choose(draw(kind), kib, macs_percent,
                  tinytrain.scores if score == "as published" else lambda traced, potential: potential)
    spent = cost.extra_bits(traced, wish) / 8192, 100 * cost.backward_macs(traced, wish) / everything
    return viz.bars({name: wish.channels.get(name, 0) for name in convs}, y="channels that learn",
                    title=f"{spent[0]:.1f} of {kib} KiB, {spent[1]:.0f} of {macs_percent} % of the MACs")


lab.explore(budgeted, kind=kinds, kib=(1, 64), macs_percent=(5, 100, 5), score=["as published", "potential alone"])

# %%
lab.quiz("same_choice")

# %% [markdown]
# How well does it learn? And does it fit where everything does not? Here is the whole memory of one step, float32, one
# picture at a time (lab 06 shows how a batch is learned in pieces), on a Nano 33 BLE Sense:

# %%
def tiny_train(net):
    return net, choose(shifted)


row["TinyTrain"] = adapt(shifted, "TinyTrain", tiny_train)
need = {name: memory.memory_report(net, one, wish, rule="device").sram / 1024
        for name, wish in (("everything", plan.full(net)), ("TinyTrain", choose(shifted)),
                           ("head only", plan.head_only(net)))}
lab.claim(need["TinyTrain"] < 256 < need["everything"], "TinyTrain fits on a Nano 33, training everything does not")
viz.bars(need, y="SRAM for one step, KiB (without Adam's two numbers a weight)", target=256,
         title=f"TinyTrain: {row['TinyTrain']:.0f} % in {need['TinyTrain']:.0f} KiB; "
               f"everything: {row['everything']:.0f} % in {need['everything']:.0f} KiB")

# %% [markdown]
# ## 5 · Papers and measurements · 9 min
#
# One task is an anecdote. Recorded by `benchmarks/tinytl_tinytrain.py`: three seeds, each with its own net, its own new
# classes and two tasks of each kind. (Each dot stands for 300 queries: four points are chance.) *Static sparse* is a plan
# chosen beforehand, for every task: the first 1x1 convolutions of the last blocks, of which the published schemes of lab 05
# consist. *Random channels* has TinyTrain's layers, and other channels. *Potential alone* leaves the division away.

# %%
def compare(kind="another camera"):
    name = "sensor" if kind == "another camera" else kind
    rows = {method: [100 * value for value in runs] for method, runs in recorded["accuracy"][name].items()}
    best = max(rows, key=lambda method: sum(rows[method]))
    return viz.spread(rows, live=live.get(kind), y="accuracy, % (three seeds)",
                      title=f"{kind}: best is {best}")


lab.explore(compare, kind=kinds)

# %% [markdown]
# And what they cost, for one example: the bytes beyond using the net, by MCUNetV3's count, and the MACs of the way back.

# %%
spent = recorded["costs"]
viz.bars({method: {"extra KiB": each["extra_bytes"] / 1024, "backward MACs, in 100,000": each["backward_macs"] / 1e5}
          for method, each in spent.items()}, y="extra KiB, and 100,000 MACs",
         title=f"TinyTrain: {spent['everything']['extra_bytes'] / spent['TinyTrain']['extra_bytes']:.1f} times fewer bytes, "
               f"{spent['everything']['backward_macs'] / spent['TinyTrain']['backward_macs']:.1f} times fewer MACs than everything")

# %% [markdown]
# TinyTrain's paper has a table, too: the mean over nine data sets, with the net MCUNet. Its order, beside ours (the mean over
# our three kinds of task):

# %%
paper = {"prototypes": 44.5, "head only": 54.6, "TinyTL": 66.1, "static sparse": 64.3, "everything": 66.9, "TinyTrain": 69.3}


def ours(method):
    runs = [value for kind in recorded["accuracy"].values() for value in kind[method]]
    return 100 * sum(runs) / len(runs)


viz.bars({method: {"paper (Kwon et al. 2024), nine sets": value, "ours, three kinds": ours(method)}
          for method, value in paper.items()}, y="accuracy, %",
         title="The paper's table and ours, method by method")

# %% [markdown]
# What holds on our data, and what does not:
#
# - **What has changed decides.** On known ground nothing beats prototypes by more than chance. Everything gains about 8 points with handwritten
#   digits and 16 through the other camera.
# - **TinyTrain is cheap:** a sixth of the bytes of everything, a quarter of its MACs. With digits it comes within two points.
#   Through the other camera it wins 5 points of those 16. In the paper it is ahead of everything.
# - **Chosen beforehand is as good as everything,** with a little more bytes than TinyTrain and 1.6 times its MACs. The race is not
#   quite fair: whoever picked this plan had seen what helps a changed camera. But with digits it is not behind, either. What the
#   count of bytes leaves out are float gradients: with them a step needs 154 KiB, and 116 with TinyTrain's plan.
# - **Which channels** made no difference. Random ones did as well, also because TinyTrain takes most layers whole.
# - **TinyTL** costs twice TinyTrain's bytes, and nearly the MACs of everything, since the gradient goes through the branches,
#   too. It is level with biases alone.
#
# **Does meta-training help?** TinyTrain's other half happens before the device: the net is trained by *episodes*, small
# tasks like ours (`episodes.meta_train`), so that it learns to be adapted. The paper finds 5.6 points.

# %%
meta = recorded["meta_training"]
viz.spread({stage: {method: [100 * value for value in runs[stage]] for method, runs in meta.items()}
            for stage in ("without episodes", "with episodes")}, y="accuracy through the other camera, %",
           title="Meta-training, before adaptation (prototypes) and after it")

# %% [markdown]
# Not here: on average it is up to three points better, before adaptation as after it, and seeds go both ways. Our net had
# learned 150 characters by plain classification before, and the episodes came on top.
#
# **What to keep.** First ask what has changed. If nothing has, means of a few features are hard to beat, and free. If something
# has, what must be *kept* decides what is affordable: the input of each weight that learns, nothing for a bias, a bit for a ReLU.
# A score that divides by cost finds what is cheap; that need not be what the task lacks. And a method that saves memory has to
# show its gain over head only, which saves more.
#
# ## Questions
#
# 1. TinyTL freezes weights to save *memory*. Which part of the backward pass does it not make any cheaper?
# 2. TinyTrain's score knows the MACs of a layer, but not those of the way back to it. How would you mend the score?
# 3. One learning rate for each method served all kinds of task. Whom does that hurt?
#
# **Exercise.** Train only what TinyTrain's score puts *last*: give `choose` the score `lambda traced, potential: {name: -value for
# name, value in tinytrain.scores(traced, potential).items()}`, and `adapt` to the other camera. Is it worse?
#
# **What to try next.** Take three other tasks, `draw("another camera", number)`, and `adapt` each by head only and by TinyTrain: how
# often does TinyTrain win, and with which least budget `kib` of `choose`? Then lab 05: the search that TinyTrain replaces.
