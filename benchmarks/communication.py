"""Bytes against accuracy of every way to send less, over five seeds (lab 13): compressors with and without error feedback, a compressed
model on the way down, parts of the model, split training with its leakage.

Digits on 50 devices, ten a round, E = 5, B = 10; accuracy is the mean of the last five rounds, of 40 (25 for the convolutional net). A seed
draws the split, the deal, the first weights, the devices of a round and the batches. Learning rates (0.2 for the dense net, 0.1 for the
convolutional one) and the server's 20 epochs in split training were chosen by a few trials on the seeds 0 and 1; nothing else is tuned.

    python benchmarks/communication.py            prints a table, writes benchmarks/results/communication.json (two minutes)
"""
import argparse
from functools import partial

import digits
import record
import torch
from tqdm import tqdm

from odl_kit.data import partition
from odl_kit.federation import compression, local, online, rounds, selection, split
from odl_kit.learners import plan
from odl_kit.models import flat, nets

SEEDS, ROUNDS, CNN_ROUNDS = range(5), 40, 25
DEALS = {"all digits everywhere": partition.iid, "two digits each": partition.shards}
ALONE = {"largest 10 %": lambda net: compression.top_k(0.1), "largest 1 %": lambda net: compression.top_k(0.01),
         "random 10 %": lambda net: compression.random_k(0.1), "sign": lambda net: compression.sign(),
         "8 bits by chance": lambda net: compression.quantise(8), "2 bits by chance": lambda net: compression.quantise(2),
         "2 bits to the nearest": lambda net: compression.quantise(2, stochastic=False), "rank 1": lambda net: compression.low_rank(net, 1)}
FEEDBACK = {**ALONE, "random 10 %": lambda net: compression.random_k(0.1, unbiased=False)}
PARTS = {"everything": plan.full, "biases and head": plan.bias_only, "head only": plan.head_only}


def federate(deal, seed, *, uplink=None, bits=None, part=None):
    """(accuracy, bytes up of one device and round, bytes down) of a run of FedAvg with one thing changed."""
    world = digits.world(partial(DEALS[deal], num_clients=50), seed)
    net = world.net
    work = partial(local.train_cohort, net, world.clients, epochs=5, batch_size=10, lr=0.2, plan=part and part(net))
    work = work if bits is None else online.downlink(work, net, bits=bits)
    history = rounds.run(world.w, train=work, select=selection.uniform(50, 10), rounds=ROUNDS, uplink=(uplink(net),) if uplink else (),
                         evaluate=world.evaluate, rng=world.rng, progress=False)
    return digits.final(history), history.bytes_up[0] // 10, history.bytes_down[0] // 10


def divided(cut, seed):
    """(accuracy, bytes up of one device and round, share of pixel variance that a linear probe restores); cut None: FedAvg."""
    world = digits.world(partial(partition.shards, num_clients=50), seed, make=lambda rng: nets.tiny_cnn(1, 10, rng=rng))
    net, w, clients = world.net, world.w, world.clients
    options = {"select": selection.uniform(50, 10), "evaluate": world.evaluate, "rng": world.rng, "progress": False}
    if cut is None:
        work = partial(local.train_cohort, net, clients, epochs=5, batch_size=10, lr=0.1)
        history = rounds.run(w, train=work, rounds=CNN_ROUNDS, **options)
        return digits.final(history), history.bytes_up[0] // 10, None
    history = split.run(net, w, clients, cut=cut, num_rounds=CNN_ROUNDS, per_class=1, server_epochs=20, server_lr=0.1, epochs=5,
                        batch_size=10, lr=0.1, **options)
    lower, _ = split.parts(flat.assign(net, history.w), cut)
    leak = split.probe(lower, world.train_set.x, world.test_set.x).explained
    return digits.final(history), sum(history.bytes_up) // (10 * CNN_ROUNDS), leak


def show(what, runs, more):
    """Print the range of accuracy over seeds, and bytes up."""
    print(f"{what}{min(run[0] for run in runs):6.3f} to {max(run[0] for run in runs):.3f}  {runs[0][1]:>6} B up {more}")


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    up, down, parts = {}, {}, {}
    for deal in tqdm(DEALS, unit="deal"):
        plain = [federate(deal, seed) for seed in SEEDS]
        up[deal] = {"alone": {"nothing left out": plain}, "with error feedback": {}}
        for name in ALONE:
            up[deal]["alone"][name] = [federate(deal, seed, uplink=ALONE[name]) for seed in SEEDS]
            up[deal]["with error feedback"][name] = [federate(deal, seed, uplink=lambda net, make=FEEDBACK[name]:
                                                              compression.error_feedback(make(net))) for seed in SEEDS]
        down[deal] = {f"{bits} bits": [federate(deal, seed, bits=bits) for seed in SEEDS] for bits in (8, 4, 3, 2)}
        parts[deal] = {name: [federate(deal, seed, part=part) for seed in SEEDS] for name, part in PARTS.items()}
    cuts = {str(cut): [divided(cut, seed) for seed in SEEDS] for cut in (None, "pool2", "pool1")}
    for deal in DEALS:
        for group, rows in (*up[deal].items(), ("down", down[deal]), ("parts", parts[deal])):
            for name, runs in rows.items():
                show(f"{deal:<24}{group:<22}{name:<24}", runs, f"{runs[0][2]:>6} B down")
    for cut, runs in cuts.items():
        show(f"cut {cut:<8}", runs, f"  restored {[run[2] for run in runs]}")

    def column(rows, k):
        return {name: [None if run[k] is None else round(run[k], 4) for run in runs] for name, runs in rows.items()}
    record.write("communication", accuracy={deal: {group: column(rows, 0) for group, rows in up[deal].items()} for deal in DEALS},
                 bytes_up={name: runs[0][1] for name, runs in up["two digits each"]["alone"].items()},
                 down={deal: column(rows, 0) for deal, rows in down.items()},
                 down_bytes={name: runs[0][2] for name, runs in down["two digits each"].items()},
                 parts={deal: column(rows, 0) for deal, rows in parts.items()},
                 split={name: column(cuts, k) for k, name in enumerate(("accuracy", "bytes", "restored"))}, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
