# %% [markdown]
# # 00 · Start here: a device that learns
#
# **You will** train a small network on real handwritten digits, put it behind a camera that hangs sideways, and let
# the device learn from a hundred pictures of its own. Then you will see what that costs in memory, and what left
# the device: nothing.
#
# **Objectives.** After this lab you can
# - use every part of a lab: predict, reveal, explore, check, quiz;
# - say what *learning on the device* is, and why it is not the same as *federated learning*;
# - compare the memory of training with the memory of using a model, on a named board.
#
# **Prerequisites.** Python, and a first idea of what a neural network is. No board, no GPU, no network connection.
#
# **Time.** About 25 minutes; the computer itself works less than ten seconds.
#
# **Where we are.** Section 12.1 of *On-Device Learning* (Introduction); in volume 2, "Edge Intelligence": *Edge Learning
# Paradigm*.

# %% tags=["imports"]
import torch

from odl_kit import doctor, lab, viz
from odl_kit.budget import BOARDS
from odl_kit.data import datasets
from odl_kit.learners import memory, plan, train
from odl_kit.models import flat, nets

# %%
rng = lab.start("00_start_here")      # rng: the seeded source of the random numbers below

# %% [markdown]
# ## 1 · How a lab works · 2 min
#
# Run a cell with **Shift + Enter**. Every section has the same rhythm:
#
# 1. **Predict.** You commit to an answer. It is locked: a guess that can be changed afterwards teaches nothing.
# 2. **Run** the experiment. It is real: nothing in these labs is a prepared result, unless the picture says *recorded*.
# 3. **Reveal.** Your prediction stands beside the measurement.
# 4. **See the source**, **change one thing**, and sometimes **write a few lines** that are checked on the spot. A
#    **quiz** asks for the idea.
#
# Run the cells from top to bottom, each once: then your numbers are those that the text speaks of. Your answers are kept
# in `labs/ledger/`, as readable JSON, and sent nowhere.
#
# First, is this computer ready?

# %%
doctor.report()

# %% [markdown]
# ## 2 · In the factory · 4 min
#
# Here are real digits, written by hand, scanned, and reduced to 8 by 8 pixels. The set comes with scikit-learn. It has
# 1,797 images; who wrote which one was not kept. 359 are put aside to test on. Of the others, the factory gets 935; the
# device will meet the rest.

# %%
digits = datasets.load("digits")
known, test = datasets.split(digits, test=0.2, rng=rng)
factory, device = datasets.split(known, test=0.35, rng=rng)
viz.images(test.x[:10], titles=test.y[:10].tolist(), title="Ten digits that no model has seen yet")

# %% [markdown]
# The network is small: 64 inputs, 32 hidden units, 10 outputs, 2,410 weights. It trains for 20 passes over the factory's
# 935 images.
#
# **Predict.** How often is it right on the 359 test images?

# %%
lab.predict("factory", "Accuracy on unseen digits, trained on 935?",
            options={"below 50 %": (0, 50), "50 to 80 %": (50, 80), "80 to 98 %": (80, 98),
                     "above 98 %": (98, 100)})

# %%
net = nets.mlp(64, 32, 10, rng=rng)
history = train.fit(net, factory.x, factory.y, epochs=20, batch_size=16, lr=0.1, rng=rng)
upright = 100 * train.evaluate(net, test.x, test.y)["accuracy"]
lab.claim(upright > 85, "the factory's model reads more than 85 % of upright digits")
lab.reveal("factory", upright, unit="%")

# %% [markdown]
# ## 3 · On the wall · 3 min
#
# The model is shipped. Somebody mounts the camera sideways.

# %%
def sideways(x):
    return torch.rot90(x, 1, dims=(2, 3))

viz.images(sideways(test.x[:10]), titles=test.y[:10].tolist(),
           title="The same ten digits, as this device sees them")

# %% [markdown]
# You can still read them. **Predict.** How often is the factory's model right now?

# %%
lab.predict("sideways", "Accuracy on the same digits, turned by 90 degrees?",
            options={"about 95 % (as before)": (85, 100), "about 70 %": (55, 85), "about 40 %": (25, 55),
                     "about 10 % (guessing)": (0, 25)})

# %%
turned = 100 * train.evaluate(net, sideways(test.x), test.y)["accuracy"]
lab.claim(turned < 25, "turned digits are read little better than by guessing")
lab.reveal("sideways", turned, unit="%")

# %% [markdown]
# No factory can foresee every wall. A new model from the cloud would need pictures from this wall, sent away. Or the
# device can learn.

# %% [markdown]
# ## 4 · The device learns · 5 min
#
# The owner labels a hundred pictures. The device goes on training from the factory's weights, with the same few lines
# that the factory used.
#
# **Predict.** How often is it right on sideways digits after that?

# %%
lab.predict("learned", "Accuracy on sideways digits after 100 own examples?",
            options={"no better, 10 to 25 %": (0, 25), "25 to 60 %": (25, 60), "60 to 92 %": (60, 92),
                     "as good as upright, above 92 %": (92, 100)})

# %%
def learn_here(examples, epochs=20):
    """Train the factory's model on this device's first sideways examples; % right (sideways, upright)."""
    own = flat.assign(nets.mlp(64, 32, 10, rng=torch.Generator().manual_seed(0)), shipped)
    train.fit(own, sideways(device.x[:examples]), device.y[:examples], epochs=epochs, batch_size=16,
              lr=0.1, rng=torch.Generator().manual_seed(1), progress=False)
    return tuple(100 * train.evaluate(own, x, test.y)["accuracy"] for x in (sideways(test.x), test.x))


shipped = flat.ravel(net)       # all 2,410 weights as one vector; flat.assign puts them into a net
learned, forgotten = learn_here(100)
lab.claim(learned > turned + 30, "a hundred own examples mend most of it")

# %%
bars = {"sideways: as shipped": turned, "sideways: after learning": learned,
        "upright: as shipped": upright, "upright: after learning": forgotten}
lab.reveal("learned", learned, unit="%", figure=viz.bars(
    bars, y="accuracy, %", title="The device learned its own wall, and forgot some of the old one"))

# %% [markdown]
# Two things happened. The device mended itself with a hundred pictures that never left it. And it forgot part of what it
# knew: nobody showed it upright digits any more. Lab 10 comes back to forgetting.
#
# **See the source.** This is the whole training loop. Which line makes the weights move?

# %%
viz.source(train.fit)

# %% [markdown]
# **Change one thing.** How many examples does the device need? And does it help to look at each one more often?

# %%
def mended(examples=100, epochs=20):
    sideways_accuracy, upright_accuracy = learn_here(examples, epochs)
    found = {"sideways": sideways_accuracy, "upright": upright_accuracy}
    return viz.bars(found, y="accuracy, %",
                    title=f"{examples} examples, {epochs} passes: {sideways_accuracy:.0f} % sideways")


lab.explore(mended, examples=(20, 500, 20), epochs=(1, 40))

# %% [markdown]
# ## 5 · What does it cost? · 4 min
#
# To *use* a model, a device needs its **weights** and a **workspace**: the numbers of one layer at a time. To *train* it,
# it must also keep what each layer saw (**saved activations**) and a **gradient** for every weight. Some training rules
# keep even more (**optimizer**); this one does not.
#
# **Predict.** This network, one image at a time, 32-bit numbers: how much more memory does training take than using it?

# %%
lab.predict("ratio", "Memory for training, divided by memory for using the model?",
            options={"about the same": (1, 1.5), "1.5 to 4 times": (1.5, 4),
                     "4 to 12 times (as the book says)": (4, 12), "more than 12 times": (12, 1000)})

# %%
one = test.x[:1]
# rule="device" counts what a small C program would keep, not PyTorch; in UpdatePlan() nothing learns
use = memory.memory_report(net, one, plan.UpdatePlan(), rule="device")
learn = memory.memory_report(net, one, rule="device")
parts = {"use the model": use.parts(), "train it": learn.parts()}
lab.reveal("ratio", learn.peak / use.peak, unit="times", figure=viz.bars(
    parts, y="bytes", stacked=True,
    title="Here training doubles the memory: one gradient for each weight"))

# %% [markdown]
# So the book's "4 to 12 times" is no law: this net has many weights and sees small pictures. Lab 02 finds nets on both
# sides of that range. But there is a catch. A device that only *uses* the net can leave the weights in flash, of which it
# has plenty. Weights that learn must move to working memory (SRAM), of which it has little.

# %%
times = learn.sram / use.sram
print(f"SRAM to use it: {use.sram:,} bytes; to train it: {learn.sram:,} bytes, {times:.0f} times as much")

# %% [markdown]
# **Change one thing.** A Nano 33 has 256 KiB of SRAM, an UNO R4 has 32, an UNO R3 has 2. Choose a board and the number of
# images at a time (`batch`). Where does the net no longer fit?

# %%
def on_board(board="nano33", batch=1):
    return lab.budget_bar(memory.memory_report(net, test.x[:batch], rule="device"), BOARDS[board])


lab.explore(on_board, board=list(BOARDS), batch=(1, 64))

# %% [markdown]
# ## 6 · On-device is not federated · 3 min
#
# The book's introduction uses the two words for one thing. They are different:
#
# - **On-device learning** says *where* the training happens: on the device. What you just did was on-device, and no other
#   device took part.
# - **Federated learning** says *how many devices make one model together*: each trains on its own data and sends its
#   *update*. A federation of hospitals learns in server rooms; that is federated, and hardly on-device.
#
# Count the bytes that leave this device. A federation asks for one update in every round; 30 rounds are not many.

# %%
pictures = 100 * one.numel()                       # 8x8 pixels, one byte each
update = shipped.numel() * 4                       # one number of 32 bits per weight
viz.bars({"learn in the cloud: 100 pictures": pictures, "learn here: nothing": 0,
          "federated: 1 update": update, "federated: 30 updates": 30 * update},
         y="bytes sent by this device",
         title="A federated device sends bytes, a device that learns alone does not")

# %% [markdown]
# Look closely: here the federated device sends *more* than the pictures would take. Federated learning keeps pictures
# at home; whether it saves traffic depends on the sizes. Lab 11 measures that, and lab 13 makes the updates smaller.

# %%
lab.quiz("not_the_same")

# %% [markdown]
# ## 7 · Your turn · 4 min
#
# Most labs measure accuracy. Write it. The net gives ten scores for each image, one row an image. Its guess is the class
# with the largest score. Accuracy is the share of rows where guess and label agree, a number between 0 and 1.

# %% exercise="accuracy"
def accuracy(scores, labels):
    """scores (N, classes) float, labels (N,) int -> the share of right answers, a number in [0, 1]."""
    guesses = ...
    return ...

# %%
accuracy = lab.check("accuracy", accuracy)

# %% [markdown]
# The lab goes on with your function, or with the kit's while yours is not finished. It must agree with what the kit
# measured above.

# %%
mine = 100 * float(accuracy(net(test.x).detach(), test.y))
lab.claim(abs(mine - upright) < 1e-3, "the checked function agrees with train.evaluate")
print(f"factory model, upright digits: {mine:.1f} %")

# %% [markdown]
# ## The map
#
# These labs are ready. Each stands alone, but they build on each other in this order.

# %%
lab.course_map()

# %% [markdown]
# ## Questions
#
# 1. The device forgot some upright digits. Name one case where that does not matter, and one where it is dangerous.
# 2. Who labelled the hundred pictures? Think of a device where labels come for free.
# 3. The factory could have trained on turned digits as well. What would that have cost, and which surprises would still
#    be left?
#
# **Exercise.** In section 4, start from fresh weights instead of the factory's (leave out `flat.assign`). Compare 20, 100
# and 500 examples. When is the factory's model worth shipping?
#
# **What to try next.** Lab 11 lets fifty devices make one model together.
