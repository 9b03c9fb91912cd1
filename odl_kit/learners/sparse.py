"""Contribution analysis: how much accuracy does each part of a net give, if it learns? From these scores learners.search picks a plan."""
import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from odl_kit.learners import cohort_plans, kept, optimizers, plan
from odl_kit.learners import train as training
from odl_kit.models import flat, layers

RATIOS = (1 / 8, 1 / 4, 1 / 2, 1)


@dataclass(frozen=True)
class Contribution:
    """What learning adds, in accuracy (0 to 1) on validation data.

    head: the accuracy when only the head learns. biases: (n + 1,); biases[k] is what the biases of the last k convolutions add to that.
    weights: {convolution: {input channels: gain}}, in the order of the net: what so many channels of its weight add, if the biases of this
    and of all later convolutions learn anyway.
    """
    head: float
    biases: tuple
    weights: dict

    def predicted(self, wish):
        """head and the gains of all that an UpdatePlan lets learn, added up: the accuracy if gains did not depend on each other.

        wish: a plan in the paper's notation, as plan.from_scheme makes them. Raises ValueError for a number of channels that was not tried.
        """
        gains = [self.biases[sum(name in wish.biases for name in self.weights)]]
        for name, count in wish.channels.items():
            if name in self.weights and count and count not in self.weights[name]:
                tried = ", ".join(map(str, self.weights[name])) or "none"
                raise ValueError(f"{count} channels of {name!r} were not tried: tried are {tried}")
            gains.append(self.weights.get(name, {}).get(count, 0.0))
        return self.head + sum(gains)


def contribution(net, train, validation, *, epochs, batch_size=32, lr, momentum=0.9, ratios=RATIOS, rng, progress=True):
    """The Contribution of the biases and weights of `net`, found by training it once for each: about 5 runs a convolution.

    train, validation: (x, y) each; give no test data. lr: the top of a cosine. ratios: of the input channels of a weight, those of the
    largest norm. Every run starts from the weights that net has, and sees the same batches, drawn from rng. The result is kept
    (learners.kept), under a key of all that it depends on. progress: a bar.

      gain_b[k]    = accuracy(biases of the last k) - accuracy(head alone)
      gain_w[i, r] = accuracy(biases from i on, and a share r of the weight of i) - accuracy(biases from i on)

    The head learns in every run. net is float32 with its norms folded; its gains serve for the quantized net too, since QAS makes the steps
    of one the steps of the other (benchmarks/sparse_updates.py measures how well). Raises ValueError as plan.from_scheme does.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.2. They leave open which biases learn beside a weight; ours let the runs of one convolution
    share all that lies before it.
    """
    seed = int(torch.randint(2**62, (1,), generator=rng))       # rng moves on by one draw, kept or not
    settings = (epochs, batch_size, lr, momentum, *ratios, seed)
    traced = layers.trace(net, train[0][:1])
    key = [flat.ravel(net), *train, *validation, repr(traced), repr(settings), Path(__file__), Path(cohort_plans.__file__)]
    work = {"epochs": epochs, "batch_size": batch_size, "lr": optimizers.cosine(lr), "momentum": momentum}
    found = kept.kept("contribution", key, lambda: asdict(_measure(net, traced, train, validation, ratios, seed, work, progress)))
    weights = {name: {int(count): gain for count, gain in gains.items()} for name, gains in found["weights"].items()}
    return Contribution(found["head"], tuple(found["biases"]), weights)


def _measure(net, traced, train, validation, ratios, seed, work, progress):
    convs = [layer for layer in traced if layer.kind == "conv"]
    own = copy.deepcopy(net)
    counts = [sorted({int(conv.c_in * ratio) for ratio in ratios} - {0}) for conv in convs]
    with tqdm(total=1 + sum(1 + len(some) for some in counts), desc="contribution", unit="run", disable=None if progress else True) as bar:
        def accuracies(wishes):
            rows = cohort_plans.train(net, wishes, *train, **work, rng=torch.Generator().manual_seed(seed))
            bar.update(len(wishes))
            return [training.evaluate(flat.assign(own, w), *validation)["accuracy"] for w in rows]
        head, = accuracies([plan.from_scheme(traced, num_bias=0)])
        biases, weights = [0.0], {}
        for k in range(1, len(convs) + 1):
            conv, few = convs[-k], counts[-k]
            base = plan.from_scheme(traced, num_bias=k)
            alone, *with_weight = accuracies([base, *(plan.UpdatePlan(base.biases, base.channels | {conv.name: n}) for n in few)])
            biases.append(alone - head)
            weights[conv.name] = {n: accuracy - alone for n, accuracy in zip(few, with_weight, strict=True)}
    return Contribution(head, tuple(biases), dict(reversed(weights.items())))
