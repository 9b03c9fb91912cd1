"""The vmap path of `cohort`: any net that torch.func accepts, C copies at once."""
import copy

import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from odl_kit.learners import cohort_steps
from odl_kit.models import flat


def forward(net, w, x):
    """The net carrying the weights w (P,), on x (n, ...)."""
    return functional_call(net, flat.unravel(net, w), (x,))


def gradients(net):
    """`(w (C, P), x (C, B, ...), y (C, B), share (C, B)) -> (C, P)`: each client's gradient of the sum of share * cross-entropy."""
    def loss(w, x, y, share):
        return (F.cross_entropy(forward(net, w, x), y, reduction="none") * share).sum()
    return vmap(grad(loss))


def refusal(net, w, x):
    """Why torch.func cannot map this net, in the first words of its error; None if it can. Tried on two clients of two examples."""
    w, x = w.reshape(-1, w.shape[-1])[:1].expand(2, -1), x[:1, :1].expand(2, 2, *x.shape[2:])
    try:
        gradients(net)(w, x, torch.zeros(2, 2, dtype=torch.int64), w.new_ones(2, 2))
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return str(error).strip().split("\n")[0][:120]


@torch.no_grad()
def train(net, start, job):
    """Updates (C, P) by training from `start` (C, P). The same result as every other path."""
    gradient = gradients(copy.deepcopy(net).to(start.device))
    x, y, after = job.x.flatten(0, 1), job.y.flatten(), start.clone()
    for clients in cohort_steps.chunks(job, 3 * start.shape[1] * start.element_size()):     # weights, gradient, one copy on the way
        steps = cohort_steps.lock_step(job, clients, start.dtype)
        w, begin = start[clients], start[clients]
        velocity = torch.zeros_like(w) if job.momentum else None
        for t, a in enumerate(steps.active):
            index = steps.index[t, :a]
            g = gradient(w[:a], x[index], y[index], steps.share[t, :a])
            if job.prox:
                g.add_(w[:a] - begin[:a], alpha=job.prox)
            if job.mask is not None:
                g.mul_(job.mask)
            if job.momentum:
                g = velocity[:a].mul_(job.momentum).add_(g)
            w[:a].sub_(g, alpha=job.lr)
        after[clients] = w
    return after.sub_(start)
