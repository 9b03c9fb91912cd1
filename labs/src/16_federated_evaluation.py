# %% [markdown]
# # 16 · Federated evaluation: the model travels, the data stays
#
# **You will** send a model to six sites whose data you never see and learn from their answers what your own test set hid.
# Then you will build a lock that knows its owner, with a model that many people train and nobody's recordings leave home.
#
# **Objectives.** After this lab you can
# - say what a benchmark committee, a site and a signed result are, and what each of them must check;
# - tell which metrics of many sites combine to the exact pooled value, and which cannot;
# - measure a lock by its two errors and its equal error rate;
# - explain how users train one embedding with secret codes, and when a plain prototype at home is the better lock.
#
# **Prerequisites.** Lab 11.
#
# **Time.** About 45 minutes; the computer works about 10 seconds of it.
#
# **Where we are.** Section 12.5.8 of *On-Device Learning* (Benchmarking for Federated Learning: MedPerf); in volume 2,
# "Edge Intelligence": *Federated Learning: Systems at Scale*.

# %% tags=["imports"]
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, partition
from odl_kit.federation import evaluation, metrics, rounds, selection, verification
from odl_kit.learners import train
from odl_kit.models import flat, nets

# %%
rng = lab.start("16_federated_evaluation")

# %% [markdown]
# ## 1 · One model, six sites · 8 min
#
# MedPerf (Karargyris et al. 2023) tests medical models in hospitals. A hospital may not give its pictures away, so the
# model goes there. Our stand-in has handwritten digits and two cameras. The old camera is the one we know. The new one is
# mounted sideways, shows a negative, and is noisy.

# %%
pictures = datasets.load("sensor_shift")
old, new = (pictures.subset(pictures.user == camera) for camera in (0, 1))
viz.images(torch.cat([old.x[:5], new.x[:5]]), columns=5,
           title="The same kind of handwriting, seen by the old camera (above) and by the new one")

# %% [markdown]
# We are the **benchmark committee**. We have pictures from the old camera only; we train a model on some and test it on
# others, as one does.

# %%
ours, rest = datasets.split(old, test=0.6, rng=rng)
train_set, test_set = datasets.split(ours, test=0.4, rng=rng)
net = nets.mlp(256, 64, 10, rng=rng)
train.fit(net, train_set.x, train_set.y, epochs=20, batch_size=16, lr=0.05, momentum=0.9, rng=rng,
          progress=False)
own = train.evaluate(net, test_set.x, test_set.y)["accuracy"]
print(f"accuracy on our own test set: {own:.1%} of {len(test_set)} pictures")

# %% [markdown]
# Six sites have pictures of their own. Three have the old camera, one has both, two have the new one. We do not know
# that: in real life we would not be told.

# %%
pictures_of = {"north": (200, 0), "east": (120, 0), "south": (60, 0),       # (old camera, new camera)
               "west": (60, 60), "island": (0, 120), "harbour": (0, 200)}
sites, a, b = {}, 0, 0
for name, (m, n) in pictures_of.items():
    sites[name] = tuple(torch.cat([getattr(rest, part)[a:a + m], getattr(new, part)[b:b + n]])
                        for part in ("x", "y"))
    a, b = a + m, b + n

# %% [markdown]
# **Predict.** The model was never wrong by much on our own test set. How good is it at the worst of the six sites?

# %%
lab.predict("lowest", "Accuracy at the worst site?",
            options={"above 85 %, the same digits after all": (85, 100), "60 to 85 %": (60, 85),
                     "30 to 60 %": (30, 60), "below 30 %": (0, 30)})

# %% [markdown]
# What the committee publishes is a **task**: the model, the metrics, and a **data contract** that says what a picture must
# look like. A site runs it and sends back a few numbers. (`macro_f1` is explained in section 2.)

# %%
contract = evaluation.Contract(shape=(1, 16, 16), low=0.0, high=1.0, classes=10, min_examples=50)
chosen = (metrics.METRICS["accuracy"], metrics.METRICS["macro_f1"])
task = evaluation.Task("digits in the field", net, chosen, contract)
report = evaluation.report(task, [evaluation.at_site(task, name, x, y) for name, (x, y) in sites.items()])
print(report)

# %%
spread = report.spread("accuracy")
lab.claim(own > 0.85 and spread["lowest"] < 0.4, "our own test set hid what the new camera does")
lab.reveal("lowest", 100 * spread["lowest"], unit="%", figure=viz.bars(
    report.sites("accuracy"), y="accuracy", target=own,
    title=f"Our test says {100 * own:.1f} %, the sites say {100 * spread['lowest']:.1f} "
          f"to {100 * spread['highest']:.1f} %"))

# %% [markdown]
# No picture moved, and yet we know that the model fails, where, and how badly. A mean over the sites would hide most of
# that. So a report shows the **spread**, and each site by name.

# %% [markdown]
# ## 2 · What may be added up · 8 min
#
# Would one test on all pictures in one place give another number than the sites' numbers together? For the accuracy, no.
# It is a mean over pictures, so weighing each site by its number of pictures gives the pooled value exactly:
#
# $$\mathrm{accuracy} = \sum_s \frac{n_s}{n}\, \mathrm{accuracy}_s.$$

# %%
all_x, all_y = (torch.cat(part) for part in zip(*sites.values(), strict=True))
together = train.evaluate(net, all_x, all_y)["accuracy"]
combined = report.pooled("accuracy")
lab.claim(abs(combined - together) < 1e-9, "weighted site accuracies are the pooled accuracy")
print(f"from the sites' numbers {combined:.6f}, with all pictures in one place {together:.6f}")

# %% [markdown]
# Many metrics are no mean over examples. The **F1 score** of a class is one of them. TP counts the pictures of the class
# that were found, FN those that were missed, and FP the pictures of other classes that were taken for it:
#
# $$F_1 = \frac{2\,TP}{2\,TP + FP + FN}.$$
#
# Its denominator is no count of pictures, so weighing six F1 scores by pictures does not give the pooled one.
# `macro_f1`, in the report above, is the mean of the F1 scores of all ten digits. The report refuses to pool it:

# %%
try:
    report.pooled("macro_f1")
except ValueError as refusal:
    print(str(refusal).replace("; ", ";\n"))

# %% [markdown]
# **Your turn.** But TP, FP and FN are counts, and counts add up. If the sites send these three instead of a score, the
# pooled F1 is exact again. Zero examples and no mistake count as F1 = 0.

# %% exercise="pooled_f1"
def pooled_f1(counts):
    """counts (sites, 3) float: TP, FP, FN of one class at each site -> F1 on all sites, a float."""
    tp, fp, fn = ...
    return ...

# %%
pooled_f1 = lab.check("pooled_f1", pooled_f1)

# %%
def counts_of_eight(x, y):
    guess = net(x).argmax(1)
    return [float(((guess == 8) & (y == 8)).sum()), float(((guess == 8) & (y != 8)).sum()),
            float(((guess != 8) & (y == 8)).sum())]


counts = torch.tensor([counts_of_eight(x, y) for x, y in sites.values()])
each = torch.stack([torch.as_tensor(pooled_f1(row[None])) for row in counts])
exact = float(pooled_f1(torch.tensor([counts_of_eight(all_x, all_y)])))
added = float(pooled_f1(counts))
lab.claim(abs(added - exact) < 1e-6, "added counts give the F1 score of the pooled data")
viz.bars({"mean of the sites' F1": each.mean().item(), "from added counts": added,
          "all pictures in one place": exact}, y="F1 score of the digit 8",
         title="Scores cannot be averaged, counts can be added")

# %%
lab.quiz("combine")

# %% [markdown]
# ## 3 · Trust, in both directions · 7 min
#
# The site trusts nobody by default. Before anything runs it asks: is this the task that was announced? Do my data keep the
# contract? And after: do I want these numbers to leave the house?

# %%
viz.source(evaluation.at_site)

# %% [markdown]
# The first question is answered by a **digest**, a fingerprint (SHA-256) of every weight, every layer, the text of the
# metrics, and the contract. Somebody swaps the model on the way:

# %%
published = task.digest()
other = evaluation.Task(task.name, nets.mlp(256, 64, 10, rng=rng), task.metrics, task.contract)
print(evaluation.at_site(other, "north", *sites["north"], published=published).refused[0])

# %% [markdown]
# The second: the harbour stores its pictures as numbers from 0 to 255. Without a contract the model would run on them and
# the committee would get a wrong number. The answer says what is wrong, and shows no pixel.

# %%
x, y = sites["harbour"]
print(evaluation.at_site(task, "harbour", 255 * x, y, published=published).refused[0])

# %% [markdown]
# The third: a site may look at its numbers and say no. Here the island does. The report then says that it did. Compare
# the pooled accuracy: it rises, and the model is the same.

# %%
def sign_off(result):
    return "our camera is being repaired" if result.site == "island" else None


answer = partial(evaluation.at_site, task, published=published, sign_off=sign_off)
signed = evaluation.report(task, [answer(name, x, y) for name, (x, y) in sites.items()])
print(signed)
print(f"pooled accuracy with the island {combined:.3f}, without {signed.pooled('accuracy'):.3f}")

# %%
lab.quiz("leak")

# %% [markdown]
# ## 4 · Is it you? · 8 min
#
# Evaluation at home has a second face. A phone that unlocks for its owner must be tested on its owner, and those data are
# as private as data can be. Our stand-in: gestures of 24 people with an accelerometer on the wrist. They are **simulated**,
# so what follows compares methods and says nothing about real people.
#
# Six are volunteers, who gave their recordings away. Fourteen are at home. Four are strangers, who took part in nothing.

# %%
gestures = datasets.load("motion")
drawn = torch.randperm(24, generator=rng).split([6, 4, 14])
volunteers, strangers, home = (part.sort().values for part in drawn)
early = gestures.time < 10              # the first ten takes enrol, the last five try to get in


def takes(users, when=True):
    return gestures.subset(torch.isin(gestures.user, users) & when)


enrol, probe, intruders = takes(home, early), takes(home, ~early), takes(strangers, ~early)

# %% [markdown]
# A lock gives each take a score and opens above a threshold. It can err twice: let somebody else in (**false accept**), or
# refuse its owner (**false reject**).
#
# **Your turn.** Compute both rates.

# %% exercise="lock_errors"
def lock_errors(scores, is_owner, threshold):
    """scores (N,) float, is_owner (N,) bool -> (share of others let in, share of the owner refused)."""
    opens = scores >= threshold
    false_accept = ...
    false_reject = ...
    return float(false_accept), float(false_reject)

# %%
lock_errors = lab.check("lock_errors", lock_errors)

# %% [markdown]
# Raise the threshold and one error falls while the other rises. Where they cross is the **equal error rate**, the one
# number by which locks are compared. The simplest lock keeps a **prototype**: the mean of the owner's enrolment takes. It
# scores by the cosine. Here, first, on raw acceleration.
#
# **Change one thing.** Go from person to person. Do all have an equally good lock?

# %%
def lock_of(person):
    owner = home[person]
    prototype = verification.prototypes(enrol.x.flatten(1), enrol.user, [owner])
    scores = verification.match(probe.x.flatten(1), prototype)[:, 0]
    ticks = torch.linspace(float(scores.min()), float(scores.max()), 40)
    errors = [lock_errors(scores, probe.user == owner, tick) for tick in ticks]
    rate = float(metrics.equal_error_rate(scores, (probe.user == owner).long()))
    names = ("others let in", "owner refused")
    return viz.curve({name: (ticks, [pair[k] for pair in errors]) for k, name in enumerate(names)},
                     x="threshold", y="share", title=f"Person {person}: the errors cross at {rate:.0%}")


lab.explore(lock_of, person=(0, 13))

# %% [markdown]
# A raw recording holds the gesture more than the person. An **embedding** that was trained to tell people apart does
# better, also for people that it never saw. The volunteers can train one for everybody: it is sent to each device, and
# the prototype is made at home.

# %%
def classifier(part):
    """Train a net to tell these users apart; returns it without its last layer, as an embedding."""
    users = part.user.unique()
    model = nets.mlp(300, (128, 64), len(users), rng=rng)
    train.fit(model, part.x, torch.searchsorted(users, part.user), epochs=15, batch_size=32, lr=0.02,
              momentum=0.9, rng=rng, progress=False)
    return model[:-1]


def error_rate(embed, targets, against=home):
    """Mean equal error rate in % at home, of locks that compare embed(x) with `targets`."""
    both, user = torch.cat([probe.x, intruders.x]), torch.cat([probe.user, intruders.user])
    with torch.no_grad():
        scores = verification.match(embed(both), targets)
    return 100 * verification.error_rates(scores, user, home, against=against).mean().item()

# %%
def at_home(embed, against=home):
    """The same, with prototypes from everybody's own enrolment takes."""
    with torch.no_grad():
        targets = verification.prototypes(embed(enrol.x), enrol.user, home)
    return error_rate(embed, targets, against)


raw = at_home(torch.nn.Flatten())
print(f"raw acceleration: equal error rate {raw:.1f} %, mean of 14 people")

# %% [markdown]
# **Predict.** With the embedding of six volunteers?

# %%
lab.predict("volunteers", "Mean equal error rate of the fourteen at home, embedding of six volunteers?",
            options={"hardly better: six people are too few": (17, 50), "10 to 17 %": (10, 17),
                     "5 to 10 %": (5, 10), "below 5 %": (0, 5)})

# %%
volunteer_net = classifier(takes(volunteers))
from_volunteers = at_home(volunteer_net)
lab.claim(raw - from_volunteers > 2, "an embedding of six other people helps those at home")
lab.reveal("volunteers", from_volunteers, unit="%")

# %% [markdown]
# ## 5 · Secret codes · 10 min
#
# Without volunteers the fourteen must train the embedding themselves. Each device has one class only: *me*. Cross-entropy
# would need the others' takes, or at least their prototypes, and a prototype is as private as a fingerprint.
#
# FedUV (Hosseini et al. 2021) gives every user a **secret code** $c$, a random row of +1 and -1. The device pulls its
# outputs $z$ towards its own code, and tells the code to nobody. Codes that differ keep the users apart. The loss is what
# is missing to full agreement:
#
# $$\frac1n \sum_i \Big(1 - \frac{z_i \cdot c}{|z_i|\,|c|}\Big).$$
#
# **Your turn.**

# %% exercise="code_loss"
def code_loss(outputs, code):
    """outputs (n, bits), code (bits,) of +1 and -1 -> mean of 1 - cosine, a scalar tensor."""
    cosine = ...
    return ...

# %%
code_loss = lab.check("code_loss", code_loss)

# %% [markdown]
# The kit's client does five such steps, and the round is that of lab 11.

# %%
viz.source(verification.train_codes)

# %%
clients = partition.clients(enrol, torch.searchsorted(home, enrol.user))
codes = verification.secret_codes(14, 32, rng=rng)
apart = torch.stack([code_loss(codes[k:k + 1], codes[j]) for k in range(14) for j in range(k)])
print(f"two users' codes: 1 - cosine is {apart.min():.2f} to {apart.max():.2f}")

# %% [markdown]
# **Predict.** Nobody ever sees an example of somebody else. What is the equal error rate, when a take is compared with the
# code?

# %%
lab.predict("codes", "Mean equal error rate after 40 rounds on secret codes?",
            options={"about 50 %: nothing pushes users apart": (35, 60), "20 to 35 %": (20, 35),
                     "8 to 20 %": (8, 20), "below 8 %": (0, 8)})

# %%
model = nets.mlp(300, (128, 64), 32, rng=rng)
work = partial(verification.train_codes, model, clients, codes, steps=5, batch_size=20, lr=0.5)
history = rounds.run(flat.ravel(model), train=work, select=selection.uniform(14, 14), rounds=40, rng=rng,
                     progress=False)
flat.assign(model, history.w)
by_code = error_rate(model, codes)
lab.reveal("codes", by_code, unit="%")

# %% [markdown]
# The same embedding also serves for prototypes, and those need no secret from training. And what would be possible if all
# fourteen gave their recordings away? That is the **central** model.

# %%
central_net = classifier(enrol)
live = {"fellows": {}, "strangers": {}}
for group, who in (("fellows", home), ("strangers", strangers)):
    live[group] = {"no training: prototypes of raw takes": at_home(torch.nn.Flatten(), who),
                   "volunteers' embedding, prototypes": at_home(volunteer_net, who),
                   "all takes in one place, prototypes": at_home(central_net, who),
                   "secret codes": error_rate(model, codes, who),
                   "trained on codes, prototypes": at_home(model, who)}

# %% [markdown]
# One draw of people is one throw of the dice. Five seeds were recorded by `benchmarks/user_verification.py`. *Fellows* are
# the other thirteen at home; *strangers* never took part. Two rows were only recorded: codes without the division by
# the lengths (*outputs of any length*), and codes trained on top of the volunteers' embedding, which stays frozen.

# %%
recorded = lab.recorded("user_verification")
central = live["fellows"]["all takes in one place, prototypes"]
lab.claim(by_code - central > 1, "recordings in one place make a better lock than codes")
viz.spread(recorded["motion"], live=live, y="equal error rate, %",
           title="The central lock beats codes; against strangers, prototypes beat codes too")

# %% [markdown]
# What holds in all five recorded seeds:
#
# - The central embedding makes a better lock than codes alone or the volunteers' embedding alone. That gap is the
#   price of privacy here.
# - Against strangers, a prototype at home beats the code, *on the very same embedding*. Training moved apart those whose
#   codes took part; it said nothing about where a stranger's takes go.
# - Against fellows, neither of them is the winner.
# - The cosine matters. With outputs of any length the same codes end 7 to 19 points worse against fellows.
#
# Does that carry over? The same was recorded on synthetic speech, over the frozen embedding of 16 volunteers.

# %%
viz.spread(recorded["keywords"], y="equal error rate, %",
           title="Synthetic speech: locks by code gain nothing over plain prototypes (recorded)")

# %% [markdown]
# There the lock by code is worse than plain prototypes in four of five seeds, against fellows, and in all five against
# strangers. Training on codes helps a little, if prototypes do the comparing: 0.2 to 3 points against fellows in four
# seeds, while the fifth loses 1.4. Before you build the elaborate lock, measure the plain one.
#
# **What to keep.** Send the model, not the data, and look at the spread. Add counts, not scores. And an embedding plus a
# prototype at home is a lock that is hard to beat.

# %%
lab.quiz("stranger")

# %% [markdown]
# ## Questions
#
# 1. A site with three patients sends an accuracy. What does it give away? Which number of the contract is about this?
# 2. A committee could publish a new metric every day. How would you limit what a site gives away over a year?
# 3. Every lock here has a threshold of its own, set where its errors cross. Whose examples would a real device use?
#
# **Exercise.** Give the committee twenty pictures of the new camera and train again on both cameras. Which sites gain,
# does any lose, and does our own test set show it?
#
# **What to try next.** Shorten the codes from 32 to 8 and to 4 bits. From which length on do two of fourteen users get
# codes so near that they open each other's locks?
