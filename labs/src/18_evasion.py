# %% [markdown]
# # 18 · Evasion: small changes, wrong answers
#
# **You will** change handwritten digits by a few shades of grey so that a net misreads them: with its gradients, with
# those of a copy on a device, and with nothing but its answers. Then you will judge three defences, each by an attacker
# who knows of it.
#
# **Objectives.** After this lab you can
# - write the fast gradient sign method, and say why many small steps do more than one large one;
# - tell what publishing a copy on a device gives away about the model on the server;
# - attack a model that only answers, and count what that costs in queries;
# - say which defences move the boundary, and which only hide the gradient.
#
# **Prerequisites.** Lab 00; labs 03 (int4 copies) and 17 (poisoning) help.
#
# **Time.** About 55 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.6.2 of *On-Device Learning* (Adversarial Attacks), and Sections 12.6.4 and 12.6.5; in
# volume 2, "Edge Intelligence": *Federated Learning: Privacy*.

# %% tags=["imports"]
import copy
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets
from odl_kit.defenses import hardening, labels, unpairing
from odl_kit.learners import optimizers, train
from odl_kit.models import nets, quantize
from odl_kit.threats import boundary, estimation, evasion, poisoning, queries

# %%
rng = lab.start("18_evasion")

# %% [markdown]
# ## 1 · One step uphill · 11 min
#
# The **big model** is on a server. It learns about 1,000 digits; 250 others belong to the attacker; 540 will be
# attacked. A digit has 64 values between 0 (white) and 1 (ink).

# %%
rest, test_set = datasets.split(datasets.load("digits"), test=0.3, rng=rng)
train_set, own_set = datasets.split(rest, test=0.2, rng=rng)
x, y = test_set.x, test_set.y


def learned(net, data, targets=None):
    train.fit(net, data.x, data.y if targets is None else targets, epochs=30, batch_size=32, lr=0.1,
              momentum=0.9, rng=rng, progress=False)
    return net


def accuracy(net):
    return 100 * train.evaluate(net, x, y)["accuracy"]


big = learned(nets.mlp(64, (128, 128), 10, rng=rng), train_set)
print(f"the big model reads {accuracy(big):.1f} % of {len(y)} new digits")

# %% [markdown]
# Training asks how the loss falls if the *weights* move. An attacker asks how it *rises* if the **picture** moves. That is
# the same backward pass, carried one step further, to the input. The **fast gradient sign method** (FGSM) then changes
# every value by the same small $\varepsilon$, up or down as the gradient says, and stays between 0 and 1.
#
# **Your turn.**

# %% exercise="fgsm_step"
def fgsm_step(x, gradient, eps):
    """x, gradient (N, ...) -> (N, ...): each value of x moved by eps up the gradient, and kept in [0, 1]."""
    moved = ...
    return ...

# %%
fgsm_step = lab.check("fgsm_step", fgsm_step)

# %% [markdown]
# How much is the *direction* worth? A fair rival changes each value by the same 0.15, but up or down by the toss of a
# coin. It makes the big model misread at most a few digits of a hundred. **Predict** for FGSM:

# %%
lab.predict("one_step", "FGSM with eps = 0.15: how many of the digits that were read right are now misread?",
            options={"less than 15 %, as with random signs": (0, 15), "15 to 40 %": (15, 40),
                     "40 to 75 %": (40, 75), "nearly all": (75, 100)})

# %%
def success(moved, net=big):
    """Of the digits that the net read right, the share in % that it misreads now."""
    return 100 * evasion.success(net, x, moved, y)


gradient = evasion.input_gradient(big, x, y)
coins = 2 * torch.randint(0, 2, x.shape, generator=rng) - 1
tossed, one = success((x + 0.15 * coins).clamp(0, 1)), success(fgsm_step(x, gradient, 0.15))
lab.claim(one > tossed + 20, "the gradient's direction does what the size alone does not")
lab.reveal("one_step", one, unit="%", figure=viz.bars(
    {"random signs": tossed, "FGSM": one}, y="% of right answers turned wrong",
    title="A change of the same size: the direction makes the attack"))

# %% [markdown]
# **Projected gradient descent** (PGD) takes many small steps, asks for the gradient afresh after each, and is pulled back
# whenever a value is more than $\varepsilon$ from where it was. **See the source.**

# %%
viz.source(evasion.pgd)

# %% [markdown]
# **Change one thing.** Above each digit stands what the model read before and reads now. How small may $\varepsilon$ be
# until you would not notice? The norm `l2` bounds the length of the whole change instead of each value.

# %%
def climb(net, eps, norm="linf", steps=20):
    """PGD on `net`: the attacker's best try within eps of x."""
    return evasion.pgd(net, x, y, eps=eps, step=eps / 5 if steps > 1 else eps, steps=steps, norm=norm)


def pictures(eps=0.15, norm="linf", steps=20):
    moved = climb(big, 6 * eps if norm == "l2" else eps, norm, steps)
    before, after = big(x).argmax(1)[:16], big(moved).argmax(1)[:16]
    names = [f"{a}" if a == b else f"{a}: now {b}" for a, b in zip(before.tolist(), after.tolist(), strict=True)]
    return viz.images(moved[:16], columns=8, titles=names,
                      title=f"Of all {len(y)} digits, {success(moved):.0f} % of the right answers are turned")


lab.explore(pictures, eps=(0.0, 0.3, 0.01), norm=["linf", "l2"], steps=[20, 1, 5])

# %% [markdown]
# (For `l2` the length is six times the slider.) MITRE's ATLAS, the map of attacks on AI systems that the chapter
# recommends, files this under *Craft Adversarial Data: White-Box Optimization*; sections 2 and 3 are its *Black-Box
# Transfer* and *Black-Box Optimization*. Lab 20 has the whole map.
#
# ## 2 · The copy in your pocket · 10 min
#
# Nobody outside has the big model. But each device carries a **copy with 4-bit weights**, and whoever owns the device
# owns the copy. **Predict.** The attacker climbs the *copy's* gradients and sends the pictures to the big model:

# %%
lab.predict("copy", "PGD made on the int4 copy, eps = 0.15: success on the big model, in % of white-box success?",
            options={"less than 30 %": (0, 30), "30 to 60 %": (30, 60), "60 to 90 %": (60, 90),
                     "90 % or more": (90, 130)})

# %%
device = quantize.quantize_model(big, train_set.x, bits=4)
own = learned(nets.mlp(64, 32, 10, rng=rng), own_set)       # the attacker's own net, of 250 digits
known = {"big model itself": big, "int4 copy": device, "attacker's own net": own}
carried = {name: success(climb(net, 0.15)) for name, net in known.items()}
lab.claim(carried["int4 copy"] > 0.95 * carried["big model itself"], "the copy's gradients are nearly the big model's")
lab.claim(carried["attacker's own net"] < carried["int4 copy"] - 15, "a net trained apart is a poorer map")
lab.reveal("copy", 100 * carried["int4 copy"] / carried["big model itself"], unit="%", figure=viz.bars(
    carried, y="% of the big model's right answers turned", title="The int4 copy is as good a map as the big model itself"))

# %% [markdown]
# Hong, Carlini and Kurakin (2023) report that a published copy made large models up to 100 times easier to attack, and
# that similarity is the reason. The second holds here. Similarity can be measured: the cosine between the input
# gradients of both nets. (The big model with itself stays below 1: where it is very sure, the gradient all but vanishes, and
# counts as none.) Recorded, five seeds:

# %%
recorded = lab.recorded("evasion")
kinds = ["the net itself", "int4 copy", "distilled", "trained apart, same shape", "trained apart, same data", "attacker's own"]
for name in kinds:
    cosines = recorded["transfer"]["cosine"][name]
    print(f"{name:<28} cosine of the gradients {min(cosines):.2f} to {max(cosines):.2f}")
viz.spread({name: recorded["transfer"]["success"][name]["eps 0.15"] for name in kinds},
           live={"the net itself": carried["big model itself"] / 100, "int4 copy": carried["int4 copy"] / 100,
                 "attacker's own": carried["attacker's own net"] / 100},
           y="success on the big model, eps 0.15", title="The more alike the gradients, the better an attack carries over")

# %% [markdown]
# The factor 100 does not show in these numbers, and cannot: an attacker without the copy, with 250 digits and a small net,
# already has nearly half of the success. What the copy saves shows best in queries.
#
# ## 3 · Nothing but answers · 12 min
#
# Without a copy, the attacker asks. If the server tells **scores** (probabilities), the gradient can be estimated: move
# the picture a little along a random direction $u$ and back, and see what that does to the loss (NES).
# $\;g = \frac{1}{2 n \sigma} \sum_i \left( L(x + \sigma u_i) - L(x - \sigma u_i) \right) u_i$
#
# **Your turn.**

# %% exercise="estimated_gradient"
def estimated_gradient(forth, back, u, sigma):
    """forth, back (n,) losses at x + sigma u and x - sigma u; u (n, d) -> (d,): the estimate g."""
    n = len(u)
    difference = ...
    return (difference[:, None] * u).sum(0) / ...

# %%
estimated_gradient = lab.check("estimated_gradient", estimated_gradient)

# %% [markdown]
# With the copy at hand, half of each direction can be turned towards the copy's gradient: a **transfer prior**. And if the
# server tells the **class alone**, one can still walk along the boundary between two classes (HopSkipJump), from a picture
# of another class towards the one to be misread.
#
# **Predict.** With scores alone, 300 queries for each digit turn about 40 % of 100 digits. How many queries are enough for
# that with the copy as prior?

# %%
lab.predict("prior", "Queries for each digit to turn 40 % of them, with the copy as prior?",
            options={"1 to 50": (1, 50), "51 to 150": (51, 150), "151 to 300": (151, 300), "more than 300": (301, 10**6)})

# %%
right = (big(x).argmax(1) == y).nonzero().flatten()[:100]
few, few_y, scores = x[right], y[right], queries.scores(big)
away = torch.cdist(few.flatten(1), own_set.x.flatten(1)).masked_fill(few_y[:, None] == own_set.y, float("inf"))
start = own_set.x[away.argmin(1)]                           # for each the nearest of the attacker's digits of another class
probes = torch.Generator().manual_seed(0)
by_scores = partial(estimation.nes, x=few, y=few_y, eps=0.15, step=0.03, steps=45, rng=probes)
by_class = partial(boundary.hop_skip_jump, x=few, y=few_y, start=start, eps=0.15, rounds=9, rng=probes)
ATTACKERS = {"scores": partial(by_scores, directions=10),
             "scores, copy as prior": partial(by_scores, directions=2, prior=partial(evasion.input_gradient, device)),
             "class alone": lambda scores: by_class(queries.decisions(scores))}
found = {name: attack(scores) for name, attack in ATTACKERS.items()}

# %%
budgets = (1, 3, 10, 20, 30, 50, 100, 150, 200, 300, 500, 800)
asked = {name: {n: 100 * result.within(n) for n in budgets} for name, result in found.items()}
enough = next((n for n in range(1, 1000) if found["scores, copy as prior"].within(n) >= 0.4), None)
lab.claim(asked["scores, copy as prior"][50] > asked["scores"][50] + 20, "the copy saves queries")
lab.reveal("prior", enough, unit="queries", figure=viz.curve(
    asked, x="queries for each digit", y="% turned", log="x", title="The copy on the device saves most of the queries"))

# %% [markdown]
# **Change one thing.** Let the server say less: round its scores to one or two decimals, or add noise. Which attacker
# does that stop, and which not?

# %%
ANSWERS = {"all digits": scores, "2 decimals": hardening.rounded(scores, decimals=2),
           "1 decimal": hardening.rounded(scores, decimals=1),
           "noise of 0.02": hardening.noisy(scores, sigma=0.02, rng=torch.Generator().manual_seed(0))}


def says_less(answers="2 decimals", attacker="scores"):
    probes.manual_seed(0)                                   # the same figure whenever it is asked for
    result = ATTACKERS[attacker](ANSWERS[answers])
    return viz.curve({n: 100 * result.within(n) for n in budgets}, x="queries for each digit", y="% turned", log="x",
                     title=f"{answers}, {attacker}: {100 * result.within(10**6):.0f} % turned at the end")


lab.explore(says_less, answers=list(ANSWERS), attacker=list(found))

# %%
lab.quiz("rounding")

# %% [markdown]
# ## 4 · A copy that is a poor map · 10 min
#
# **Similarity unpairing** (Hong et al. 2023): fine-tune the copy before it is published, with an extra term in the loss
# that punishes input gradients which point the same way as the big model's: the mean of $\max(0, \cos)$. **See the source.**

# %%
viz.source(unpairing.penalty)

# %% [markdown]
# The paper reports up to 90 % less transfer. **Predict.** The int4 copy turned about four digits of five
# (eps = 0.15). And a copy that was unpaired first?

# %%
lab.predict("unpaired", "PGD made on the unpaired int4 copy: success on the big model?",
            options={"less than 15 %": (0, 15), "15 to 30 %": (15, 30), "30 to 60 %": (30, 60), "more than 60 %": (60, 100)})

# %%
apart = copy.deepcopy(big)
penalty = unpairing.penalty(big, train_set.x, train_set.y, weight=0.3, batch_size=256, rng=rng)
train.fit(apart, train_set.x, train_set.y, epochs=25, batch_size=64, lr=optimizers.cosine(0.01),
          optimizer=optimizers.adam(), penalty=penalty, rng=rng, progress=False)
published = quantize.quantize_model(apart, train_set.x, bits=4)
unpaired = success(climb(published, 0.15))
lab.claim(unpaired < carried["int4 copy"] - 15, "unpairing takes back much of what the copy gave away")
print(f"own accuracy: int4 copy {accuracy(device):.1f} %, unpaired {accuracy(published):.1f} %")
lab.reveal("unpaired", unpaired, unit="%")

# %% [markdown]
# That was an attacker who does not know. One who *does* sees that the unpaired copy is very sure of itself, so that many
# of its gradients all but vanish. The cure is one division: climb `logits / 10` instead.

# %%
knowing = success(climb(lambda x: published(x) / 10, 0.15))
shown = recorded["transfer"]["success"]
viz.spread({name: shown[key]["eps 0.15"] for name, key in (
    ("int4 copy", "int4 copy"), ("unpaired", "int4, unpaired"), ("unpaired, logits / 10", "unpaired, logits / 10"),
    ("attacker's own net", "attacker's own"))},
    live={"int4 copy": carried["int4 copy"] / 100, "unpaired": unpaired / 100, "unpaired, logits / 10": knowing / 100,
          "attacker's own net": carried["attacker's own net"] / 100}, y="success on the big model, eps 0.15",
    title="In most seeds, one division brings much of the lost success back")

# %% [markdown]
# Judged by an attacker who does not know of it, unpairing made the published copy a worse map than the attacker's own net.
# Judged by one who does, it took back a quarter of what the int4 copy gave, in the median of five seeds. Much of the rest
# was hidden, not removed: training learned to make gradients small as well as different. (What this division does to the
# large nets of the paper we have not tried.) It also costs accuracy: up to about two points, recorded. And is the copy
# itself safer? The same division shows that it is not.

# %%
itself = {"int4 copy": success(climb(device, 0.15), device),
          "unpaired": success(climb(lambda x: published(x) / 10, 0.15), published)}
lab.claim(itself["unpaired"] > itself["int4 copy"], "the unpaired copy itself is easier to fool")
viz.bars(itself, y="% of the copy's own right answers turned", title="What protects the server makes the device easier to fool")

# %% [markdown]
# ## 5 · Two defences, judged · 8 min
#
# **Adversarial training** learns from attacked pictures: each batch is attacked first (here PGD, five steps, eps = 0.1),
# so a pass costs six backward passes in place of one. **Defensive distillation** trains a net at a high *temperature*:
# its logits are divided by 50 while it learns, and no longer afterwards. So it becomes fifty times too sure.
#
# **Predict.** PGD turned about 80 % of the plain model's answers (eps = 0.15). And of the distilled one's?

# %%
lab.predict("distilled", "PGD on the distilled model, eps = 0.15: success?",
            options={"less than 20 %": (0, 20), "20 to 50 %": (20, 50), "50 to 80 %": (50, 80), "as before, or more": (80, 100)})

# %%
def hard(targets):
    net, attack = nets.mlp(64, (128, 128), 10, rng=rng), partial(evasion.pgd, eps=0.1, step=0.033, steps=5)
    hardening.adversarial_training(net, train_set.x, targets, attack=attack, epochs=30, batch_size=32,
                                   lr=0.1, momentum=0.9, rng=rng, progress=False)
    return net


# %%
robust = hard(train_set.y)
teacher, cold = (nets.mlp(64, (128, 128), 10, rng=rng) for _ in range(2))
hardening.distillation(teacher, cold, train_set.x, train_set.y, temperature=50.0, epochs=30, batch_size=32,
                       lr=0.3, momentum=0.9, rng=rng, progress=False)
judged = {"plain": big, "adversarial training": robust, "distilled": cold}

# %% [markdown]
# Now four attackers instead of one: PGD; PGD that divides the logits by 50; PGD on the attacker's own net; and the one
# who is told the class alone (recorded, with 3,000 queries for each of 100 digits).

# %%
direct = {name: success(climb(net, 0.15), net) for name, net in judged.items()}
divided = {name: success(climb(lambda x, net=net: net(x) / 50, 0.15), net) for name, net in judged.items()}
from_own = {name: success(climb(own, 0.15), net) for name, net in judged.items()}
lab.claim(direct["distilled"] < 20 < 60 < divided["distilled"], "distillation hides the gradient, and no more")
lab.claim(direct["adversarial training"] < direct["plain"] - 12, "adversarial training helps against PGD itself")
lab.reveal("distilled", direct["distilled"], unit="%", figure=viz.bars(
    {name: {"PGD": direct[name], "PGD, logits / 50": divided[name], "PGD on the attacker's own net": from_own[name]} for name in judged},
    y="% of right answers turned", title="Distillation stops the attacker who does not know of it"))

# %%
asking = recorded["hardened"]["distilled at T = 50"]["class alone, 3000 queries"]
print(f"distilled, class alone, recorded: {min(asking):.0%} to {max(asking):.0%} turned")
print("accuracy: " + ", ".join(f"{name} {accuracy(net):.1f} %" for name, net in judged.items()))

# %% [markdown]
# The distilled model's scores are so near 0 and 1 that for nine digits of ten the gradient is exactly zero in float32.
# Nothing moved: the same small changes turn the same answers, once somebody finds them. Adversarial training did move the
# boundary: every attacker here has less success. It does not make the model safe.
#
# The chapter describes defensive distillation as giving out probabilities in place of decisions. That is not what
# protects: section 3 shows that probabilities help the attacker.

# %%
lab.quiz("judging")

# %% [markdown]
# ## 6 · Poisoning or evasion? The chapter's table, measured · 4 min
#
# Table 12.2 compares the two attacks in words. Here are its rows as numbers. The goal of both: fours are to be misread.
# *Poisoning* labels 30 % of the fours that the model learns as nine. *Evasion* is PGD with eps = 0.15.

# %%
table, four = recorded["table_12_2"], y == 4
hit = (train_set.y == 4) & poisoning.some(len(train_set), 0.3, rng=rng)
bad = torch.where(hit, poisoning.targeted(train_set.y, source=4, target=9), train_set.y)
poisoned = learned(nets.mlp(64, (128, 128), 10, rng=rng), train_set, bad)
keep = ~labels.suspects(train_set.x, bad, rng=rng)
sanitised = learned(nets.mlp(64, (128, 128), 10, rng=rng), train_set.subset(keep), bad[keep])


# %%
def misread(net, pictures):
    return 100 * float((net(pictures).argmax(1) != 4).double().mean())


moved = climb(big, 0.15)
rows = (("", "data poisoning", "evasion"), ("timing", "while it learns", "while it is used"),
        ("target", f"{hit.double().mean():.1%} of the labels it learns", "each picture, 0.15 a value"),
        ("accuracy, clean digits", f"{accuracy(poisoned):.1f} %", f"{accuracy(big):.1f} %, the model is untouched"),
        ("fours misread, clean", f"{misread(poisoned, x[four]):.0f} %", f"{misread(big, x[four]):.0f} %"),
        ("fours misread, attacked", "every four is hit", f"{misread(big, moved[four]):.0f} %"),
        ("afterwards", "it stays in the weights", "it is gone"))
print("\n".join(f"{a:<26}{b:<30}{c}" for a, b, c in rows))

# %%
viz.spread({name: {attack: [100 * value for value in table[defence][attack]] for attack in ("poisoning", "evasion")}
            for name, defence in (("no defence", "none"), ("labels sanitised", "labels sanitised"),
                                  ("adversarial training", "adversarial training"))},
           live={"no defence": {"poisoning": misread(poisoned, x[four]), "evasion": misread(big, moved[four])},
                 "labels sanitised": {"poisoning": misread(sanitised, x[four])},
                 "adversarial training": {"evasion": misread(robust, climb(robust, 0.15)[four])}},
           y="fours misread, %", title="In the median, each defence helps against its own attack only")

# %% [markdown]
# **What to keep.** An attack needs a direction, not a large change. A copy gives the direction away; so do scores; the
# class alone gives it away slowly. Judge a defence by an attacker who knows of it: what only hides the gradient falls to a
# division, a copy or patience.
#
# ## Questions
#
# 1. A product ships the int4 copy and answers with scores on the server. Which of the two would you change first, and what
#    does each change cost its users?
# 2. Why is success against *queries* a fairer measure than success alone? What would a server that counts see?
# 3. Adversarial training used eps = 0.1. What do you expect at 0.2, and how would you find out what your camera needs?
#
# **Exercise.** Make the attacker's own net larger, or give it the answers of the big model as labels (a stolen model,
# lab 19). From how many queries on is it as good a map as the copy?
#
# **What to try next.** Train with `share=0.5` of each batch attacked: what happens to the accuracy, what to PGD?
