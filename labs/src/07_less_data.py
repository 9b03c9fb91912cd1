# %% [markdown]
# # 07 · Less data: what is worth its bytes
#
# **You will** fill the few kilobytes that a board has left for data: with fewer examples, fewer bits or fewer numbers. You
# find out which of them learns best from the same bytes, and why the answer changes with the data.
#
# **Objectives.** After this lab you can
# - measure a sample complexity, and say when a power law through it misleads;
# - choose examples by herding and by k-centre, and judge both against chance;
# - code examples as sparse combinations of a few others, and count every byte of it;
# - put a vocabulary into a table, so that it needs far fewer vectors.
#
# **Prerequisites.** Lab 02.
#
# **Time.** About 55 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.3.3 of *On-Device Learning* (Developing New Data Representations); in volume 2,
# "Edge Intelligence": *Data Efficiency*.

# %% tags=["imports"]
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.budget import BOARDS, in_kib
from odl_kit.data import bits, coresets, datasets, dictionary, storage, text
from odl_kit.learners import memory, sample_complexity, train
from odl_kit.models import flat, nets, two_component

# %%
rng = lab.start("07_less_data")

# %% [markdown]
# ## 1 · How many examples does it take? · 8 min
#
# The chapter calls it **sample complexity**: the amount of training data that an algorithm needs to reach a target accuracy.
# It depends on the data, on the net and on the target, so it has to be measured. We train one small net on 20, 40, ...
# 1,280 handwritten digits. Each size is drawn eight times, since small sets differ from one another.

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
x, y = train_set.x, train_set.y
net = nets.mlp(64, 32, 10, rng=rng)
w0 = flat.ravel(net)


def learn(sets):
    """Train a net on each (x, y) of a list, all from the same start; accuracy on new digits, in per cent."""
    found = sample_complexity.accuracies(net, w0, sets, test_set.x, test_set.y, epochs=60, batch_size=16,
                                         lr=0.1, rng=rng)
    return [100 * share for share in found]

# %% [markdown]
# **Predict.** Say 90 % takes a certain number of digits. At 94 % the errors fall from 10 in a hundred to 6. How many times
# as many digits does that take?

# %%
lab.predict("to94", "Digits for 94 %, divided by digits for 90 %?",
            options={"less than 1.3 times": (1, 1.3), "about 1.7 times (10 : 6)": (1.3, 1.9),
                     "2 to 4 times": (1.9, 4.5), "more": (4.5, float("inf"))})

# %%
sizes, draws = (20, 40, 80, 160, 320, 640, 1280), 8
drawn = [torch.randperm(len(x), generator=rng)[:size] for size in sizes for _ in range(draws)]
tried = torch.tensor(learn([(x[own], y[own]) for own in drawn])).view(len(sizes), draws)
mean = tried.mean(1).tolist()
n90, n94 = (sample_complexity.needed(sizes, mean, target) for target in (90, 94))
lab.reveal("to94", n94 / n90, unit="times", figure=viz.curve(
    {"mean of eight draws": (sizes, mean)}, spread={"mean of eight draws": tried.T.tolist()},
    x="digits to learn from", y="accuracy on new digits, %", log="x", target=90,
    title=f"90 % takes about {n90:.0f} digits, 94 % about {n94:.0f}"))

# %% [markdown]
# Each further point costs more than the one before. Errors often follow a **power law**, $\text{error} = a\,n^{-b}$, a
# straight line where both axes are logarithmic (Hestness et al. 2017). So it is tempting to measure a few small sets and
# read off the rest. We fit the law to the first four sizes.

# %%
errors = [100 - accuracy for accuracy in mean]
law = sample_complexity.power_law(sizes[:4], errors[:4])
lab.claim(errors[-1] > 1.05 * law.error(sizes[-1]), "a law through small sets promises too much")
viz.curve({"measured": (sizes, errors), "law of the first four": (sizes, [law.error(n) for n in sizes])},
          x="digits to learn from", y="errors, %", log="xy",
          title=f"Small sets promise {law.error(1280):.1f} % errors at 1,280, and "
                f"{errors[-1]:.1f} % come true")

# %% [markdown]
# The line bends. The law has no floor, and with a net this small there may well be one. This is one run; in all five
# recorded seeds (`benchmarks/less_data.py`) the law promised too much:

# %%
recorded = lab.recorded("less_data")
promised, came = recorded["complexity"]["expected"], recorded["complexity"]["accuracy"][-1]
lab.claim(all(more > less for more, less in zip(promised, came, strict=True)), "the law promises too much in every seed")
viz.spread({"promised by the law": promised, "measured": came},
           live={"promised by the law": 100 - law.error(1280), "measured": mean[-1]},
           y="accuracy with 1,280 digits, %", title="Seed for seed, the law through 20 to 160 digits is too hopeful")

# %% [markdown]
# **See the source**, and **change one thing**: the target. From which target on does the law ask for far too few?

# %%
viz.source(sample_complexity.needed)

# %%
def ask_for(target=90):
    measured, promised = sample_complexity.needed(sizes, mean, target), law.examples(100 - target)
    in_words = f"{measured:.0f}" if measured < 2000 else "more than 1,280"
    return viz.bars({"measured": measured if measured < 2000 else None, "the law says": promised},
                    y="digits needed", title=f"{target} %: {in_words} measured, {promised:,.0f} by the law")


lab.explore(ask_for, target=(60, 98))

# %% [markdown]
# ## 2 · Which examples? · 12 min
#
# If only a few examples can stay, choose them well: a **coreset**. Two rules, and chance as their rival:
#
# - **Herding** (Welling 2009; iCaRL, Rebuffi et al. 2017) keeps the *mean*. Of all examples it takes the one that brings the
#   mean of the chosen ones nearest to the mean of all:
#   $p_k = \arg\min_x \left| \mu - \frac{1}{k}\left(x + \sum_{j<k} p_j\right) \right|$, with $\mu$ for the mean of all and
#   $p_j$ for the $j$-th example chosen.
# - **k-centre** (Sener and Savarese 2018) keeps the *extent*. It takes the example that is farthest from all chosen ones.
#   Ours starts with the example nearest to the mean, so its first choice is that of herding.
#
# **Your turn.** Write herding. `total` is the sum of the examples chosen so far.

# %% exercise="herding"
def herding(features, count):
    """features (N, D) -> (count,) the indices of the examples chosen, in their order."""
    mean, total, chosen = features.mean(0), torch.zeros(features.shape[1]), []
    while len(chosen) < count:
        means = ...         # (N, D): the mean of the chosen ones, if example n joins
        distance = (mean - means).norm(dim=1)
        distance[chosen] = float("inf")
        chosen.append(int(distance.argmin()))
        total = ...
    return torch.tensor(chosen)

# %%
herding = lab.check("herding", herding)

# %% [markdown]
# We choose class by class, so that every rule has the same number of each digit. These come first, two of each.

# %%
pixels = x.flatten(1)
by_chance = partial(coresets.random, rng=rng)
rank = {name: coresets.by_class(choose, pixels, y) for name, choose in
        {"random": by_chance, "herding": herding, "k-centre": coresets.k_centre}.items()}
first = torch.cat([order[:20][y[order[:20]].argsort(stable=True)] for order in rank.values()])
viz.images(x[first], columns=20, title="Above by chance, then by herding, below by k-centre: its second of each is odd")

# %% [markdown]
# **Predict.** The net learns from *ten* digits, one of each class. What does herding win over chance?

# %%
lab.predict("ten", "Ten digits: points of accuracy that herding wins over chance?",
            options={"it loses": (-60, -1), "up to 5": (-1, 5), "5 to 15": (5, 15), "more than 15": (15, 60)})

# %%
counts = (10, 20, 50, 100, 200, 500, 1000)
picked = [(x[order[:n]], y[order[:n]]) for order in rank.values() for n in counts]
accuracy = torch.tensor(learn(picked)).view(len(rank), -1).tolist()
curves = dict(zip(rank, accuracy, strict=True))
lab.claim(curves["herding"][0] > curves["random"][0] + 7, "ten herded digits beat ten by chance")
lab.reveal("ten", curves["herding"][0] - curves["random"][0], unit="points", figure=viz.curve(
    {name: (counts, line) for name, line in curves.items()}, x="digits kept", y="accuracy, %", log="x",
    title=f"What herding wins over chance: {round(curves['herding'][0] - curves['random'][0])} points with ten digits, "
          f"{round(curves['herding'][5] - curves['random'][5])} with {counts[5]}"))

# %% [markdown]
# Herding takes the most ordinary examples first, and ten ordinary ones say most. With hundreds it wins a point or so:
# chance covers the data, too. Guo et al. (2022) compared many such rules on larger nets, and found random choice to be a
# strong baseline there as well. And k-centre? With ten digits it has the same ten as herding; then look at its second
# digits above. The recorded seeds:

# %%
def per_class(count):
    place = recorded["per_class"].index(count)
    return {rule: recorded["chosen"]["trained"][rule][place] for rule in
            ("random", "herding, pixels", "k-centre, pixels")}


def live(n):
    return {rule: curves[rule.split(",")[0]][counts.index(n)] for rule in per_class(1)}


lab.claim(live(50)["k-centre, pixels"] < live(50)["random"] - 1, "with five of each, k-centre is behind chance")
viz.spread({f"{n} digits": per_class(n // 10) for n in (10, 50, 500)},
           live={f"{n} digits": live(n) for n in (10, 50, 500)},
           y="accuracy, %", title="k-centre pays for its odd ones with 50 digits; with 500 it is level or ahead of chance")

# %%
viz.source(coresets.k_centre)

# %%
lab.quiz("odd_ones")

# %% [markdown]
# iCaRL has another use for its few examples. The device *has* a net, trained while all data were there; afterwards only a few
# examples stay. A new digit gets the class whose examples have the nearest **mean of features**, what the net makes of them
# before its head, the last layer. Nothing is trained again. Now it pays that herding keeps the mean. (One of each is again
# the same ten for herding and k-centre.)

# %%
def means_of(count):
    place = recorded["per_class"].index(count)
    return {rule: recorded["chosen"]["nearest mean"][rule][place] for rule in
            ("random", "herding, features", "k-centre, features")}


viz.spread({"one of each": means_of(1), "five of each": means_of(5)}, y="accuracy of the nearest mean, %",
           title="With a trained net, one herded digit of each class is worth about five by chance")

# %% [markdown]
# **Change one thing.** The rules above measure distances between pixels. Let them measure between the features of the trained
# net, or take half of what you took. From how many digits on is k-centre ahead of herding?

# %%
trained = nets.mlp(64, 32, 10, rng=rng)
train.fit(trained, x, y, epochs=60, batch_size=16, lr=0.1, rng=rng, progress=False)
spaces = {"pixels": pixels, "features": trained[:-1](x).detach()}


def keep(rule="herding", digits=50, distances="pixels"):
    choose = {"random": by_chance, "herding": coresets.herding, "k-centre": coresets.k_centre}[rule]
    own = coresets.by_class(choose, spaces[distances], y)[:digits]
    [got] = learn([(x[own], y[own])])
    return viz.images(x[own[:20]], columns=20, title=f"{rule}, {digits} digits: {got:.0f} %. The first twenty:")


lab.explore(keep, rule=list(rank), digits=(10, 800, 10), distances=list(spaces))

# %% [markdown]
# ## 3 · Fewer bits · 7 min
#
# A pixel of these digits has 17 grey levels and lies in one byte. How much of it does learning need? In $b$ bits a pixel
# has $2^b$ levels:

# %%
few = {b: bits.rounded(x, b) for b in (1, 2, 3, 4, 8)}
viz.images(torch.cat([few[b][:10] for b in (8, 2, 1)]), title="Ten digits in 8 bits, in 2 bits, in 1 bit a pixel")

# %% [markdown]
# **Your turn.** Levels are packed without gaps, and each label takes as few bits as its number of classes allows (10
# classes: 4 bits). Count the bytes of a whole set, rounded up to whole bytes once for all pixels, once for all labels.

# %% exercise="stored_bytes"
def stored_bytes(examples, pixels, bits, classes):
    """Bytes of a set with so many pixels an example, in so many bits each, and its labels; an int."""
    for_pixels = ...
    label_bits = (classes - 1).bit_length()
    for_labels = ...
    return for_pixels + for_labels

# %%
stored_bytes = lab.check("stored_bytes", stored_bytes)

# %% [markdown]
# **Predict.** All digits, but 2 bits a pixel in place of 8: a quarter of the bytes. Points of accuracy lost?

# %%
lab.predict("two_bits", "Points lost with 2 bits a pixel?",
            options={"none (within 1.5)": (-3, 1.5), "1.5 to 5": (1.5, 5), "5 to 15": (5, 15),
                     "more": (15, 90)})

# %%
in_few = dict(zip(few, learn([(rounded, y) for rounded in few.values()]), strict=True))
kib = [stored_bytes(len(x), 64, b, 10) / 1024 for b in few]
lab.reveal("two_bits", in_few[8] - in_few[2], unit="points", figure=viz.curve(
    {"1, 2, 3, 4, 8 bits a pixel": (kib, list(in_few.values()))}, x="KiB for all digits", y="accuracy, %",
    title=f"{len(x):,} digits in 2 bits: {kib[1]:.0f} KiB, {in_few[2]:.0f} %"))

# %% [markdown]
# Two bits are nearly free. New digits were *not* rounded when we tested: the device need not do so. **See the source**, and
# **change one thing**: for the same bytes, would you keep more digits in fewer bits, or fewer in more?

# %%
viz.source(bits.quantise)

# %%
def same_bytes(KiB=8):
    fit = {b: min(len(x), int(KiB * 1024 / (64 * b / 8 + 0.5))) for b in (1, 2, 4, 8)}
    chosen = [rank["random"][:n] for n in fit.values()]
    got = learn([(few[b][own], y[own]) for b, own in zip(fit, chosen, strict=True)])
    found = {f"{n:,} digits, bits a pixel: {b}": value for (b, n), value in zip(fit.items(), got, strict=True)}
    return viz.bars(found, y="accuracy, %", title=f"{KiB} KiB hold {' or '.join(f'{n:,}' for n in fit.values())} digits")


lab.explore(same_bytes, KiB=(2, 64, 2))

# %% [markdown]
# ## 4 · Fewer numbers: a dictionary · 12 min
#
# The chapter's third way: data are turned into a **dictionary** times a **block-sparse** matrix of coefficients (TinyDL,
# Darvish Rouhani et al. 2017). An example $x$ becomes a sum of a few others, $x \approx D\,c$. The dictionary $D$ holds
# some examples of the data, scaled to length 1, called *atoms*. The code $c$ is mostly zeros; only its places and values
# are stored. *Block-sparse* means that what is not zero stands in blocks, groups of neighbouring atoms; we begin with single ones.
#
# Digits of 64 pixels are small already. So we take signals: 2 s of an acceleration sensor, 3 axes of 100 samples, of
# *simulated* people (lab 02). There are eight gestures.
#
# Which atoms? **Orthogonal matching pursuit** takes the one that agrees most with what is left of $x$, fits the values of
# *all* atoms taken so far anew by least squares, and goes on with what is left then.
#
# **Your turn.** Write it. The figure below it tells how much is missing as a share of $|x|$, the length of $x$.

# %% exercise="pursue"
def pursue(x, atoms, count):
    """x (D,), atoms (K, D) of length 1 -> code (K,) with at most `count` numbers that are not 0."""
    chosen, left, code = [], x, torch.zeros(len(atoms))
    for _ in range(count):
        agreement = ...                 # (K,): each atom times what is left
        chosen.append(int(agreement.abs().argmax()))
        basis = atoms[chosen].T         # (D, k)
        values = torch.linalg.lstsq(basis, x[:, None]).solution[:, 0]
        left = ...
    code[chosen] = values
    return code

# %%
pursue = lab.check("pursue", pursue)

# %%
motion, motion_test = datasets.split(datasets.load("motion"), test=0.2, rng=rng)
signals = motion.x.flatten(1)
atoms = dictionary.columns(motion.x, 64, rng=rng)
one = signals[(motion.y == 4).nonzero()[0, 0]]              # a circle
given_back = {k: pursue(one, atoms, k) @ atoms for k in (1, 3, 8)}
missing = {k: float((one - signal).norm() / one.norm()) for k, signal in given_back.items()}
viz.curve({"as measured": one[:100].tolist()} | {f"{k} of 64 atoms": signal[:100].tolist()
                                                 for k, signal in given_back.items()},
          x="sample of the first axis", y="acceleration, g",
          title=f"One atom leaves an error of {100 * missing[1]:.0f} % of |x|, eight {100 * missing[8]:.0f} %")

# %% [markdown]
# A value takes 6 bits, its place among 64 atoms 6 more, and 4 bits say how many there are. That makes 12.5 bytes a
# recording in place of 300. The dictionary itself, 64 atoms of 300 bytes, has to be stored as well.
#
# **Predict.** One net is trained on all recordings in 8 bits a number, a second one on what the codes give back. Both are
# tested on new recordings as they come from the sensor.

# %%
lab.predict("codes", "Points of accuracy that the codes lose?",
            options={"none": (-3, 2), "2 to 15": (2, 15), "15 to 40": (15, 40), "more than 40": (40, 90)})

# %%
motion_net = nets.mlp(300, 32, 8, rng=rng)
m0 = flat.ravel(motion_net)


def learn_motion(sets, test_x=motion_test.x):
    found = sample_complexity.accuracies(motion_net, m0, sets, test_x, motion_test.y, epochs=100,
                                         batch_size=16, lr=0.02, rng=rng)
    return [100 * share for share in found]

# %%
full = storage.in_bits(motion.x, 8, low=-2, high=2)
coded = storage.in_dictionary(motion.x, atoms, count=8, value_bits=6)
before, after = learn_motion([(full.x, motion.y), (coded.x, motion.y)])
size = {"8 bits a number": full.each * len(motion) / 1024,
        "dictionary and codes": (coded.fixed + coded.each * len(motion)) / 1024}
lab.claim(before - after > 0.5, "the codes lose something")
lab.reveal("codes", before - after, unit="points", figure=viz.bars(
    size, y="KiB", title=f"{before:.0f} % with {size['8 bits a number']:.0f} KiB, "
                         f"{after:.0f} % with {size['dictionary and codes']:.0f} KiB"))

# %% [markdown]
# A fourteenth of the bytes, for a few points. (RankMap, a system by the same group, reports up to a hundred times less memory
# at the same accuracy, for data that fill many computers. The larger the set, the less its dictionary weighs.)
#
# **See the source.** The kit's version works on all examples at once. It can stop at an error threshold, and take atoms in
# blocks of neighbours, which saves bits for places.

# %%
viz.source(dictionary.pursue)

# %% [markdown]
# Three choices that sound wise, recorded over five seeds. First, take as next atom the recording that those before
# represent *worst*. Second, blocks of neighbouring atoms, taken together. Third, no fixed number of atoms, but as many as it
# takes to bring the error below a share of $|x|$.

# %%
kept = recorded["dictionary"]
middle = {name: sorted(runs[0])[2] for name, runs in kept.items()}          # bytes a recording, median
shown = ["8 atoms by chance", "8 atoms, worst first", "5 single atoms", "4 blocks of 2", "2 blocks of 4", "error 0.3",
         "error 0.2", "error 0.15"]
viz.spread({f"{name}, {middle[name]:.0f} B": kept[name][1] for name in sorted(shown, key=middle.get)},
           live={f"8 atoms by chance, {middle['8 atoms by chance']:.0f} B": after},
           y="accuracy, %", title="Atoms by chance, a fixed number of them: hard to beat for their bytes")

# %% [markdown]
# (B: bytes a recording, with its share of the dictionary.) *Worst first* fills the dictionary with oddities, as k-centre
# did. Blocks of 2 lie somewhat below single atoms in the median, though their seeds overlap; blocks of 4 lie further below.
# And the threshold disappoints: at 17 bytes it is far behind five atoms at 16. How many atoms does it give to each gesture?

# %%
lab.claim(max(kept["error 0.3"][1]) < min(kept["5 single atoms"][1]), "five atoms beat the threshold 0.3 in every seed")
by_error = dictionary.pursue(motion.x, atoms, count=32, error=0.3)
used = (by_error.blocks >= 0).sum(1).float()
given = {gesture: float(used[motion.y == k].mean()) for k, gesture in enumerate(motion.classes)}
lab.claim(given["shake"] > 3 * given["swipe left"], "the threshold spends its atoms on shaking")
viz.bars(given, y="atoms a recording, on average", title="Error below 0.3 |x|: where the atoms go")

# %%
lab.quiz("threshold")

# %% [markdown]
# Most of $|x|$ is gravity. One atom that explains it leaves an error below $0.3\,|x|$ in many recordings, and the movement is
# lost. So take the mean of each axis off first, from new recordings too. Then two atoms, about 3 bytes
# without the dictionary, do nearly what took eight:

# %%
lab.claim(min(kept["2 atoms, means taken off"][1]) > max(kept["2 atoms"][1]), "without gravity two atoms say more, in every seed")
viz.spread({name: kept[name][1] for name in ("2 atoms", "2 atoms, means taken off", "8 atoms by chance")},
           y="accuracy, %", title="Know your data: without gravity, two atoms do nearly what took eight")

# %% [markdown]
# One more way to save: train on the *codes*, 64 numbers in place of 300, so that the first layer shrinks as well. New
# recordings must then be coded before the net can read them.

# %%
weights = {inputs: sum(p.numel() for p in nets.mlp(inputs, 32, 8, rng=rng).parameters()) for inputs in (300, 64)}
viz.spread({f"what codes give back, {weights[300]:,} weights": kept["8 atoms by chance"][1],
            f"the codes, {weights[64]:,} weights": kept["trained on codes"][1]},
           y="accuracy, %", title="Learning from the codes: about 3 points less in the median, three quarters of the weights saved")

# %% [markdown]
# **Change one thing.** Where does a larger dictionary stop paying? How few atoms are enough without gravity? Come
# back to a setting once: the batches are shuffled anew, and the accuracy moves. Trust only differences larger than that.

# %%
def built(dictionary_of=64, most=8, error=0.0, block=1, means_taken_off=False):
    means = [part.mean(2, keepdim=True) * means_taken_off for part in (motion.x, motion_test.x)]
    some = motion.x - means[0]
    own = dictionary.columns(some, dictionary_of, rng=torch.Generator().manual_seed(0))
    stored = storage.in_dictionary(some, own, count=max(1, most // block), error=error, block=block, value_bits=6)
    [got] = learn_motion([(stored.x, motion.y)], motion_test.x - means[1])
    parts = {"dictionary": stored.fixed / 1024, "codes": stored.each * len(motion) / 1024}
    return viz.bars({"stored": parts}, y="KiB", stacked=True,
                    title=f"{stored.each:.1f} bytes a recording: {got:.0f} %")


lab.explore(built, dictionary_of=[16, 32, 64, 128], most=[1, 2, 4, 8, 12], error=[0.0, 0.1, 0.2, 0.3, 0.4],
            block=[1, 2, 4], means_taken_off=False)

# %% [markdown]
# ## 5 · One budget, every format · 8 min
#
# Learning takes its part of a board's working memory (lab 02). What is left for data?

# %%
room = {}
for learner, example, name in ((net, x[:1], "uno_r4"), (motion_net, motion.x[:1], "nano33")):
    room[name] = BOARDS[name].budget().sram - memory.memory_report(learner, example, rule="device").sram
    print(f"{BOARDS[name].title}: {in_kib(room[name])} left")
print(f"In 8 bits, the digits take {in_kib(stored_bytes(len(x), 64, 8, 10))}, "
      f"the motion data {in_kib(stored_bytes(len(motion), 300, 8, 8))}")
lab.budget_bar(memory.memory_report(net, x[:1], rule="device"), "uno_r4")

# %% [markdown]
# The UNO R4 learns digits and has about 12 KiB left, the Nano 33 learns gestures. Neither can keep its data in 8 bits.
#
# Six formats. In 8 bits a pixel: digits by chance, by herding, by k-centre. By chance too, but smaller: 2 bits a pixel (*fewer
# bits*); the means of 2 by 2 pixels in 4 bits each (*half resolution*); eight atoms a digit (*dictionary*, whose 64 atoms
# lie in the same bytes).
#
# **Predict.** Each format fills 12 KiB with as many digits as fit. How many points is the best one ahead of random digits in
# 8 bits?

# %%
lab.predict("format", "12 KiB: how far is the best format ahead of random digits in 8 bits?",
            options={"not at all": (-5, 1), "1 to 6 points": (1, 6), "6 to 15 points": (6, 15),
                     "more than 15 points": (15, 90)})

# %%
ways = {"random, 8 bits": (storage.in_bits(x, 8), "random"), "herding, 8 bits": (storage.in_bits(x, 8), "herding"),
        "k-centre, 8 bits": (storage.in_bits(x, 8), "k-centre"), "fewer bits": (storage.in_bits(x, 2), "random"),
        "half resolution": (storage.in_half(x, 4), "random"),
        "dictionary": (storage.in_dictionary(x, dictionary.columns(x, 64, rng=rng), count=8, value_bits=6), "random")}


def filled(budget):
    """Accuracy of each format, filled with as many digits as fit into `budget` bytes; None where not even ten do."""
    own = {name: rank[order][:stored.room(budget, label_bits=4)] for name, (stored, order) in ways.items()}
    own = {name: index for name, index in own.items() if len(index) >= 10}
    got = learn([(ways[name][0].x[index], y[index]) for name, index in own.items()])
    return dict.fromkeys(ways) | dict(zip(own, got, strict=True))

# %%
today = filled(12 * 1024)
lab.claim(today["fewer bits"] > today["random, 8 bits"] + 1, "more digits in fewer bits beat fewer in 8")
lab.reveal("format", max(today.values()) - today["random, 8 bits"], unit="points", figure=viz.bars(
    today, y="accuracy, %", title=f"12 KiB of digits: {max(today, key=today.get)} comes first"))

# %% [markdown]
# And at other budgets? Medians of five seeds, recorded. The motion data have the same formats, *fewer bits* there means 4.
# The dashed line is what all examples in 8 bits reach.

# %%
def median(runs):
    return None if None in runs else sorted(runs)[2]


def compared(data, at):
    found, budgets = recorded[data]["accuracy"], recorded["budgets"][data]
    lines = {name: (budgets, [median(runs) for runs in column]) for name, column in found.items()}
    first = max(lines, key=lambda name: lines[name][1][budgets.index(at)] or 0)
    return viz.curve(lines, x="KiB for the data", y="accuracy, %", log="x",
                     target=median(found["random, 8 bits"][-1]),
                     title=f"{data}, medians of five seeds: at {at} KiB, first comes: {first}")


compared("digits", at=12)

# %%
compared("motion", at=48)

# %% [markdown]
# The two sets are redundant in different ways. A digit's grey levels say little, so bits can go; but half the resolution
# stays below 90 % in the median, however many digits it holds. A signal is smooth: its neighbours repeat each other, so half of the
# samples, or eight values of a dictionary, say most of what the net needs. The dictionary is a fixed price: with the
# large recordings it comes first from 32 to 192 KiB, with the small digits nowhere. At the right end it stays below the line: what
# the atoms cannot say is lost for good.
#
# 48 KiB is about a quarter of what the Nano 33 has left. Its 177 KiB lie between 128 and 192, where half the resolution
# comes within about a point of the dictionary at both, in the median, and is simpler.
#
# The spread over seeds at one budget each, with today's run on the digits:

# %%
def spread_at(data, budget):
    place = recorded["budgets"][data].index(budget)
    return {name: column[place] for name, column in recorded[data]["accuracy"].items()}


lab.claim(min(spread_at("motion", 48)["dictionary"]) > max(spread_at("motion", 48)["half resolution"]),
          "at 48 KiB of motion the dictionary is ahead in every seed")
viz.spread({"digits, 12 KiB": spread_at("digits", 12), "motion, 48 KiB": spread_at("motion", 48)},
           live={"digits, 12 KiB": today}, y="accuracy, %", title="Which format wins depends on the data")

# %% [markdown]
# **Change one thing.** Move the budget. From how many KiB on is plain *random, 8 bits* good enough? (No bar: fewer
# than ten digits fit.)

# %%
def budget(KiB=12):
    got = filled(KiB * 1024)
    verdict = "fits" if KiB * 1024 <= room["uno_r4"] else "does not fit"
    return viz.bars(got, y="accuracy, %", title=f"{KiB} KiB {verdict} beside the learning on a UNO R4; "
                                                f"first: {max(got, key=lambda name: got[name] or 0)}")


lab.explore(budget, KiB=(2, 96, 2))

# %% [markdown]
# ## 6 · Words in a table · 8 min
#
# A keyboard's model has a vector for every word at its input, and weights for every word at its output (lab 15). They
# are most of its bytes. LightRNN (Li et al. 2016) puts the vocabulary into a **table**: a word's vector is the vector of its
# row plus that of its column. At the output, the net guesses the row, then the column. A table of 19 by 19 has room for our
# 348 words with 38 vectors in place of 348.
#
# The paper reports a perplexity "similar, if not better", with a model 40 to 100 times smaller, on a large vocabulary.
# (Perplexity is the exponential of the loss: among how many equally likely words the net would be as unsure. Less is better.)
# Ours is small, and our net is not recurrent: it reads four words. The messages are generated, no person wrote them.
#
# **Predict.** The table model has a quarter of the bytes. What happens to its guesses?

# %%
lab.predict("table", "Points of next-word accuracy lost with the table?",
            options={"none": (-5, 0.5), "0.5 to 5": (0.5, 5), "5 to 12": (5, 12), "more": (12, 50)})

# %%
own, others = (text.next_word(part) for part in datasets.split(datasets.load("typing"), by="user", test=0.2, rng=rng))
some = torch.randperm(len(own), generator=rng)[:20_000]
plain = nets.word_model(len(own.classes), context=4, rng=rng)
table = two_component.word_table(len(own.classes), context=4, rng=rng)


def read(model, epochs):
    """Learn from 20,000 windows; accuracy (%) and loss (nats a word) on other people's messages."""
    train.fit(model, own.x[some], own.y[some], epochs=epochs, batch_size=64, lr=0.4, rng=rng, progress=False)
    found = train.evaluate(model, others.x, others.y)
    return 100 * found["accuracy"], found["loss"]

# %% [markdown]
# At first, words stand in the table by chance, and words that share a row have nothing in common. So every now and then the
# table is **filled anew**. For each word and each place: how much would it cost, in the loss, to have the word there? The
# best way to place all words is a *minimum weight perfect matching* of words and places.

# %%
viz.source(two_component.costs)

# %%
viz.source(two_component.reallocate)

# %%
def loss_now():
    return train.evaluate(table, own.x[some], own.y[some])["loss"]


(right, plain_loss), refills = read(plain, 10), {}
for k, epochs in enumerate((2, 2, 2, 4), 1):
    with_table, table_loss = read(table, epochs)
    if epochs == 2:
        before = loss_now()
        _, expected = two_component.reallocate(table, own.x[some], own.y[some])
        refills[f"refill {k}"] = {"before": before, "as the costs expect it": expected / len(some), "right after": loss_now()}
lab.claim(table_loss > plain_loss + 0.08, "the table's guesses are a little less sure")
lab.reveal("table", right - with_table, unit="points", figure=viz.bars(
    refills, y="loss on what it learns from, nats a word",
    title=f"Each refill hurts at first; in the end {with_table:.0f} % right, {right:.0f} % with a vector for each word"))
lab.claim(all(loss["right after"] > loss["before"] + 0.5 for loss in refills.values()), "a refill hurts until the net has trained on")

# %% [markdown]
# The costs promise less loss, and right after a refill there is more. They take all other words as they stand. But a moved word
# brings another vector to the *input*, too, and its column is now guessed with another row given. Training on mends that, as
# the next *before* shows. Is it worth it? Compare the last two rows of the next figure.
#
# The four variants over five seeds, with their bytes. *Smaller vectors* is the model of lab 15 made as small as the
# table's. That is the fair rival, and it loses.

# %%
variants = recorded["words"]
rivals = zip(variants["smaller vectors"]["accuracy"], variants["table, filled anew"]["accuracy"], strict=True)
lab.claim(min(filled_anew - smaller for smaller, filled_anew in rivals) > 1, "the table beats smaller vectors in every seed")
named = {f"{name}, {found['bytes'][0] / 1024:.0f} KiB": found["accuracy"] for name, found in variants.items()}
for name, found in variants.items():
    print(f"{name:<24} median perplexity {torch.tensor(found['loss']).median().exp():.1f}")
viz.spread(named, y="next words right, %", title="For the same bytes, the table beats smaller vectors",
           live=dict(zip((list(named)[0], list(named)[3]), (right, with_table), strict=True)))

# %% [markdown]
# So the claim holds in part here: four times fewer bytes, not forty; and the perplexity rises from 9.8 to 12.6, though the net
# guesses nearly as many words right. With 348 words there are only so many vectors to save; with $V$ words they fall from $V$ to $2\sqrt{V}$. What did the matching put together? Each
# line is a row of the table. Can you find one of verbs?

# %%
rows = [[own.classes[w] for w in range(len(own.classes)) if int(table.cell[w]) // table.side == row] for row in range(table.side)]
print(*(", ".join(row[:11]) for row in rows[:8]), sep="\n")

# %% [markdown]
# **Change one thing.** How do the vectors grow with the vocabulary? The table itself has to be stored, too: two bytes a
# word up to 65,536 words, four above.

# %%
def vocabulary(words=1000, numbers_a_vector=16):
    side = int((words - 1) ** 0.5) + 1
    found = {"a vector for each word": {"vectors": 4 * words * numbers_a_vector / 1024},
             "table": {"vectors": 8 * side * numbers_a_vector / 1024, "table": words * (2 if side <= 256 else 4) / 1024}}
    times = found["a vector for each word"]["vectors"] / sum(found["table"].values())
    return viz.bars(found, y="KiB", stacked=True, title=f"{words:,} words: the table takes {times:.0f} times less")


lab.explore(vocabulary, words=[348, 1000, 10_000, 100_000, 800_000], numbers_a_vector=[16, 64, 256])

# %% [markdown]
# **What to keep.** Sample complexity is measured, and small sets promise too much. A good choice of examples pays when
# very few stay; later, chance is within a point or two. Ask where the data repeat themselves: in bits, in neighbours, or in words that
# behave alike. Then count every byte, the dictionary and the table too, and compare at the same bytes.

# %%
lab.quiz("what_to_store")

# %% [markdown]
# ## Questions
#
# 1. The choice of a coreset needs all examples at once. How could a device with room for 200 choose from a stream?
# 2. Herding keeps the mean of the features, of a net that will be trained further. What happens to the choice?
# 3. A dictionary is made of examples of one person. What does that mean for privacy, and for the next person?
#
# **Exercise.** Combine: herded digits in two bits. Take `rank["herding"]` in place of `rank["random"]` in `same_bytes`.
# From which budget on does the choice no longer matter?
#
# **What to try next.** Run section 4 on `datasets.load("keywords")`, spoken words of 490 numbers. Then lab 08, where a device
# needs few examples because it has learned before.
