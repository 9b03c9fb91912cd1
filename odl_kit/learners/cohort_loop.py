"""The loop path of `cohort`: one client after the other on every core. For big steps, for nets that vmap refuses, and as the reference."""
import copy

import torch
from torch.nn import functional as F

from odl_kit.learners import cohort_steps
from odl_kit.models import flat


def train(net, start, job):
    """Updates (C, P) by training from `start` (C, P), each client by itself, the largest first."""
    after = start.clone()
    order = job.num_examples.argsort(descending=True, stable=True).tolist()
    threads = min(len(order), cohort_steps.cores(start.device))

    def work(todo):
        own = copy.deepcopy(net).to(start.device)        # a thread has its own net; `net` stays as it is
        for c in todo:
            train_one(own, after[c], job, c)
    cohort_steps.share_out(order, work, threads)
    return after.sub_(start)


def train_one(net, w, job, c):
    """Train client c of the job, in place: w (P,) is a view, and the parameters of `net` are made views of it."""
    n, x, y = int(job.num_examples[c]), job.x[job.rows[c]], job.y[job.rows[c]]
    masks = [None] * len(list(net.parameters())) if job.mask is None else list(flat.unravel(net, job.mask).values())
    learning = []
    for p, view, mask in zip(net.parameters(), flat.unravel(net, w).values(), masks, strict=True):
        p.data = view
        p.requires_grad_(mask is None or bool(mask.any()))
        if p.requires_grad:
            learning.append((p, view.clone(), torch.zeros_like(view) if job.momentum else None, mask))
    params = [p for p, *_ in learning]
    for epoch in job.order[c, :, :n]:
        for batch in epoch.split(job.batch_size or n):
            loss = F.cross_entropy(net(x[batch]), y[batch])
            grads = torch.autograd.grad(loss, params, materialize_grads=True) if params else ()
            with torch.no_grad():
                for (p, begin, velocity, mask), g in zip(learning, grads, strict=True):
                    if job.prox:
                        g = g.add(p - begin, alpha=job.prox)
                    if mask is not None:
                        g = g * mask
                    if velocity is not None:
                        g = velocity.mul_(job.momentum).add_(g)
                    p.sub_(g, alpha=job.lr)
