"""Lab 21 over five seeds: what three rules for storing an int8 weight do to it, and how near the engine comes to torch.

A seed draws the split of "sensor_shift" and chooses the pretrained mobile_net, made integer with 256 clean images. Its last two blocks and
the head learn from 150 images of the shifted camera, one a step, at lr = 0.01 (the engine's SGD, with QAS). Rules: "nearest" and
"stochastic", which saturate, and "as in C", `int8 -= float`, a mistake of published kernels: it cuts toward zero and wraps. Recorded
for each: the sum of |q| over the int8 weights that learn, in % of what it was, how many updates wrapped, the loss on the validation images.
Then 40 steps beside learners.train, float32 and int8: the largest difference of a loss, and of a stored int8 weight.

    python benchmarks/tiny_training_engine.py      prints a table, writes benchmarks/results/tiny_training_engine.json (half a minute)
"""
import argparse
import copy

import numpy as np
import torch

from odl_kit.data import datasets, pretrained
from odl_kit.engine import execute, gradients, program
from odl_kit.learners import optimizers, plan, qas, train
from odl_kit.models import flat, nets, quantize

SEEDS, STEPS, LR, BESIDE = range(5), 150, 0.01, 40


def setting(seed):
    """(float net, int8 net, images that learn, validation images) of one seed."""
    rng, data = torch.Generator().manual_seed(seed), datasets.load("sensor_shift")
    rest, _ = datasets.split(data.subset(data.user == 1), test=0.35, rng=rng)
    train_set, validation = datasets.split(rest, test=0.231, rng=rng)
    net = flat.assign(nets.mobile_net(1, 10, norm=None, rng=rng), pretrained.load("sensor_shift", seed=seed))
    return net, quantize.quantize_model(net, data.subset(data.user == 0).x[:256]), train_set, validation


def rules(seed):
    """{name: real numbers -> what is stored}."""
    draw = np.random.default_rng(seed)
    return {"nearest": lambda v: np.clip(np.rint(v), -127, 127),
            "stochastic": lambda v: np.clip(np.floor(v + draw.random(v.shape)), -127, 127),
            "as in C": lambda v: v.astype(np.int64).astype(np.int8)}


def step(made, values, x, y, keep):
    """One step of a Program whose updates are ops of their own; int8 weights are stored by the rule `keep`. Returns the new values."""
    arrays = execute._arrays(made, {n: v.copy() for n, v in values.items()})
    arrays[made.input][...], arrays[made.labels][...] = execute.encode(made, x), y.numpy().reshape(-1, 1, 1, 1)
    for op in made.ops:
        if op.kind == "UPDATE" and made.tensors[op["w"]].dtype == "s8":
            w, g, r = (arrays[op[role]] for role in ("w", "grad", "r"))
            w[...] = keep(w - np.float32(LR) * (g * r))
        else:
            execute.run(made, arrays, [op], gradients.Rule(LR))
    return {n: arrays[n] for n in values}


def stored(made, train_set, validation, keep):
    """{"sum_of_q": % of the start, "wraps": updates that jumped by more than 128, "loss": on the validation images}."""
    start = values = execute.start(made).values
    learning, wraps = [n for n in start if made.tensors[n].dtype == "s8"], 0
    for i in range(STEPS):
        new = step(made, values, train_set.x[i:i + 1], train_set.y[i:i + 1], keep)
        wraps += sum(int((np.abs(new[n].astype(int) - values[n]) > 128).sum()) for n in learning)
        values = new
    size = [sum(int(np.abs(v[n].astype(int)).sum()) for n in learning) for v in (start, values)]
    logits = torch.from_numpy(execute.predict(made, execute.State(values), validation.x))
    return {"sum_of_q": 100 * size[1] / size[0], "wraps": wraps, "loss": float(train.loss_of(logits, validation.y))}


def beside_torch(net, train_set, precision):
    """(largest difference of a loss, of a stored int8 weight) of BESIDE steps by the engine and by learners.train."""
    chosen, twin = plan.last_layers(net, 7), copy.deepcopy(net)
    made, state, apart = program.compile(net, train_set.x[:1], chosen, precision=precision), None, 0.0
    sgd = qas.optimizer(twin, store="nearest") if precision == "int8" else optimizers.sgd()
    for x, y in zip(train_set.x[:BESIDE].split(1), train_set.y[:BESIDE].split(1), strict=True):
        state, loss = execute.step(made, state, x, y, LR)
        history = train.fit(twin, x, y, epochs=1, batch_size=1, lr=LR, plan=chosen, optimizer=sgd, rng=torch.Generator(), progress=False)
        apart = max(apart, abs(loss - history.losses[0]))
    want = program.compile(twin, train_set.x[:1], chosen, precision=precision)
    steps = [int(np.abs(v.astype(int) - want.tensors[n].data).max()) for n, v in state.values.items() if v.dtype == np.int8]
    return apart, max(steps, default=None)


def main():
    import record
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {"rules": [], "beside_torch": []}
    for seed in SEEDS:
        net, integers, train_set, validation = setting(seed)
        stages = {s.name: s.program for s in program.compile(integers, train_set.x[:1], plan.last_layers(integers, 7)).passes}
        found["rules"].append({name: stored(stages["prune"], train_set, validation, keep) for name, keep in rules(seed).items()})
        apart = {name: beside_torch(n, train_set, name) for name, n in (("float32", net), ("int8", integers))}
        found["beside_torch"].append({name: {"loss": loss, "int8_weight": weight} for name, (loss, weight) in apart.items()})
        print(seed, found["rules"][-1], found["beside_torch"][-1], sep="\n  ")
    record.write("tiny_training_engine", **found, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
