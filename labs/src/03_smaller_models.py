# %% [markdown]
# # 03 · Smaller models: what each way saves, and what it costs
#
# **You will** shrink one net in five ways, and count for each what it saves: bytes, multiplications, time on the clock. Then
# you will let classical learners, which were small to begin with, learn from a stream of gestures.
#
# **Objectives.** After this lab you can
# - prune weights, and say from when on zeros save bytes, and what they do to the time;
# - cut whole channels, and name the layers that must lose them together;
# - store weights in a code book of a few bits, and train the book;
# - teach a small net by a large one, and say when that is worth it;
# - say when pruning helps a model on new data, and when it does not;
# - choose a classical learner for a stream, by its RAM and by how it forgets.
#
# **Prerequisites.** Labs 00 and 02.
#
# **Time.** About 60 minutes; the computer works about 30 seconds of it.
#
# **Where we are.** Section 12.3.1 of *On-Device Learning* (Reducing Model Complexity); in volume 2, "Edge Intelligence":
# *Model Adaptation*.

# %% tags=["imports"]
import copy
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.budget import BOARDS
from odl_kit.data import datasets
from odl_kit.learners import distil, memory, train
from odl_kit.models import channels, classical, layers, nets, prune, separable, share, speed

# %%
rng = lab.start("03_smaller_models")

# %% [markdown]
# ## 1 · Zeros · 13 min
#
# Our net for the 8x8 digits is deliberately too large: three convolutions, 14,378 weights and biases, 57,512 bytes.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
learn = partial(train.fit, x=train_set.x, y=train_set.y, batch_size=32, momentum=0.9, rng=rng,
                progress=False)
tune = partial(learn, epochs=8, lr=0.02)


def accuracy(net):
    """% of the 539 test images right."""
    return 100 * train.evaluate(net, test_set.x, test_set.y)["accuracy"]


# %%
whole = nets.tiny_cnn(1, 10, width=16, rng=rng)
learn(whole, epochs=15, lr=0.05)
learn(whole, epochs=5, lr=0.01)
weights = sum(p.numel() for p in whole.parameters())
print(f"{weights:,} weights and biases, {accuracy(whole):.1f} % right")

# %% [markdown]
# **Pruning** sets the smallest weights to zero. Then the others are trained a little more, *fine-tuned*, while the zeros
# stay zero. Han et al. (2015) report that AlexNet loses nothing with nine times fewer weights, LeNet with twelve times fewer.
#
# **Predict.** We prune 90 % and fine-tune for eight passes. How many points of accuracy are lost? (Guessing is right
# 10 % of the time.)

# %%
lab.predict("ninety", "Points lost with 90 % zeros, after fine-tuning?",
            options={"it gains": (-100, -0.5), "less than 3": (-0.5, 3), "3 to 10": (3, 10),
                     "more than 10": (10, 100)})

# %%
shares, before, sparse = (0.5, 0.8, 0.9, 0.95, 0.98), {}, {}
for zeros in shares:
    raw = copy.deepcopy(whole)
    with prune.held(raw, prune.magnitude(raw, zeros)):
        before[zeros] = accuracy(raw)
    sparse[zeros], _ = prune.iterative(whole, (zeros,), tune, progress=False)
after = {zeros: accuracy(net) for zeros, net in sparse.items()}

# %%
lab.claim(after[0.9] > before[0.9] + 3.5, "fine-tuning brings back most of what pruning took")
lab.claim(after[0.9] > accuracy(whole) - 4, "nine weights of ten are hardly missed")
lab.reveal("ninety", accuracy(whole) - after[0.9], unit="points", figure=viz.curve(
    {"right after pruning": before, "after fine-tuning": after}, x="share of zeros", y="% right",
    target=accuracy(whole), title="After fine-tuning, nine weights of ten are hardly missed"))

# %% [markdown]
# Five recorded runs were fine-tuned for twelve passes, not eight: there 90 % zeros cost at most 0.6 points. With
# patience the claim nearly holds here. **See the source**: the whole method is a loop.

# %%
viz.source(prune.iterative)

# %% [markdown]
# That was one seed and one shot. Five seeds recorded by `benchmarks/smaller_models.py` compare three ways, all with the
# same number of passes: all at once, *in steps* of 50, 80, 90, 95 and 98 %, and with the same share of *each layer*. Where
# do they part?

# %%
recorded = lab.recorded("smaller_models")
ways = {"one shot": "one shot, fine-tuned", "in steps": "in steps, fine-tuned",
        "each layer alone": "each layer alone, fine-tuned"}
viz.spread({name: recorded["zeros"][way] for name, way in ways.items()}, y="% right",
           live={"one shot": {f"{100 * zeros:.0f} %": right for zeros, right in after.items()}},
           title="Steps hardly matter, given equal passes; equal shares of each layer do harm")

# %% [markdown]
# (The mark is today's run, with eight passes; the recorded runs had four for each step, so twenty at 98 %, where
# today's lies far behind.) Han et al. went from 5 to 9 times fewer weights by taking steps. Here one shot with as many
# passes does about as well. The same share of each layer starves the first layer, which has only 144 weights.
#
# Now the other promise. Most of the multiplications are by zero now.
#
# **Predict.** How many times faster does PyTorch classify with 90 % zeros?

# %%
lab.predict("faster", "90 % zeros: how many times faster?",
            options={"hardly, or not at all": (0, 1.3), "1.3 to 2 times": (1.3, 2),
                     "2 to 5 times": (2, 5), "more than 5 times": (5, 20)})

# %%
batch = test_set.x[:64]
ms = speed.milliseconds({"whole": whole, "90 % zeros": sparse[0.9]}, batch)
lab.claim(ms["whole"] / ms["90 % zeros"] < 1.3, "zeros save no time in a dense kernel")
lab.reveal("faster", ms["whole"] / ms["90 % zeros"], unit="times")

# %%
lab.quiz("zeros_time")

# %% [markdown]
# And bytes? A zero is only free if nobody stores it, and then one must say *where* the others are. A **list** (compressed
# sparse rows) has, for each nonzero, its value and its column, and for each row where it begins.
#
# **Your turn.** A value takes 4 bytes. A column takes 1 byte up to 256 columns, else 2. There are `rows + 1` row starts, of
# 2 bytes each.

# %% exercise="list_bytes"
def list_bytes(rows, columns, nonzero):
    """Bytes of a matrix with `nonzero` values that are not zero, as a list; an int."""
    column = ...
    return (4 + column) * nonzero + ...

# %%
list_bytes = lab.check("list_bytes", list_bytes)

# %%
matrix = sparse[0.9].conv2.weight                     # (32, 16, 3, 3): a row for each filter
counted = list_bytes(32, 144, int((matrix != 0).sum()))
lab.claim(counted == prune.sparse_bytes(matrix)["list"], "the kit counts the same bytes")
print(f"conv2 with {100 * (matrix == 0).float().mean():.0f} % zeros: {counted:,} bytes as a list, "
      f"{prune.sparse_bytes(matrix)['dense']:,} as a plain matrix")

# %% [markdown]
# **Change one thing.** From how many zeros on is a list shorter than the plain matrix? And when each value has only 8
# bits, as in most nets on boards? (*bitmap*: a bit for each place, then the values. *runs*: the number of zeros before
# each value, in 4 bits; where there are more than 15, a zero is stored too. The dashed line is the plain matrix.)

# %%
def storage(zeros=50, value_bits=32):
    raw = copy.deepcopy(whole)
    with prune.held(raw, prune.magnitude(raw, zeros / 100)):
        sizes = prune.nbytes(raw, value_bytes=value_bits // 8)
    total = {form: size / 1024 for form, size in sizes.items()}
    best = min(total, key=total.get)
    return viz.bars(total, y="KiB for the net", target=total["dense"],
                    title=f"{zeros} % zeros, {value_bits} bits: shortest is {best}")


lab.explore(storage, zeros=(0, 99), value_bits=[32, 8])

# %% [markdown]
# ## 2 · Fewer multiplications · 13 min
#
# To save time, a *whole channel* must leave: its filter, and the part of every later layer that reads it. What comes
# out is an ordinary smaller net. In a chain of layers that is simple. Where a net *adds* two branches, channel 3 of one
# is added to channel 3 of the other: both go, or none. And a *depthwise* convolution filters each channel by itself, so
# it loses those that it is no longer given.
#
# The kit finds who must go together. An example is `mobile_net`: a first convolution (`stem`), then four blocks of 1x1
# `expand`, 3x3 `depthwise`, 1x1 `project`. Blocks 1 and 3 add their input to their output.

# %%
mobile = nets.mobile_net(1, 10, norm=None, rng=rng)
for group in channels.tied(mobile, torch.zeros(1, 1, 16, 16)):
    along = f", with them {', '.join(group.passers)}" if group.passers else ""
    print(f"{group.channels} channels made by {' and '.join(group.makers)}{along}")

# %% [markdown]
# Which channels leave? Those whose filters have the smallest sum of $|w|$ (Li et al. 2017). We cut half of the channels of
# each layer of our net, and fine-tune.
#
# **Predict.** Liu et al. (2019) had a suspicion: is it the *weights* that were kept which help, or only the smaller
# *shape*? Train a net of the same shape from scratch, with as many passes. Points by which the cut net is better?

# %%
lab.predict("scratch", "Cut and fine-tuned, minus the same shape from scratch, in points?",
            options={"scratch is better by 3 or more": (-100, -3), "they differ by less than 3": (-3, 3),
                     "cut is better by 3 or more": (3, 100)})

# %%
small = {cut: channels.cut(whole, batch, cut) for cut in (0.25, 0.5, 0.75)}
fresh = nets.tiny_cnn(1, 10, width=8, rng=rng)          # the shape of the one that lost half
for net in (*small.values(), fresh):
    if net is fresh:
        learn(net, epochs=20, lr=0.05)
    tune(net)
lab.reveal("scratch", accuracy(small[0.5]) - accuracy(fresh), unit="points")

# %%
labels = {cut: f"{100 * cut:.0f} % cut" for cut in small}
viz.spread(recorded["channels"], y="% right",
           live={"largest stay, fine-tuned": {labels[cut]: accuracy(small[cut]) for cut in small},
                 "same net from scratch": {"50 % cut": accuracy(fresh)}},
           title="Trained as long, the same shape from scratch does as well")

# %% [markdown]
# Liu's suspicion holds here: what pruning finds is above all a size that suffices. It still saves the *training*, if
# somebody has trained the large net already. And which channels stay hardly matters in four runs of five, until three
# channels of four must go.
#
# Now time. The MACs (multiplications) can be counted; the time is PyTorch's on this computer.

# %%
timed = {"whole": whole, "90 % zeros": sparse[0.9]} | {labels[cut]: small[cut] for cut in small}
ms = speed.milliseconds(timed, batch)


def count_macs(net):
    return sum(layer.macs for layer in layers.trace(net, batch))


macs = {name: count_macs(net) for name, net in timed.items()}
lab.claim(ms["whole"] / ms["75 % cut"] > 1.4, "a net without channels is really faster")
viz.bars({name: {"MACs": 100 * macs[name] / macs["whole"],
                 "time": 100 * ms[name] / ms["whole"]} for name in timed}, y="% of the whole net",
         title="Cut channels save time, though less than MACs; zeros save none")

# %% [markdown]
# On the device a cut net also *learns* in less memory: fewer weights, gradients and saved activations. **Change one
# thing.** How much must go until the net learns on an UNO R4 (32 KiB of SRAM)?

# %%
def on_board(cut=0, board="uno_r4", batch_size=4):
    net = channels.cut(whole, batch, cut / 100)
    report = memory.memory_report(net, batch[:batch_size], rule="device")
    return lab.budget_bar(report, BOARDS[board])


lab.explore(on_board, cut=(0, 90, 5), board=["uno_r4", "nano33", "portenta"], batch_size=(1, 32))

# %% [markdown]
# Another way to fewer multiplications is a different layer. A plain 3x3 convolution mixes places and channels at once. A
# **depthwise separable** one does the one, then the other: a 3x3 filter for each channel by itself, then a 1x1
# convolution. For $c$ channels it needs $1/c + 1/9$ of the MACs. On ImageNet, MobileNet lost 1 point with 8 times fewer
# (Howard et al. 2017, table 4).
#
# **Predict.** `ds_cnn` has one plain convolution and two such pairs. For comparison we join each pair into one plain
# 3x3 convolution. How many times faster is the *separable* net, in PyTorch?

# %%
lab.predict("pair", "Separable against plain: how many times faster?",
            options={"it is slower": (0, 0.95), "about the same": (0.95, 1.3),
                     "1.3 to 3 times": (1.3, 3), "more than 3 times": (3, 20)})

# %%
pair = nets.ds_cnn(1, 10, width=16, rng=rng)
both = {"separable": pair, "plain": separable.joined(pair, rng=rng)}
for net in both.values():
    learn(net, epochs=15, lr=0.05)
    learn(net, epochs=5, lr=0.01)
times = speed.milliseconds(both, batch)
lab.reveal("pair", times["plain"] / times["separable"], unit="times")
print(f"MACs: {count_macs(both['plain']) / count_macs(both['separable']):.1f} times fewer")

# %%
viz.spread(recorded["pairs"], y="% right",
           live={name: {"width 16": accuracy(net)} for name, net in both.items()},
           title="At the same width a separable net is less accurate, most of all at width 8")

# %% [markdown]
# Neither the speed nor the accuracy comes for free. Recorded, with 3.5 to 6.4 times fewer MACs, the separable net was
# the slower one at all three widths. A depthwise kernel moves many numbers for each multiplication. A microcontroller
# waits for each multiplication, and should gain more; we have not measured one. And our net has two pairs and few
# channels, where MobileNet has thirteen pairs and up to 1,024.
#
# ## 3 · A code book · 9 min
#
# Keep all weights, but let them take few values. $k$-means finds $2^b$ values for each layer, the **code book**. A weight
# is then the *number* of its value, $b$ bits (Han et al. 2016).
#
# **Predict.** Without any fine-tuning: how many bits are needed to lose at most one point?

# %%
lab.predict("bits", "Bits a weight, in place of 32, to lose at most one point without fine-tuning?",
            options={"1 or 2": (1, 2), "3 to 5": (3, 5), "6 or 7": (6, 7), "8 or more": (8, 32)})

# %%
books = {bits: share.share(whole, bits) for bits in (1, 2, 3, 4, 5, 6)}
raw = {bits: accuracy(net) for bits, net in books.items()}
enough = next((bits for bits in raw if raw[bits] >= accuracy(whole) - 1), None)
for bits, net in books.items():
    learn(net, epochs=4, lr=0.002 if bits > 1 else 0.0002)
tuned = {bits: accuracy(net) for bits, net in books.items()}
lab.reveal("bits", enough, unit="bits", figure=viz.curve(
    {"before fine-tuning": raw, "books fine-tuned": tuned}, x="bits a weight", y="% right",
    target=accuracy(whole), title=f"From {enough} bits on, at most one point is lost even without fine-tuning"))

# %% [markdown]
# Fine-tuning moves the values of the book; who takes which value stays. A value is used by many weights, so its gradient
# is the **sum** of theirs.
#
# **Your turn.** `gradient` has one number a weight, `index` says which of `k` values each weight takes.

# %% exercise="book_gradient"
def book_gradient(gradient, index, k):
    """gradient (n,) float, index (n,) int64 in 0..k-1 -> (k,): the gradient of each value of the book."""
    total = torch.zeros(k)
    ...
    return total

# %%
book_gradient = lab.check("book_gradient", book_gradient)

# %% [markdown]
# Hundreds of weights share a value, with one bit thousands, so this sum is large. At the rate that suits single weights
# (0.02) the nets of 1 and 2 bits end up guessing; try it. Books learned here at 0.002, those of one bit at 0.0002. In
# the kit a shared weight is `book[index]`, and autograd does your sum:

# %%
viz.source(share.Book)

# %%
net = share.share(whole, 3)
plain = share.unshared(net)
for one in (net, plain):
    torch.nn.functional.cross_entropy(one(batch), test_set.y[:64]).backward()
index, book = share.books(net)["conv2"]
yours = book_gradient(plain.conv2.weight.grad.flatten(), index.flatten() - 1, len(book))
autograds = net.conv2.parametrizations.weight.original.grad     # where PyTorch keeps the book
lab.claim(torch.allclose(yours, autograds, atol=1e-4), "autograd sums up the same gradients")
print(f"conv2: {index.numel():,} weights, {len(book)} values; first sums: {yours[:3].numpy().round(3)}")

# %% [markdown]
# Pruning and a book go together: zeros need no value. Han et al. (2016) store AlexNet in 27 times fewer bytes this way
# (35 with Huffman codes on top, which we leave out), without loss.

# %%
packed = share.share(sparse[0.9], 4)
learn(packed, epochs=4, lr=0.002)
dense_bytes = prune.nbytes(whole)["dense"]
lab.claim(dense_bytes / share.nbytes(packed) > 15, "zeros and a book save more than 15 times")
lost = accuracy(whole) - accuracy(packed)
print(f"{share.nbytes(packed):,} bytes in place of {dense_bytes:,}: "
      f"{dense_bytes / share.nbytes(packed):.0f} times fewer, {lost:.1f} points lost")

# %%
today = {"before fine-tuning": {f"{bits} bits": raw[bits] for bits in range(1, 6)},
         "books fine-tuned": {f"{bits} bits": tuned[bits] for bits in range(1, 6)}}
today["books fine-tuned"]["4 bits, 90 % zeros"] = accuracy(packed)
viz.spread(recorded["books"], live=today, y="% right",
           title="A fine-tuned book of 4 bits loses next to nothing")

# %% [markdown]
# (The whole nets of the five seeds are right in 97.0 to 98.7 %. Their books were fine-tuned for eight passes, today's
# for four.)
#
# ## 4 · A teacher · 9 min
#
# **Distillation** (Hinton et al. 2015) trains a small net, the *student*, to say what a large one says. A label says
# "this is a 5". A teacher says "a 5, but more like a 3 than like a 0". A *temperature* $T$ makes such hints louder:
# logits are divided by $T$ before the softmax. The student's loss is the Kullback-Leibler divergence (`kl_div`: how far
# its softmax is from the teacher's), mixed with the usual cross-entropy where there are labels.

# %%
viz.source(distil.loss)

# %% [markdown]
# The paper has a story about that: a student who learns without ever seeing a 3. We take all threes out of the training
# images; our large net, which knows threes, is the teacher. The student has 32 hidden units and sees *no label at all*.
#
# **Predict.** How many of the 3s in the test set does it recognise at $T = 4$?

# %%
lab.predict("unseen", "% of the 3s recognised by a student that never saw one, at T = 4?",
            options={"none, or by chance": (0, 10), "10 to 40 %": (10, 40), "40 to 90 %": (40, 90),
                     "nearly all": (90, 100)})

# %%
def student(units=32, temperature=4.0, *, data, teacher=whole):
    """A net with `units` hidden units that learned from the teacher alone."""
    own = torch.Generator().manual_seed(0)
    net = nets.mlp(64, units, 10, rng=own)
    distil.fit(net, teacher, data.x, epochs=30, batch_size=32, lr=0.03, momentum=0.9,
               temperature=temperature, rng=own, progress=False)
    return net


def accuracy_on(net, digit):
    """% of the test images of this digit right."""
    one = test_set.subset(test_set.y == digit)
    return 100 * train.evaluate(net, one.x, one.y)["accuracy"]


# %%
no_threes = train_set.subset(train_set.y != 3)
found = {T: accuracy_on(student(temperature=T, data=no_threes), 3) for T in (1.0, 2.0, 4.0, 8.0)}
lab.claim(found[4.0] > found[1.0] + 20, "at T = 4 a student learns what a 3 is from other digits")
lab.reveal("unseen", found[4.0], unit="%")

# %%
viz.spread(recorded["threes"], live={f"T = {T:.0f}": right for T, right in found.items()},
           y="% of the 3s recognised",
           title="From T = 4 on, students know more than half of the 3s without having seen one")

# %% [markdown]
# At $T = 1$ the hints are too faint: no 3 is recognised. (Hinton's student on MNIST recognised 877 of 1,010 threes; 996
# after the bias of "3", which had learned that there are none, was raised by hand. Ours keeps its bias.)
#
# Now the usual use: all digits, all labels. Does a teacher help then? Recorded for students of four sizes:

# %%
viz.spread(recorded["taught"], y="% right",
           title="A teacher helps small students most, those of 16 or 32 units by two points at best")

# %% [markdown]
# At $T = 1$ it adds nothing. At $T = 4$ a student of 16 or 32 units, with all labels at hand, gains two points at best,
# and sometimes loses a little. The small ones gain most: up to seven points with 8 units, where one of five loses, and
# with 4 units one of five learned nothing at all from labels. Look at *teacher alone*, too: it needs no label and does
# about as well. That is the use on a device, which has examples in plenty and nobody to label them.
#
# **Change one thing.** How small can a student be? What do too little and too much heat do to it?

# %%
def teach(units=32, temperature=4, sees_threes=True):
    net = student(units, float(temperature), data=train_set if sees_threes else no_threes)
    weights = sum(p.numel() for p in net.parameters())
    return viz.bars({k: accuracy_on(net, k) for k in range(10)}, y="% of each digit right",
                    title=f"{weights:,} weights, T = {temperature}: {accuracy(net):.1f} % right")


lab.explore(teach, units=[4, 8, 16, 32], temperature=[1, 2, 4, 8, 20], sees_threes=True)

# %% [markdown]
# ## 5 · Does smaller mean better on new data? · 7 min
#
# The chapter says that pruning improves *generalization*. A decision tree is the place where that idea began (Breiman et
# al. 1984). Our tree learns when one household, of the 24 simulated ones, turns its thermostat to which degree. People have
# whims, and a tree that grows until it is right on all it saw learns the whims too.
#
# **Cost-complexity pruning** cuts, again and again, the branch that explains least for each leaf it spends.
#
# **Predict.** The full tree has about 150 leaves. Of the pruned ones we take the one that is best on the last of the
# known weeks. Points that it wins on two weeks to come?

# %%
lab.predict("tree", "Points won on new weeks by pruning the tree?",
            options={"it loses": (-100, -1), "none": (-1, 1), "1 to 5": (1, 5), "more than 5": (5, 100)})

# %%
homes = datasets.load("thermostat")
weeks, new_weeks = datasets.split(homes.subset(homes.user == 0), by="time", test=0.25)
grown, kept_back = datasets.split(weeks, by="time", test=0.25)       # the last of the known weeks choose
path = classical.pruned_trees(grown.x, grown.y)
best = max(path, key=lambda tree: (tree.score(kept_back.x, kept_back.y), -tree.get_n_leaves()))
score = [100 * tree.score(new_weeks.x, new_weeks.y) for tree in (path[0], best)]

# %%
sides, leaves = {"on what it saw": grown, "on new weeks": new_weeks}, [t.get_n_leaves() for t in path]
lab.claim(score[1] > score[0] + 3, "pruning helps the tree of this household")
lab.reveal("tree", score[1] - score[0], unit="points", figure=viz.curve(
    {name: (leaves, [100 * tree.score(one.x, one.y) for tree in path]) for name, one in sides.items()},
    x="leaves", y="% exactly right", log="x",
    title=f"{best.get_n_leaves()} leaves do better than {path[0].get_n_leaves()}"))

# %% [markdown]
# Pruned, the tree is far smaller *and* better. Is that a law? Recorded: all 24 households, and five seeds of digits, of which
# hardly a label is wrong. Each line is sorted by what pruning wins.

# %%
gain = {name: [pruned - full for (_, full), (_, pruned) in zip(*kinds.values(), strict=True)]
        for name, kinds in recorded["trees"].items()}
won = sum(points > 0 for points in gain["thermostat"])
named = {"24 households": sorted(gain["thermostat"]), "5 seeds of digits": sorted(gain["digits"])}
viz.curve({name: ([100 * i / (len(line) - 1) for i in range(len(line))], line)
           for name, line in named.items()}, x="sorted, from least to most gain (%)",
          y="points won on new data by pruning", target=0,
          title=f"Pruning wins in {won} of 24 households, and hardly ever on digits")

# %% [markdown]
# Digits and thermostats differ in more than their noise. So here is a net, and only the labels change: first the true
# ones, then a fifth of them drawn at random. The dense net learns for 20 passes, or for 40; the pruned one for 20, and
# then for 20 with its zeros.

# %%
viz.spread(recorded["noisy"], y="% right on new digits, true labels",
           title="Zeros help where labels are wrong, and cost a little where they are right")

# %% [markdown]
# With true labels pruning *costs* up to two points. With wrong ones it wins two to five over the dense net that learned
# as long: few weights cannot learn all errors by heart. To stop after 20 passes wins most of that in three runs of
# five, and costs next to nothing. Pruning is one way to hold a model back; it improves generalization where holding
# back is what is missing.
#
# ## 6 · Small from the start: learning from a stream · 12 min
#
# Naive Bayes, logistic regression, a linear support vector machine, a small tree: these needed no shrinking. The chapter
# calls them great candidates for continuous learning. The *simulated* accelerometer recordings of 24 people are the test:
# eight gestures, from each axis five numbers that one pass over the window gives.
#
# A learner starts with what 16 people did. Then a **newcomer** wears the device: 120 gestures, one after the other.
# Each is first guessed, then learned, eight at a time.

# %%
viz.source(classical.stream)

# %%
known, new = datasets.split(datasets.load("motion"), by="user", test=1 / 3, rng=rng)
scale, shift = classical.summary(known.x).std(0), classical.summary(known.x).mean(0)
makers = {"naive Bayes": classical.naive_bayes, "logistic regression": classical.logistic,
          "linear SVM": classical.linear_svm, "rebuilt tree": partial(classical.RebuiltTree, 400)}


def features(data):
    """(N, 15): mean, deviation, least, most and mean step of each axis, in units of the people known before."""
    return (classical.summary(data.x) - shift) / scale


# %%
base, passes = {}, {"logistic regression": 3, "linear SVM": 3}      # SGD takes more than one pass
order = torch.randperm(len(known), generator=rng)
for name, make in makers.items():
    base[name] = make()
    for _ in range(passes.get(name, 1)):
        base[name].partial_fit(features(known)[order], known.y[order], classes=range(8))

# %%
newcomers = []                     # each person's gestures, shuffled within each repeat
for user in new.user.unique():
    own = new.subset(new.user == user)
    newcomers.append(own.subset((own.time + 0.9 * torch.rand(len(own), generator=rng)).argsort()))

# %% [markdown]
# Scikit-learn has no tree that goes on learning: a branch once chosen stays. So *rebuilt tree* keeps the last 400
# examples and is built anew each time.
#
# **Predict.** Naive Bayes keeps a mean and a variance of each feature in each class, of all that it has ever seen. It
# goes on learning. How many points does it win over a frozen copy, on the newcomer's last 40 gestures? (A third learner
# *starts from nothing*: it begins with the newcomer's first eight gestures and goes on, but never saw anybody else.)

# %%
lab.predict("newcomer", "Points that naive Bayes wins by learning on?",
            options={"less than 5": (-100, 5), "5 to 10": (5, 10), "10 to 20": (10, 20),
                     "more than 20": (20, 100)})

# %%
def late(name, way):
    """% right in the last 40 of 120 gestures, a mean over the eight newcomers."""
    right = []
    for own in newcomers:
        x, y = features(own), own.y.numpy()
        learner = copy.deepcopy(base[name])
        if way == "starts from nothing":
            learner = makers[name]().partial_fit(x[:8], y[:8], classes=range(8))
            x, y = x[8:], y[8:]
        frozen = way == "frozen"
        said = learner.predict(x) if frozen else classical.stream(learner, x, y, batch=8)
        right.append(float((said == y)[-40:].mean()))
    return 100 * sum(right) / len(right)


# %%
live = {way: {name: late(name, way) for name in makers}
        for way in ("frozen", "goes on learning", "starts from nothing")}
nb = {way: row["naive Bayes"] for way, row in live.items()}
lab.claim(nb["starts from nothing"] > nb["goes on learning"] + 5, "naive Bayes does better without a past")
lab.reveal("newcomer", nb["goes on learning"] - nb["frozen"], unit="points", figure=viz.spread(
    recorded["stream"], live=live, y="% right in the newcomer's last 40 gestures",
    title="All gain by going on; naive Bayes least, its past drowns the newcomer"))

# %% [markdown]
# Naive Bayes has 240 examples of each gesture from others, against 15 of the newcomer: it cannot forget them. Without a
# past it is as good as the best, after a dozen examples of each gesture. The tree, which forgets all but 400, adapts most; by
# SGD one adapts as fast as the rate allows. "Easy to learn on" says nothing about *forgetting*.

# %%
lab.quiz("forget")

# %% [markdown]
# **Your turn.** How does naive Bayes keep a mean and a variance without keeping examples? By Welford's rule (1962): for one
# new value $x$, with `count` values before it, their mean $m$, and $s$ the sum of their squared distances from $m$:
#
# $$m' = m + \frac{x - m}{n}, \qquad s' = s + (x - m)(x - m'), \qquad n = \text{count} + 1$$

# %% exercise="remember"
def remember(count, mean, spread, x):
    """One more value: (count, mean, sum of squared distances) -> the same three, with x."""
    count = count + 1
    step = x - mean
    mean = ...
    spread = ...
    return count, mean, spread

# %%
remember = lab.check("remember", remember)

# %%
waves = features(known)[known.y == 4, 0].tolist()       # one feature of one gesture
state = (0, 0.0, 0.0)
for value in waves:
    state = remember(*state, value)
count, mean, spread = state
together = torch.tensor(waves).double()
lab.claim(abs(spread / count - together.var(correction=0)) < 1e-3, "Welford's variance is the variance")
print(f"{count} values one by one: mean {mean:.4f}, variance {spread / count:.4f}; "
      f"all at once: {together.mean():.4f}, {together.var(correction=0):.4f}")

# %% [markdown]
# What do they need? An UNO R3 has 2 KiB of SRAM, for a program's own variables too. **Change one thing.** Who fits, and
# what does the tree's memory of examples cost?

# %%
def fits(learner="naive Bayes", examples=400, board="uno_r3"):
    one = copy.deepcopy(base[learner])
    if learner == "rebuilt tree":
        one = classical.RebuiltTree(examples).partial_fit(features(known)[order], known.y[order])
    return lab.budget_bar(classical.memory_report(one, batch=1), BOARDS[board])


lab.explore(fits, learner=list(makers), examples=(20, 400, 20), board=["uno_r3", "uno_r4", "nano33"])

# %% [markdown]
# A stream can also ask for a number. Linear regression sets the thermostat of each of the 24 households, a day at a
# time; its rival copies what the dial said at the same hour yesterday. The one keeps eight weights and a bias, 4 bytes
# each, the other a day of degrees, a byte each.

# %%
def degrees_off(user):
    """Mean error in degrees on the last two of eight weeks: linear regression that learns on, and yesterday's dial."""
    home = homes.subset(homes.user == user)
    dial = home.y.double()
    learner = classical.linear_regression(lr=0.02).partial_fit(home.x[:24], dial[:24])
    said = torch.from_numpy(classical.stream(learner, home.x[24:], dial[24:], batch=24))
    return [float((one - dial[24:]).abs()[-336:].mean()) for one in (said, dial[:-24])]


learned, copied = zip(*(degrees_off(user) for user in homes.user.unique()), strict=True)
better = sum(a < b for a, b in zip(learned, copied, strict=True))
viz.bars({"linear regression, 36 bytes": sum(learned) / 24, "copy yesterday, 24 bytes": sum(copied) / 24},
         y="degrees off, mean of 24 households",
         title=f"Linear regression is nearer on average, and in {better} of 24 households")

# %% [markdown]
# ## All in one picture
#
# Bytes against accuracy, for what you made today. Zeros are stored in the shortest of the four formats. The dashed line
# is the whole net: 57,512 bytes.

# %%
paths = {"zeros": [(min(prune.nbytes(net).values()), net) for net in sparse.values()],
         "channels cut": [(prune.nbytes(net)["dense"], net) for net in small.values()],
         "code books": [(share.nbytes(net), net) for bits, net in books.items() if bits > 1],
         "zeros and a book": [(share.nbytes(packed), packed)]}
viz.curve({name: ([size for size, _ in made], [accuracy(net) for _, net in made])
           for name, made in paths.items()}, x="bytes", y="% right", log="x",
          target=accuracy(whole), title="Zeros and a code book together give most for few bytes")

# %% [markdown]
# **What to keep.** Zeros save bytes, not time; channels save both, and memory for training as well. A book of 4 bits costs
# next to nothing. A teacher is worth most where labels are missing. Pruning helps on new data where a model would
# learn noise by heart. And a small classical learner learns on with a few hundred numbers; ask how it forgets.
#
# ## Questions
#
# 1. Which of the savings of this lab still counts when the whole net must *learn* on the device, and not only be used?
# 2. A net with a code book learns. What has a gradient, and how many bytes do gradients need at least?
# 3. How would you let naive Bayes forget? Which of its three numbers would you change, and when?
#
# **Exercise.** Cut in steps: 25 % of the channels, fine-tune, 25 % of the rest, and so on until 1,000 weights are left. Is
# that better than the one cut of 75 % in section 2, with as many passes?
#
# **What to try next.** Lab 05 shrinks not the model but what learns in it; lab 04 computes with 8 bits.
