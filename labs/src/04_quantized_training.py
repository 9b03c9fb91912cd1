# %% [markdown]
# # 04 · Training a net of 8-bit integers
#
# **You will** turn a net into 8-bit integers, find out why such a net does not learn, and repair it with two divisions. Then
# you will see what becomes of a step that is smaller than 1.
#
# **Objectives.** After this lab you can
# - write the arithmetic of an integer layer: scale, zero point, requantization;
# - say when quantizing after training is enough, and when a net must be trained for few bits;
# - derive why SGD on integers moves nothing, and what quantization-aware scaling (QAS) divides by;
# - judge QAS fairly: against float training, Adam, LARS, one searched factor, and against training the head alone;
# - choose how an integer weight is rounded after a step, and name a rule that undoes the training.
#
# **Prerequisites.** Labs 00 and 02.
#
# **Time.** About 60 minutes; the computer works about 25 seconds of it.
#
# **Where we are.** Section 12.3.2 of *On-Device Learning* (Modifying Optimization Processes: *Quantization-Aware Scaling*);
# in volume 2, "Edge Intelligence": *Model Adaptation*.

# %% tags=["imports"]
import copy
from functools import partial

import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, pretrained
from odl_kit.learners import memory, optimizers, plan, qas, train
from odl_kit.models import calibrate, flat, nets, qat, quant, quantize

# %%
rng = lab.start("04_quantized_training")
recorded = lab.recorded("tiny_training")

# %% [markdown]
# ## 1 · A layer of integers · 12 min
#
# A microcontroller multiplies 8-bit integers faster than floats, and they take a quarter of the memory. So a real number
# $v$ is stored as an integer $q$, with a **scale** $s$ (the size of a step) and a **zero point** $z$ (the integer that
# means 0):
#
# $$q = \mathrm{round}(v / s) + z, \qquad v \approx s\,(q - z)$$
#
# Our net has 13 convolutions and was trained on clean digits. It now meets a second sensor, which turns and inverts the
# image, darkens its corners and adds noise (handwriting real, sensor simulated). 449 images are there to learn from, 135 to choose
# settings, 315 to test. The last layer, the **head** (330 of the numbers), starts anew.

# %%
data = datasets.load("sensor_shift")
clean, shifted = data.subset(data.user == 0), data.subset(data.user == 1)
order = torch.randperm(len(shifted), generator=rng)
train_set, validation, test_set = (shifted.subset(part) for part in order.split((449, 135, 315)))
net = nets.mobile_net(1, 10, norm=None, rng=rng)
flat.assign(net, torch.cat([pretrained.load("sensor_shift")[:-330], flat.ravel(net)[-330:]]))
viz.images(torch.cat([clean.x[:10], train_set.x[:10]]),
           title="Above what the net knows, below what the second sensor sees")

# %% [markdown]
# To find the scales, one shows the net some images and looks at the range of every layer (**calibration**). Weights get a
# scale for each output channel.
#
# **Predict.** The float net has 13,482 numbers of 4 bytes. How many times smaller is the integer net?

# %%
lab.predict("smaller", "Bytes of the float net divided by bytes of the integer net?",
            options={"4 times or more": (3.9, 10), "3.5 to 3.9 times": (3.5, 3.9),
                     "below 3.5 times": (1, 3.5)})

# %%
images = torch.cat([clean.x[:64], train_set.x[:64]])
integers = quantize.quantize_model(net, images)
parts = {"int8 weights": sum(layer.weight.numel() for layer in integers.integer_layers().values()),
         "int32 biases": sum(4 * len(layer.bias) for layer in integers.integer_layers().values()),
         "multipliers": sum(4 * len(layer.m) for layer in integers.integer_layers().values()),
         "float head": 4 * 330}
lab.claim(sum(parts.values()) == integers.nbytes, "these are all the bytes")
lab.reveal("smaller", 4 * 13_482 / integers.nbytes, unit="times", figure=viz.bars(
    parts, y="bytes", title="A tiny net pays for what stays long: biases, multipliers, the head"))

# %% [markdown]
# A bias is added to a sum of products, so it needs 32 bits. The sum is then brought to the scale of the output by one
# **multiplier** $m = s_x s_w / s_y$ for each channel ($x$ goes in, $w$ are the weights, $y$ comes out).
# As published, the head stays float. A larger net comes nearer to 4.
#
# **See the source.** All of an integer convolution:

# %%
viz.source(quant.conv2d_int8)

# %% [markdown]
# **Your turn.** `requantize` is the last line. Round half to even (`torch.round` does), shift by the zero point, and
# cut to -128 ... 127. With $z_y = -128$ the cut at the bottom *is* the ReLU.

# %% exercise="requantize"
def requantize(acc, m, z):
    """acc (N, C) sums, m (C,), z a number -> (N, C): the int8 outputs, as float32."""
    real = acc * m
    return ...

# %%
requantize = lab.check("requantize", requantize)

# %% [markdown]
# Nothing else happens in the net. (The kit's tests hold this convolution, value for value, against a loop over Python
# integers, and a whole net against one of NumPy integers.) What did the rounding change?

# %%
with torch.no_grad():
    ours, theirs = integers(test_set.x), net(test_set.x)
far = (ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt()
lab.claim(far < 0.2, "the integer net computes what the float net computes, up to its steps")
print(f"the outputs differ by {100 * far:.1f} % of their size (root mean square)")

# %% [markdown]
# ## 2 · Few bits, and training for them · 11 min
#
# The chapter describes *quantization-aware scaling* in two steps: train with quantization in mind, then choose the scale
# factors well. Both exist, under other names: **quantization-aware training** (QAT) and **calibration**. The paper that
# introduced QAS (Lin et al. 2022) means something else by it, the subject of sections 3 to 5. First the chapter's tale.
#
# We let the float net learn the second sensor, all of it, on a computer. Then its weights get 8, 4, 3 or 2 bits.

# %%
def learn(net, epochs, lr, **options):
    """Train in place: batches of 30, a rate that warms up and falls, the same order of images each time."""
    work = {"batch_size": 30, "rng": torch.Generator().manual_seed(0), "progress": False}
    return train.fit(net, train_set.x, train_set.y, epochs=epochs, lr=optimizers.cosine(lr), **work | options)


def accuracy(net):
    """% right on the 315 test images."""
    return 100 * train.evaluate(net, test_set.x, test_set.y)["accuracy"]


expert = copy.deepcopy(net)
learn(expert, 30, 0.03, momentum=0.9)
print(f"float net, everything learned: {accuracy(expert):.1f} %")

# %% [markdown]
# **Predict.** How many points are lost when the trained weights are rounded to 4 bits, fifteen values each? (Activations
# keep 8 bits.)

# %%
lab.predict("four_bits", "Points of accuracy lost by rounding the trained weights to 4 bits?",
            options={"less than 5": (-10, 5), "5 to 20": (5, 20), "more than 20": (20, 100)})

# %%
few = partial(quantize.quantize_model, expert, train_set.x[:128])
after = {bits: accuracy(few(bits=bits)) for bits in (8, 4, 3, 2)}
lab.reveal("four_bits", accuracy(expert) - after[4], unit="points", figure=viz.curve(
    {"rounded after training": after}, x="bits of a weight", y="accuracy, %", target=accuracy(expert),
    title="Down to 4 bits rounding is nearly free; at 2 bits the net is lost"))

# %% [markdown]
# **Change one thing.** A scale need not fit the *largest* weight of a channel. With "least error" the outermost weights
# are cut so that all others get finer steps. Does it rescue 3 bits? And what do few bits of *activations* do?

# %%
SCALES = {"largest weight": calibrate.largest, "least error": calibrate.least_error}


def rounded(bits=3, activation_bits=8, scale="largest weight"):
    found = accuracy(few(bits=bits, activation_bits=activation_bits, scales=SCALES[scale]))
    return viz.bars({"float": accuracy(expert), "integers": found}, y="accuracy, %",
                    title=f"{bits}-bit weights, {activation_bits}-bit activations, {scale}: {found:.0f} %")


lab.explore(rounded, bits=(2, 8), activation_bits=(3, 8), scale=list(SCALES))

# %% [markdown]
# Now **QAT**: the weights stay real numbers and learn, but the forward pass uses the integers that they would become.
# Rounding has no useful derivative, so the backward pass acts as if it were not there (the *straight-through estimator*).
# Five epochs more, for 2-bit weights: only -1, 0 and 1 are left.

# %%
aware = qat.prepare(expert, train_set.x[:128], bits=2, scales=calibrate.least_error)
learn(aware, 5, 0.01, momentum=0.9)
two_bits = qat.convert(aware)
lab.claim(accuracy(two_bits) > after[2] + 20, "training for 2 bits rescues what rounding loses")
live = {"after training, largest weight": after[2] / 100, "QAT, least error": accuracy(two_bits) / 100}
bits = recorded["few_bits"]
by_way = {way: [run["2 bits"][way]["test"] for run in bits] for way in bits[0]["2 bits"]}
viz.spread({"float32": [run["float32"]["as trained"]["test"] for run in bits]} | by_way, live=live,
           y="accuracy at 2 bits", title="At 2 bits only both together rescue the net: training and well-chosen scales")

# %% [markdown]
# So the chapter's two steps are real and useful, for *few* bits and on a computer that holds float weights. At 8 bits there
# is nothing to rescue. But a device that holds int8 weights, and nothing else, has another problem.

# %% [markdown]
# ## 3 · Why integers do not learn · 12 min
#
# On the device a weight *is* its integer $q$, and $v = s\,q$. The chain rule gives the gradient that backpropagation finds:
#
# $$\frac{\partial L}{\partial q} = s\,\frac{\partial L}{\partial v}$$
#
# Here a weight has $s \approx 0.005$: as integers the weights are 200 times larger, and their gradients 200 times smaller.
# The ratio $|W| / |G|$ says how many steps of SGD, at rate 1, a tensor would need to move by its own length.
#
# **Predict.** The net computes the same as before. By how many powers of ten does $|W| / |G|$ of its *weights* rise?

# %%
lab.predict("decades", "Powers of ten by which |W|/|G| of the weights rises, float to int8 (mean)?",
            options={"none: it is the same net": (-1, 1), "about 2: one factor of 200": (1, 3.5),
                     "4 to 5: two factors of 200": (3.5, 5.5), "6 or more": (5.5, 20)})

# %%
batch = train_set.x[:256], train_set.y[:256]
ratios = {"float32": qas.norm_ratios(net, *batch), "int8": qas.norm_ratios(integers, *batch, scale=1)}
rise = torch.tensor(ratios["int8"]) - torch.tensor(ratios["float32"])
lab.claim(rise[::2].mean() > 3.8 and rise[1::2].mean() > 6.5, "both factors count; biases are worse off")
lab.reveal("decades", float(rise[::2].mean()), unit="powers of ten", figure=viz.curve(
    ratios, x="tensor, from the input: weight, bias, weight, bias ...", y="log10 of |W| / |G|",
    title="Integers: weights learn 10,000 times too slowly, biases 10 million times"))

# %% [markdown]
# Biases zigzag above the weights, because their step is $s_w s_x$, smaller still. So no *one* learning rate is right for
# this net: with a rate that suits the float head, the integers hardly move half a step.
#
# **QAS** undoes it. Multiply the gradient by $1/s$ to have it in real units, and by $1/s$ once more to turn the step into
# integers:
#
# $$\tilde G_W = G_W / s_w^2, \qquad \tilde G_b = G_b / (s_w s_x)^2$$
#
# **Your turn.** One scale for each output channel: row `o` of the gradient belongs to `scale[o]`.

# %% exercise="qas_scale"
def qas_scale(gradient, scale):
    """gradient (O, I) in integer units, scale (O,) -> (O, I)."""
    per_row = ...
    return gradient / per_row

# %%
qas_scale = lab.check("qas_scale", qas_scale)

# %%
ratios["int8 + QAS"] = qas.norm_ratios(integers, *batch)
apart = (torch.tensor(ratios["int8 + QAS"]) - torch.tensor(ratios["float32"])).square().mean().sqrt()
lab.claim(apart < 0.3, "with QAS the ratios are those of the float net")
viz.curve(ratios, x="tensor, from the input: weight, bias, weight, bias ...", y="log10 of |W| / |G|",
          title="With QAS the ratios lie on those of the float net")

# %% [markdown]
# It is an identity, not a heuristic: a step of SGD with QAS, times $s$, *is* the step of SGD on the real weights. (The
# chapter says this in one sentence, "automatically scales tensor gradients"; its two steps are another matter.)

# %%
lab.quiz("identity")

# %% [markdown]
# ## 4 · Does it learn now? · 12 min
#
# The last two blocks and the head learn (lab 05 asks which layers *should*). Four contestants, 15 epochs each. Everybody
# gets the rate of a grid that was best on the validation images; `benchmarks/tiny_training.py` looked for it.
#
# **Predict.** Plain int8 SGD, without QAS, against training the head alone?

# %%
lab.predict("plain_sgd", "Accuracy of int8 SGD on two blocks and head, minus that of head only?",
            options={"it is worse by 5 points or more": (-100, -5), "within 5 points": (-5, 5),
                     "5 to 15 points better": (5, 15), "more than 15 points better": (15, 100)})

# %%
def adapt(start, wish=None, lr=0.1, epochs=15, inner=None, **how):
    """Train a copy; how: scale=, store= of qas.optimizer, for an integer net."""
    made, inner, own = copy.deepcopy(start), inner or optimizers.sgd(0.9), torch.Generator().manual_seed(7)
    wish = wish or plan.last_layers(made, 7)        # six convolutions and the head
    if hasattr(made, "integer_layers"):
        inner = qas.optimizer(made, inner, rng=own, **how)
    learn(made, epochs, lr, plan=wish, optimizer=inner, rng=own)
    return made


# %%
rate = {name: run["rate"][0] for name, run in recorded["methods"][0].items()}       # of the seed that runs here
runs = {"fp32 SGD-M": adapt(net, lr=rate["fp32 SGD-M"]),
        "head only": adapt(integers, plan.head_only(integers), lr=rate["head only"]),
        "int8 SGD-M": adapt(integers, lr=rate["int8 SGD-M"], scale=1),
        "int8 SGD-M + QAS": adapt(integers, lr=rate["int8 SGD-M + QAS"])}
reached = {name: accuracy(made) for name, made in runs.items()}
lab.claim(abs(reached["int8 SGD-M"] - reached["head only"]) < 8, "plain int8 SGD is little more than the head")
lab.claim(reached["int8 SGD-M + QAS"] > reached["int8 SGD-M"] + 8, "QAS makes the integers learn")
lab.reveal("plain_sgd", reached["int8 SGD-M"] - reached["head only"], unit="points", figure=viz.bars(
    reached, y="accuracy, %", title="int8 SGD learns the head and nothing else; QAS brings back the rest"))

# %%
print("most that a weight of block4.expand has moved, in steps of the integer:")
for name in ("int8 SGD-M", "int8 SGD-M + QAS"):
    after, before = (made.get_parameter("block4.expand.weight") for made in (runs[name], integers))
    print(f"  {name:<18}{(after - before).abs().max().item():8.2f}")

# %% [markdown]
# Half a step is needed before an integer changes at all. And over five seeds, with the rivals that the paper names?
# *Adam* divides each gradient by its own size, so it needs no scale, but its one rate must suit integers and the float
# head. *LARS* makes each tensor's step a fixed part of its length. *Multiplier searched* is plain SGD whose integer layers
# get one global factor, $10^4$ to $10^6$, tried on the validation images.
#
# **Predict.** Lin et al. (2022) report that LARS did not converge. Where does it land here?

# %%
lab.predict("lars", "int8 LARS minus int8 SGD with QAS, mean of five seeds?",
            options={"far below (15 points or more)": (-100, -15), "below, by 5 to 15 points": (-15, -5),
                     "level, within 5 points": (-5, 5), "above": (5, 100)})

# %%
table = {name: [100 * run[name]["test"] for run in recorded["methods"]] for name in recorded["methods"][0]}
gap = (sum(table["int8 LARS"]) - sum(table["int8 SGD-M + QAS"])) / len(table["int8 LARS"])
lab.reveal("lars", gap, unit="points", figure=viz.spread(
    table, live=reached, y="accuracy on the second sensor, %",
    title="Three ways reach the float net, Adam does not; plain SGD is the head alone"))

# %% [markdown]
# Float and QAS are within 4 points of each other in every seed (both mostly chose 0.1, the largest rate that they were offered).
# Plain int8 SGD is the head alone. Adam gets half of the way, also at the largest rate of its grid, and keeps two more numbers
# for each weight. That LARS fails does **not** reproduce here: its
# step is a share of the tensor's own length, so it does not care about units either. One factor for all integer layers reaches
# as much, too, once it is found. What QAS saves is finding it: one hyper-parameter less, for a device where nobody searches.
#
# The bar of the head alone belongs in such a figure. Without it, one would take the 30 % of int8 SGD for learning in the body of the net.

# %%
lab.quiz("rivals")

# %% [markdown]
# **Change one thing.** Walk the factor by hand: five epochs, plain SGD, integer layers times $10^k$. Then let QAS do it.
# How wide is the window in which the net learns?

# %%
def by_hand(power_of_ten=0, rate=0.1, with_qas=False):
    made = adapt(integers, lr=rate, epochs=5, scale="qas" if with_qas else 10.0 ** power_of_ten)
    what = "QAS" if with_qas else f"factor 10^{power_of_ten}"
    return viz.bars({"head only, 15 epochs": reached["head only"], f"{what}, 5 epochs": accuracy(made)},
                    y="accuracy, %", title=f"{what}, rate {rate:g}: {accuracy(made):.0f} %")


lab.explore(by_hand, power_of_ten=(0, 8), rate=[0.03, 0.1, 0.3], with_qas=False)

# %% [markdown]
# ## 5 · A step smaller than one · 10 min
#
# So far we cheated, as the published simulator does: behind each integer stood a *latent* float, which remembers a tenth
# of a step until ten of them make one. It costs 4 bytes a weight, more than int8 saves. A device keeps the integer only. A
# step of 0.3 must become 0 or 1:
#
# - **nearest** rounds: steps below one half are lost;
# - **stochastic** rounds up with probability 0.3: right on average;
# - **truncate** is what `weight -= step` does in C with an int8 weight and a float step: it cuts toward zero. The kernels
#   published with the paper's engine do this.
#
# **Your turn.** Stochastic rounding. `u` holds random numbers, uniform in [0, 1).

# %% exercise="stochastic"
def stochastic(q, u):
    """q (N,) real, u (N,) uniform -> (N,): floor(q), or floor(q) + 1 with the probability of the part behind the point."""
    return ...

# %%
stochastic = lab.check("stochastic", stochastic)

# %% [markdown]
# **Predict.** A weight of 5 is pushed to 4.99, another to 5.4. Truncated, they become 4 and 5. What does this rule do to the
# net over 15 epochs, with QAS?

# %%
lab.predict("truncated", "Accuracy with the rule `truncate`, minus head only?",
            options={"10 points or more above head only": (10, 100),
                     "within 10 points of head only": (-10, 10),
                     "10 points or more below head only": (-100, -10)})

# %%
stored = {rule: adapt(integers, lr=recorded["storage"][0][rule]["rate"][0], inner=optimizers.sgd(), store=rule)
          for rule in ("nearest", "stochastic", "truncate")}
ends = {rule: accuracy(made) for rule, made in stored.items()}


def length(made):
    """Sum of |q| over the layers that learned, beside what it was before."""
    names = list(made.integer_layers())[-6:]
    sizes = [sum(m.get_submodule(n).weight.round().abs().sum().item() for n in names) for m in (made, integers)]
    return sizes[0] / sizes[1]


lab.reveal("truncated", ends["truncate"] - reached["head only"], unit="points", figure=viz.bars(
    {"head only": reached["head only"]} | ends, y="accuracy, %",
    title="Nearest and stochastic learn; cutting toward zero does not"))

# %%
shrunk = {rule: length(made) for rule, made in stored.items()}
lab.claim(shrunk["truncate"] < 0.8 * shrunk["nearest"], "cutting toward zero makes the weights shrink")
lab.claim(ends["truncate"] < ends["stochastic"] - 6, "cutting toward zero loses what the other rules gain")
rules = {rule: [100 * run[rule]["test"] for run in recorded["storage"]] for rule in recorded["storage"][0]}
print("sum of |q| after training, of what it was: " + ", ".join(f"{r} {v:.2f}" for r, v in shrunk.items()))
viz.spread({"head only": table["head only"]} | rules, live={"head only": reached["head only"]} | ends,
           y="accuracy, QAS without momentum, %", title="Five seeds: the rule of C loses what the others gain")

# %% [markdown]
# Every push toward zero costs a whole step, every push away is lost: the weights decay, by accident. (It chose 0.6,
# the largest rate on offer, in every seed; larger ones were not tried.) Between nearest and stochastic neither wins: the sign of
# the difference changes from seed to seed. With nearest, small steps are lost, but the rates that it was given are large.
#
# And the memory? Without latent floats and without momentum, the meter of lab 02 counts one byte for a saved activation, one
# bit for a clamp (was the value cut?), but four for a gradient. **Change one thing**: what fills the peak now? (Lab 06 drops
# each gradient as soon as it was used.)

# %%
def anatomy(net_of="int8", learns="last two blocks", momentum=False):
    chosen = integers if net_of == "int8" else net
    plans = {"last two blocks": plan.last_layers(chosen, 7), "everything": plan.full(chosen), "head": plan.head_only(chosen)}
    report = memory.memory_report(chosen, train_set.x[:1], plans[learns], rule="device", momentum=0.9 if momentum else 0.0)
    return viz.bars({part: size / 1024 for part, size in report.parts().items()}, y="KiB, one image",
                    title=f"{net_of}, {learns}: {report.peak / 1024:.1f} KiB at the peak")


lab.explore(anatomy, net_of=["int8", "float32"], learns=["last two blocks", "everything", "head"], momentum=False)

# %% [markdown]
# **What to keep.** Integer arithmetic is exact and small. Gradients of integers have the wrong size, by $s^2$; QAS divides by
# $s^2$, and a net of integers then learns like a net of floats. LARS and one well-chosen factor get there too; QAS needs no
# search. The rounding after a step must lean neither way.

# %% [markdown]
# ## Questions
#
# 1. The head stayed float. What would change for its learning rate if it became int8, too?
# 2. A channel whose weights are nearly zero gets a tiny scale. What does $1/s^2$ do there, and what would you do about it?
#    (`QuantNet.dead` and the docstring of `quantize_model` say what the kit does.)
# 3. With QAS and latent floats, is there a difference between training on the device and QAT with frozen scales?
#
# **Exercise.** Quantize to 4 bits and train with QAS and `store="stochastic"`, then `"nearest"`. Which one suffers more from
# the larger steps, and why?
#
# **What to try next.** `adapt(integers, inner=optimizers.adam(), scale="qas")`: which rate does Adam want now? Lab 05 asks
# which layers deserve to learn.
