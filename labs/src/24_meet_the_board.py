# %% [markdown]
# # 24 · Meet the board: what a microcontroller is, seen from Python
#
# **You will** open a board, push a training program to it, and check that it computes the very bits that your notebook
# computes. Then you count its instructions, draw its memory, and damage the bytes on the wire. The board is virtual: its
# firmware is real machine code of a Cortex-M4, executed by an emulator. With an Arduino you change one line.
#
# **Objectives.** After this lab you can
# - say what lies in a microcontroller's flash and RAM, and what is left there for learning;
# - explain how integers stand for real numbers on a board, and why two machines can agree to the last bit;
# - count the instructions of an inference and of a training step, and turn them into an *estimate* of time;
# - find out how much stack a program used, by painting it;
# - frame bytes for a serial line, and say what happens to a damaged frame.
#
# **Prerequisites.** Lab 02.
#
# **Time.** About 50 minutes; the computer works about 15 seconds of it.
#
# **Where we are.** Section 12.2.2 of *On-Device Learning* (Limitations); in volume 2, "Edge Intelligence": *Design
# Constraints*.

# %% tags=["imports"]
from contextlib import nullcontext
from dataclasses import replace

import torch

from odl_kit import lab, viz
from odl_kit.budget import BOARDS
from odl_kit.data import datasets
from odl_kit.devices import board, elf, links, virtual, wire
from odl_kit.engine import execute, program
from odl_kit.learners import plan
from odl_kit.models import flat, layers, nets, quantize

# %%
rng = lab.start("24_meet_the_board")      # rng: the seeded source of the random numbers below

# %% [markdown]
# ## 1 · A computer without a system · 7 min
#
# A microcontroller has a processor, some flash and some RAM on one chip, and no operating system. One program, the
# *firmware*, starts when the power comes and runs until it goes. Ours is a small server: it waits for bytes on a serial
# line, obeys, and answers.
#
# Which boards are plugged into this computer?

# %%
for port in links.list_boards():
    print(port)
print("and always: virtual")

# %% [markdown]
# This is the one place where you choose. With a board whose firmware is the server of `hardware/`, put its port here,
# such as `"/dev/ttyACM0"` or `"COM5"`; the cells below stay as they are.

# %%
PORT = "virtual"

# %% [markdown]
# The virtual board has the memory of an Arduino Nano 33 BLE Sense: 256 KiB of RAM. From it, the board's system software
# (the *Arduino core*), the stack and the firmware's own variables take their parts.
#
# **Predict.** What share of the 256 KiB is left for a program that learns?

# %%
lab.predict("left", "How much of the 256 KiB is left for the net and its training?",
            options={"below 40 %": (0, 40), "40 to 70 %": (40, 70), "70 to 95 %": (70, 95), "nearly all": (95, 100)})

# %%
nano = BOARDS["nano33"]
with board.open_board("virtual") as model:
    info = model.info()
taken = {"Arduino core": nano.core_sram, "stack, reserved": info.stack_size,
         "the firmware's variables": info.static, "left for learning": info.room}
lab.reveal("left", 100 * info.room / nano.sram, unit="%", figure=viz.bars(
    {name: size / 1024 for name, size in taken.items()}, y="KiB of RAM",
    title=f"{info.room / 1024:.0f} of 256 KiB are left for learning"))

# %% [markdown]
# And your board, at `PORT`? Its flash holds the firmware, its RAM all that changes.

# %%
device = board.open_board(PORT)
print(device.info())

# %% [markdown]
# ## 2 · The same bits · 13 min
#
# Now a net for 8x8 digits. Its weights become integers of 8 bits, its training step becomes a `Program`: a list of ops
# over a table of tensors, derived here, executed there. `load` sends it as bytes; the board checks it before it obeys.

# %%
digits = datasets.load("digits")
train_set, test_set = datasets.split(digits, test=0.2, rng=rng)
net = nets.tiny_cnn(1, 10, rng=rng)
small = quantize.quantize_model(net, train_set.x[:64])
steps = program.compile(small, train_set.x[:1], plan.full(small), precision="int8")
device.load(steps)
print(device.info())
print(f"{len(steps.ops)} ops, {steps.num_forward} of them predict; the others learn")

# %% [markdown]
# A layer multiplies 8-bit integers and adds up the products in 32 bits, the *accumulator*. The next layer wants 8 bits
# again. The way back is called *requantization*, with a real multiplier m and the integer z that stands for zero:
#
# $$y = \mathrm{clamp}\left(\mathrm{round}(m \cdot acc) + z,\; -128,\; 127\right)$$
#
# **Your turn.** `torch.round` rounds as the board does: a half goes to the even neighbour.

# %% exercise="requantize"
def requantize(acc, m, z):
    """int8 tensor of the shape of acc (int32): rounded m * acc, moved by z, clamped to what 8 bits hold."""
    y = ...
    return ...

# %%
requantize = lab.check("requantize", requantize)

# %%
acc = torch.arange(-20_000, 20_001, 400, dtype=torch.int32)
eight = {f"m = {m}": dict(zip(acc.tolist(), requantize(acc, m, 10).tolist(), strict=True)) for m in (0.004, 0.02)}
lab.claim(min(eight["m = 0.02"].values()) == -128, "a large multiplier runs into the clamp")
viz.curve(eight, x="accumulator", y="8-bit output", title="Beyond the clamp, all accumulators look alike")

# %% [markdown]
# Now let both train, the board with its C code, the notebook with NumPy: 20 steps from the same start, one image each.
#
# **Predict.** How many of the weights differ afterwards?

# %%
lab.predict("differ", "Of all weights, how many differ between board and notebook after 20 steps?",
            options={"none": (0, 0), "1 to 50": (1, 50), "51 to 500": (51, 500), "more": (501, 10_000)})

# %%
x, y = train_set.x[:20], train_set.y[:20]
board_losses = device.train(x, y, lr=0.05)

state, losses = None, []
for k in range(20):
    state, loss = execute.step(steps, state, x[k:k + 1], y[k:k + 1], 0.05)
    losses.append(loss)

# %%
here, there = steps.weights(state.values), device.weights()
moved = int((there != steps.weights()).sum())
lab.claim(torch.equal(here, there) and board_losses.tolist() == losses, "board and notebook have the same bits")
lab.claim(moved > 0, "the weights were trained")
lab.reveal("differ", int((here != there).sum()), unit=f"of {len(here):,}", figure=viz.curve(
    {"board": board_losses.tolist(), "notebook": losses}, x="step", y="loss",
    title=f"{moved:,} weights moved, all to the same place: one curve covers the other"))

# %% [markdown]
# That is no matter of course. Let PyTorch and the board train the same *float32* net, with the same data:

# %%
plain = nets.mlp(64, 32, 10, rng=rng)
device.load(program.compile(plain, train_set.x[:1], plan.full(plain), precision="float32"))
device.train(x, y, lr=0.05)
optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
for k in range(20):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(plain(x[k:k + 1]), y[k:k + 1]).backward()
    optimizer.step()
gap = (device.weights() - flat.ravel(plain)).detach().abs()
lab.claim(0 < gap.max() < 1e-4, "PyTorch and the board agree closely, and not to the last bit")
print(f"{int((gap > 0).sum()):,} of {len(gap):,} weights differ from PyTorch's, the most by {gap.max():.1e}")

# %% [markdown]
# Floating-point addition is not associative: (a + b) + c and a + (b + c) round differently. PyTorch adds in an order that
# suits your processor. The Program fixes the order, forbids fused operations, and brings an exponential of its own. So a
# test here is a test there, and a board that differs by one bit is broken. (`odl board selftest` looks for that.)

# %%
lab.quiz("bits")

# %% [markdown]
# ## 3 · What a step costs · 10 min
#
# The virtual board counts the instructions that it executes, exactly. A real board has a clock that ticks: the same cell
# then shows ticks (and 0 where there is none).
#
# Counting MACs (lab 02), the way back takes about twice the way forth, so a step should cost three times an inference.
#
# **Predict** for our 8-bit `tiny_cnn`, when everything learns:

# %%
lab.predict("step", "Instructions of one training step, divided by those of one inference?",
            options={"below 2": (0, 2), "2 to 4, as the MACs say": (2, 4), "4 to 8": (4, 8), "above 8": (8, 100)})

# %%
def cost(precision, make):
    """(instructions of a step, of an inference) of the tiny_cnn; on a real board ticks of its clock."""
    ready = small if precision == "int8" else net
    device.load(program.compile(ready, x[:1], make(ready), precision=precision))
    with device.link.machine.counting() if hasattr(device.link, "machine") else nullcontext():
        device.train(x[:1], y[:1], lr=0.05)
        step = device.ticks()[0]
        device.predict(x[:1])
        return step, device.ticks()[0]


costs = {(precision, make.__name__): cost(precision, make)
         for precision in ("float32", "int8") for make in (plan.full, plan.head_only)}

# %%
step, once = costs["int8", "full"]
head, _ = costs["int8", "head_only"]
lab.claim(step > 3.5 * once and head < step / 3, "a full step costs more than the MACs say, a head step little")
lab.claim(step > costs["float32", "full"][0] and once < costs["float32", "full"][1], "8 bits help the inference only")
shown = {f"{precision}, {what.replace('_', ' ')}": {"step": a / 1000, "inference": b / 1000}
         for (precision, what), (a, b) in costs.items()}
lab.reveal("step", step / max(once, 1), unit="times", figure=viz.bars(
    shown, y="thousand instructions", title="8 bits make the inference cheaper, not the full step"))

# %% [markdown]
# In 8 bits the forward pass reads several weights at once and multiplies two pairs in one instruction. Gradients are
# float32: they need the range. So the way back gains nothing; here it even costs more, with integers to turn into floats
# and back. The ratio grows. If only the head learns, hardly any way back is left. That is why plans (labs 05 and 22)
# matter on a board even more than on paper.
#
# How many instructions does one MAC of the inference take?

# %%
macs = sum(layer.macs for layer in layers.trace(net, x[:1]))
per_mac = {precision: costs[precision, "full"][1] / macs for precision in ("float32", "int8")}
lab.claim(per_mac["int8"] < per_mac["float32"], "an 8-bit MAC takes fewer instructions")
print(f"{macs:,} MACs an image; instructions a MAC: float32 {per_mac['float32']:.1f}, int8 {per_mac['int8']:.1f}")

# %% [markdown]
# **Instructions are not time.** An instruction takes one cycle or more: loads wait, branches refill the pipeline, a
# division of floats takes fourteen, and flash that is slower than the processor makes it wait. The emulator knows none of this. With
# an assumed number of cycles an instruction, time can be *estimated*; only a real board measures it.
#
# **Change one thing.** How many full steps a second does the slowest of your assumptions leave? (Both boards have a
# Cortex-M4.)

# %%
def time_of(board="nano33", cycles_per_instruction=1.5):
    ms = {what: {name: 1000 * count * cycles_per_instruction / BOARDS[board].clock_hz
                 for name, count in zip(("step", "inference"), costs["int8", key], strict=True)}
          for what, key in (("everything learns", "full"), ("the head learns", "head_only"))}
    return viz.bars(ms, y="ms (estimate)", title=f"Estimate, at {cycles_per_instruction} cycles an instruction: "
                    f"{1000 / ms['everything learns']['step']:.0f} full steps a second")


lab.explore(time_of, board=["nano33", "uno_r4"], cycles_per_instruction=(1.0, 3.0, 0.25))

# %%
lab.quiz("time")

# %% [markdown]
# ## 4 · A map of the memory · 10 min
#
# First flash. The firmware is a file that lists its functions with their addresses. Which are the largest?

# %%
image = elf.read(virtual.FIRMWARE.read_bytes())
starts = sorted(image.names)
sizes = {image.names[a]: b - a for a, b in zip(starts, starts[1:], strict=False)}
largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:8])
viz.bars({name: size / 1024 for name, size in largest.items()}, y="KiB of flash",
         title=f"Eight functions take {100 * sum(largest.values()) / sum(sizes.values()):.0f} % of the firmware's code")

# %% [markdown]
# `odl_obey` obeys commands, `odl_verify` checks a Program, and the names with `dw` and `dx` are gradients, of weights and
# of inputs: code that an inference runtime does not have.
#
# Then RAM. How much of the stack was ever used? Nobody keeps count, so the firmware *paints* it: at the start it fills the
# stack with a pattern. The stack grows downwards, from high addresses to low ones; so the paint that is left lies at the
# low end.
#
# **Your turn.** Words of 4 bytes, the lowest address first. A used word may hold the pattern by chance, above the first one
# that does not: it counts as used.

# %% exercise="stack_used"
def stack_used(words, paint):
    """Bytes of the stack that were ever used. words: list of ints, lowest address first."""
    untouched = 0
    ...
    return ...

# %%
stack_used = lab.check("stack_used", stack_used)

# %% [markdown]
# On the virtual board we may look into RAM. `tiny_cnn` learns some steps, then your function meets the board's own:

# %%
device.load(steps)
device.train(x, y, lr=0.05)
after = device.info()
if hasattr(device.link, "machine"):
    ram = device.link.machine
    stack = ram.read(ram.image.symbols["link_stack_begin"], after.stack_size)
    words = [int.from_bytes(stack[at:at + 4], "little") for at in range(0, len(stack), 4)]
    lab.claim(stack_used(words, 0x5AC35AC3) == after.stack_peak, "painting gives the board's own figure")
print(f"the board says: {after.stack_peak:,} of {after.stack_size:,} B of stack were used")

# %% [markdown]
# The arena, where activations and gradients come and go, was laid out before the Program was sent. Was the plan right?
# After power comes, the virtual board's RAM holds the byte A5 everywhere: so we can see how far into its arena a fresh board
# went.

# %%
def touched():
    """Bytes of arena that a fresh board touched; on a real board, which we cannot look into, what it set aside."""
    if not hasattr(device.link, "machine"):
        return device.info().arena
    device.link.power_cycle()
    device.load(steps).train(x, y, lr=0.05)
    machine, room = device.link.machine, device.info().room
    begin = -(-steps.nbytes // 8) * 8       # the arena lies behind the Program
    return len(machine.read(machine.image.symbols["link_room"], room)[begin:].rstrip(b"\xa5"))

# %%
found = touched()
lab.claim(abs(found - steps.arena_bytes) <= 0.03 * steps.arena_bytes, "the arena was used to its planned end")
parts = {"planned": {"tables and constants": steps.nbytes - steps.state_bytes, "weights that learn": steps.state_bytes,
                     "arena": steps.arena_bytes},
         "found": {"tables and constants": after.blob - steps.state_bytes, "weights that learn": steps.state_bytes,
                   "arena": found, "firmware's variables": after.static, "stack, most used": after.stack_peak}}
viz.bars({who: {part: size / 1024 for part, size in sizes.items()} for who, sizes in parts.items()}, y="KiB of RAM",
         stacked=True, title=f"Arena planned {steps.arena_bytes:,} B, found {found:,} B; the firmware's share comes on top")

# %%
measured = device.memory()
lab.budget_bar(replace(measured, sram=measured.sram + nano.core_sram), nano,
               title="Measured, with the Arduino core's share, against a Nano 33's limits")

# %% [markdown]
# **Change one thing.** What makes a Program grow: the net, the batch, or what learns? (The planner's figures.)

# %%
zoo = {"tiny_cnn": net, "mlp": plain, "mobile_net": nets.mobile_net(1, 10, norm=None, rng=rng)}


def planned(net="tiny_cnn", batch=1, learns="everything"):
    make = plan.full if learns == "everything" else plan.head_only
    made = program.compile(zoo[net], x[:1], make(zoo[net]), precision="float32", batch=batch)
    return viz.bars({"the Program": made.nbytes / 1024, "its arena": made.arena_bytes / 1024}, y="KiB of RAM",
                    title=f"{net}, batch {batch}, {learns} learns: {(made.nbytes + made.arena_bytes) / 1024:.0f} KiB")


lab.explore(planned, net=list(zoo), batch=(1, 16), learns=["everything", "the head"])

# %% [markdown]
# ## 5 · On the wire · 10 min
#
# A serial line carries bytes, one after the other, and nothing says where a message begins. COBS (*consistent overhead
# byte stuffing*) rewrites a message so that it holds no 0; then a 0 can end it. It cuts the message at its zeros. Each piece
# is sent behind its length plus one; the zeros themselves are not sent. So 11 22 00 33 becomes 03 11 22 02 33.
#
# **Your turn.** For messages of fewer than 255 bytes, where no piece is too long.

# %% exercise="cobs_encode"
def cobs_encode(message):
    """List of ints 1..255: the message (list of ints 0..255, fewer than 255) without zeros."""
    pieces = [[]]
    ...
    encoded = []
    ...
    return encoded

# %%
cobs_encode = lab.check("cobs_encode", cobs_encode)

# %% [markdown]
# This is a real frame: a request to send the board's counters. Before COBS it holds the command's number, a sequence
# number, the number of this session, and a checksum of 4 bytes (CRC-32).

# %%
frame = wire.Frame(kind=wire.KINDS.index("counters") + 1, sequence=7, boot=0x12345678)
sent = wire.encode(frame)
lab.claim(0 not in sent[1:-1] and wire.decode(sent[1:-1]) == frame, "zeros stand at the ends only")
print(" ".join(f"{byte:02x}" for byte in sent))

# %% [markdown]
# **Predict.** We flip each of its bits between the zeros, one at a time. How many damaged frames does the receiver take?

# %%
lab.predict("taken", "Frames with one flipped bit that the receiver takes for good ones?",
            options={"none": (0, 0), "1 or 2": (1, 2), "one in eight": (3, 30), "about half": (31, 1000)})

# %%
def damaged(block, bit):
    """The bytes with one bit flipped."""
    changed = bytearray(block)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


bits = range(8 * len(sent[1:-1]))
taken_in = [bit for bit in bits if any(wire.decode(part) for part in damaged(sent[1:-1], bit).split(b"\0") if part)]
lab.reveal("taken", len(taken_in), unit=f"of {len(bits)}")

# %% [markdown]
# A damaged frame is dropped in silence. The host waits for a reply, hears none, and sends the same frame again. And if the
# *reply* was lost? Then the board gets the same request twice. It sees the same sequence number and repeats its reply, but
# not the work: no step of training is done twice.
#
# Let us damage every fifth frame while a Program is sent, and see. (Not while it trains: a slow board may work long on one
# frame, so there the host waits a minute before it asks again.)

# %%
def noisy(write, every):
    """`write`, but one byte in the middle of every n-th frame is damaged."""
    count = 0

    def send(data):
        nonlocal count
        count += 1
        bad = count % every == 0
        return write(damaged(data, 8 * (len(data) // 2)) if bad else data)
    return send

# %%
device.close()
with board.open_board(PORT, timeout_s=0.05 if PORT.startswith("virtual") else 1.0) as shaken:
    write = shaken.link.write
    shaken.link.write = noisy(write, 5)
    shaken.load(steps)
    shaken.link.write = write
    shaken.train(x, y, lr=0.05)
    lab.claim(shaken.wire.repeats > 0 and torch.equal(shaken.weights(), here), "damage costs time, never a bit")
    print(f"{shaken.wire.repeats} frames were sent again; weights that differ: {int((shaken.weights() != here).sum())}")

# %% [markdown]
# **What to keep.** A board is one program, some flash, some RAM and a line. A Program fixes every operation, so board and
# notebook agree to the bit. A full training step in 8 bits costs more than three inferences; a head costs little more than
# one. Memory can be planned before a byte is sent, and measured after. Instructions are counted; time on a board is an
# estimate until the board itself has measured it.
#
# ## Questions
#
# 1. Your product must learn while it also answers ten times a second. Which two figures of this lab decide whether one
#    board can do both?
# 2. The arena is planned, the stack is painted. Why not plan the stack, too, and what does paint not tell you?
# 3. A CRC finds damage by accident. Why is it no protection against somebody who changes frames on purpose?
#
# **Exercise.** Let `mobile_net` take the place of `tiny_cnn` in section 3. Does its inference cost as much a MAC? What
# share of a full step does a head step cost? Explain both.
#
# **What to try next.** `odl board bench` in a terminal counts the steps of three nets, and `odl board selftest` compares
# bits. Lab 25 trains on the board for one user.
