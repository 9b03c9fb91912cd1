# %% [markdown]
# # 10 · Personalise: a net learns one voice, and forgets nobody
#
# **You will** hear voices that a keyword net does not understand, and teach it one of them with three clips a word. Then you
# will look at the people who were there before: what did the lesson cost *them*? At last the microphone gets dusty, and
# nobody is there to label anything.
#
# **Objectives.** After this lab you can
# - enrol a user from a few examples, with and without training;
# - measure forgetting, and hold a net back by its weights, by its outputs, or by old examples in so many bytes;
# - say what labels that a net gives itself do to it, and let no net serve that has not passed a gate;
# - tell two kinds of drift apart without labels, and choose a remedy that suits the kind.
#
# **Prerequisites.** Lab 02; labs 08 and 22 help.
#
# **Time.** About 55 minutes; the computer works about 15 seconds of it.
#
# **Where we are.** Section 12.4.2 (Post-Deployment Adaptation) of *On-Device Learning*, with the three roads of industrial
# practice: few-shot learning, continual learning, adaptation of low complexity; in volume 2, "Edge Intelligence": *Model
# Adaptation*.

# %% tags=["imports"]
import copy

import torch

from odl_kit import lab, viz
from odl_kit.data import cards, datasets, pretrained, sounds, stream
from odl_kit.learners import distil, drift, enrol, gate, optimizers, plan, regularise, replay, statistics, train, transfer
from odl_kit.models import flat, nets

# %%
rng = lab.start("10_personalize")
recorded = lab.recorded("personalize")
seed = torch.Generator().manual_seed

# %% [markdown]
# ## 1 · Six voices, one word · 6 min
#
# `keywords` is **synthetic speech**: a program says twelve words in 56 voices. A net with 11,052 weights was trained on 32 of
# them. Listen to the word "no": two ordinary voices, two accents, two odd voices.

# %%
recordings = {name.removeprefix("no_"): wav for name, wav in sounds.recordings("keywords").items()}
viz.sounds(recordings, title="The word \"no\", by six synthetic speakers")

# %% [markdown]
# The net does not hear waves. It gets the energy in 10 bands, low tones to high ones, every 20 ms for one second. Here is
# "marvin", which shall be our wake word, as the net sees it. Time runs to the right, the high bands are
# on top.

# %%
data, names = datasets.load("keywords"), cards.read("keywords")["users"]
heard = ["en-us+grandma", "en-gb+m3", "scotland", "german", "whisper", "travis"]
clips = torch.cat([data.subset((data.user == names.index(name)) & (data.y == 10)).x[:1] for name in heard])
upright = clips.transpose(2, 3).flip(2)
viz.images((upright + 4).div(8).clamp(0, 1), titles=["ordinary 1", "ordinary 2", *heard[2:]], columns=3,
           title="\"marvin\" by six speakers: 49 frames of 10 bands")

# %% [markdown]
# A user gives three takes of each word, 36 clips. Six other takes of each are kept for the test, two for later. **Old users**
# stands for the people whom the net serves well as it is: ten ordinary speakers that it never met, 480 clips.

# %%
net = flat.assign(nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm=None, rng=rng),
                  pretrained.load("keywords"))
voices, strangers = data.group("train"), data.group("unseen")
strangers = strangers.subset(strangers.time < 4)


def takes(name, shots=3):
    """(shots, pool, confirmed, test) of one user: `shots` takes of each word, the rest of eight, two, six."""
    user = names.index(name)
    own, order = data.subset(data.user == user), torch.randperm(16, generator=seed(user))
    parts = order[:shots], order[shots:8], order[8:10], order[10:]
    return [own.subset(torch.isin(own.time, part)) for part in parts]


def right(net, part):
    return 100 * train.evaluate(net, part.x, part.y)["accuracy"]

# %% [markdown]
# **Predict.** The net is right on about 97 % of the old users' clips. And on those of the German voice, which reads English
# words by German rules?

# %%
lab.predict("german", "Accuracy of the net, as shipped, on the German voice?",
            options={"below 40 %": (0, 40), "40 to 60 %": (40, 60), "60 to 85 %": (60, 85), "above 85 %": (85, 100)})

# %%
shots, pool, confirmed, test = takes("german")
as_shipped = {name: right(net, takes(name)[3]) for name in recorded["by_user"]["three shots"]["shipped"]}
lab.claim(right(net, strangers) > max(as_shipped.values()), "the net serves old users better than every outlier")
lab.reveal("german", as_shipped["german"], unit="%", figure=viz.bars(
    {"old users": right(net, strangers)} | as_shipped, y="accuracy as shipped, %",
    title="Each of fourteen chosen voices is understood worse than the old users"))

# %% [markdown]
# Read this with care. These fourteen were **chosen** because a net like ours fails on them (so says the card of the data set).
# It is how the set was made, not a finding about people with accents.
#
# ## 2 · Three clips a word · 10 min
#
# To **enrol** a user is to teach the net from a few examples (*shots*) of theirs. The last linear layer, the **head**, makes
# twelve outputs out of 48 **features** $f$, the numbers that come into it. Lab 22 made a head out of *prototypes*: the mean
# of each class's features, and no training. Speech features all point in about the same direction, so here one looks from the
# middle $c$ of many users: the direction of a class, $d_k$, is the mean of $(f - c) / |f - c|$ over its clips, scaled to
# length 1. A new clip is the word with the largest **cosine** between $f - c$ and $d_k$.
#
# **Your turn.** A device has no cosine layer, but it has the linear layer of the old head. The length $|f - c|$ is the same
# for every word, so it does not change which one is largest. What weight and bias give the same answer?

# %% exercise="cosine_head"
def cosine_head(directions, centre):
    """directions (C, D) of length 1, centre (D,) -> weight (C, D), bias (C,): the largest output is the largest cosine."""
    weight = ...
    bias = ...
    return weight, bias

# %%
cosine_head = lab.check("cosine_head", cosine_head)

# %% [markdown]
# The other way is to train: the head alone, or the whole net. 30 steps of Adam on the 36 clips, each time shifted a little
# in time and with some noise (`sounds.jitter`), since 36 are few.

# %%
def adapt(net, x, y, old=None, what=None, lr=1e-3, steps=30, penalty=None):
    """A copy of the net after `steps` steps on (x, y), and on the clips `old` = (x, y) in the same batch."""
    made = copy.deepcopy(net)
    x, y = (x, y) if old is None else (torch.cat([x, old[0]]), torch.cat([y, old[1]]))
    heard = sounds.jitter(x.repeat(steps, 1, 1, 1), rng=seed(0))
    train.fit(made, heard, y.repeat(steps), epochs=1, batch_size=len(x), lr=lr, plan=what and what(made),
              optimizer=optimizers.adam(), penalty=penalty, rng=seed(0), progress=False)
    return made


features = transfer.features(net, voices.x)
centre, known = features.mean(0), enrol.directions(features, voices.y, centre=features.mean(0))
own = enrol.directions(transfer.features(net, shots.x), shots.y, centre=centre)
mixed = enrol.enrolled(net, enrol.mix(own, known), centre=centre)

# %% [markdown]
# **Predict.** Industry claims that a few examples make keyword spotting "up to 30 %" better for **outliers**, voices unlike
# those in the training set. We train the whole net on three clips a word of each of our fourteen voices, with some old clips
# beside them (section 3 says why). How many points does the voice gain that gains *most*?

# %%
lab.predict("best_gain", "Points gained by the voice that gains most (five nets, on average)?",
            options={"less than 10": (-10, 10), "10 to 20": (10, 20), "20 to 35": (20, 35), "more than 35": (35, 100)})

# %%
by_user = recorded["by_user"]["three shots"]
mean = {column: {user: sum(runs) / len(runs) for user, runs in users.items()} for column, users in by_user.items()}
gains = {user: mean["enrolled"][user] - mean["shipped"][user] for user in mean["shipped"]}
lab.reveal("best_gain", max(gains.values()), unit="points", figure=viz.spread(
    {"as shipped": by_user["shipped"], "three shots": by_user["enrolled"]}, y="accuracy on the user's test clips, %",
    title=f"All fourteen gain, {min(gains.values()):.0f} to {max(gains.values()):.0f} points (recorded, five nets)"))

# %% [markdown]
# Six voices gain 25 to 43 points. That is "up to 30 %" and more, but ours is another measure on another set: twelve words, all
# of them given as examples, and voices picked because they fail. "Up to" hides how much depends on the voice: the eight others
# gain 12 to 20. The worse the start, the more there is to gain.
#
# Now live, the German voice and four ways:

# %%
made = {"as shipped": net, "prototypes": enrol.enrolled(net, own, centre=centre),
        "head": adapt(net, shots.x, shots.y, what=plan.head_only, lr=1e-2), "full": adapt(net, shots.x, shots.y)}
weight, bias = cosine_head(own, centre)
answers = (transfer.features(net, test.x) @ weight.T + bias).argmax(1)
agree = (answers == distil.ask(made["prototypes"], test.x).argmax(1)).float().mean()
lab.claim(agree > 0.99, "your head and the kit's give the same answers")
viz.bars({name: right(m, test) for name, m in made.items()}, y="accuracy on the user's test clips, %",
         title="Thirty-six clips help, with training and without")

# %% [markdown]
# **See the source.** The prototypes of a user, without a single gradient:

# %%
viz.source(enrol.directions)

# %% [markdown]
# ## 3 · Who pays? · 12 min
#
# The figures of section 2 asked the new user only. A device in a family kitchen also serves the others.
#
# **Predict.** The whole net has been trained on 36 German clips. How many points do the *old users* lose?

# %%
lab.predict("forgotten", "Points that the old users lose when the whole net learns 36 clips of one voice?",
            options={"none": (-5, 1), "1 to 3": (1, 3), "3 to 10": (3, 10), "more than 10": (10, 100)})

# %%
def both(net):
    return {"the user": right(net, test), "old users": right(net, strangers)}


lost = right(net, strangers) - right(made["full"], strangers)
lab.reveal("forgotten", lost, unit="points", figure=viz.bars(
    {name: both(m) for name, m in made.items()}, y="accuracy, %",
    title="The user's own prototypes cost the old users most"))

# %% [markdown]
# This is **forgetting**. The user's own prototypes cost most, though they train nothing: each row of the head now comes from
# one voice alone. (*Mixed* prototypes, in a figure below, lie half-way between the user's directions and those of all 32
# training speakers.)
#
# Three cures need no old clip while the net learns. They add a penalty to the loss:
#
# - **L2**: weights may not go far: $\frac{\lambda}{2} \sum_i (w_i - w^*_i)^2$, with the old weights $w^*$;
# - **EWC** (Kirkpatrick et al. 2017) holds each weight as firmly as it mattered:
#   $\frac{\lambda}{2} \sum_i F_i (w_i - w^*_i)^2$. The *Fisher information* $F_i$ is the mean of
#   $(\partial \log p / \partial w_i)^2$ on old clips, where $p$ is the probability that the net gives a word (each word counts by
#   its $p$). It is computed once, in the factory;
# - **LwF** (Li and Hoiem 2017), learning without forgetting: the new net shall say about the user's clips what the old one
#   said.
#
# $\lambda$ says how firmly: it is `pull` in the code.
#
# **Your turn.** The penalty of EWC.

# %% exercise="ewc_penalty"
def ewc_penalty(w, start, importance, pull):
    """w, start, importance: (P,), pull: a number -> the penalty, a scalar."""
    return ...

# %%
ewc_penalty = lab.check("ewc_penalty", ewc_penalty)

# %% [markdown]
# The fourth cure is **replay**: keep a few old clips, and train on them as well. In 8 bits a clip with its label takes 491
# bytes, so 30,000 bytes hold 61. Which 61, if clips come one by one and nobody knows how many will come? **Reservoir
# sampling** (Vitter 1985): the first 61 fill the buffer. After that, the $n$-th clip of all (counted from the very first)
# gets in with probability $61 / n$, at a random place. Then at any time each clip that ever came by is in it with the same
# probability.
#
# **Your turn.** One random number decides both: draw one of the $n$ places 0 to $n - 1$; only if there is such a place in the
# buffer, the clip goes there.

# %% exercise="place"
def place(n, room, u):
    """Where the n-th example (n = 1, 2, ...) goes: 0 to room - 1, or None. u: a random number, 0 <= u < 1."""
    if n <= room:
        return n - 1
    drawn = ...
    return drawn if ... else None

# %%
place = lab.check("place", place)

# %%
half = voices.subset(voices.user % 2 == 0)      # the other half of the speakers will judge, in section 4
half = half.subset(torch.randperm(len(half), generator=seed(100)))
buffer = replay.add(replay.reservoir(30_000, half.x, scale=4 / 127), half.x, half.y, rng=seed(0))
old = replay.examples(buffer)
importance = regularise.fisher(net, old[0])
importance = importance / importance.mean()     # 1 on average, so that a pull means about the same for L2 and EWC
print(f"{buffer.seen} clips came by, {len(buffer)} are kept, in {buffer.num_bytes:,} bytes")

# %%
x, y = shots.x, shots.y
cures = {"full": made["full"], "full + L2": adapt(net, x, y, penalty=regularise.ewc(net, 1.0, pull=3.0)),
         "full + EWC": adapt(net, x, y, penalty=regularise.ewc(net, importance, pull=3.0)),
         "full + LwF": adapt(net, x, y, penalty=regularise.lwf(net, x, pull=0.1)),
         "full + old clips": adapt(net, x, y, old=old)}
viz.bars({"as shipped": both(net)} | {name: both(m) for name, m in cures.items()}, y="accuracy, %",
         title="Each cure helps the old users and costs the user some (one net, one voice)")

# %% [markdown]
# One run says little: six clips of a word are the test. Here are seven voices and five nets, recorded by
# `benchmarks/personalize.py`; each dot is a net, the mean over the seven. (*Biases and head* trains the head and of all other
# layers only the biases.)
#
# **Change one thing.** Look at one voice alone. Is the order the same for all?

# %%
def over_users(part, names, user="mean of seven"):
    """{"the user": {method: five runs}, "old users": ...} of one voice, or of the mean over all."""
    def runs(users):
        seven = torch.tensor(list(users.values()))
        return users[user] if user in users else seven.mean(0).tolist()
    return {said: {name: runs(recorded[part][name][column]) for name in names}
            for column, said in (("user", "the user"), ("old", "old users"))}


METHODS = ["as shipped", "prototypes, own", "prototypes, mixed", "head", "biases and head", *cures]


def compare(user="mean of seven"):
    live = {"as shipped": net, "prototypes, own": made["prototypes"], "prototypes, mixed": mixed, "head": made["head"]} | cures
    now = {name: both(m) for name, m in live.items()} if user == "german" else {}
    laid = {said: {name: row[said] for name, row in now.items()} for said in ("the user", "old users")}
    return viz.spread(over_users("methods", METHODS, user), live=laid, y="accuracy, %",
                      title=f"{user}: what the user gains and the old users lose")


lab.explore(compare, user=["mean of seven", *recorded["users"]])

# %% [markdown]
# On average old clips leave the old users most, 94 to 96 %, in each of five nets, and the user about as much as the cures do.
# Not for each voice: with the Scottish one, EWC and LwF leave the old users a little more.
#
# How firmly should one hold? Each curve below is one cure with a pull of different strength, or with more or fewer bytes of old
# clips (four voices, three nets). Up is good for the user, right is good for the others. A curve that lies further to the
# upper right is the better cure.

# %%
def trade_off(name):
    """Points (old users, user), weak to strong: means over voices and nets."""
    rows = [row for key, row in recorded["pulls"].items() if key.startswith(f"{name} |")]
    points = [[float(torch.tensor(list(row[column].values())).mean()) for row in rows] for column in ("old", "user")]
    order = sorted(range(len(rows)), key=points[0].__getitem__)
    return tuple([column[i] for i in order] for column in points)


viz.curve({name: trade_off(name) for name in ("L2", "EWC", "LwF", "old clips")}, x="old users' accuracy, %",
          y="the user's accuracy, %", title="At equal cost to the others, old clips leave the user most")

# %% [markdown]
# A harder pull buys less forgetting with less learning. Where the old users get the same, EWC leaves the user more than L2:
# half a point at the weakest pull, one to three at the harder ones. That is what it is worth to know which weights matter.
# LwF is the best of the three where one holds firmly, and not where one holds loosely. 6,000 bytes of old clips (12 clips)
# leave the user 91 % and the old users 93 %; each further byte is for the old users, at the user's cost. Points differ by a
# point or two from net to net, so do not read the order of close ones.

# %%
lab.quiz("cure")

# %% [markdown]
# ## 4 · Without labels · 9 min
#
# Nobody likes to label clips. A **pseudo-label** is what the net says itself, where it is sure: a probability above 0.9, say.
# The net, as shipped, hears 60 clips of the user that nobody labelled, keeps the sure ones and trains on them, the whole net,
# 30 steps.
#
# **Predict.** What does that do for the German voice?

# %%
lab.predict("pseudo", "Change for the user, in points, after training on the net's own sure answers?",
            options={"it loses": (-100, -1), "nothing": (-1, 1), "it gains 1 to 10": (1, 10),
                     "it gains more than 10": (10, 100)})

# %%
sure, said = enrol.pseudo_labels(net, pool.x, threshold=0.9)
alone = adapt(net, pool.x[sure], said[sure])
print(f"{int(sure.sum())} of {len(sure)} clips are kept; {(said == pool.y)[sure].float().mean():.0%} of them rightly labelled")
wrong = said != pool.y
print(f"{int(wrong.sum())} clips of the {len(sure)} get a wrong label; {int((wrong & sure).sum())} of these are kept")
lab.reveal("pseudo", right(alone, test) - right(net, test), unit="points", figure=viz.bars(
    {"as shipped": both(net), "trained on its own answers": both(alone)}, y="accuracy, %",
    title="Trained on its own sure answers, the net serves nobody better (one net, one voice)"))

# %% [markdown]
# Most of those labels are right, and yet nothing good comes of it. What the net is sure of it mostly knew; of the clips that
# it gets wrong, most are not among the sure ones, and the rest teach their mistake. Recorded, seven voices and five nets. The
# lower rows add pseudo-labels to *three shots and old clips*, 60 steps. *Sure* is above 0.6 there. A *verified* label is one
# that the user's mixed prototypes confirm; the last row is what the true labels of all 60 clips would have given. The row
# *statistics* uses no label at all, see below.

# %%
NO_LABELS = ["as shipped", "no shots, pseudo-labels", "statistics", "shots, twice the steps", "shots + pseudo-labels",
             "shots + verified ones", "shots + true labels"]
viz.spread(over_users("methods", NO_LABELS), y="accuracy, %",
           title="Without shots, pseudo-labels harm; with shots, they add what is within chance")

# %% [markdown]
# Without shots it harms, in all five nets: the user loses 5 to 8 points and the old users 8 to 12. After three shots,
# pseudo-labels add no more than twice the steps do: 92 to 96 % of them are right, and those were easy. Verification makes them
# right more often, and fewer. The true labels of all 60 clips, the hard ones too, would give 1 to 5 points.
#
# The row *statistics* gains 7 to 10 points for the user, costs the old users 4 to 6, and trains nothing. It moves what each
# convolution gives for the new voice to the mean and the spread that it has on old clips, and writes that into its weights
# and bias. A forward pass is all it needs.
#
# **The gate.** A net that has learned on the device is a *shadow* at first: it answers beside the old one, and may serve only
# if it wins on labelled clips that neither has learned from. Two confirmed takes of each word (24 clips), and old clips of
# speakers other than those in the buffer. Only clips on which the two differ count: *won* if the shadow alone is right,
# *lost* if the old net alone is. Of two equally good nets each would win such a clip with probability 1/2, so one can compute
# how often chance gives at least so many wins: in at most 10 % of cases, else the gate stays shut. And on the old clips the
# shadow may be at most 5 points worse.

# %%
other = voices.subset(voices.user % 2 == 1)
other = other.subset(torch.randperm(len(other), generator=seed(100)))
judges = replay.examples(replay.add(replay.reservoir(30_000, other.x, scale=4 / 127), other.x, other.y, rng=seed(0)))


def may_serve(shadow, clips):
    own = gate.duel(net, shadow, clips.x, clips.y)
    return gate.passes(own, gate.duel(net, shadow, *judges), chance=0.1, most_lost=0.05)


shadows = {"its own answers": alone, "full": made["full"], "full + old clips": cures["full + old clips"]}
for name, shadow in shadows.items():
    passed, why = may_serve(shadow, confirmed)
    print(f"{name:<18}{'may serve' if passed else 'may not serve'}: {why}")
lab.claim(not may_serve(alone, confirmed)[0], "the gate stops the net that learned from its own answers")

# %% [markdown]
# The gate stops the first one, which won nothing. It refuses the others as well: with 24 clips a gain of 12 points may still
# be luck. (Recorded: over seven voices and five nets it let through the last one for four to six voices of seven, and never
# the first.)
#
# **Change one thing.** Let the user confirm more takes of each word. (They come from all that is neither shots nor test, in
# the order of their numbers, so two takes here are not the two above. The first shadow is not asked: it has learned from some
# of them.) From how many on does a shadow get through?

# %%
def gate_after(takes=2, shadow="full + old clips"):
    more = data.subset((data.user == names.index("german")) & ~torch.isin(data.time, torch.cat([shots.time, test.time])))
    chosen = more.subset(torch.isin(more.time, more.time.unique()[:takes]))
    passed, why = may_serve(shadows[shadow], chosen)
    return f"{len(chosen)} clips confirmed: {'it may serve' if passed else 'it may not serve'}\n{why}"


lab.explore(gate_after, takes=(1, 7), shadow=["full", "full + old clips"])

# %%
lab.quiz("gate")

# %% [markdown]
# ## 5 · Only the wake word · 7 min
#
# Shops ask for five times "marvin", not for twelve words. So the training set is five clips, all of one class: *positives*
# alone. Somebody who whispers shall be heard. The threshold is set anew for each net, so that 1 % of other words by training
# speakers raise a false alarm.
#
# **Predict.** The whole net learns from those five clips, 20 steps. How many of the *old users'* "marvin" does it still
# detect?

# %%
lab.predict("alone", "Old users' \"marvin\" still detected, after five clips of a whisperer alone?",
            options={"all, it is the same word": (90, 100), "50 to 90 %": (50, 90), "10 to 50 %": (10, 50),
                     "below 10 %": (0, 10)})

# %%
five, *_, whispered = takes("whisper", shots=5)
word = five.subset(five.y == 10)
listeners = {"as shipped": net, "full": adapt(net, word.x, word.y, steps=20),
             "full + old clips": adapt(net, word.x, word.y, steps=20, old=old)}
sample = voices.subset(torch.randperm(len(voices), generator=seed(0))[:1200])


def listening(net):
    """% of clips above the threshold: the user's "marvin", the user's other words, old users' "marvin"."""
    score = [distil.ask(net, part.x).log_softmax(1)[:, 10] for part in (sample, whispered, strangers)]
    limit = torch.quantile(score[0][sample.y != 10], 0.99)
    whisper, others = score[1][whispered.y == 10], score[1][whispered.y != 10]
    heard = {"detected": whisper, "false alarms": others, "old users detected": score[2][strangers.y == 10]}
    return {name: 100 * float((part > limit).float().mean()) for name, part in heard.items()}

# %%
ears = {name: listening(m) for name, m in listeners.items()}
lab.reveal("alone", ears["full"]["old users detected"], unit="%", figure=viz.bars(
    ears, y="% of the clips", title="Positives alone destroy the detector; 61 old clips save it"))

# %% [markdown]
# With one class to learn, "always marvin" is a perfect answer. In this net no threshold helps after that: the word itself no
# longer stands out. The old clips say what is *not* marvin. Look at the price: the whisperer's own other words wake the
# device more often than before. Recorded, seven voices, five nets. In one of the five the old users' "marvin" is still
# detected after positives alone, on average; but look at `accuracy`, which falls to a third or less in all of them.

# %%
def woken(what="detected"):
    rows = {name: torch.tensor(list(row[what].values())).mean(0).tolist() for name, row in recorded["wake"].items()}
    said = {"detected": "the user's \"marvin\" detected", "false": "the user's other words that wake it",
            "old": "old users' \"marvin\" detected", "accuracy": "old users' accuracy on 12 words"}[what]
    return viz.spread(rows, y="%", title=f"Five clips of the wake word alone: {said}")


lab.explore(woken, what=["detected", "false", "old", "accuracy"])

# %% [markdown]
# And a word that the net has *never* heard? A new class is one more row of the head, the direction of five
# clips. (Recorded with nets that were trained without "marvin"; three nets, seven voices.)

# %%
def grown(column):
    return {name: torch.tensor(list(row[column].values())).mean(0).tolist() for name, row in recorded["new_word"].items()}


viz.spread({"the new word": grown("word"), "the user's other words": grown("user"), "old users' words": grown("old")},
           y="accuracy, %", title="One more row learns the word; training on it alone leaves nothing else")

# %% [markdown]
# The row needs no training and costs the others next to nothing. Training on the five clips alone makes the net say the new
# word to everything. Training with old clips detects the new word a little more often than the row does, but it costs the old
# users 2 to 6 points and the user's other words 7 to 15. (The user gave only that word, so the other words
# of this user are as badly understood as before.)
#
# ## 6 · A month · 11 min
#
# The German voice has been enrolled, with old clips. Now 30 days go by, 48 clips a day, and nobody labels them. From day 10 on
# something changes, and it is complete on day 16. In one house the microphone gets dusty: high tones get lost. In the other
# house, the radio is on, and only *up, down, on, off* are said any more.

# %%
mine, days = cures["full + old clips"], 30
share, few = stream.ramp(days, start=10, full=16), torch.zeros(12)
few[[2, 3, 6, 7]] = 0.25
HOUSES = {"dusty microphone": {"change": lambda x, day: sounds.muffled(x, amount=2.5 * float(share[day]))},
          "four words": {"shares": (1 - share)[:, None] / 12 + share[:, None] * few}}
later = [torch.cat([getattr(part, name) for part in (pool, confirmed, test)]) for name in ("x", "y")]
months = {house: stream.draw(*later, days=days, per_day=48, rng=seed(0), **change) for house, change in HOUSES.items()}
first = {house: month.x[month.day < 5] for house, month in months.items()}

# %% [markdown]
# **Detection without labels.** In the first five days all was well. Keep what the net said then, twelve probabilities a clip.
# Each day, compare: is the *distribution* of any of the twelve further away than chance explains (Kolmogorov-Smirnov,
# `drift.alarm`)? Above 1 is an alarm.

# %%
def alarms(house, explained=False):
    """One number a day, above 1 is an alarm. explained: against a reference in which words have today's shares."""
    said, found = distil.ask(mine, first[house]).softmax(1), []
    for day in range(days):
        says = distil.ask(mine, months[house].on(day)[0]).softmax(1)
        reference = drift.explained(said, says, rng=seed(0)) if explained else said
        found.append(drift.alarm(reference, says))
    return found


rung = {house: alarms(house) for house in HOUSES}
viz.curve({house: dict(enumerate(values)) for house, values in rung.items()}, x="day", y="distance / what chance explains",
          target=1, title="The alarm rings in both houses")

# %% [markdown]
# An alarm, and now? A remedy without labels and without a backward pass: bring the values back to where they were, with the
# clips of the last three days.
#
# - **levels**: give each of the ten bands the mean and the spread of the first days (speech recognition has done so for
#   decades);
# - **every layer**: do the same behind each convolution (`statistics.match`).
#
# Both are done once, on day 18. **Predict**: in the house with the dusty microphone, how much of the lost accuracy do the
# levels bring back?

# %%
lab.predict("levels", "Share of the lost accuracy that levelling brings back (dusty microphone)?",
            options={"less than a quarter": (-200, 25), "a quarter to three quarters": (25, 75),
                     "more than three quarters": (75, 200)})

# %% [markdown]
# And in the house with four words, where the alarm rings as well?

# %%
lab.predict("every_layer", "Four words: what does correcting every layer change, in points?",
            options={"it gains 2 or more": (2, 100), "about nothing": (-2, 2), "it loses 2 to 15": (-15, -2),
                     "it loses more than 15": (-100, -15)})

# %%
def remedies(house):
    """Accuracy in %: on the first ten days; on the days 19 to 29 with each remedy."""
    month, score = months[house], lambda net, x, y: 100 * train.evaluate(net, x, y)["accuracy"]
    early, late, recent = month.day < 10, month.day > 18, month.x[(month.day > 15) & (month.day < 19)]
    x, y, was = month.x[late], month.y[late], first[house]
    return {"before": score(mine, month.x[early], month.y[early]), "nothing": score(mine, x, y),
            "levels": score(mine, statistics.standardise(x, was, recent), y),
            "every layer": score(statistics.match(mine, was, recent), x, y)}


after = {house: remedies(house) for house in HOUSES}
dusty, four = after["dusty microphone"], after["four words"]

# %%
back = 100 * (dusty["levels"] - dusty["nothing"]) / (dusty["before"] - dusty["nothing"])
lab.reveal("levels", back, unit="%", figure=viz.bars(dusty, y="accuracy, %",
                                                     title="Dusty microphone: the levels of ten bands were the trouble"))

# %%
lab.reveal("every_layer", four["every layer"] - four["nothing"], unit="points", figure=viz.bars(
    four, y="accuracy, %", title="Four words: best left alone; correcting every layer breaks the net"))

# %% [markdown]
# In the second house every word sounds as it did. Only the *mix* has changed, and with it the mean of everything. A remedy
# that restores the mean moves "up" to where twelve words used to be. (The levels do so well in the first house because our
# dust takes a constant from each band, which is just what they correct. Real dust, or another room, is less obliging. If
# more than 100 % came back: other days bring other clips; in five recorded nets it is 94 to 107 %.)
#
# So the device must know **which** drift it is. If only the mix has changed, then the first days *with today's mix* look like
# today. `drift.explained` draws from the reference again, so that each word has today's share, and the alarm is asked once
# more:

# %%
again = {house: alarms(house, explained=True) for house in HOUSES}
lab.claim(sum(a > 1 for a in again["dusty microphone"][18:]) > 6, "another sound is not explained by the mix")
lab.claim(sum(a > 1 for a in again["four words"][18:]) < 4, "another mix is explained")
viz.curve({house: dict(enumerate(values)) for house, values in again.items()}, x="day",
          y="distance / what chance explains", target=1, title="With today's mix in the reference, one alarm all but falls silent")

# %%
viz.source(drift.explained)

# %% [markdown]
# Recorded: two voices, five nets, remedies renewed every day; accuracy from day 16 on, and on how many of these days each
# alarm rang.

# %%
def recorded_month(what="accuracy, %"):
    means = {name: torch.tensor(list(row["after"].values())).mean(0).tolist() for name, row in recorded["month"].items()}
    alarms = ("alarm", "alarm, shares explained")
    wanted = alarms if what == "days with an alarm, %" else ("nothing", "levels", "every layer")
    rows = {said: {name: means[f"{kind} | {name}"] for name in wanted}
            for kind, said in (("muffled", "dusty microphone"), ("four words", "four words"))}
    return viz.spread(rows, y=what, title=f"{what.split(',')[0].capitalize()} from day 16 on: each drift wants its own answer")


lab.explore(recorded_month, what=["accuracy, %", "days with an alarm, %"])

# %% [markdown]
# The first alarm rings every day in both houses. The second rings in the dusty house on at least 79 % of the days and in the
# other on at most 4 %, in each of five nets. The levels bring back nearly all in the dusty house and take 2 to 6 points in the
# other one; every layer corrected takes 30 to 36 there. (The four words are harder for this net than the twelve, so it scores
# less on them though it is the same net. More labels could help; statistics cannot.)
#
# **What to keep.** Three clips a word teach a net a new voice, and the worse it started, the more. Always ask the old users
# too: forgetting is invisible to the one who gains. A few old clips in the batch are the simplest cure, and the best here. What
# a net is sure of teaches it nothing new. One class alone destroys a detector. An alarm is a question, not an order to adapt.
#
# ## Questions
#
# 1. The old clips in the buffer are recordings of other people. Who would have to agree that they lie on your device? Which
#    of the cures of section 3 does without them, and what does it cost?
# 2. A gate needs labelled clips that nobody has learned from. In the dusty house, the confirmed clips are from before the
#    dust. What would the gate say about a shadow that has adapted to it, and what should the device ask its user?
# 3. The alarm is set so that it rings on one day in a hundred without reason. What does that mean for a million devices?
#
# **Exercise.** Enrol "whisper" or "travis" instead (`takes`), and tune `pull` of one cure so that the old users lose no more
# than with the old clips. How much of the gain is left?
#
# **What to try next.** Draw a month in which *both* happen, dust and four words. What do the two alarms say, and which remedy
# would you choose? Lab 24 measures what such an update costs on a board.
