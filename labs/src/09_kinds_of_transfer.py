# %% [markdown]
# # 09 · Kinds of transfer: what is there, and what is left
#
# **You will** carry knowledge to a device where something is missing: the labels, the task, or both. You will cure a net of a new
# camera without one label, see a transfer fail that cannot succeed, let two owners with opposite wishes share one net, and fill
# the chapter's Table 12.1 with measured numbers.
#
# **Objectives.** After this lab you can
# - tell inductive, transductive and unsupervised transfer apart by three questions, and say which pairs of settings no method serves;
# - adapt a net to a new domain by its BatchNorm statistics, and say which assumption that makes;
# - say why a distance between domains does not tell whether transfer will help;
# - learn features without labels, and judge groups that nobody has named;
# - find negative transfer in each of the three kinds.
#
# **Prerequisites.** Lab 08.
#
# **Time.** About 60 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.4.5 (types of transfer learning, with Table 12.1) and 12.4.6 (constraints and considerations) of *On-Device
# Learning*; in volume 2, "Edge Intelligence": *Model Adaptation*.

# %% tags=["imports"]
import copy

import torch
from torch.nn import functional as F

from odl_kit import lab, viz
from odl_kit.data import datasets, images, messages
from odl_kit.learners import clusters, domains, optimizers, plan, selfsup, similarity, topics, train, transfer
from odl_kit.models import fold, layers, nets

# %%
rng = lab.start("09_kinds_of_transfer")
recorded = lab.recorded("kinds_of_transfer")
seed = torch.Generator().manual_seed

# %% [markdown]
# ## 1 · Three questions · 10 min
#
# A **source** (the maker) has 900 written digits with labels. A **target** (the device) has 450 others. 447 more are kept to test. A net
# of 13 convolutions learns the source:

# %%
data = datasets.load("digits")
x = F.interpolate(data.x, scale_factor=2, mode="bilinear")
deal = torch.randperm(len(data), generator=seed(7)).split((900, 450, 447))
(source, source_y), (pool, pool_y), (test, test_y) = ((x[part], data.y[part]) for part in deal)

# %%
net = nets.mobile_net(1, 10, rng=seed(7))
train.fit(net, source, source_y, epochs=15, batch_size=32, lr=optimizers.cosine(0.1), momentum=0.9, rng=seed(7), progress=False)


def percent(net, x, y):
    """Accuracy in %."""
    return 100 * train.evaluate(net, x, y)["accuracy"]


print(f"right on the test pictures: {percent(net, test, test_y):.1f} %")

# %% [markdown]
# Two owners get this net. Ann wants to read digits. Ben keeps a code book: where a 3 is written, he means 4, and so on; a 9 means 0. Both have
# *the same* 450 pictures, and neither gives a label. The net may look at the pictures for as long as it likes. It uses **Tent** (Wang
# et al. 2021): it changes its norms until it is surer of itself.
#
# **Predict.** After that, how many of Ben's test pictures does it read as Ben means them? (Blind guessing: 10 %.)

# %%
lab.predict("next_digit", "Accuracy for Ben, after Tent on 450 of his pictures without labels?",
            options={"below 5 %": (0, 5), "5 to 20 %": (5, 20), "20 to 60 %": (20, 60), "more than 60 %": (60, 100)})

# %%
ben_y = (test_y + 1) % 10
tented = domains.tent(net, pool, epochs=5, batch_size=64, lr=0.003, rng=seed(7))
served = {"Ann": percent(tented, test, test_y), "Ben": percent(tented, test, ben_y)}
lab.claim(sum(served.values()) <= 100 and served["Ben"] < 5,
          "one net cannot serve two owners who call the same picture by two names")
lab.reveal("next_digit", served["Ben"], unit="%", figure=viz.bars(
    served, y="accuracy, %", title="The same pictures, no labels: who serves Ann cannot serve Ben"))

# %% [markdown]
# This is no weakness of Tent. A method without target labels is a function of the pictures and the source. Both owners hand it the
# same, so both get the same net, bit for bit, and for each picture it is right for at most one of them. *If the task differs, something
# on the target's side must say so.* Remember this when you read what the kinds are.
#
# A **domain** is what pictures there are, a **task** is which names they get. Pan and Yang (2010) ask three questions: is the
# task the same? is the domain the same? who has labels?
#
# | | task | domain | labels at the source | labels at the target |
# | --- | --- | --- | --- | --- |
# | **inductive** | another | same or another | some, or none | some |
# | **transductive** | the same | another | yes | none |
# | **unsupervised** | another | same or another | none | none |
#
# (In unsupervised transfer the task is to find structure: groups, topics, fewer dimensions.) The chapter gives this twice. Its *text* says of
# transductive transfer that "the tasks remain the same" and the domain changes. The *bullet* in its summary says "different source and target
# tasks, same domain". The text agrees with Pan and Yang. The bullet describes Ben.
#
# For unsupervised transfer the text asks for no labels at the target, the bullet for none at the source. Each is half of it: Pan and Yang ask
# for both. "Transfers feature representations", also in that bullet, says *what* travels, and that is another question.
#
# **Your turn.** Four yes-or-no answers, sixteen cases. Some are none of the three.

# %% exercise="setting"
def setting(same_task, same_domain, source_labels, target_labels):
    """Four bools -> "inductive", "transductive", "unsupervised" or "none of the three"."""
    if ...:
        return "inductive"
    if ...:
        return "transductive"
    if ...:
        return "unsupervised"
    return "none of the three"

# %%
setting = lab.check("setting", setting)

# %%
asked = {"ImageNet to birds, some birds have labels": (False, False, True, True),
         "English opinions to French ones, no label in French": (True, False, True, False),
         "topics of news, then of posts": (False, False, False, False),
         "the chapter's bullet on transductive transfer: Ben": (False, True, True, False),
         "a thousand pictures without labels, then fifty with": (False, True, False, True),
         "same task, same domain, labels everywhere": (True, True, True, True)}
for case, answers in asked.items():
    print(f"{case}: {setting(*answers)}")

# %% [markdown]
# The last is no transfer, it is more data. The fifth is often called "unsupervised pre-training". Yet it ends with labels at the target: it is
# inductive, and it has a name of its own, *self-taught learning*. (Same task, other domain, some labels at the target: the definitions leave it
# out. It is common, and often called supervised domain adaptation.)
#
# ## 2 · The same task behind another camera · 12 min
#
# **Transductive.** The device's camera hangs 20 degrees askew, its pictures have 0.4 of the contrast, and noise. (Simulated,
# so that we can turn its knobs.)

# %%
OTHER = {"turn": 20, "contrast": 0.4, "noise": 0.1}


def behind(x, number=0, **camera):
    """x as this camera sees it; `number` draws the noise."""
    return images.camera(x, **camera, rng=seed(7 + number))


own, shown = behind(pool, **OTHER), behind(test, 1, **OTHER)
viz.images(torch.cat([pool[:10], own[:10]]), columns=10, title="Above: as the source sees them. Below: the device's camera")

# %% [markdown]
# Nobody labels at the device. But 450 pictures say how bright and how varied each channel of each layer is *here*. A BatchNorm has stored
# the source's mean and variance of each channel. **AdaBN** (Li et al. 2017) puts the target's in their place. No weight changes, there is
# no gradient: one forward pass.
#
# **Predict.** As it is, the net reads this camera at about chance, 10 %. With the new statistics?

# %%
lab.predict("norms_gain", "Accuracy behind the other camera, with BatchNorm statistics from 450 pictures without labels?",
            options={"below 20 %": (0, 20), "20 to 40 %": (20, 40), "40 to 75 %": (40, 75), "more than 75 %": (75, 100)})

# %%
adapted = domains.adapt_norms(net, own)
right = {"as it is": percent(net, shown, test_y), "norms": percent(adapted, shown, test_y),
         "Tent": percent(domains.tent(net, own, epochs=5, batch_size=64, lr=0.003, rng=seed(7)), shown, test_y)}
rows = {way: runs for way, runs in recorded["transductive"]["turned, flat, noisy"].items() if way != "mmd"}
lab.claim(right["norms"] - right["as it is"] > 18, "the target's statistics bring a lost net back")
lab.reveal("norms_gain", right["norms"], unit="%", figure=viz.spread(
    rows, live=right, y="accuracy, %", title="Without labels: statistics of the norms bring most, the source's examples little"))

# %% [markdown]
# What each of them adapts:
#
# - **instances**: three more epochs on the source's examples, drawn by density ratio (lab 08). Hardly any source example looks like the
#   target's, so there is little to choose from. (*Drawn evenly* shows what the three epochs do by themselves.)
# - **features**: the last layer's inputs are moved so that their mean and deviation (*moments*) or their covariance (*CORAL*, Sun et al. 2016)
#   are those of the source. It comes late: the layers below have already been misled.
# - **parameters**: the statistics of all norms, layer after layer. Tent then trains their gains and shifts, and adds little here.

# %%
viz.source(domains.adapt_norms)

# %% [markdown]
# **Your turn.** A few pictures make shaky statistics. Schneider et al. (2020) let the old ones count as $N$ examples beside the $n$ new ones:
#
# $$\mu = \frac{N}{N+n}\,\mu_{old} + \frac{n}{N+n}\,\mu_{new} \qquad \sigma^2 = \frac{N}{N+n}\,\sigma^2_{old} + \frac{n}{N+n}\,\sigma^2_{new}$$
#
# The variance is the plain mean of squares around the mean (`correction=0`), over pictures, rows and columns.

# %% exercise="norm_statistics"
def norm_statistics(mean_old, var_old, x, source_examples):
    """mean_old, var_old (C,), x (n, C, H, W); the old count for source_examples -> (mean, var), each (C,)."""
    share = ...
    mean = ...
    var = ...
    return (1 - share) * mean_old + share * mean, (1 - share) * var_old + share * var

# %%
norm_statistics = lab.check("norm_statistics", norm_statistics)

# %%
with torch.no_grad():
    mean, var = norm_statistics(net.stem_norm.running_mean, net.stem_norm.running_var, net.stem(own), 100)
kit = domains.adapt_norms(net, own, source_examples=100).stem_norm
lab.claim(torch.allclose(mean, kit.running_mean, atol=1e-4) and torch.allclose(var, kit.running_var, atol=1e-4),
          "yours is the kit's")
print(f"first channel of the first norm: {net.stem_norm.running_mean[0]:.3f} at the source, {mean[0]:.3f} with yours")

# %% [markdown]
# And on a device? Keep the norms apart until the camera is known, adapt, and only then **fold** them into the convolutions. What is deployed is
# as small and as fast as before:

# %%
deployed = fold.fold(adapted)
macs = sum(layer.macs for layer in layers.trace(net, shown[:1]))
same = (deployed(shown).argmax(1) == adapted(shown).argmax(1)).float().mean().item()
lab.claim(same > 0.99, "folding changes no answer, up to rounding")
print(f"{sum(p.numel() for p in deployed.parameters()):,} numbers, the same answers in {100 * same:.1f} % of pictures; "
      f"adapting took {450 * macs / 1e6:.0f} million multiply-accumulates, no gradient, no label")

# %% [markdown]
# ## 3 · How far is far? · 10 min
#
# The chapter says: "the more similar the domains, the more likely the transfer learning will be successful." So measure the similarity, and
# the success. **MMD** of the pixels (lab 08) is 0 for the same domain. Two cameras: *noise 0.4* has MMD 0.06, it is near. *Contrast 0.2* has
# 0.47, it is far.
#
# **Predict.** Behind each, the net gets new statistics. Accuracy behind the *far* camera minus that behind the *near* one?

# %%
lab.predict("near_or_far", "After adapting the norms: accuracy at contrast 0.2 (far) minus that at noise 0.4 (near), in points?",
            options={"below -20": (-100, -20), "-20 to 0": (-20, 0), "0 to 20": (0, 20), "more than 20": (20, 100)})

# %%
def knobs(turn=0, contrast=1.0, noise=0.0):
    """{"as it is", "norms": accuracy in %, "MMD"} behind a camera."""
    camera = {"turn": turn, "contrast": contrast, "noise": noise}
    seen, asked = behind(pool, **camera), behind(test, 1, **camera)
    return {"as it is": percent(net, asked, test_y), "norms": percent(domains.adapt_norms(net, seen), asked, test_y),
            "MMD": similarity.mmd(seen[:200].flatten(1), source[:200].flatten(1))}


near, far = knobs(noise=0.4), knobs(contrast=0.2)

# %%
by_distance = sorted(recorded["transductive"].items(), key=lambda row: sum(row[1]["mmd"]))
named = {f"{name}: MMD {sum(row['mmd']) / 3:.2f}": row for name, row in by_distance}
figure = viz.spread({way: {name: row[way] for name, row in named.items()} for way in ("as it is", "norms")}, y="accuracy, %",
                    title="From near to far: the harm roughly grows, but what the norms cure does not follow")
lab.claim(far["norms"] - near["norms"] > 16 and far["MMD"] > near["MMD"], "the far camera is cured, the near one is not")
lab.reveal("near_or_far", far["norms"] - near["norms"], unit="points", figure=figure)

# %% [markdown]
# As a warning the distance is fair: the harm grows with it, though not in strict order (noise 0.4 does more than its distance says, 40 degrees
# less). About the cure it says little. Low contrast is *exactly* what a mean and a variance describe, so new statistics take it away. Turning moves strokes to other places: the
# average over a picture hardly changes, and a norm cannot turn anything back. For the cure it matters less how much has changed than *what*, and whether
# the method can express it. Turn the knobs yourself:

# %%
def camera(turn=20, contrast=0.4, noise=0.1):
    found = knobs(turn, contrast, noise)
    distance = found.pop("MMD")
    change = found["norms"] - found["as it is"]
    return viz.bars(found, y="accuracy, %", title=f"MMD {distance:.2f}: norms change {change:+.0f} points")


lab.explore(camera, turn=(0, 90, 10), contrast=(-1.0, 1.0, 0.2), noise=(0.0, 0.5, 0.1))

# %% [markdown]
# Does it ever hurt? Adapt to the *same* camera, where nothing needs a cure, with pictures that are few or one-sided. (One-sided: a device
# that has met only 0, 1 and 2 so far.) Points won or lost against the net as it is:

# %%
the_same, shares = recorded["transductive"]["the same"], recorded["shares"]
some = {"450 pictures": the_same["norms"], "137, all digits": shares["10"]["the same"],
        "137, only 0 to 4": shares["5"]["the same"], "137, only 0 to 2": shares["3"]["the same"], "8 pictures": the_same["norms of 8"]}
change = {what: [after - before for after, before in zip(runs, the_same["as it is"], strict=True)] for what, runs in some.items()}
one_sided = domains.adapt_norms(net, pool[pool_y < 3])
live = {"450 pictures": percent(domains.adapt_norms(net, pool), test, test_y),
        "137, only 0 to 2": percent(one_sided, test, test_y)}
live = {what: value - percent(net, test, test_y) for what, value in live.items()}
viz.spread(change, live=live, y="points against the net as it is",
           title="Where nothing had changed: statistics from 0, 1 and 2 alone cost points, and so do eight pictures")

# %% [markdown]
# The method took a change of *classes* for a change of *camera*. It assumes that classes keep their shares, and cannot check it. Can the net's
# own certainty check it? Its **entropy** is 0 where it is sure, and 2.3 where it has no idea. Behind a camera that makes *negatives*:

# %%
seen, inverted = behind(pool, contrast=-1.0), behind(test, 1, contrast=-1.0)
stages = {"as it is": net, "norms": domains.adapt_norms(net, seen),
          "Tent": domains.tent(net, seen, epochs=5, batch_size=64, lr=0.003, rng=seed(7))}
with torch.no_grad():
    unsure = {name: domains.entropy(each.eval()(inverted)).mean().item() for name, each in stages.items()}
lab.claim(unsure["Tent"] < unsure["norms"], "Tent makes the net surer of itself, right or wrong")
for name, each in stages.items():
    print(f"{name:9} entropy {unsure[name]:.2f}, accuracy {percent(each, inverted, test_y):.0f} %")

# %%
lab.quiz("guard")

# %% [markdown]
# ## 4 · Another task, and a few labels · 12 min
#
# **Inductive.** Now Ben gives labels. Two owners sort digits into two piles. The source's owner has 900 labelled pictures. The target's owner has
# 20, and sorts only some of the ten digits as the source does. The camera is the same. What may travel: the source's *examples* (in one
# pot with the 20, each of which counts 20 times), its *features* (a new head on a frozen layer), or its *parameters* (fine-tuning).

# %%
def piles(agree, number=7):
    """(first, second): which of two piles (0, 1) each owner puts each of the ten digits on; they agree about `agree` digits."""
    order = torch.randperm(10, generator=seed(number))
    first = torch.zeros(10, dtype=torch.int64).index_fill(0, order[:5], 1)
    second, other = first.clone(), torch.stack([order[:5], order[5:]], 1).flatten()[:10 - agree]
    second[other] = 1 - second[other]
    return first, second


def learn(net, x, y, epochs, **options):
    train.fit(net, x, y, epochs=epochs, batch_size=16, lr=0.1, rng=seed(7), progress=False, **options)
    return net

# %%
few, few_y = pool[:20], pool_y[:20]


def owners(agree=9):
    """{what travels: accuracy in % for the second owner}."""
    first, second = piles(agree)
    base = learn(nets.mlp(256, 32, 2, rng=seed(7)), source, first[source_y], 15)
    pot = torch.cat([source, few.repeat(20, 1, 1, 1)]), torch.cat([first[source_y], second[few_y].repeat(20)])
    headed, scratch = transfer.with_head(base, 2, rng=seed(7)), nets.mlp(256, 32, 2, rng=seed(71))
    made = {"scratch": learn(scratch, few, second[few_y], 60), "both owners' examples": learn(copy.deepcopy(scratch), *pot, 10),
            "new head": learn(headed, few, second[few_y], 60, plan=plan.head_only(headed)),
            "fine-tuned": learn(copy.deepcopy(base), few, second[few_y], 60)}
    return {name: percent(each, test, second[test_y]) for name, each in made.items()}

# %% [markdown]
# **Predict.** The two owners agree about *no* digit: each puts left what the other puts right. The target gets a new head on the source's frozen
# layer, and 20 labels. (From scratch, 20 labels give about 77 %.)

# %%
lab.predict("opposite", "The opposite task, a new head on the source's features, 20 labels: accuracy?",
            options={"below 25 %": (0, 25), "25 to 60 %": (25, 60), "60 to 80 %": (60, 80), "more than 80 %": (80, 100)})

# %%
opposite = owners(0)
lab.claim(opposite["new head"] - opposite["scratch"] > 5 and opposite["both owners' examples"] < 40,
          "the opposite task shares the features, and nothing else")
agreed = sorted(recorded["inductive"], key=int)
ways = {way: [recorded["inductive"][agree][way] for agree in agreed] for way in opposite}
figure = viz.curve({way: ([int(a) for a in agreed], [sum(runs) / 3 for runs in each]) for way, each in ways.items()},
                   spread={way: list(zip(*each, strict=True)) for way, each in ways.items() if way == "new head"},
                   x="digits that both owners sort alike", y="accuracy, % (mean of three draws)",
                   title="One pot follows the similarity of the tasks; a new head serves both ends")
lab.reveal("opposite", opposite["new head"], unit="%", figure=figure)

# %% [markdown]
# What must be told apart is the same in the opposite task, only the names are swapped, and a new head learns names. In the middle, with five
# digits alike, the source's features were made for *other* piles, and scratch is ahead. So "task similarity" has a meaning for examples
# (the same answers), and another for features (the same distinctions). Parameters lie between: fine-tuning must first unlearn the old head.
# Move from one end to the other:

# %%
def agreement(digits_sorted_alike=9):
    found = owners(digits_sorted_alike)
    best = max(found, key=found.get)
    return viz.bars(found, y="accuracy, % (this draw)", title=f"{digits_sorted_alike} of ten digits alike: best is '{best}'")


lab.explore(agreement, digits_sorted_alike=(0, 10))

# %% [markdown]
# Against scratch, *negative transfer* is what one pot brings from six digits alike downwards, in all three recorded draws, and fine-tuning on the
# opposite task, 3 to 8 points.
#
# ## 5 · Features from pictures that nobody has named · 8 min
#
# **Inductive, too, with no labels at the source**: self-taught learning. The 900 pictures have lost their labels. The target has five of each
# digit. Can a net learn features from a question that pictures answer by themselves? Three such questions:
#
# - **turns** (Gidaris et al. 2018): by how many quarters was this picture turned?
# - **pixels** (an autoencoder): draw the picture again from 32 features;
# - **views** (SimCLR, Chen et al. 2020): which two of these pictures are the same, seen differently?

# %%
turned, quarters = selfsup.turns(pool[:10])
viz.images(turned, titles=[f"{90 * int(k)}°" for k in quarters], columns=10, title="Labels for nothing: four turns of ten digits")

# %% [markdown]
# SimCLR's loss takes features of two views, row $n$ of both from the same picture. With $s$ the cosine of two rows, and $t$ a temperature:
#
# $$\ell(i, j) = -\ln \frac{e^{s_{ij} / t}}{\sum_{k \ne i} e^{s_{ik} / t}} \qquad i, j:\ \text{the two views of one picture}$$
#
# It is a cross-entropy: of $2N - 1$ other rows, which is my partner? **Your turn.** `both` has the rows of `a`, then those of `b`.

# %% exercise="nt_xent"
def nt_xent(a, b, temperature=0.5):
    """a, b (N, D): row n of both shows the same picture -> the mean loss of all 2N rows, a scalar."""
    both = F.normalize(torch.cat([a, b]), dim=1)
    scores = ...
    scores = scores.fill_diagonal_(-torch.inf)
    partner = ...
    return F.cross_entropy(scores, partner)

# %%
nt_xent = lab.check("nt_xent", nt_xent)

# %%
views = [transfer.features(nets.mobile_net(1, 10, rng=seed(7)), images.jitter(pool[:64], rng=seed(k), turn=20.0)) for k in (1, 2)]
lab.claim(abs(nt_xent(*views) - selfsup.nt_xent(*views)) < 1e-4, "yours is the kit's")
print(f"random weights: {nt_xent(*views):.2f}; blind guessing among 127 others: {torch.tensor(127.0).log():.2f}")

# %% [markdown]
# **Predict.** Train on turns, then freeze the net and give it a new head from fifty labels. Compare with the same head on a net of *random*
# weights. (The mean of three recorded draws; turns take long.)

# %%
lab.predict("turns", "Frozen features learned from turns, minus frozen random features: accuracy in points?",
            options={"below -3": (-100, -3), "-3 to 3": (-3, 3), "3 to 15": (3, 15), "more than 15": (15, 100)})

# %%
def headed(net):
    """Accuracy of a new head on the frozen features of `net`, from five labels of each digit."""
    chosen = torch.cat([(pool_y == c).nonzero().flatten()[:5] for c in range(10)])
    old, new, asked = (transfer.features(net, part) for part in (source, pool[chosen], test))
    new, asked = ((part - old.mean(0)) / old.std(0).clamp_min(1e-6) for part in (new, asked))
    head = nets.softmax(32, 10, rng=seed(7))
    train.fit(head, new, pool_y[chosen], epochs=100, batch_size=None, lr=0.3, rng=seed(7), progress=False)
    return percent(head, asked, test_y)


unlearned, drawn = nets.mobile_net(1, 10, rng=seed(7)), nets.mobile_net(1, 10, rng=seed(7))
losses = selfsup.learn_pixels(drawn[:-1], source, epochs=20, batch_size=64, lr=0.01, rng=seed(7), progress=False).losses

# %%
by_question = {what: {name: row[way] for name, row in recorded["pretraining"].items()} for what, way in
               (("frozen, new head", "head"), ("everything learns", "all"))}
live = {"nothing": headed(unlearned), "pixels": headed(drawn)}
frozen = by_question["frozen, new head"]
difference = sum(frozen["turns"]) / 3 - sum(frozen["nothing"]) / 3
lab.claim(live["pixels"] - live["nothing"] > 7, "drawing the picture again teaches features that a head can use")
lab.reveal("turns", difference, unit="points", figure=viz.spread(
    by_question, live={"frozen, new head": live}, y="accuracy, %, 50 labels",
    title="Asked about turns, frozen features are worse than random ones; pixels and views help a lot"))

# %% [markdown]
# A 6 turned by 180 degrees is a 9; a 0 and an 8 look the same. A question is good if answering it needs what the later task needs, and here turns
# do not: what tells *how a digit lies* need not tell *which it is*. (If everything learns, even turns are a better start than nothing.) For
# photographs turns work well, as the paper shows: people and trees have an up and a down. The 900 pictures never had a label, and *pixels* made
# 27 to 31 points of them for a frozen net.
#
# ## 6 · No labels anywhere · 8 min
#
# **Unsupervised.** The device has 30 pictures from its own camera and wants ten groups. The source has 900 pictures, without labels too.
# **k-means** finds groups. To judge them, and only for that, we give each group the name that suits best.
#
# **Predict.** From its 30 pictures alone the device puts 44 % into the right group (the mean of three recorded draws). Now it throws its 30 and the source's 900 into one pot,
# groups them all, and asks about pictures from its own camera.

# %%
lab.predict("pooled", "Own test pictures in the right group, if 30 own and 900 of the source's are grouped together?",
            options={"below 25 %": (0, 25), "25 to 40 %": (25, 40), "40 to 55 %": (40, 55), "more than 55 %": (55, 100)})

# %%
thirty, whole, ask = own[:30].flatten(1), source.flatten(1), shown.flatten(1)
alone, _ = clusters.k_means(thirty, 10, rng=seed(7))
pooled, _ = clusters.k_means(torch.cat([whole, thirty]), 10, rng=seed(7))
centres, _ = clusters.k_means(whole, 10, rng=seed(7))
aligned = domains.match_moments(torch.cat([thirty, ask]), whole)[30:]
found = {"own pictures": (alone, ask), "pooled": (pooled, ask), "source centres": (centres, ask),
         "source centres, aligned": (centres, aligned)}
groups = {name: 100 * clusters.named(clusters.nearest(each, centre), test_y) for name, (centre, each) in found.items()}

# %%
lab.claim(groups["own pictures"] - groups["pooled"] > 13, "one pot without alignment is worse than thirty pictures alone")
lab.reveal("pooled", groups["pooled"], unit="%", figure=viz.spread(
    recorded["unsupervised"]["30"], live=groups, y="% in the right group",
    title="One pot groups by camera; aligned first, the source helps"))

# %%
where = clusters.nearest(ask, pooled).bincount(minlength=10)
viz.images(pooled.view(10, 1, 16, 16), titles=[f"{int(n)}" for n in where], columns=10,
           title=f"Centres of the pot, and how many of 447 own pictures fall to each: {100 * where.max() / 447:.0f} % to one")

# %% [markdown]
# The largest difference between two pictures in that pot is *which camera took them*, so one group takes them all: negative transfer. Align
# first (`match_moments`, as in section 2, on pixels; the moments are those of all own pictures, also of those asked about), and the ten centres of the source, 10 x 256 numbers, serve better than thirty pictures.
#
# The chapter's example are **topics**. `typing` has synthetic messages of 100 people. A topic model (latent Dirichlet allocation, Blei et
# al. 2003) learns from sixty of them, unlabelled:

# %%
typing = datasets.load("typing")
counts = topics.counts(typing.x, len(messages.VOCABULARY))
telling = topics.telling(counts)
model = topics.learn(counts[typing.user < 60][:, telling], 8, rng=seed(7))
vocabulary = [word for word, tells in zip(messages.VOCABULARY, telling.tolist(), strict=True) if tells]
for group in topics.words(model, vocabulary):
    print(", ".join(group))

# %% [markdown]
# Some of these groups are subjects; some are ways to talk and friends' names, since those go together as well. Nobody told the model
# which grouping we meant. How do its topics fit users whom it has not met, against topics of a user's own first 50 messages?

# %%
whose = {"usual users": recorded["topics"]["usual"], "users with a rare hobby": recorded["topics"]["hobby"]}
viz.spread(whose, y="shared with the true subjects (0 to 1)",
           title="Other users' topics serve usual users better than 50 own messages; with a rare hobby they do not")

# %% [markdown]
# `shared` is the mutual information of topics and true subjects, from 0 to 1. Why not the share that is right? Many users write mostly about one
# subject; whoever puts all their messages into *one* group is right in half of them and more, and has found nothing.
#
# Now **Table 12.1, measured**. Each row is a kind and something that travels; the numbers are points won against no transfer (scratch; the net as
# it is; own pictures alone; own topics, in hundredths). Pick what stands between source and target:

# %%
def gain(rows, way, against):
    return [after - before for after, before in zip(rows[way], rows[against], strict=True)]


CELLS = {"inductive": {"instances": "both owners' examples", "features": "new head", "parameters": "fine-tuned"},
         "transductive": {"instances": "examples drawn by density ratio", "features": "CORAL", "parameters": "norms"},
         "unsupervised": {"instances": "pooled, aligned", "parameters": "source centres, aligned"}}
AGAINST = {"inductive": "scratch", "transductive": "as it is", "unsupervised": "own pictures"}


def table(digits_alike="9", camera="turned, flat, noisy", own_pictures="30", writers="usual"):
    """Table 12.1: gains of each kind (inductive, transductive, unsupervised) by what travels."""
    cases = {"inductive": digits_alike, "transductive": camera, "unsupervised": own_pictures}
    rows = {f"{kind}: {what}": gain(recorded[kind][case], way, AGAINST[kind])
            for kind, case in cases.items() for what, way in CELLS[kind].items()}
    won = gain(recorded["topics"][writers], "sixty other users", "the user's own")
    rows["unsupervised: features (topics)"] = [100 * g for g in won]
    lost = sum(max(runs) < 0 for runs in rows.values())
    return viz.spread(rows, y="points won, three draws", title=f"Table 12.1, measured: {lost} of 9 ways lose in every draw")

# %%
lab.explore(table, digits_alike=["9", "10", "8", "5", "0"], writers=["usual", "hobby"],
            camera=["turned, flat, noisy", "contrast 0.2", "noise 0.4", "turned 90", "the same"],
            own_pictures=["30", "450"])

# %%
lab.quiz("ankle")

# %% [markdown]
# No column and no row wins. Choose *9 alike, contrast 0.2, 30 pictures*, and nearly everything helps; choose *0 alike, turned 90, 450 pictures*, and most of
# the same methods do harm or next to nothing.
#
# **What to keep.** Ask three questions: is the task the same, is the domain the same, who has labels? Without target labels the task must be
# the same, and that cannot be checked from pictures. Statistics without labels cure what a mean and a variance can describe, not what is
# "near". The same pot of examples that helps a similar task ruins an opposite one, while features survive it. And each kind needs its line
# *without transfer* in the figure.
#
# ## Questions
#
# 1. A camera of a door bell sees little but 0, 1 and 2 at first (section 3). When and from what would you let it adapt its norms?
# 2. Behind which cameras of section 3 would you rather pay for labels than adapt? How would you find that out with few labels?
# 3. Ben gives 20 labels. Which ways of section 4 would you try on the device, and how would you choose among them?
#
# **Exercise.** `adapt_norms(net, pool[:8], source_examples=N)`: find the N that loses least for eight pictures of the same camera, and then
# the N that wins most for eight of the other. Is there one N for both?
#
# **What to try next.** Lab 10: labels come in, but from one user, and the old users must not pay for it.
