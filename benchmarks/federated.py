"""How fast a simulated round of federated averaging is: odl_kit's paths against the loops people write, and other people's software.

    python benchmarks/federated.py                  W1-W4, 9 rounds each (W2: 5), one torch thread (under 6 minutes on 2 cores)
    python benchmarks/federated.py --quick          3 rounds, for a look
    python benchmarks/federated.py W4 --peers naive,batched --rounds 21

In every round each peer in turn trains the same clients and averages their weights, so that a slow moment of the machine hits all alike. A
ratio is the median over rounds of (naive's time / the peer's time); "per CPU s" is the same of the processor time used. "max diff" is the
largest difference to the tight loop's weights after one round on the same batches. Peak memory is that of a process of this peer alone.
Results: benchmarks/results/federated.json (not with --quick). jax, fedjax and flwr (benchmarks/peers.py) take part where they are
installed; fedjax and flwr draw batches of their own, so there is no difference to show. Flower computes in other processes: no time per
CPU s and no memory is shown for it, and they count among the other programs that kept the cores busy.

Two float32 paths may differ by much more than rounding, and so may either from float64: where the input of a ReLU is within rounding of 0,
one lets it through and the other does not. Of W2's 100 clients, with 24 million such inputs, that happens to about three.

W1  784-200-200-10 net, 10 clients of 600 random examples, 1 epoch, B = 10
W2  the same, 100 clients a round
W3  CNN of 1.7 million weights, 10 clients of 100 random images, 1 epoch, B = 10
W4  scikit-learn's digits, 64-32-10 net, 50 clients by Dirichlet(0.1), 5 epochs, B = 16
"""
import argparse
import copy
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import peers
import record
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from odl_kit.federation import aggregators
from odl_kit.learners import cohort
from odl_kit.models import flat

SEED = 0


@dataclass(frozen=True)
class Workload:
    name: str
    net: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    num_examples: torch.Tensor
    per_round: int
    epochs: int
    batch_size: int
    lr: float

    def steps(self, chosen):
        return int((self.epochs * -(-self.num_examples[chosen] // self.batch_size)).sum())


def workload(name):
    torch.manual_seed(SEED)                              # the initial weights
    rng = torch.Generator().manual_seed(SEED)
    if name == "W4":
        return _digits(rng)
    n = 100 if name == "W3" else 600
    x = torch.rand(100, n, 784, generator=rng)
    y = ((x - 0.5) @ torch.randn(784, 10, generator=rng)).argmax(2)
    sizes = torch.full((100,), n)
    if name == "W3":
        net = nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))
        return Workload(name, net, x.view(100, n, 1, 28, 28), y, sizes, per_round=10, epochs=1, batch_size=10, lr=0.05)
    net = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))
    return Workload(name, net, x, y, sizes, per_round=100 if name == "W2" else 10, epochs=1, batch_size=10, lr=0.1)


def _digits(rng):
    import numpy as np
    from sklearn.datasets import load_digits
    x, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    draw = np.random.default_rng(SEED)
    owned = [[] for _ in range(50)]
    for label in range(10):                              # Dirichlet(0.1) over the clients, per class
        index = np.flatnonzero(y.numpy() == label)
        cuts = (np.cumsum(draw.dirichlet(np.full(50, 0.1))) * len(index)).astype(int)[:-1]
        for own, part in zip(owned, np.split(draw.permutation(index), cuts), strict=True):
            own.extend(part.tolist())
    largest = max(owned, key=len)
    for own in owned:                                    # nobody with less than two examples
        while len(own) < 2:
            own.append(largest.pop())
    sizes = torch.tensor([len(own) for own in owned])
    xs, ys = torch.zeros(50, int(sizes.max()), 64), torch.zeros(50, int(sizes.max()), dtype=torch.int64)
    for c, own in enumerate(owned):
        xs[c, :len(own)], ys[c, :len(own)] = x[own].float() / 16, y[own]
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return Workload("W4", net, xs, ys, sizes, per_round=50, epochs=5, batch_size=16, lr=0.1)


def naive(work, w, chosen, rng, order=None):
    """What notebooks do: a copy of the model, a DataLoader and an optimizer per client, state dicts averaged."""
    model = flat.assign(copy.deepcopy(work.net), w)
    states = [naive_client(work, model, c, rng, order if order is None else order[k]) for k, c in enumerate(chosen.tolist())]
    model.load_state_dict(average(states, work.num_examples[chosen].tolist()))
    return flat.ravel(model)


def naive_client(work, model, c, rng, order=None):
    n, client = int(work.num_examples[c]), copy.deepcopy(model)
    optimizer, data = torch.optim.SGD(client.parameters(), lr=work.lr), TensorDataset(work.x[c, :n], work.y[c, :n])
    for epoch in range(work.epochs):
        how = {"shuffle": True, "generator": rng} if order is None else {"sampler": order[epoch, :n].tolist()}
        for x, y in DataLoader(data, batch_size=work.batch_size, **how):
            optimizer.zero_grad()
            F.cross_entropy(client(x), y).backward()
            optimizer.step()
    return client.state_dict()


def average(states, sizes):
    return {key: sum(s[key] * (n / sum(sizes)) for s, n in zip(states, sizes, strict=True)) for key in states[0]}


def tight(work, w, chosen, rng, order=None):
    """One model, plain indexing, gradients straight into the weights, running average."""
    model = copy.deepcopy(work.net)
    params, total, share = list(model.parameters()), torch.zeros_like(w), work.num_examples[chosen] / work.num_examples[chosen].sum()
    for k, c in enumerate(chosen.tolist()):
        flat.assign(model, w)
        n = int(work.num_examples[c])
        for epoch in range(work.epochs):
            index = torch.randperm(n, generator=rng) if order is None else order[k, epoch, :n]
            xs, ys = work.x[c, index], work.y[c, index]
            for at in range(0, n, work.batch_size):
                grads = torch.autograd.grad(F.cross_entropy(model(xs[at:at + work.batch_size]), ys[at:at + work.batch_size]), params)
                with torch.no_grad():
                    torch._foreach_add_(params, grads, alpha=-work.lr)
        total += share[k] * flat.ravel(model)
    return total


def ours(method):
    def run(work, w, chosen, rng):
        updates = cohort.train_cohort(work.net, w, work.x, work.y, work.num_examples, rows=chosen, epochs=work.epochs,
                                      batch_size=work.batch_size, lr=work.lr, rng=rng, method=method)
        return w + aggregators.mean(updates, work.num_examples[chosen])
    return run


PEERS = {"naive": naive, "tight": tight} | {method: ours(method) for method in cohort.PATHS} | peers.PEERS
SAME_BATCHES = {"naive", "tight", "jax"}                 # these take an order; our paths draw the same one from the same seed


def rounds_of(work, names, rounds):
    """{peer: [(seconds, CPU seconds) per round]}, steps per round, {peer: max |difference| to tight after one round on equal batches}."""
    pick, w0 = torch.Generator().manual_seed(SEED), flat.ravel(work.net)
    w, times, steps = dict.fromkeys(names, w0), {name: [] for name in names}, []
    chosen = torch.randperm(len(work.x), generator=pick)[:work.per_round]
    order = cohort.batch_order(work.num_examples[chosen], work.epochs, rng=torch.Generator().manual_seed(SEED))
    reference, differences = tight(work, w0, chosen, None, order), {}
    for name in names:                                   # this round also warms up
        same = {"order": order} if name in SAME_BATCHES else {}
        got = PEERS[name](work, w0, chosen, torch.Generator().manual_seed(SEED), **same)
        differences[name] = None if name in ("fedjax", "flwr") else float((got - reference).abs().max())
    for r in range(rounds):
        chosen = torch.randperm(len(work.x), generator=pick)[:work.per_round]
        steps.append(work.steps(chosen))
        for name in names:
            wall, cpu = time.perf_counter(), time.process_time()
            w[name] = PEERS[name](work, w[name], chosen, torch.Generator().manual_seed(r))
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times, steps, differences | {"moved": float((reference - w0).abs().max())}


def busy():
    """(busy, all) jiffies of the machine so far; (0, 1) where there is no /proc."""
    try:
        numbers = [int(v) for v in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
    except OSError:
        return 0, 1


def measure(work, names, rounds, memory):
    before, own = busy(), time.process_time()
    times, steps, differences = rounds_of(work, names, rounds)
    peers.stop()
    used, total = (after - b for after, b in zip(busy(), before, strict=True))
    others = max(0.0, (used - (time.process_time() - own) * os.sysconf("SC_CLK_TCK")) / max(total, 1))
    rows = []
    for name in names:
        wall, cpu = zip(*times[name], strict=True)
        ratio = statistics.median(n / p for (n, _), p in zip(times["naive"], wall, strict=True))
        per_cpu = statistics.median(n / p for (_, n), p in zip(times["naive"], cpu, strict=True))
        rate = statistics.median(s / t for s, t in zip(steps, wall, strict=True))
        alone = name != "flwr"                           # what Flower uses, it uses in other processes
        rows.append({"workload": work.name, "peer": name, "ms": 1e3 * statistics.median(wall), "steps_per_s": rate, "ratio": ratio,
                     "ratio_per_cpu_s": per_cpu if alone else None, "difference": differences[name], "moved": differences["moved"],
                     "peak_mb": peak_mb(work.name, name) if memory and alone else None, "busy_others": others})
    return rows


def peak_mb(name, peer):
    """Peak resident memory in MB of a process that runs two rounds of this peer alone."""
    done = subprocess.run([sys.executable, __file__, name, "--alone", peer], capture_output=True, text=True, check=True)
    return float(done.stdout)


def alone(name, peer):
    work, rng = workload(name), torch.Generator().manual_seed(SEED)
    w = flat.ravel(work.net)
    for _ in range(2):
        w = PEERS[peer](work, w, torch.randperm(len(work.x), generator=rng)[:work.per_round], rng)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def show(rows):
    print(f"{'':4}{'peer':10}{'ms/round':>10}{'steps/s':>10}{'x naive':>9}{'per CPU s':>10}{'max diff':>10}{'peak MB':>9}")
    for r in rows:
        cpu, difference, memory = ("-" if r[key] is None else format(r[key], how) for key, how in
                                   (("ratio_per_cpu_s", ".2f"), ("difference", ".1e"), ("peak_mb", ".0f")))
        print(f"{r['workload']:4}{r['peer']:10}{r['ms']:10.1f}{r['steps_per_s']:10.0f}{r['ratio']:9.2f}"
              f"{cpu:>10}{difference:>10}{memory:>9}")
    others = 100 * rows[0]["busy_others"]
    print(f"    weights moved by {rows[0]['moved']:.3f}; meanwhile other programs kept {others:.0f} % of the cores busy\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=["W1", "W2", "W3", "W4"], metavar="W", help="W1, W2, W3, W4 (default: all)")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated (default: %(default)s); naive always runs")
    parser.add_argument("--rounds", type=int, help="default 9, for W2 5, with --quick 3")
    parser.add_argument("--threads", type=int, default=1, help="torch's intra-op threads (default 1)")
    parser.add_argument("--quick", action="store_true", help="3 rounds, no memory column, nothing written")
    parser.add_argument("--alone", metavar="PEER", help="print the peak memory in MB of this peer alone (used by the memory column)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.alone:
        return alone(args.workloads[0], args.alone)
    asked, rows = [p for p in PEERS if p in {"naive", *args.peers.split(",")}], []
    absent = {p: peers.missing(p) for p in asked if p in peers.PEERS and peers.missing(p)}
    for p, packages in absent.items():
        print(f"{p} is left out: {' and '.join(packages)} not installed here (see benchmarks/peers.py)")
    for work in map(workload, args.workloads):
        names = [p for p in asked if p not in absent and can(p, work)]
        rounds = args.rounds or (3 if args.quick else 5 if work.name == "W2" else 9)
        rows += measure(work, names, rounds, memory=not args.quick)
        show(rows[-len(names):])
    if not args.quick:
        versions = {p: peers.version(p) for p in peers.PEERS if p in asked and p not in absent}
        print("written:", record.write("federated", seed=SEED, torch_threads=args.threads, peers=versions, rows=rows))


def can(name, work):
    """May this peer take part? Of a net with convolutions, only those that take any net."""
    dense = all(isinstance(layer, nn.Linear | nn.ReLU) for layer in work.net)
    return dense or name not in ("native", "batched", "jax", "fedjax")


if __name__ == "__main__":
    main()
