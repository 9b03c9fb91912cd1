"""What the paths of `cohort` share: the job, the lock-step schedule of unequal clients, and one Python thread per core."""
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

# A chunk of clients works on this many bytes of weights at a time: one a core, all in the third-level cache. On a GPU, memory is the limit.
CHUNK_BYTES = {"cpu": 4 * 2**20, "cuda": 2 * 2**30}


@dataclass(frozen=True)
class Job:
    """What C clients are to do, whatever path does it. All tensors lie on one device.

    x (R, N, ...) and y (R, N) int64: the examples; row rows[c] is client c's. rows (C,) int64. num_examples (C,) int64.
    order (C, epochs, Nmax) int64: client c takes x[rows[c], order[c, e, :num_examples[c]]] in this order in epoch e.
    batch_size: int, or None for all of a client at once. mask: (P,) bool, the weights that learn, or None for all.
    """
    x: torch.Tensor
    y: torch.Tensor
    rows: torch.Tensor
    num_examples: torch.Tensor
    order: torch.Tensor
    batch_size: int | None
    lr: float
    momentum: float = 0.0
    prox: float = 0.0
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class Steps:
    """T steps in which the first active[t] clients of a chunk each take their next batch of B places.

    active: T ints, never rising. index (T, C, B) int64: places in x.flatten(0, 1). share (T, C, B) float: 1 / (size of the batch), and 0
    where a short batch is filled up, so that the sum over share * loss is the mean over the examples that are there.
    """
    active: list
    index: torch.Tensor
    share: torch.Tensor


def lock_step(job, clients, dtype):
    """The Steps of `clients` ((C,) int64, largest first). No client waits at the end of an epoch for one that has more examples."""
    n, order = job.num_examples[clients], job.order[clients]
    epochs, size = order.shape[1], min(job.batch_size or int(n[0]), int(n[0]))
    batches = (n + size - 1) // size                                            # (C,) steps of one epoch
    t = torch.arange(epochs * int(batches[0]), device=n.device).unsqueeze(1)    # (T, 1)
    epoch = t // batches                                                        # (T, C)
    place = (t % batches * size).unsqueeze(2) + torch.arange(size, device=n.device)         # (T, C, B) place within the epoch
    real = (place < n.unsqueeze(1)) & (epoch < epochs).unsqueeze(2)
    client = torch.arange(len(n), device=n.device).unsqueeze(1)
    example = order[client, epoch.clamp(max=epochs - 1).unsqueeze(2), place.clamp(max=order.shape[2] - 1)]
    example = torch.where(real, example, 0)                                     # a filled place repeats the client's own first example
    share = real.to(dtype) / real.sum(2, keepdim=True).clamp(min=1)
    active = (epochs * batches > t).sum(1).tolist()
    return Steps(active, job.rows[clients].unsqueeze(1) * job.x.shape[1] + example, share)


def chunks(job, bytes_per_client, at_least=1):
    """The clients, largest first, dealt out into groups whose weights fit the cache: a list of (c,) int64, balanced in work."""
    by_size = job.num_examples.argsort(descending=True, stable=True)
    fit = max(1, CHUNK_BYTES[job.x.device.type] // bytes_per_client)
    count = min(len(by_size), max(at_least, -(-len(by_size) // fit)))
    return [by_size[k::count] for k in range(count)]


def cores(device):
    """How many Python threads can compute on `device` at once: the process's CPU set, cut by a container's quota (cgroup v2). A GPU: 1."""
    if device.type != "cpu":
        return 1
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        count = count if quota == "max" else min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return count


def share_out(items, work, threads):
    """`work(todo)` in each of `threads` Python threads; all draw their items from the one iterator `todo`. Errors come back.

    Each thread computes with one torch thread, so that the cores are not asked for twice; torch releases the interpreter while it computes.
    """
    todo = iter(items)
    if threads == 1:
        return work(todo)
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(work, todo) for _ in range(threads)]:
                future.result()
    finally:
        torch.set_num_threads(before)
