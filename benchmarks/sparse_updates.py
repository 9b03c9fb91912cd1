"""What to update (lab 05): a searched sparse plan against the last two blocks and others, and what a plan does to time and bytes.

The int8 net meets the second sensor: a new head, then 15 epochs of SGD with momentum 0.9 and QAS on 449 images, batch 30, cosine rate
with its top at 0.03 or 0.1, whichever is better on the validation images, for each plan and seed. A seed draws the split, the head and the
batches, and takes another pre-trained net. The contribution analysis runs on the float net and sees no test image; for three plans the
float net is trained as well, to see whether its accuracy tells that of the int8 net.

    python benchmarks/sparse_updates.py              prints tables, writes benchmarks/results/sparse_updates.json (five minutes of one core)
    python benchmarks/sparse_updates.py --only costs   measures times and bytes anew, and leaves the recorded accuracies as they are
"""
import argparse
import copy
import json
import os
import statistics
import tempfile
from functools import partial
from time import process_time

import record
import sensor
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from odl_kit.learners import cohort_plans, cost, memory, optimizers, plan, qas, search, sparse, train
from odl_kit.models import layers, quantize

SEEDS = range(5)
RATES = (0.03, 0.1)
ON_FLOAT = ("head only", "last two blocks", "searched, 3/4 of that")
ANALYSIS = {"epochs": 5, "batch_size": 30, "lr": 0.1}


def world(seed):
    """A sensor.World whose net has a new head, drawn from its rng."""
    found = sensor.world(seed)
    nn.init.kaiming_uniform_(found.net.head.weight, nonlinearity="linear", generator=found.rng)
    nn.init.zeros_(found.net.head.bias)
    return found


def analysis(world):
    """The Contribution of the parts of world.net."""
    pairs = ((part.x, part.y) for part in (world.train, world.validation))
    return sparse.contribution(world.net, *pairs, **ANALYSIS, rng=torch.Generator().manual_seed(0), progress=False)


def plans(traced, scores):
    """{name: UpdatePlan}. Convolutions 7 to 12 are the last two blocks; 1, 4, 7 and 10 are the first of a block, the expansion."""
    some = partial(plan.from_scheme, traced)
    two_blocks = some(num_bias=6, indices=range(7, 13), ratios=[1] * 6)
    room = cost.extra_bits(traced, two_blocks) // 8
    return {"head only": some(num_bias=0), "all biases": some(num_bias=13), "last two blocks": two_blocks,
            "searched, half of that": search.search_plan(scores, traced, room // 2),
            "searched, 3/4 of that": search.search_plan(scores, traced, 3 * room // 4),
            "every expansion": some(num_bias=12, indices=(1, 4, 7, 10), ratios=[1] * 4),
            "everything": some(num_bias=13, indices=range(13), ratios=[1] * 13)}


def learned(world, net, wish, lr, seed, **optimizer):
    """(validation, test) accuracy of `net` after training by the plan `wish`, and lr."""
    train.fit(net, world.train.x, world.train.y, epochs=15, batch_size=30, lr=optimizers.cosine(lr), plan=wish,
              rng=torch.Generator().manual_seed(seed), progress=False, **optimizer)
    return *(train.evaluate(net, part.x, part.y)["accuracy"] for part in (world.validation, world.test)), lr


def best(runs):
    """(test accuracy, rate) of the run that is best on validation."""
    return max(runs, key=lambda run: run[0])[1:]


def on_int8(world, wish, lr, seed):
    """`learned`, of the quantized net."""
    net = quantize.quantize_model(world.net, world.calibration)
    return learned(world, net, wish, lr, seed, optimizer=qas.optimizer(net, optimizers.sgd(0.9)))


def what_to_update():
    """{plan: {"int8", "float32": accuracies, "extra_kib", "sram_kib", "rate": one a seed}}, and the searched plans of each seed."""
    found, schemes = {}, []
    for seed in tqdm(SEEDS, unit="seed"):
        here = world(seed)
        image, traced = here.train.x[:1], layers.trace(here.net, here.train.x[:1])
        net, wishes = quantize.quantize_model(here.net, here.calibration), plans(traced, analysis(here))
        for name, wish in wishes.items():
            accuracy, lr = best([on_int8(here, wish, lr, seed) for lr in RATES])
            row = {"int8": round(accuracy, 4), "rate": lr, "extra_kib": round(cost.extra_bits(traced, wish) / 8192, 2),
                   "sram_kib": round(memory.memory_report(net, image, wish, rule="device").sram / 1024, 2)}
            if name in ON_FLOAT:
                runs = [learned(here, copy.deepcopy(here.net), wish, lr, seed, momentum=0.9) for lr in RATES]
                row["float32"] = round(best(runs)[0], 4)
            for key, value in row.items():
                found.setdefault(name, {}).setdefault(key, []).append(value)
        schemes.append({name: {"biases": len(wish.biases) - 1, "channels": wish.channels} for name, wish in wishes.items()
                        if "searched" in name})
    return found, schemes


def saved_bytes(net, wish, x):
    """Bytes that autograd keeps in one forward pass under a plan, weights apart, each storage once."""
    forward, learning = train.planned(net, wish)
    own, kept = {p.data_ptr() for p in net.parameters()}, {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        forward(x)
    return sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in own)


def backward_seconds(net, wishes, x, y, rounds=100):
    """{plan: processor seconds of one backward pass}: the least of `rounds`, the plans taking turns within each round."""
    runs, least = {name: train.planned(net, wish) for name, wish in wishes.items()}, {}
    for _ in range(rounds):
        for name, (forward, learning) in runs.items():
            loss = F.cross_entropy(forward(x), y)
            begin = process_time()
            torch.autograd.grad(loss, learning)
            least[name] = min(process_time() - begin, least.get(name, 1e9))
    return least


def what_it_costs():
    """{plan: predicted and measured share of full training, backward}, of the float net on a batch of 30, seed 0."""
    here = world(0)
    x, y, traced = here.train.x[:30].clone(), here.train.y[:30], layers.trace(here.net, here.train.x[:1])
    wishes = plans(traced, analysis(here))
    seconds = backward_seconds(here.net, wishes, x, y)
    macs = {name: cost.backward_macs(traced, wish) for name, wish in wishes.items()}
    return {name: {"macs_share": round(macs[name] / macs["everything"], 3), "time_share": round(seconds[name] / seconds["everything"], 3),
                   "saved_predicted": memory.memory_report(here.net, x, wish, rule="device").saved_activations,
                   "saved_measured": saved_bytes(here.net, wish, x)} for name, wish in wishes.items()}


def together_or_alone():
    """{convolution: processor seconds of its five runs, one epoch}, as a cohort and one after the other."""
    here, times = world(0), {}
    traced = layers.trace(here.net, here.train.x[:1])
    convs = [layer for layer in traced if layer.kind == "conv"]
    options = {"epochs": 1, "batch_size": 30, "lr": 0.1, "momentum": 0.9}
    for k in (1, 6, 12):
        wishes = [plan.from_scheme(traced, num_bias=k)]
        wishes += [plan.from_scheme(traced, num_bias=k, indices=[13 - k], ratios=[ratio]) for ratio in sparse.RATIOS]
        begin = process_time()
        cohort_plans.train(here.net, wishes, here.train.x, here.train.y, **options, rng=torch.Generator().manual_seed(0))
        middle = process_time()
        for wish in wishes:
            train.fit(copy.deepcopy(here.net), here.train.x, here.train.y, **options, plan=wish, rng=torch.Generator().manual_seed(0),
                      progress=False)
        times[convs[-k].name] = {"cohort_s": round(middle - begin, 3), "alone_s": round(process_time() - middle, 3)}
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["costs"])
    only = parser.parse_args().only
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ODL_CACHE"] = folder        # measure the analysis, do not remember it
        begin = process_time()
        analysis(world(0))
        seconds = round(process_time() - begin, 1)
        costs, times = what_it_costs(), together_or_alone()
        if only:
            kept = json.loads((record.RESULTS / "sparse_updates.json").read_text(encoding="utf-8"))
            found, schemes = kept["plans"], kept["schemes"]
        else:
            found, schemes = what_to_update()
    for name, row in found.items():
        print(f"{name:<24}{row['extra_kib'][0]:6.1f} KiB, sram {row['sram_kib'][0]:6.1f} {min(row['int8']):.3f} to {max(row['int8']):.3f}  "
              f"mean {statistics.mean(row['int8']):.3f}  float {row.get('float32', '')}  {costs[name]}")
    print(f"analysis: {seconds} s;  cohort against one after the other: {times}")
    record.write("sparse_updates", plans=found, schemes=schemes, costs=costs, analysis_s=seconds, cohort=times, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
