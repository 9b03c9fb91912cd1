# %% [markdown]
# # 21 · The tiny training engine: a step as a list
#
# **You will** turn a PyTorch net into a list of operations, shrink what it passes through memory to a seventh, pass by pass,
# meet a pass that for once makes it *worse*, and run the list on a virtual Cortex-M4, bit for bit as here.
#
# **Objectives.** After this lab you can
# - write down the backward pass of a net before anything runs, and strike out what nobody needs;
# - say what pruning, reordering, updating in place and packing each save, and why;
# - tell the bytes that live at once from the arena in which they lie;
# - store an updated int8 weight without ruining it.
#
# **Prerequisites.** Lab 02; what QAS is, lab 04 says.
#
# **Time.** About 50 minutes; the computer works about 20 seconds of it.
#
# **Where we are.** Section 12.7.1 of *On-Device Learning* (*Tiny Training Engine*); in volume 2, "Edge Intelligence":
# *Model Adaptation*.

# %% tags=["imports"]
import copy

import numpy as np
import torch

from odl_kit import lab, viz
from odl_kit.data import datasets, pretrained
from odl_kit.devices import board
from odl_kit.engine import autodiff, emit_c, execute, gradients, program, schedule
from odl_kit.learners import memory, plan, qas, train
from odl_kit.models import flat, nets, quantize

# %%
rng = lab.start("21_tiny_training_engine")
recorded = lab.recorded("tiny_training_engine")

# %% [markdown]
# ## 1 · The backward pass, before anything runs · 9 min
#
# PyTorch derives the backward pass while the net runs: each operation notes on a tape what it will need. This takes an
# interpreter, and memory from a heap, at every step. But our net does the same at every step. So the **Tiny Training
# Engine** (Lin et al. 2022) derives the backward pass **once, at compile time**, on the big computer. The device gets a list.
# Our kit has such an engine, written anew. This is what it makes of a net with two layers of weights:

# %%
small = nets.mlp(64, 16, 10, rng=rng)
steps = {stage.name: stage.program for stage in
         program.compile(small, torch.zeros(1, 64), plan.full(small), precision="float32").passes}
print(steps["forward"], steps["autodiff"], sep="\n\n")

# %% [markdown]
# A dense layer is a convolution of one pixel, so one kernel serves both. For $y = \mathrm{ReLU}(Wx + b)$ and the gradient
# $g$ of the sum $Wx + b$, read it from the loss on:
#
# | op | computes | reads |
# | --- | --- | --- |
# | `SCALE_GRAD` | $g$: the gradient of $y$, and 0 where ReLU cut | the mask, one bit a value |
# | `CONV_DX` | $\partial L/\partial x = W^\top g$, for the layer below | the weights |
# | `CONV_DW` | $\partial L/\partial W = g\,x^\top$ | the **input**, saved by the forward pass |
# | `CONV_DB` | $\partial L/\partial b = g$ | nothing more |
# | `UPDATE` | $w \leftarrow w - \eta\,\partial L/\partial w$ | a gradient |
#
# Now a real net: 13 convolutions of int8, trained on clean digits. It shall adapt to a camera that turns, inverts and
# blurs them (lab 04).

# %%
data = datasets.load("sensor_shift")
rest, _ = datasets.split(data.subset(data.user == 1), test=0.35, rng=rng)
train_set, validation = datasets.split(rest, test=0.231, rng=rng)
net = flat.assign(nets.mobile_net(1, 10, norm=None, rng=rng), pretrained.load("sensor_shift"))
integers = quantize.quantize_model(net, data.subset(data.user == 0).x[:256])
x = train_set.x[:1]

# %% [markdown]
# **Predict.** Its forward pass is 18 ops. How many are the forward pass, the backward pass and the updates of all
# weights together?

# %%
lab.predict("ops", "18 ops forward: how many ops in the whole training step?",
            options={"about twice as many: 30 to 45": (30, 45), "45 to 70": (45, 70), "70 to 95": (70, 95),
                     "more than 95": (95, 200)})

# %%
everything = program.compile(integers, x, plan.full(integers))
derived = {stage.name: stage for stage in everything.passes}
lab.reveal("ops", derived["autodiff"].ops)
print(*everything.passes, sep="\n")

# %% [markdown]
# Each of the 14 layers with weights brings up to six ops: the four of the table, and two updates. The lines above say what
# each later pass makes of the list. The **arena** is the memory for all that passes through a step: activations,
# gradients, scratch. Weights lie elsewhere.
#
# **See the source.** The rule for one layer. There is one such rule for each kind of op, and nothing else:

# %%
viz.source(autodiff._conv)

# %% [markdown]
# ## 2 · Prune: what nobody reads · 11 min
#
# An `UpdatePlan` (lab 05) says what learns. Autodiff derives **all** gradients all the same, as PyTorch does if nothing
# is marked as frozen. Pruning then walks the list backwards and drops each op whose result nobody reads.
#
# **Your turn.** A chain of dense layers, from the input up; each but the last has a ReLU. `learns` names layers whose
# weight *and* bias learn. Which backward ops are left, in which order? Leave `LOSS` and `UPDATE` out. Within a layer the
# order is that of the table. The lowest layer reads the input of the net, whose gradient nobody wants.

# %% exercise="backward"
def backward(layers, learns):
    """layers: names, from the input up; learns: those whose weight and bias learn.

    Returns the backward ops that are needed, in order: a list of pairs (kind, layer's name).
    """
    ops = []
    for i in reversed(range(len(layers))):
        below = any(name in learns for name in layers[:i])
        ...
    return ops

# %%
backward = lab.check("backward", backward)

# %%
chain = nets.mlp(64, (16, 16, 16), 10, rng=rng)
names = ["hidden1", "hidden2", "hidden3", "head"]
for learns in ({"head"}, {"hidden3", "head"}, {"hidden2"}, set(names)):
    chosen = plan.UpdatePlan(learns, {name: plan.num_channels(chain.get_submodule(name)) for name in learns})
    stage = program.compile(chain, torch.zeros(1, 64), chosen, precision="float32").passes[2]
    kinds = [op.kind for op in stage.program.ops if op.kind in ("SCALE_GRAD", "CONV_DX", "CONV_DW", "CONV_DB")]
    lab.claim(kinds == [kind for kind, _ in backward(names, learns)], "the engine keeps the same ops")
    print(f"{', '.join(sorted(learns)):<32}{len(kinds):>3} backward ops, arena {stage.arena_bytes:,} bytes")

# %% [markdown]
# **Predict.** The net with 13 convolutions again. Only the last two of its four blocks and the head learn; they hold
# 70 % of the weights. What does pruning leave of the arena?

# %%
lab.predict("pruned", "The last two blocks and the head learn: arena after pruning, in % of before?",
            options={"below 20 %": (0, 20), "20 to 45 %": (20, 45), "45 to 70 %": (45, 70), "70 to 100 %": (70, 100)})

# %%
last = program.compile(integers, x, plan.last_layers(integers, 7))
stages = {stage.name: stage for stage in last.passes}
left = 100 * stages["prune"].arena_bytes / stages["autodiff"].arena_bytes
lab.reveal("pruned", left, unit="%", figure=viz.program(last, passes=("autodiff", "prune"),
           title="Pruning cuts off the end of the list; gradients of weights remain"))

# %% [markdown]
# The list is read from left to right, the dotted line ends the forward pass. Hatched bars are gradients of weights: above,
# all of them wait to the end of the step, below only those that an update will read. Here the frozen layers lie at the bottom, and the
# backward pass simply stops above them. A frozen *top* would be another matter.

# %%
lab.quiz("frozen")

# %% [markdown]
# ## 3 · Reorder, in place, pack · 13 min
#
# In the figure gradients wait for their update. Why wait? **Reorder** puts each update right behind its gradient. Not an
# op is added or dropped, the result is the same to the last bit.
#
# **Predict.** *Everything* learns, so pruning finds nothing. What does the new order leave of the arena?

# %%
lab.predict("order", "Everything learns, same ops in another order: arena in % of before?",
            options={"25 % or less": (0, 25), "25 to 40 %": (25, 40), "40 to 60 %": (40, 60), "60 to 100 %": (60, 100)})

# %%
left = 100 * derived["reorder"].arena_bytes / derived["prune"].arena_bytes
lab.reveal("order", left, unit="%", figure=viz.program(everything, passes=("prune", "reorder", "in place", "pack"),
           title="Each pass, the same step: gradients die young, then are never born"))

# %% [markdown]
# **In place** goes on: gradient and update become *one* op (`CONV_DW_UPDATE`), which moves each weight as soon as its
# gradient is known. No gradient tensor is left. **Pack** then looks for better places for the same tensors.
#
# The dashed line is the *bound*: the most bytes that live at once. No arena can be smaller. **Your turn.** Each tensor
# has a size and lives from op `first` to op `last`, both included.

# %% exercise="peak"
def peak(spans):
    """spans: list of (bytes, first, last), not empty. Returns the most bytes that live at the same op, an int."""
    return ...

# %%
peak = lab.check("peak", peak)

# %%
for stage in everything.passes:
    found = peak([(slot.nbytes, slot.first, slot.last) for slot in stage.program.timeline])
    lab.claim(found == stage.bound, "the bound is the peak of the lifetimes")
    print(f"{stage.name:<10} most at once {found:>7,} bytes, arena {stage.arena_bytes:>7,}")

# %% [markdown]
# The arena of the first five lines is that of a simple allocator: each tensor, when it is born, takes the lowest gap that
# is free (*first fit*). It may have to go on top although enough bytes are free in all, only not in one piece.
# **Fragmentation** is what the two columns differ by.
#
# Lower bound, smaller arena? **A surprise.** The float net, of which only biases and the head learn:

# %%
biases = program.compile(net, x, plan.bias_only(net), precision="float32")
before, after = (next(s for s in biases.passes if s.name == name) for name in ("prune", "reorder"))
lab.claim(after.bound < before.bound and after.arena_bytes > before.arena_bytes, "reordering lets this arena grow")
viz.program(biases, passes=("prune", "reorder", "pack"), title="Reordering lowers the bound here, and first fit makes the arena larger")

# %%
for stage in (before, after):
    for slot in stage.program.timeline:
        if slot.name in ("d block2.expand", "d block2.depthwise"):
            print(f"{stage.name:<8} ops {slot.first}-{slot.last}: {slot.name:<18} at {slot.offset:>6,} to {slot.offset + slot.nbytes:,}")

# %% [markdown]
# A gradient of 12 KiB, `d block2.expand`, lives beside its copy behind the mask of the ReLU: two slots, one on top of the
# other. Both stand on the smaller gradient of the layer above, `d block2.depthwise`, which is born just before. In the new
# order other gaps are free at its birth, and the gap that it takes lies 4.5 KiB higher. What is left below it is too small for
# 12 KiB: the arena grows by just as much. First fit decides without knowing what comes. A compiler knows: `pack` sees all
# lifetimes at once, and tries many orders. "Reordering saves memory" is true of the bound here. For the arena it takes a packer.
#
# **Change one thing.** Another plan, or floats. Which pass saves most? (Many tensors take the packer a second or two.)

# %%
def passes(learns="head", numbers="int8"):
    chosen, precision = (integers, "int8") if numbers == "int8" else (net, "float32")
    plans = {"head": plan.head_only, "last two blocks": lambda n: plan.last_layers(n, 7),
             "biases": plan.bias_only, "everything": plan.full}
    made = program.compile(chosen, x, plans[learns](chosen), precision=precision)
    return viz.bars({s.name: {"arena": s.arena_bytes / 1024, "bound": s.bound / 1024} for s in made.passes[1:]}, y="KiB",
                    title=f"{learns}, {numbers}: {made.passes[1].arena_bytes / 1024:.1f} KiB become {made.arena_bytes / 1024:.1f}")


lab.explore(passes, learns=["head", "last two blocks", "biases", "everything"], numbers=["int8", "float32"])

# %% [markdown]
# **See the source** of `reorder`. Its `assert` is the condition under which a weight may change early. Which op is it about?

# %%
viz.source(schedule.reorder)

# %%
lab.quiz("early")

# %% [markdown]
# ## 4 · What the update stores · 10 min
#
# The weights are integers $q$, a real weight is $w = s\,q$ with a scale $s$ for each output channel. Lab 04 derived QAS:
# with the gradient $g$ with respect to $q$, a step is $q - \eta\,g / s^2$. The engine folds the factor $1/s^2$ into the
# update, the operand `r`. The result is not an integer. It must be rounded, and it must stay within $\pm 127$ (saturate).
#
# **Your turn.** Rounded to nearest, as the engine does by default:

# %% exercise="updated"
def updated(q, g, s, lr):
    """q: (O, K) float32, integers; g: (O, K) float32, gradient with respect to q; s: (O,) float32, scale of each row.

    Returns q after one step of SGD with QAS: (O, K) float32, integers from -127 to 127.
    """
    return ...

# %%
updated = lab.check("updated", updated)

# %% [markdown]
# The kernels that were published with the paper's engine write `weight -= step`, with an int8 on the left and a float on
# the right. In C this cuts toward zero. Beyond 127 the standard leaves the result open, and in practice it wraps. **A
# mistake**, shown here in the engine's own arithmetic (lab 04 simulated the cut; the jump is new):

# %%
def nearest(v):
    return np.clip(np.rint(v), -127, 127)


def as_in_c(v):         # the mistake: int8 -= float
    return v.astype(np.int64).astype(np.int8)


for v in (5 - 0.01, 5 + 0.01, -5 + 0.01, -5 - 0.01, 127 + 2.0):
    print(f"{v:>8}: nearest {nearest(np.array(v)):.0f}, as in C {as_in_c(np.array(v))}")

# %% [markdown]
# And 127 is not rare: the scale of a channel is chosen so that its largest weight just fits. We train the last two blocks
# with both rules. The Program after `prune` still has gradients and updates as ops of their own, so we can run its list
# op by op, and store by a rule of our own:

# %%
def one_step(made, values, x, y, keep, lr=0.01):
    arrays = execute._arrays(made, {n: v.copy() for n, v in values.items()})
    arrays[made.input][...], arrays[made.labels][...] = execute.encode(made, x), y.item()
    for op in made.ops:
        if op.kind == "UPDATE" and made.tensors[op["w"]].dtype == "s8":
            w, g, r = (arrays[op[role]] for role in ("w", "grad", "r"))
            w[...] = keep(w - np.float32(lr) * (g * r))
        else:
            execute.run(made, arrays, [op], gradients.Rule(lr))
    return {n: arrays[n] for n in values}

# %% [markdown]
# **Predict.** 150 images, one a step. The sum of all $|q|$ that learn, in % of what it was, with the rule of C?

# %%
lab.predict("shrunk", "Sum of |q| after 150 steps with int8 -= float, in % of before?",
            options={"95 to 105 %, as with nearest": (95, 105), "70 to 95 %": (70, 95), "40 to 70 %": (40, 70), "below 40 %": (0, 40)})

# %%
made, kept, jumps = stages["prune"].program, {}, 0
start = execute.start(made).values
small_ints = [n for n, v in start.items() if v.dtype == np.int8]
for rule in (nearest, as_in_c):
    values = start
    for image, label in zip(train_set.x[:150].split(1), train_set.y[:150], strict=True):
        new = one_step(made, values, image, label, rule)
        jumps += sum(int((abs(new[n].astype(int) - values[n]) > 128).sum()) for n in small_ints)
        values = new
    kept[rule.__name__] = values

# %%
size = {name: sum(int(abs(v[n].astype(int)).sum()) for n in small_ints) for name, v in {**kept, "start": start}.items()}
share = {"nearest": 100 * size["nearest"] / size["start"], "as in C": 100 * size["as_in_c"] / size["start"]}
lab.claim(share["as in C"] < 62 and share["nearest"] > 92, "int8 -= float eats the weights, nearest does not")
rules = {rule: [run[rule]["sum_of_q"] for run in recorded["rules"]] for rule in recorded["rules"][0]}
lab.reveal("shrunk", share["as in C"], unit="%", figure=viz.spread(rules, live=share, y="sum of |q| after 150 steps, % of before",
           title="Five seeds: the rule of C eats nearly three quarters of the weights"))

# %%
print(f"{jumps} weights jumped from one end to the other; recorded, as in C:", *(run["as in C"]["wraps"] for run in recorded["rules"]),
      "and nearest:", *(run["nearest"]["wraps"] for run in recorded["rules"]))
print("recorded loss on the validation images, five seeds:")
for rule in rules:
    print(f"{rule:<12}", *(f"{run[rule]['loss']:.2f}" for run in recorded["rules"]))

# %% [markdown]
# The least push toward zero costs a whole step, a push away is lost: the weights decay, by accident. **The loss does not
# yet tell.** After 150 steps at this small rate the ranges overlap, and in two of five seeds the damaged net has a lower
# loss than the sound one. Who watches the loss of a short run alone would not find this mistake. (After 15 epochs, lab 04
# shows, it costs all that was gained.) So test an engine by what it stores, not by whether the loss falls.
#
# The kit's engine knows only `rounding="nearest"` and `"stochastic"` (right on average, drawn from a seed), and both saturate.

# %% [markdown]
# ## 5 · The same step everywhere · 7 min
#
# Is the list the net that it was made of? Twenty steps by the engine, twenty by PyTorch with the same plan:

# %%
twin, state, ours, theirs = copy.deepcopy(integers), None, [], []
sgd = qas.optimizer(twin, store="nearest")
for image, label in zip(train_set.x[:20].split(1), train_set.y[:20].split(1), strict=True):
    state, loss = execute.step(last, state, image, label, 0.01)
    history = train.fit(twin, image, label, epochs=1, batch_size=1, lr=0.01, plan=plan.last_layers(integers, 7), optimizer=sgd,
                        rng=rng, progress=False)
    ours.append(loss)
    theirs += history.losses

# %%
want = program.compile(twin, x, plan.last_layers(twin, 7))
apart = max(int(abs(v.astype(int) - want.tensors[n].data).max()) for n, v in state.values.items() if v.dtype == np.int8)
loss_apart = float(np.abs(np.subtract(ours, theirs)).max())
lab.claim(loss_apart < 1e-5 and apart <= 1, "the engine trains as torch does")
print(f"losses differ by at most {loss_apart:.0e}; int8 weights by at most {apart}")
print("recorded, five seeds, 40 steps: losses", *(f"{max(run[p]['loss'] for run in recorded['beside_torch']):.0e} ({p})"
                                                   for p in ("float32", "int8")))

# %% [markdown]
# Its bytes are another matter. The meter of lab 02 knows the layers and the plan, the Program knows its arena.
#
# **Predict.** Everything learns, all lies in RAM. The peak of the Program, in % of what the meter says?

# %%
lab.predict("meter", "Peak of the Program, in % of the meter's peak?",
            options={"40 to 70 %": (40, 70), "70 to 95 %": (70, 95), "95 to 105 %, the same": (95, 105), "more: it is a real program": (105, 300)})

# %%
reports = {"meter": memory.memory_report(integers, x, plan.full(integers), rule="device"), "Program": everything.report}
lab.claim(reports["meter"].saved_activations == everything.report.saved_activations, "both save the same activations")
parts = {name: {part: size / 1024 for part, size in report.parts().items() if size} for name, report in reports.items()}
lab.reveal("meter", 100 * everything.report.peak / reports["meter"].peak, unit="%", figure=viz.bars(parts, stacked=True,
           y="KiB, each part at its highest", title="The same activations; the Program has no gradients, but tables and factors"))

# %% [markdown]
# The saved activations agree to the byte. The meter counts gradients as if they waited, the Program has none. Its weights
# weigh more: with them stand the list itself, the table of tensors, and a factor $1/s^2$ for each channel. Its workspace
# has the kernels' scratch, and gaps that the packer could not close.
#
# A list can be interpreted, by a table in RAM, or written out as **C**, one call an op. The small net of section 1:

# %%
ready = program.compile(small, torch.zeros(1, 64), plan.full(small), precision="float32")
lines = emit_c.source(ready).splitlines()
begin = next(i for i, line in enumerate(lines) if line.startswith("void net_forward(void) {"))
print(*(line if len(line) < 112 else f"{line[:110]} ..." for line in lines[begin:]), sep="\n")

# %% [markdown]
# No heap, no tape, no interpreter; what is frozen is `static const` and stays in flash. Now the same list on a **virtual
# Cortex-M4**: real machine code, an Arduino's memory, one instruction after the other.

# %%
with board.open_board("virtual") as device:
    device.load(last)
    there = [device.train(image, label, lr=0.01)[0]
             for image, label in zip(train_set.x[:20].split(1), train_set.y[:20].split(1), strict=True)]
    same = torch.equal(device.weights(), last.weights(state.values))
    used = device.memory()
    with device.link.machine.counting():
        device.train(x, train_set.y[:1], lr=0.01)
        instructions = device.ticks()[0]

# %%
lab.claim(same and np.array_equal(np.float32(there), np.float32(ours)), "losses and weights are those of this computer, bit for bit")
print(f"20 losses and all weights equal, bit for bit: {same}")
print(f"RAM: {used.sram:,} bytes measured (stack and firmware, too), {last.report.sram:,} predicted for the Program; "
      f"{instructions:,} instructions a step")

# %% [markdown]
# **What to keep.** A net that does the same at each step needs no tape: its training step is a list, and a list can be
# shortened, reordered and packed before a device sees it. Pruning pays when little learns, reordering and updates in
# place when much learns. The bound falls with each pass; the arena only with a packer that knows the future. And an engine
# is right when its bits are right: a falling loss does not prove it.
#
# ## Questions
#
# 1. Bias gradients need no saved inputs. Why does a plan of all biases still need far more memory than the head alone?
# 2. Sixteen images a step, one after the other, gradients added up (lab 06). Which of the passes is lost?
# 3. The list is fixed at compile time. What can a tape do that it cannot, and who needs that on a microcontroller?
#
# **Exercise.** Compile with `momentum=0.9`. Which bytes grow, those of the arena or others, and by how much? Predict it from the
# plan first.
#
# **What to try next.** `rounding="stochastic"` in `program.compile`, and a second run with the same seed. Then lab 22:
# which weights shall learn, if you may choose?
