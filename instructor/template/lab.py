# %% [markdown]
# # NN · THE TITLE
#
# **You will** measure how many pictures a small net needs, and write the number by which one judges it.
#
# **Objectives.** After this lab you can
# - say how the error on new pictures falls with the number of pictures to learn from;
# - compute an error rate.
#
# **Prerequisites.** THE PREREQUISITES.
#
# **Time.** About THE MINUTES minutes; the computer works a few seconds of it.
#
# **Where we are.** Section THE SECTION of *On-Device Learning*; in volume 2, "Edge Intelligence": *THE VOLUME2*.

# %% tags=["imports"]
import torch

from odl_kit import lab, viz
from odl_kit.data import datasets
from odl_kit.learners import train
from odl_kit.models import nets

# %%
rng = lab.start("NN_name")

# %% [markdown]
# ## 1 · How many pictures? · 10 min
#
# Real handwritten digits, 8 by 8 pixels, and a small net. It trains on the first pictures and is tested on others.
#
# **Predict.** How often is it right after 50 pictures? (A guess is right one time in ten.)

# %%
lab.predict("fifty", "Accuracy on new digits after 50 pictures?",
            options={"below 40 %": (0, 40), "40 to 80 %": (40, 80), "above 80 %": (80, 100)})

# %%
train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)


def learned(pictures, epochs=40):
    """Accuracy in % on the test set of a fresh net that trained on the first pictures."""
    own = torch.Generator().manual_seed(0)
    net = nets.mlp(64, 32, 10, rng=own)
    train.fit(net, train_set.x[:pictures], train_set.y[:pictures], epochs=epochs, batch_size=16,
              lr=0.1, rng=own, progress=False)
    return 100 * train.evaluate(net, test_set.x, test_set.y)["accuracy"]

# %%
measured = {pictures: learned(pictures) for pictures in (20, 50, 200, 800)}
lab.claim(measured[800] > measured[20] + 10, "more pictures help")
lab.reveal("fifty", measured[50], unit="%", figure=viz.curve(
    {"new pictures": measured}, x="pictures to learn from", y="accuracy, %", log="x",
    title="Every picture helps, the first ones most"))

# %% [markdown]
# **See the source.** This is the whole training loop.

# %%
viz.source(train.fit)

# %% [markdown]
# **Change one thing.** Does it help to look longer at few pictures?

# %%
def longer(pictures=50, epochs=40):
    right = learned(pictures, epochs)
    return viz.bars({"new pictures": right}, y="accuracy, %",
                    title=f"{pictures} pictures, {epochs} passes: {right:.0f} %")


lab.explore(longer, pictures=(10, 400, 10), epochs=(1, 60))

# %% [markdown]
# ## 2 · Your turn · 10 min
#
# The **error rate** is the share of wrong answers, a number between 0 and 1. Write it.

# %% exercise="error_rate"
def error_rate(guesses, labels):
    """guesses (N,), labels (N,) int -> the share of places where they differ, a number."""
    wrong = ...
    return ...

# %%
error_rate = lab.check("error_rate", error_rate)

# %%
lab.quiz("new_pictures")

# %% [markdown]
# **What to keep.** Measure on pictures that the net has not seen.
#
# ## Questions
#
# 1. Which of your own devices could collect 50 labelled examples, and who would label them?
# 2. Where would you stop collecting, and why there?
#
# **Exercise.** Find the number of pictures after which twice as many gain less than one point.
#
# **What to try next.** Another data set of `datasets/`.
