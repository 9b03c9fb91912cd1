"""The batched path of `cohort`: C copies of a Linear/ReLU net as stacked matrices; forward, backward and update written by hand."""
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import nn

from odl_kit.learners import cohort_steps
from odl_kit.models import flat

# Weights x examples in one step of all clients. With less, Python threads wait for each other more than they compute.
WORK_PER_THREAD = 5_000_000


def dense_layers(net):
    """The net as [(its Linear's name, ReLU behind it?), ...], or None if there is anything in it but Flatten, Linear and ReLU."""
    layers = []
    modules = [(name, m) for name, m in net.named_modules(remove_duplicate=False) if type(m) is not nn.Sequential]
    for name, m in modules:
        if type(m) is nn.Linear:
            layers.append((name, False))
        elif type(m) is nn.ReLU and layers:
            layers[-1] = (layers[-1][0], True)
        elif not (type(m) is nn.Flatten and (m.start_dim, m.end_dim) == (1, -1)):
            return None
    plain = not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    own_weights = len(list(net.parameters())) == len(list(net.named_parameters(remove_duplicate=False)))
    return layers if layers and plain and own_weights else None


@dataclass(frozen=True)
class Stack:
    """One parameter of C clients: w (C, out, in), or (C, 1, out) for a bias.

    start: where w began. mask (out, in) bool: what learns, None for all. v (C, out, in): its velocity, None where the gradient goes
    straight into w.
    """
    w: torch.Tensor
    start: torch.Tensor
    mask: torch.Tensor | None
    v: torch.Tensor | None

    def first(self, a):
        """The same parameter of the first a clients (views)."""
        return Stack(self.w[:a], self.start[:a], self.mask, None if self.v is None else self.v[:a])

    @property
    def learns(self):
        return self.mask is None or bool(self.mask.any())

    def descend(self, left, right, job):
        """w <- w - lr * v, where v <- momentum * v + mask * (left @ right + prox * (w - start)). left @ right is the gradient."""
        if self.v is not None:
            self.v.baddbmm_(left, right, beta=job.momentum)
            if job.prox:
                self.v.add_(self.w - self.start, alpha=job.prox)
            if self.mask is not None:
                self.v.mul_(self.mask)
            self.w.add_(self.v, alpha=-job.lr)
        elif self.learns:
            if job.prox:
                self.w.lerp_(self.start, job.lr * job.prox)
            self.w.baddbmm_(left, right, alpha=-job.lr)


def step(layers, x, target, share, ones, job):
    """One step of SGD on the mean cross-entropy, for a clients at once, in place.

    layers: [(weight Stack, bias Stack or None, ReLU behind it?, does this layer or one below learn?), ...]. x (a, B, inputs).
    target (a, B, 1) int64, the classes. share (a, B, 1): 1 / batch size, 0 where a short batch is filled up. ones (a, 1, B).
    """
    h = [x]
    for weight, bias, relu, _ in layers:                                        # z = h W^T + b
        z = torch.bmm(h[-1], weight.w.mT) if bias is None else torch.baddbmm(bias.w, h[-1], weight.w.mT)
        h.append(z.relu_() if relu else z)
    d = (h[-1] - h[-1].amax(2, keepdim=True)).exp_()                            # softmax: torch's own is 4 times slower on short rows
    d.div_(d.sum(2, keepdim=True)).mul_(share).scatter_add_(2, target, -share)  # d loss / d z = (softmax(z) - one_hot(y)) / batch size
    for k in reversed(range(len(layers))):
        weight, bias, relu, _ = layers[k]
        if relu:
            d = torch.ops.aten.threshold_backward(d, h[k + 1], 0)
        below = torch.bmm(d, weight.w) if k and layers[k - 1][3] else None      # before the weights move
        weight.descend(d.mT, h[k], job)
        if bias is not None:
            bias.descend(ones, d, job)
        if below is None:
            return
        d = below


@torch.no_grad()
def train(net, start, job):
    """Updates (C, P) by training from `start` (C, P), where dense_layers(net) is not None. The same result as every other path."""
    update, buffers = torch.empty_like(start, memory_format=torch.contiguous_format), 2 if job.momentum or job.mask is not None else 1
    work_per_step = start.numel() * min(job.batch_size or job.order.shape[2], job.order.shape[2])
    threads = min(cohort_steps.cores(start.device), max(1, work_per_step // WORK_PER_THREAD))
    groups = cohort_steps.chunks(job, start.shape[1] * start.element_size() * buffers, at_least=threads)

    @torch.no_grad()                                                            # each thread has its own gradient mode
    def work(todo):
        for clients in todo:
            own = start[:len(clients)] if start.stride(0) == 0 else start[clients]          # the one start of all is not copied
            train_chunk(net, own, job, clients, update)
    cohort_steps.share_out(groups, work, min(threads, len(groups)))
    return update


def train_chunk(net, start, job, clients, update):
    """Train `clients` (c,) from `start` (c, P) in lock step, into their rows of update (C, P)."""
    steps = cohort_steps.lock_step(job, clients, start.dtype)
    x, target, share = job.x.flatten(0, 1).flatten(1), job.y.flatten()[steps.index].unsqueeze(3), steps.share.unsqueeze(3)
    layers, ones = stacks(net, start, job), torch.ones_like(steps.share[0]).unsqueeze(1)
    for a, group in groupby(range(len(steps.active)), steps.active.__getitem__):
        first = [(weight.first(a), bias and bias.first(a), *rest) for weight, bias, *rest in layers]
        for t in group:
            batch = x.index_select(0, steps.index[t, :a].flatten()).view(a, -1, x.shape[1])
            step(first, batch, target[t, :a], share[t, :a], ones[:a], job)
    trained = [p for weight, bias, *_ in layers for p in (weight, bias) if p is not None]
    for rows, p in zip(flat.unravel(net, update).values(), trained, strict=True):
        rows[clients] = p.w.sub_(p.start).view(len(clients), *rows.shape[1:])


def stacks(net, start, job):
    """`start` (c, P) cut into the layers that `step` takes."""
    origin = flat.unravel(net, start)
    masks = {} if job.mask is None else flat.unravel(net, job.mask)

    def stack(name):
        if name not in origin:
            return None
        begin, mask = origin[name], masks.get(name)
        begin, mask = (begin.unsqueeze(1), mask if mask is None else mask.unsqueeze(0)) if begin.dim() == 2 else (begin, mask)
        mask = None if mask is None or mask.all() else mask
        direct = not job.momentum and mask is None or mask is not None and not mask.any()
        w = begin.clone(memory_format=torch.contiguous_format)
        return Stack(w, begin, mask, None if direct else torch.zeros_like(w))
    layers, learns = [], False
    for name, relu in dense_layers(net):
        prefix = f"{name}." if name else ""
        weight, bias = stack(prefix + "weight"), stack(prefix + "bias")
        learns = learns or weight.learns or (bias is not None and bias.learns)
        layers.append((weight, bias, relu, learns))
    return layers
