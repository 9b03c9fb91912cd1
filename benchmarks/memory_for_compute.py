"""What layer-wise training costs in accuracy, and what recomputation costs in time, over five seeds (lab 06).

Layer by layer. The target half of sensor_shift: 449 images to train, 135 to validate, 315 to test, split anew by each seed. Two tasks:
`from scratch` (nets.tiny_cnn, width 16, 20 epochs) and `adapted` (the pre-trained nets.mobile_net of the same seed, 15 epochs). Three ways,
batch 16, momentum 0.9: end to end; layer by layer, each stage with as many epochs as the whole net has end to end; and, to judge the stages
by, the last stage alone, the blocks below as they were at the start. For each way and seed the learning rate with the best validation
accuracy of three; the test images are looked at once.

Recomputation. Processor time of a pass forward and back (other programs do not count), divided by that of plain backpropagation, the
fastest of five each, in turns; five runs. And the most bytes that torch's allocator had given out at any one moment, from its own log
(torch.profiler): all that passes by counts there, and the gradients of the weights.

    python benchmarks/memory_for_compute.py       prints a table, writes benchmarks/results/memory_for_compute.json (ten minutes)
    python benchmarks/memory_for_compute.py --only recomputation       measures that part anew, keeps the other (a minute)
"""
import argparse
import json
import time

import record
import torch
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from odl_kit.data import datasets, pretrained
from odl_kit.learners import layerwise, recompute, schedules, tradeoff, train
from odl_kit.models import chain, flat, nets

SEEDS, RATES = range(5), {"from scratch": (0.01, 0.03, 0.1), "adapted": (0.003, 0.01, 0.03)}
EPOCHS = {"from scratch": 20, "adapted": 15}
WAYS = ("end to end", "layer by layer", "last stage alone")


def start(task, seed):
    """The net before it learns."""
    rng = torch.Generator().manual_seed(seed)
    if task == "from scratch":
        return nets.tiny_cnn(1, 10, width=16, rng=rng)
    return flat.assign(nets.mobile_net(1, 10, norm=None, rng=rng), pretrained.load("sensor_shift", seed=seed))


def learn(net, data, way, **options):
    """Train `net` in place."""
    if way == "end to end":
        train.fit(net, data.x, data.y, **options)
    elif way == "layer by layer":
        layerwise.fit(net, data.x, data.y, **options)
    else:
        last = layerwise.stages(net, data.x[:1], rng=options["rng"])[-1]
        train.fit(last.learns, layerwise.inputs_of(last, data.x), data.y, **options)


def run(task, way, seed):
    """(test accuracy, learning rate) with the rate that was best on the validation images."""
    data = datasets.load("sensor_shift")
    rng = torch.Generator().manual_seed(seed)
    rest, test = datasets.split(data.subset(data.user == 1), test=0.35, rng=rng)
    learning, validation = datasets.split(rest, test=0.231, rng=rng)
    found = []
    for lr in RATES[task]:
        net = start(task, seed)
        learn(net, learning, way, epochs=EPOCHS[task], batch_size=16, lr=lr, momentum=0.9, rng=torch.Generator().manual_seed(seed),
              progress=False)
        score, truth = (train.evaluate(net, part.x, part.y)["accuracy"] for part in (validation, test))
        found.append((score, -lr, truth))       # of equals, the smaller rate
    _, lr, accuracy = max(found)
    return round(accuracy, 4), -lr


def seconds_of(units, schedule, x):
    """Processor time of one pass forward and back."""
    weights = [p for unit in units for p in unit.parameters()]
    start = time.process_time()
    y = recompute.run(units, schedule, x)
    torch.autograd.grad(y, weights, torch.ones_like(y))
    return time.process_time() - start


def allocated(units, schedule, x):
    """The most bytes that torch's allocator had given out during one pass forward and back, beyond what lay there before."""
    weights = [p for unit in units for p in unit.parameters()]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as log:
        y = recompute.run(units, schedule, x)
        torch.autograd.grad(y, weights, torch.ones_like(y))
        del y
    now, most = 0, 0
    for event in log.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def recomputation():
    """{net: {schedule: {"held_bytes", "allocated_bytes", "macs", "seconds" (five runs), both as a multiple of plain}}}."""
    rng, found = torch.Generator().manual_seed(0), {}
    worlds = {"mobile_net, batch 128": (nets.mobile_net(1, 10, norm=None, rng=rng), torch.rand(128, 1, 16, 16, generator=rng)),
              "1,000 dense layers, batch 256": (nets.mlp(16, (16,) * 999, 10, rng=rng), torch.rand(256, 16, generator=rng))}
    for name, (net, x) in worlds.items():
        units = list(chain.units(net).values())
        costs = tradeoff.costs(units, x)
        ways = {"plain": schedules.plain(len(units)), "sqrt": schedules.sqrt(len(units))}
        if len(units) < 100:
            ways["least bytes"] = tradeoff.frontier(costs)[0].schedule
        else:
            ways["shrinking segments"] = schedules.shrinking(len(units))
        plain = tradeoff.macs(costs, ways["plain"])
        seconds = {way: [] for way in ways}
        for _ in tqdm(SEEDS, desc=name):
            turns = [{way: seconds_of(units, schedule, x) for way, schedule in ways.items()} for _ in range(5)]
            fastest = {way: min(turn[way] for turn in turns) for way in ways}
            for way in ways:
                seconds[way].append(round(fastest[way] / fastest["plain"], 3))
        found[name] = {way: {"held_bytes": recompute.measure(units, schedule, x, repeats=0).held_bytes,
                             "allocated_bytes": allocated(units, schedule, x), "macs": round(tradeoff.macs(costs, schedule) / plain, 4),
                             "seconds": seconds[way]} for way, schedule in ways.items()}
    return found


def layer_by_layer():
    """{"accuracy", "rates"}: {task: {way: [one number a seed]}}."""
    runs = {task: {way: [run(task, way, seed) for seed in tqdm(SEEDS, desc=f"{task}, {way}")] for way in WAYS} for task in RATES}
    return {name: {task: {way: [found[k] for found in seeds] for way, seeds in ways.items()} for task, ways in runs.items()}
            for k, name in enumerate(("accuracy", "rates"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["recomputation"])
    only = parser.parse_args().only
    torch.set_num_threads(1)
    again = recomputation()
    learned = layer_by_layer() if only is None else json.loads((record.RESULTS / "memory_for_compute.json").read_text(encoding="utf-8"))
    for name, ways in again.items():
        for way, row in ways.items():
            print(f"{name:<30}{way:<20}held {row['held_bytes']:>11,} B  allocator {row['allocated_bytes']:>11,} B  macs {row['macs']:.3f}  "
                  f"seconds {min(row['seconds']):.2f} to {max(row['seconds']):.2f}")
    for task, ways in learned["accuracy"].items():
        for way, seeds in ways.items():
            print(f"{task:<14}{way:<18}{min(seeds):.3f} to {max(seeds):.3f}   {seeds}, learning rates {learned['rates'][task][way]}")
    record.write("memory_for_compute", recomputation=again, seeds=list(SEEDS), accuracy=learned["accuracy"], rates=learned["rates"])


if __name__ == "__main__":
    main()
