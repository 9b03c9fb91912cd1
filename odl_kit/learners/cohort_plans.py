"""C copies of a net, each with an UpdatePlan of its own, trained at once: what none of them changes is run once, before training.

`train` gives what train.fit gives with each plan alone (a test ties the two), and is faster: the frozen beginning of the net costs nothing
in a step, and a frozen weight behind it meets the examples of all copies in one go. Good for copies that begin to learn at one layer.
benchmarks/sparse_updates.py times it against one run after the other.
"""
import copy

import torch
from torch import fx
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from odl_kit.learners import optimizers
from odl_kit.models import flat, layers


@torch.no_grad()
def train(net, plans, x, y, *, epochs, batch_size, lr, momentum=0.0, rng):
    """Weights w (C, P) of C = len(plans) copies of `net`, copy c trained by SGD on the mean cross-entropy under plans[c].

    Every copy starts from the weights of net, which stay as they are, and sees the same batches. x: (N, ...). y: (N,) int64. lr: float,
    or a function of the share of steps done, as optimizers.cosine. The net runs as in evaluation mode. rng: torch.Generator.
    Raises ValueError as `split` and UpdatePlan.mask do.
    """
    net = copy.deepcopy(net).eval()
    start = flat.ravel(net).repeat(len(plans), 1)
    w, masks = flat.unravel(net, start), flat.unravel(net, torch.stack([plan.mask(net) for plan in plans]))
    learning = [name for name, mask in masks.items() if mask.any()]
    rest, values = split(net, learning, x)

    def loss(own, inputs, y):
        return F.cross_entropy(functional_call(rest, own, inputs), y)
    gradient, step = vmap(grad(loss), in_dims=(0, None, None)), optimizers.sgd(momentum)
    states, done, steps = dict.fromkeys(learning), 0, epochs * -(-len(x) // batch_size)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=rng).split(batch_size):
            g = gradient({name: w[name] for name in learning}, tuple(v[batch] for v in values), y[batch])
            rate = lr(done / steps) if callable(lr) else lr
            states = {name: step(w[name], g[name] * masks[name], states[name], rate) for name in learning}
            done += 1
    return start        # w are views of it


def split(net, learning, x):
    """(rest, values): the part of `net` that depends on the parameters named in `learning`, and what flows into it for x (N, ...).

    rest(*values) is net(x), and rest(*(v[batch] for v in values)) is net(x[batch]). net: in evaluation mode. rest: a GraphModule
    that shares the weights of net under the same names. values: a list of tensors (N, ...): the input of the first layer that learns, and
    what a residual carries past it. Raises ValueError for a parameter that net has not, for nothing that learns, and as layers.graph does.
    """
    unknown = sorted(set(learning) - {name for name, _ in net.named_parameters()})
    if unknown or not learning:
        raise ValueError(f"net has no parameter {unknown[0]!r}" if unknown else "nothing learns: give the plans a bias or a channel")
    whole, owners, moving = layers.graph(net), {name.rpartition(".")[0] for name in learning}, set()
    for node in whole.graph.nodes:
        if (node.op == "call_module" and node.target in owners) or any(source in moving for source in node.all_input_nodes):
            moving.add(node)
    border = [node for node in whole.graph.nodes if node not in moving and any(user in moving for user in node.users)]
    rest, copies = fx.Graph(), {}
    for node in border:
        copies[node] = rest.placeholder(node.name)
    for node in whole.graph.nodes:
        if node in moving:
            copies[node] = rest.node_copy(node, copies.__getitem__)
    seen = layers.values(whole, x)
    return fx.GraphModule(whole, rest), [seen[node] for node in border]
