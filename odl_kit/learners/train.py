"""Train one net on one device: fit and evaluate. With an UpdatePlan, only what the plan names learns, and only what it needs is kept."""
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from odl_kit.learners import optimizers, saving
from odl_kit.learners.plan import num_channels
from odl_kit.models import layers


@dataclass(frozen=True)
class History:
    """losses: the mean training loss of each epoch, as it fell while learning. metrics: one dict an epoch, from `evaluate`."""
    losses: tuple
    metrics: tuple = ()

    def curve(self, name):
        """One number an epoch: "loss", or a key of the metrics. Raises KeyError that lists what there is."""
        if name == "loss":
            return list(self.losses)
        known = ("loss", *(self.metrics[0] if self.metrics else ()))
        if name not in known:
            raise KeyError(f"no {name!r} was recorded: there is {', '.join(known)}")
        return [metric[name] for metric in self.metrics]


def fit(net, x, y, *, epochs, batch_size, lr, momentum=0.0, plan=None, rng, progress=True, evaluate=None, optimizer=None, penalty=None):
    """Train `net` in place by SGD, or by `optimizer`; returns a History.

    x: (N, ...) float32 or int64 tokens. y: (N,) int64 classes -> cross-entropy, or float (N, ...) -> mean squared error.
    batch_size: None takes all N at once. lr, momentum: v = momentum * v + gradient; w = w - lr * v. lr may be a function of the share of
    steps that are done (optimizers.cosine). optimizer: how to step, see learners.optimizers; None: optimizers.sgd(momentum).
    A QuantNet (models.quantize) trains in integer units; qas.optimizer scales its steps and keeps it integer.
    plan: UpdatePlan; weights outside it do not change by a bit, and BatchNorm keeps its stored statistics (see `planned`).
    rng: torch.Generator, draws the order of the examples (and the channels of an order="random" plan).
    penalty: function of net -> scalar, added to the loss of every step, as transfer.l2_sp makes one; the losses of History are without it.
    evaluate: called with net after each epoch -> dict[str, float]. progress: a bar, in a notebook or a terminal.
    Raises ValueError for no examples, x and y of unequal length, epochs or batch_size below 1, a plan that learns nothing, and momentum
    beside an optimizer.
    """
    _check(x, y)
    if epochs < 1 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"epochs={epochs}, batch_size={batch_size}: both must be at least 1 (batch_size=None takes all examples at once)")
    forward, learning = (net, [p for p in net.parameters() if p.requires_grad]) if plan is None else planned(net, plan, rng=rng)
    if not learning:
        raise ValueError("nothing learns: give the plan a bias or a channel, for example plan.head_only(net)")
    if optimizer and momentum:
        raise ValueError(f"momentum={momentum} beside an optimizer: give it to the optimizer, as in optimizers.sgd({momentum})")
    step, states = optimizer or optimizers.sgd(momentum), [None] * len(learning)
    losses, metrics, done, steps = [], [], 0, epochs * -(-len(x) // (batch_size or len(x)))
    bar = tqdm(range(epochs), desc="fit", unit="epoch", disable=None if progress else True)
    for _ in bar:
        total = 0.0
        with _mode(net, training=True):
            for batch in torch.randperm(len(x), generator=rng).split(batch_size or len(x)):
                loss = loss_of(forward(x[batch]), y[batch])
                aim = loss + penalty(net) if penalty else loss
                gradients = torch.autograd.grad(aim, learning, materialize_grads=True)
                rate = lr(done / steps) if callable(lr) else lr
                with torch.no_grad():
                    states = [step(p, g, state, rate) for p, g, state in zip(learning, gradients, states, strict=True)]
                total, done = total + loss.item() * len(batch), done + 1
        losses.append(total / len(x))
        bar.set_postfix(loss=f"{losses[-1]:.3f}")
        if evaluate:
            metrics.append(evaluate(net))
    return History(tuple(losses), tuple(metrics))


@torch.no_grad()
def evaluate(net, x, y, *, batch_size=512):
    """{"accuracy": share of right classes, "loss": mean cross-entropy} for int64 y, {"loss": mean squared error} for float y.

    In evaluation mode (the mode is put back after), batch_size examples at a time. Raises ValueError as `fit` does.
    """
    _check(x, y)
    total, right = 0.0, 0
    with _mode(net, training=False):
        for a, b in zip(x.split(batch_size), y.split(batch_size), strict=True):
            out = net(a)
            total += loss_of(out, b).item() * len(b)
            right += 0 if b.is_floating_point() else (out.argmax(-1) == b).sum().item()
    return {"loss": total / len(x)} if y.is_floating_point() else {"accuracy": right / len(x), "loss": total / len(x)}


def planned(net, plan, *, rng=None):
    """(forward, parameters): the net as a device would train it (a GraphModule), and the parameters that learn.

    forward(x) gives what net(x) gives, and shares the weights of net. The gradient of a parameter of which only some channels learn is 0
    elsewhere. BatchNorm takes the statistics it has stored, since a batch of one has none to speak of.
    An op that layers.trace does not know runs as torch has it. On the CPU only. rng: torch.Generator, for a plan of order="random".
    Raises ValueError as plan.chosen and layers.graph do, and for a convolution or pooling with an option that layers.trace refuses.
    """
    graph, chosen, modules = layers.graph(net), plan.chosen(net, rng), dict(net.named_modules())
    for node in graph.graph.nodes:
        kind, module = layers.kind_of(node, graph), modules.get(node.target) if node.op == "call_module" else None
        window = layers.window(node, graph, kind) if kind in ("conv", "max_pool", "avg_pool") else None
        if kind in saving.LAYERS:
            op = _layer(kind, node.target, module, window, plan, chosen)
        elif kind == "avg_pool" and hasattr(module, "int8"):
            op = partial(module, sums=partial(saving.OPS[kind], window=(*window, 1)))
        elif kind in saving.OPS and not hasattr(module, "int8"):        # the integer ones keep one bit as they are
            op = partial(saving.OPS[kind], window=window)
        else:
            continue
        graph.add_module(f"saving_{node.name}", _Op(op))
        node.op, node.target, node.args, node.kwargs = "call_module", f"saving_{node.name}", (node.all_input_nodes[0],), {}
    graph.recompile()
    return graph, [modules[n].weight for n in chosen] + [modules[n].bias for n in modules if n in plan.biases]


class _Op(nn.Module):
    """A function as a module, which torch.fx can call by name."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward


def _layer(kind, name, module, window, plan, chosen):
    """The function of one layer with weights: what learns is attached to the backward graph, all else is detached."""
    channels = chosen.get(name)
    if channels is not None and len(channels) == num_channels(module):
        channels = None     # all of them: no copy of the input is needed

    def run(x):
        weight, bias = module.weight, getattr(module, "bias", None)
        weight = weight if name in chosen or weight is None else weight.detach()
        bias = bias if name in plan.biases or bias is None else bias.detach()
        return saving.LAYERS[kind](x, weight, bias, channels, module, window)
    return partial(module, sums=run) if hasattr(module, "int8") else run


def loss_of(outputs, y):
    """Mean cross-entropy for int64 y (N,); for float y the mean squared error, with outputs (N, 1) or (N,) taken for y (N,) alike."""
    return F.mse_loss(outputs.reshape(y.shape), y) if y.is_floating_point() else F.cross_entropy(outputs, y)


@contextmanager
def _mode(net, *, training):
    """net in training or evaluation mode; after it, every module is in the mode it was in."""
    before = {module: module.training for module in net.modules()}
    net.train(training)
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def _check(x, y):
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, y {len(y)}: give as many of both, at least one")
