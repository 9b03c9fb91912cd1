"""Greedy layer-wise training: one block at a time, with a head of its own; the blocks below are trained already and stay as they are.

No gradient crosses the border of a block, so that only one block's activations are ever kept. The price: a block learns what helps its own
head, not what would help the blocks above it.
Sources: Bengio et al. 2007, sec. 3; Belilovsky et al. 2019, sec. 3. Here a head is the mean over all places and one linear layer.
"""
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from odl_kit.learners import memory, train
from odl_kit.learners.plan import UpdatePlan, full
from odl_kit.models import chain, nets


@dataclass(frozen=True, eq=False)
class Stage:
    """One block at school. below: the blocks before it, frozen; learns: the block and its head. They share the weights of the net.

    The head of the last stage is that of the net; the others are thrown away after their stage.
    """
    name: str
    below: nn.Sequential
    learns: nn.Sequential

    @property
    def whole(self):
        """x -> logits, from the images up."""
        return nn.Sequential(OrderedDict(below=self.below, learns=self.learns))

    @property
    def plan(self):
        """The UpdatePlan of `whole`: the block and its head learn."""
        every = full(self.whole)
        return UpdatePlan({name for name in every.biases if name.startswith("learns.")},
                          {name: count for name, count in every.channels.items() if name.startswith("learns.")})


@torch.no_grad()
def stages(net, x, *, rng):
    """The stages of `net`: a tuple of Stage, one a block (models.chain.units, blocks whole), the last with the head of the net.

    x: one batch (N, ...), only its shape counts. rng draws the weights of the heads. Raises ValueError for a net of fewer than two blocks,
    a net without a linear layer at its end, and as models.chain.units does.
    """
    *blocks, (name, head) = chain.units(net, blocks=True).items()
    if not blocks or not isinstance(head[-1], nn.Linear):
        raise ValueError(f"the last unit is {name!r}: layer-wise training wants a linear layer there, and a block before it")
    found = []
    for place, (name, block) in enumerate(blocks, start=1):
        below = nn.Sequential(OrderedDict(blocks[:place - 1]))
        features = block(below(x))
        own = head if place == len(blocks) else _head(features, head[-1].out_features, rng)
        found.append(Stage(name, below, nn.Sequential(OrderedDict(block=block, head=own))))
    return tuple(found)


def fit(net, x, y, *, epochs, batch_size, lr, momentum=0.0, cache=True, rng, progress=True):
    """Train `net` in place, stage by stage; returns one train.History a stage, whose metrics are {"accuracy"} on (x, y) after each epoch.

    x (N, ...), y (N,) int64; epochs: of each stage. cache: compute the input of a stage once and keep it (`cache_bytes`), else run the
    blocks below for each batch again. A stage trains by an UpdatePlan, so BatchNorm keeps its stored statistics (see train.planned).
    Raises ValueError as `stages` and train.fit do.
    """
    histories = []
    for stage in stages(net, x[:1], rng=rng):
        learner, inputs = (stage.learns, inputs_of(stage, x)) if cache else (stage.whole, x)
        plan = full(stage.learns) if cache else stage.plan
        histories.append(train.fit(learner, inputs, y, epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum, plan=plan, rng=rng,
                                   progress=progress, evaluate=lambda net, inputs=inputs: train.evaluate(net, inputs, y)))
    return tuple(histories)


@torch.no_grad()
def inputs_of(stage, x, *, batch_size=512):
    """What the block of `stage` reads when the net sees x (N, ...): (N, ...) float32."""
    return torch.cat([stage.below(part) for part in x.split(batch_size)])


def report(stage, x, *, cache, rule="device"):
    """MemoryReport of one training step of a stage on the batch x (N, ...); the cache itself is not in it, see `cache_bytes`."""
    if cache:
        return memory.memory_report(stage.learns, inputs_of(stage, x), full(stage.learns), rule=rule)
    return memory.memory_report(stage.whole, x, stage.plan, rule=rule)


def cache_bytes(stage, x):
    """Bytes of the inputs of `stage` for all examples x (N, ...), which cache=True keeps; x itself for the first stage."""
    one = inputs_of(stage, x[:1])
    return len(x) * one.nelement() * one.element_size()


def _head(features, classes, rng):
    """The auxiliary head for features (N, C, H, W) or (N, C)."""
    pool = [nn.AdaptiveAvgPool2d(1)] if features.dim() == 4 else []
    return nn.Sequential(*pool, *nets.softmax(features.shape[1], classes, rng=rng))
