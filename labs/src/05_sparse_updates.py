# %% [markdown]
# # 05 · Sparse updates: which weights should learn?
#
# **You will** find out what each layer of a net is worth when it learns, and what it costs. Then you let a search spend a
# budget of bytes, and compare the result with what everybody does first: training the last layers.
#
# **Objectives.** After this lab you can
# - count what a layer that learns adds to memory, by the rule of the paper;
# - run a contribution analysis, and say how far its numbers can be trusted;
# - turn gains, costs and a budget into an update plan, and judge the search against an exact one;
# - compare a sparse plan fairly: with the head alone, with the last layers, with a simple rule of thumb;
# - say what the paper's rule leaves out, and what a plan saves besides memory.
#
# **Prerequisites.** Labs 00 and 02; lab 04 for the training of integers.
#
# **Time.** About 50 minutes; the computer works about 30 seconds of it.
#
# **Where we are.** Section 12.3.2 of *On-Device Learning* (Modifying Optimization Processes: *Sparse Updates*); in
# volume 2, "Edge Intelligence": *Model Adaptation*.

# %% tags=["imports"]
import torch
from torch import nn

from odl_kit import lab, viz
from odl_kit.data import datasets, pretrained
from odl_kit.learners import cohort_plans, cost, memory, optimizers, plan, qas, search, sparse, train
from odl_kit.models import flat, layers, nets, quantize

# %%
rng = lab.start("05_sparse_updates")
recorded = lab.recorded("sparse_updates")

# %% [markdown]
# ## 1 · A plan and its price · 11 min
#
# The net and the task are those of lab 04: 13 convolutions, trained on clean digits, meet a second sensor that turns,
# inverts and darkens its images and adds noise (the handwriting is real, the sensor simulated). 449 images to learn from,
# 135 for validation, 315 to test. The last layer, the **head**, starts anew.

# %%
data = datasets.load("sensor_shift")
clean, target = data.subset(data.user == 0), data.subset(data.user == 1)
order = torch.randperm(len(target), generator=rng)
train_set, validation, test_set = (target.subset(part) for part in order.split((449, 135, 315)))
net = flat.assign(nets.mobile_net(1, 10, norm=None, rng=rng), pretrained.load("sensor_shift"))
nn.init.kaiming_uniform_(net.head.weight, nonlinearity="linear", generator=rng)      # a new head
nn.init.zeros_(net.head.bias)
traced = layers.trace(net, train_set.x[:1])
convs = [layer for layer in traced if layer.kind == "conv"]

# %% [markdown]
# Training a layer needs memory that using it does not. Lin et al. 2022 (MCUNetV3) count, for one image and 8-bit integers:
#
# - 1 bit for each output (was its value clipped, at the bottom or the top of its range? Then no gradient passes) and 32
#   bits for each bias;
# - a weight tensor may learn in part: only what reads `channels` of its input channels. Then 8 bits for each value of these
#   channels, which must be kept for the backward pass, and 8 bits for each weight that reads them, since it moves from
#   flash to SRAM.
#
# A filter of a **depthwise** convolution reads one channel; in other convolutions `c_out` filters read each channel.
#
# **Your turn.** Maps are square: `h_in` by `h_in` values come in, `h_out` by `h_out` go out.

# %% exercise="learning_bits"
def learning_bits(c_out, h_in, h_out, kernel, channels, depthwise):
    """Bits that a convolution adds if its bias learns and `channels` of its input channels; an int."""
    mask = ...
    bias = 32 * c_out
    inputs = ...
    weights = 8 * channels * kernel * kernel * (1 if depthwise else c_out)
    return mask + bias + inputs + weights

# %%
learning_bits = lab.check("learning_bits", learning_bits)

# %% [markdown]
# **Predict.** Say that all 13 biases learn, and no weight but those of the head. How much of the extra memory of training
# everything does that take?

# %%
lab.predict("biases", "All biases and the head: % of the extra memory of training everything?",
            options={"below 5 %": (0, 5), "5 to 20 %": (5, 20), "20 to 50 %": (20, 50),
                     "more than 50 %": (50, 100)})

# %%
def bits(layer, channels):
    depthwise = layer.groups > 1
    return learning_bits(layer.c_out, layer.h_in, layer.h_out, layer.kernel[0], channels, depthwise)


prices = {layer.name: {"bias and mask": bits(layer, 0) / 8192,
                       "inputs and weights": (bits(layer, layer.c_in) - bits(layer, 0)) / 8192}
          for layer in convs}
biases = sum(parts["bias and mask"] for parts in prices.values())
total = biases + sum(parts["inputs and weights"] for parts in prices.values())
lab.claim(abs(total - cost.extra_bits(traced, plan.full(net)) / 8192) < 0.04, "all but the head's 32 bytes")
lab.reveal("biases", 100 * biases / total, unit="%", figure=viz.bars(
    prices, y="KiB that the layer adds", stacked=True,
    title="In every layer, a bias and its mask cost less than half of what the weights cost"))

# %% [markdown]
# **See the source.** The kit's rule for a whole plan. (Its tests hold it against the published schemes of MCUNet: 49.8,
# 74.8, 99.8, 125.0 and 148.4 KiB.)

# %%
viz.source(cost.extra_bits)

# %% [markdown]
# A plan in the paper's notation: the head, the biases of the last `num_bias` convolutions, and of some weights a share of
# the input channels, those with the largest weights. Convolutions are counted from the input: 0 is the stem, 1 to 3 are
# `block1` (expand, depthwise, project), 10 to 12 are `block4`. The usual plan, **the last two blocks**:

# %%
two_blocks = plan.from_scheme(traced, num_bias=6, indices=range(7, 13), ratios=[1] * 6)
head_only = plan.from_scheme(traced, num_bias=0)


def extra_kib(wish):
    return cost.extra_bits(traced, wish) / 8192


print(f"the last two blocks add {extra_kib(two_blocks):.1f} KiB, all of it {extra_kib(plan.full(net)):.1f} KiB")

# %% [markdown]
# ## 2 · What is each part worth? · 11 min
#
# Which layers should the bytes go to? **Contribution analysis** asks each one. It trains the net many times, from the same
# start, and reads the accuracy on *validation* images:
#
# - biases of the last k convolutions learn: how much better than the head alone?
# - one weight learns as well, or 1/8, 1/4, 1/2 of its channels: how much better than with the biases alone?
#
# **Predict.** The weight of which convolution gives most? (The numbers are those of section 1.)

# %%
lab.predict("most", "Number of the convolution whose weight alone gives most?",
            options={"0 to 3: stem, first block": (0, 3), "4 to 6: second block": (4, 6),
                     "7 to 9: third block": (7, 9), "10 to 12: last block": (10, 12)})

# %% [markdown]
# That makes 63 short runs. They are the work of seconds, because the runs of one layer are trained as one cohort: what lies
# before the layer is frozen in all of them, so it is computed once. The result is kept; a second time it is there at once.

# %%
pairs = [(part.x, part.y) for part in (train_set, validation)]
scores = sparse.contribution(net, *pairs, epochs=5, batch_size=30, lr=0.1,
                             rng=torch.Generator().manual_seed(0))

# %%
whole = {name: 100 * max(gains.items())[1] for name, gains in scores.weights.items()}
best = list(whole).index(max(whole, key=whole.get))
lab.reveal("most", best, unit=f"({convs[best].name})", figure=viz.bars(
    whole, y="points gained, all channels of this weight", title=f"Most is gained with {convs[best].name}"))

# %% [markdown]
# In this run, of the six weights in the last two blocks only one gives much. The second block gives more, and a plan that
# takes the last two blocks does not reach it. Do not read too closely: one validation image is 0.7 points, so a difference
# of three or four points, or a negative gain, may be chance. With other seeds the order is another, and the most can come
# from the last block.

# %%
viz.curve({k: 100 * gain for k, gain in enumerate(scores.biases)}, x="biases of the last k convolutions learn",
          y="points over the head alone", title="In five epochs, biases alone gain nothing that is certain")

# %% [markdown]
# **Change one thing.** Go through the layers. Where do a quarter of the channels give nearly all of the gain? (Each curve is
# jagged: four runs, 135 images.)

# %%
def channels(layer="block2.expand"):
    _, quarter, _, full = scores.weights[layer].values()        # 1/8, 1/4, 1/2, all
    return viz.curve({n: 100 * gain for n, gain in scores.weights[layer].items()},
                     x="input channels that learn", y="points gained",
                     title=f"{layer}: {100 * quarter:+.0f} points with a quarter, {100 * full:+.0f} with all channels")


lab.explore(channels, layer=[layer.name for layer in convs if len(scores.weights[layer.name]) > 1])

# %% [markdown]
# **See the source.** How copies of a net with different plans are trained at once:

# %%
viz.source(cohort_plans.train)

# %%
lab.quiz("validation")

# %% [markdown]
# ## 3 · Spend a budget · 9 min
#
# Choose k and a number of channels for each layer, so that the sum of the gains is largest and the bytes fit. The book
# calls the search space of MCUNet about $10^{30}$. (It counts 43 layers; there are 42 convolutions and the head. With five
# options for each convolution, none to all, that is $5^{42}$.) In our net a weight learns only where the bias does, too,
# and the stem reads one channel: all or nothing.

# %%
# for each k: the options of the last k convolutions
ours = sum(5 ** k for k in range(13)) + 2 * 5 ** 12
print(f"MCUNet: 5^42 = {5.0 ** 42:.0e} plans; our net: {ours:,}")

# %% [markdown]
# The paper searches by **evolution**: a population of plans, the best survive, their children mix and change a little.
# It has no promise to find the best. But sums under one budget are a **knapsack**, which *dynamic programming* solves
# exactly: `best[b]` is the best gain that fits into b bytes; take things one by one, and ask for each b whether this thing
# is worth its room.
#
# **Your turn.** The heart of it. Each thing can be taken once, or not.

# %% exercise="best_gain"
def best_gain(gains, sizes, budget):
    """The largest sum of gains whose sizes sum to `budget` at most. sizes, budget: ints above 0."""
    best = [0.0] * (budget + 1)
    for gain, size in zip(gains, sizes, strict=True):
        for b in range(budget, size - 1, -1):       # downwards, so that best[b - size] is without this thing
            best[b] = max(best[b], gain + ...)
    return best[budget]

# %%
best_gain = lab.check("best_gain", best_gain)

# %% [markdown]
# The kit's search does the same with up to four options a layer, for every k. Both searches, for three quarters of what
# the last two blocks take:

# %%
room = cost.extra_bits(traced, two_blocks) // 8
plans = {"exact": search.search_plan(scores, traced, 3 * room // 4),
         "evolution": search.search_plan(scores, traced, 3 * room // 4, method="evolution", rng=rng)}
for method, wish in plans.items():
    print(f"{method:<10}{extra_kib(wish):5.1f} KiB, promises {100 * scores.predicted(wish):.1f} %")
searched = plans["exact"]       # more than 100 % is promised: sums of gains are no forecast
lab.claim(scores.predicted(plans["evolution"]) <= scores.predicted(searched) + 1e-9, "exact is the best")
lab.claim(max(map(extra_kib, plans.values())) <= 0.75 * extra_kib(two_blocks), "both keep to the budget")

# %%
chosen = {layer.name: {"channels that learn": searched.channels.get(layer.name, 0), "channels there are": layer.c_in}
          for layer in convs}
viz.bars(chosen, y="input channels",
         title=f"The plan: biases of the last {len(searched.biases) - 1} convolutions, and these channels")

# %% [markdown]
# ## 4 · Does it hold? · 10 min
#
# The search relies on two things. It adds gains up, though every part learned alone, and for 5 epochs only. So its promise
# need not come true, but it must put plans into the right order. And the analysis was done on the *float* net. A step with
# QAS (lab 04) is the same step in other units, so the gains should serve for the net of 8-bit integers. Now train that one
# by the plan, for 15 epochs, and look at the test images.
#
# **Predict.** The searched plan has three quarters of the memory of the last two blocks.

# %%
lab.predict("sparse", "Test accuracy: searched plan minus last two blocks?",
            options={"it loses 2 points or more": (-100, -2), "about the same": (-2, 2),
                     "it wins 2 to 10 points": (2, 10), "it wins more than 10 points": (10, 100)})

# %%
images = torch.cat([clean.x[:64], train_set.x[:64]])      # to find the scales


def adapt(wish, lr=0.1):
    """% right on test images: the int8 net, trained by a plan with QAS."""
    q = quantize.quantize_model(net, images)
    train.fit(q, train_set.x, train_set.y, epochs=15, batch_size=30, lr=optimizers.cosine(lr), plan=wish,
              optimizer=qas.optimizer(q, optimizers.sgd(0.9)), rng=torch.Generator().manual_seed(0),
              progress=False)
    return 100 * train.evaluate(q, test_set.x, test_set.y)["accuracy"]


live = {"head only": adapt(head_only), "last two blocks": adapt(two_blocks),
        "searched, 3/4 of that": adapt(searched)}

# %%
won = live["searched, 3/4 of that"] - live["last two blocks"]
lab.claim(won > 5, "the searched plan beats the last two blocks with 3/4 of their memory")
lab.reveal("sparse", won, unit="points", figure=viz.bars(
    live, y="accuracy on test images, %", title=f"With 3/4 of the memory: {won:+.1f} points"))

# %% [markdown]
# Five seeds, recorded by `benchmarks/sparse_updates.py`, each with another split, another net, an analysis and a search of
# its own. The first of them is the run that you have just seen; for its three plans it is also the luckiest. *Every
# expansion* is a rule of thumb instead of a search: the first convolution of each block, and the biases from there on.

# %%
accuracies = {f"{name}, {min(row['extra_kib']):.1f} KiB": [100 * a for a in row["int8"]]
              for name, row in recorded["plans"].items()}
now = {label: live.get(name) for label, name in zip(accuracies, recorded["plans"], strict=True)}
common = set.intersection(*(set(wish["channels"]) for row in recorded["schemes"] for wish in row.values()))
print("in all ten searched plans:", *sorted(common - {"head"}))
viz.spread(accuracies, live=now, y="accuracy on test images, %",
           title="Five seeds: 12 KiB, well chosen, beat 16 KiB in the last two blocks")

# %% [markdown]
# In each of the five the searched plan is 17 to 20 points better than the last two blocks, with three quarters of their
# memory. Against training *everything*, which takes 32 KiB, it lies between 5 points below and 5 above. With half the
# memory it is ahead of the last two blocks, too, in one seed by less than a point. And look at the biases: alone they give
# 14 to 29 points over the head, after 15 epochs. The short analysis undervalues what learns slowly.
#
# And the rule of thumb? It needs no analysis, and stays within about 3 points of the search, above or below. It was read off
# the paper's own plans, which consist of expansions almost alone. An analysis has to be measured against such a rule.
#
# **Change one thing.** The budget. A search and a training for each place of the slider (about two seconds). From which
# budget on does more memory hardly help?

# %%
def spend(budget_kib=8):
    wish = search.search_plan(scores, traced, 1024 * budget_kib)
    bars = live | {f"searched, {extra_kib(wish):.1f} KiB": adapt(wish)}
    print(f"the biases of the last {len(wish.biases) - 1} convolutions learn, and these channels:")
    print("\n".join(f"  {name} {n}" for name, n in wish.channels.items()))
    return viz.bars(bars, y="accuracy on test images, %",
                    title=f"A budget of {budget_kib} KiB: {list(bars.values())[-1]:.0f} %")


lab.explore(spend, budget_kib=(1, 24))

# %% [markdown]
# ## 5 · What the rule leaves out · 9 min
#
# The rule is there to rank plans. It is not the memory that a board must have: working activations are missing, and so
# are the gradients, which are floats of 4 bytes. The kit's meter counts everything (`rule="device"`, one image).
#
# **Predict.** By the rule, the searched plan adds about 12 KiB. How many times that does it really add to the SRAM?

# %%
lab.predict("peak", "True extra SRAM of the searched plan, divided by the rule's number?",
            options={"about 1": (0, 1.5), "1.5 to 2.5": (1.5, 2.5), "2.5 to 5": (2.5, 5),
                     "more than 5": (5, 20)})

# %%
integers = quantize.quantize_model(net, images)
expansions = plan.from_scheme(traced, num_bias=12, indices=(1, 4, 7, 10), ratios=[1] * 4)
wishes = {"inference": plan.UpdatePlan(), "head only": head_only, "every expansion": expansions,
          "searched, 3/4 of that": searched, "last two blocks": two_blocks, "everything": plan.full(integers)}
reports = {name: memory.memory_report(integers, train_set.x[:1], wish, rule="device")
           for name, wish in wishes.items()}
added = reports["searched, 3/4 of that"].sram - reports["inference"].sram
lab.reveal("peak", added / 1024 / extra_kib(searched), unit="times", figure=viz.bars(
    {name: {"the paper's rule": extra_kib(wishes[name]), "true peak of SRAM": report.sram / 1024}
     for name, report in reports.items()}, y="KiB",
    title="The true peak is several times the rule, and two plans change places"))

# %% [markdown]
# The rule puts *every expansion* before the searched plan, the peak puts it behind, for all five seeds that were recorded.
# Where two plans are close, only the peak decides. What is it made of? Each part is drawn at its highest. They are not all
# at their highest at the same moment, and the weights that learn are left out, so a bar need not sum to the peak.

# %%
saved = 1 - reports["searched, 3/4 of that"].sram / reports["last two blocks"].sram
lab.claim(saved > 0.1, "the searched plan needs less SRAM than the last two blocks, by the true peak too")
worse = reports["every expansion"].sram - reports["searched, 3/4 of that"].sram
lab.claim(extra_kib(expansions) < extra_kib(searched) and worse > 600, "the peak orders these two the other way round")
viz.bars({name: {part: size / 1024 for part, size in report.parts().items() if part != "weights"}
          for name, report in reports.items()}, y="KiB, without weights", stacked=True,
         title="Beyond the rule: gradients of 4 bytes a weight, and working memory")

# %% [markdown]
# A program that applies each gradient as soon as it is there, and then forgets it, needs room for one layer's gradients
# only. The paper's engine does that (*operator reordering*): its MCUNet needs 3,650 KB when everything learns, 560 KB with
# a sparse plan, 173 KB with reordering as well. Lab 21 builds such an engine.
#
# And time? The backward pass ends at the first layer that learns. Recorded for the float net and batches of 30, as a share
# of training everything:

# %%
viz.bars({name: {"multiplications (predicted)": 100 * row["macs_share"],
                 "time of the backward pass (measured)": 100 * row["time_share"]}
          for name, row in recorded["costs"].items()}, y="% of training everything",
         title="Bytes were the budget, so bytes were saved: time need not be")

# %% [markdown]
# The search looked at bytes only. A bias at the front of the net costs few bytes, but the gradient must travel all the way
# to it. And fewer multiplications need not be less time. Where whole layers learn (*every expansion*, the last two blocks),
# the time follows the multiplications. The searched plans take some channels of a layer, and this program must pick them
# out of each map: on maps as small as ours, that may eat most of what it saves. Who wants to save time or energy must put
# it into the budget, too: TinyTrain does that (lab 22).

# %%
lab.quiz("rule")

# %% [markdown]
# **What to keep.** The last layers are a habit, not an optimum. Small parts of many layers gave more accuracy for fewer
# bytes. The analysis is noisy, and gains do not add up; the plan it leads to is good all the same.
# A rule that ranks plans, and roughly, is not a peak of memory, and memory is not time.
#
# ## Questions
#
# 1. The paper uses one plan for all data sets. Why may a vendor do the analysis once, at the factory? When would that go
#    wrong?
# 2. Early layers have large maps. Which term of the rule makes their *weights* expensive, and why are their biases not free
#    either?
# 3. The search of section 3 promised more than 100 %. Give two reasons why gains may not simply be added, one from training
#    and one from luck.
#
# **Exercise.** Take the rule of thumb, `expansions` in section 5. Halve its memory with `ratios` as you think best
# (`extra_kib` gives the price, `adapt` the accuracy), and see whether the search at the same budget is better than you.
#
# **What to try next.** Let the smallest channels learn instead of the largest, or random ones
# (`plan.from_scheme(..., order="smallest")`): the paper found a difference of 0.2 %. Is it larger here?
