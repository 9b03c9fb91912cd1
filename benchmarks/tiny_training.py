"""Training an int8 net on a second sensor (labs 04 and 05): methods, storage rules, few bits (five seeds), what to update (three).

The net of benchmarks/sensor.py, 13 convolutions. 15 epochs, batch 30, a rate that warms up and falls, momentum 0.9 where there is some.
Each method takes the rate of its grid that is best on 135 validation images, for each seed anew, and is tested on 315 others. A seed draws
the split, the new head, and has a pre-trained net of its own. "What to update" counts extra bytes by cost.extra_bits.

    python benchmarks/tiny_training.py              prints tables, writes benchmarks/results/tiny_training.json (a quarter of an hour;
                                                    --workers 2: two processes)
    python benchmarks/tiny_training.py --only methods storage --seeds 0 1       a part, printed only
"""
import argparse
import copy
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import record
import sensor
import torch
from tqdm import tqdm

from odl_kit.learners import cost, optimizers, plan, qas, train
from odl_kit.models import calibrate, layers, qat, quantize, quantnet

SEEDS = range(5)
EPOCHS, BATCH = 15, 30        # of 449 images; 32 would leave a batch of one at the end of each epoch, which does visible harm
RATES = (0.01, 0.03, 0.1)
MOMENTUM = partial(optimizers.sgd, 0.9)
ORDER = 7       # seed of the order of the images, the same for every int8 run; float runs take the number of the seed

# name: (int8 or float32, scale of the integer layers' gradients, optimizer inside, rates)
METHODS = {
    "fp32 SGD-M": ("float32", None, MOMENTUM, RATES),
    "head only": ("head", 1, MOMENTUM, (0.1, 0.3, 1.0, 3.0)),
    "int8 SGD-M": ("int8", 1, MOMENTUM, (0.1, 0.3, 1.0, 3.0)),
    "int8 Adam": ("int8", 1, optimizers.adam, (0.1, 0.3, 1.0, 3.0)),        # 10 and 30 were tried on three seeds: no better
    "int8 LARS": ("int8", 1, optimizers.lars, (0.3, 1.0, 3.0)),
    "int8 SGD-M + QAS": ("int8", "qas", MOMENTUM, RATES),
}
FACTORS = (1e4, 1e5, 1e6)       # of the searched multiplier, each with two rates: a second grid to walk


def last_two_blocks(net):
    """Six convolutions and the head."""
    return plan.last_layers(net, 7)


def fine_tune(net, world, wish, optimizer, lr, number):
    """(validation, test) accuracy after training a copy of net by the plan `wish`. optimizer(net, rng) -> as train.fit wants it."""
    net = copy.deepcopy(net)
    rng = torch.Generator().manual_seed(ORDER if isinstance(net, quantnet.QuantNet) else number)
    train.fit(net, world.train.x, world.train.y, epochs=EPOCHS, batch_size=BATCH, lr=optimizers.cosine(lr), plan=wish, rng=rng,
              progress=False, optimizer=optimizer(net, rng))
    return tuple(train.evaluate(net, data.x, data.y)["accuracy"] for data in (world.validation, world.test))


def tuned(net, world, wish, makers, number):
    """The best on validation of {(rate, ...): optimizer}: {"test", "validation", "rate"}. A rate at which sums overflow does not count."""
    found = []
    for key, optimizer in makers.items():
        try:
            validation, test = fine_tune(net, world, wish, optimizer, key[0], number)
        except ValueError as error:
            if "a sum can reach" not in str(error):
                raise
            continue
        found.append({"test": round(test, 4), "validation": round(validation, 4), "rate": list(key)})
    return max(found, key=lambda run: run["validation"])


def with_qas(scale="qas", inner=MOMENTUM, store="latent"):
    """A function of a net and a generator: the optimizer for train.fit."""
    return lambda net, rng: qas.optimizer(net, inner(), scale=scale, store=store, rng=rng)


def methods(number):
    """{method: the best run}, last two blocks and head."""
    world = sensor.world(number)
    made = quantize.quantize_model(world.net, world.calibration)
    found = {}
    for name, (kind, scale, inner, rates) in METHODS.items():
        net = world.net if kind == "float32" else made
        wish = plan.head_only(net) if kind == "head" else last_two_blocks(net)
        optimizer = (lambda net, rng, inner=inner: inner()) if kind == "float32" else with_qas(scale, inner)
        found[name] = tuned(net, world, wish, {(rate,): optimizer for rate in rates}, number)
    searched = {(rate, factor): with_qas(factor) for rate in RATES[1:] for factor in FACTORS}
    return found | {"int8 SGD-M, multiplier searched": tuned(made, world, last_two_blocks(made), searched, number)}


def storage(number):
    """{rule: the best run}, QAS without momentum, last two blocks and head."""
    world = sensor.world(number)
    made = quantize.quantize_model(world.net, world.calibration)
    makers = {store: {(rate,): with_qas(inner=optimizers.sgd, store=store) for rate in (0.1, 0.3, 0.6)} for store in qas.STORE}
    return {store: tuned(made, world, last_two_blocks(made), makers[store], number) for store in makers}


def scopes(net, x):
    """{what learns: UpdatePlan}, in the paper's notation; pw1 is the first convolution of a block."""
    scheme = partial(plan.from_scheme, layers.trace(net, x))
    whole = lambda k: {"num_bias": k, "indices": range(13 - k, 13), "ratios": [1] * k}      # noqa: E731
    return {"head": scheme(num_bias=0), "bias of last 6": scheme(num_bias=6), "all biases": scheme(num_bias=13),
            "pw1 of last 2 blocks + bias": scheme(num_bias=6, indices=(7, 10), ratios=(1, 1)),
            "all pw1 + bias": scheme(num_bias=12, indices=(1, 4, 7, 10), ratios=(1, 1, 1, 1)),
            "last 2 blocks": scheme(**whole(6)), "last 3 blocks": scheme(**whole(9)), "everything": scheme(**whole(13))}


def what_to_update(number):
    """{scope: the best run and its extra bytes}, int8 with QAS."""
    world = sensor.world(number)
    made = quantize.quantize_model(world.net, world.calibration)
    runs = {}
    for name, wish in scopes(made, world.train.x).items():
        extra = cost.extra_bits(layers.trace(made, world.train.x), wish) / 8
        runs[name] = tuned(made, world, wish, {(rate,): with_qas() for rate in RATES}, number) | {"extra_bytes": extra}
    return runs


def few_bits(number):
    """{bits of the weights: {how: test accuracy}} of a float net that knows the second sensor, and five more epochs of QAT."""
    world = sensor.world(number)
    net = copy.deepcopy(world.net)
    work = partial(train.fit, x=world.train.x, y=world.train.y, batch_size=BATCH, rng=torch.Generator().manual_seed(number), progress=False,
                   optimizer=optimizers.sgd(0.9))
    work(net, epochs=30, lr=optimizers.cosine(0.03))

    def accuracy(net):
        return {"test": round(train.evaluate(net, world.test.x, world.test.y)["accuracy"], 4)}
    found = {"float32": {"as trained": accuracy(net)}}
    for bits in (8, 4, 3, 2):
        rows = {}
        for name, scales in (("largest weight", calibrate.largest), ("least error", calibrate.least_error)):
            options = {"calibration": world.train.x[:128], "bits": bits, "scales": scales}
            rows[f"after training, {name}"] = accuracy(quantize.quantize_model(net, **options))
            learned = qat.prepare(net, **options)
            work(learned, epochs=5, lr=optimizers.cosine(0.01))
            rows[f"QAT, {name}"] = accuracy(qat.convert(learned))
        found[f"{bits} bits"] = rows
    return found


def norm_ratios(number):
    """{net: log10 of |W| / |G| of each tensor, weight and bias in turn}, one backward pass on 256 images, everything learns."""
    world = sensor.world(number)
    made = quantize.quantize_model(world.net, world.calibration)
    return {name: [round(v, 4) for v in qas.norm_ratios(net, world.train.x[:256], world.train.y[:256], scale=scale)]
            for name, (net, scale) in {"fp32": (world.net, 1), "int8": (made, 1), "int8 + QAS": (made, "qas")}.items()}


PARTS = {"methods": methods, "storage": storage, "what_to_update": what_to_update, "few_bits": few_bits, "norm_ratios": norm_ratios}


def show(part, runs, prefix=""):
    """Print a table: one row a method, mean and deviation over seeds of the test accuracy."""
    for name, first in runs[0].items():
        if isinstance(first, list):
            print(f"{part:<16}{name:<34}" + " ".join(f"{v:5.1f}" for v in first))
        elif "test" not in first:
            show(part, [run[name] for run in runs], f"{name}, ")
        else:
            tests = [100 * run[name]["test"] for run in runs]
            more = f"   {first['extra_bytes'] / 1024:5.2f} KiB extra" if "extra_bytes" in first else ""
            more += f"   rates {[run[name]['rate'] for run in runs]}" if "rate" in first else ""
            spread = statistics.stdev(tests) if len(tests) > 1 else 0
            print(f"{part:<16}{prefix + name:<34}{statistics.mean(tests):5.1f} +- {spread:3.1f}   {[round(t, 1) for t in tests]}{more}")


def work(part, number):
    """One part for one seed, as a process of its own runs it."""
    torch.set_num_threads(1)
    return PARTS[part](number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    jobs = [(part, number) for part in asked.only or PARTS for number in asked.seeds if part != "what_to_update" or number < 3]
    with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
        runs = list(tqdm(pool.map(work, *zip(*jobs, strict=True)), total=len(jobs), unit="run"))
    found = {part: [run for (own, _), run in zip(jobs, runs, strict=True) if own == part] for part in asked.only or PARTS}
    for part in found:
        show(part, found[part])
    if not asked.only and asked.seeds == list(SEEDS):
        record.write("tiny_training", **found, seeds=asked.seeds)


if __name__ == "__main__":
    main()
