"""The small federation that the benchmarks of the labs share: digits, dealt to devices, a net, and its accuracy on all digits."""
from dataclasses import dataclass

import torch

from odl_kit.data import datasets, partition
from odl_kit.learners import train
from odl_kit.models import flat, nets


@dataclass(frozen=True, eq=False)
class World:
    """rng: the generator behind all of it, ready for the run. owner (N,), clients: as dealt. w (P,): the first weights of net."""
    rng: torch.Generator
    train_set: datasets.Dataset
    test_set: datasets.Dataset
    owner: torch.Tensor
    clients: partition.Clients
    net: torch.nn.Module
    w: torch.Tensor

    def evaluate(self, w):
        """{"accuracy": share of right answers on the test set} of the weights w (P,)."""
        return {"accuracy": train.evaluate(flat.assign(self.net, w), self.test_set.x, self.test_set.y)["accuracy"]}


def world(deal, seed, *, make=lambda rng: nets.mlp(64, 32, 10, rng=rng)):
    """A World whose split, deal and first weights come from `seed`, in this order. deal(y, rng=) -> owner (N,); make(rng) -> net."""
    rng = torch.Generator().manual_seed(seed)
    train_set, test_set = datasets.split(datasets.load("digits"), test=0.2, rng=rng)
    owner = deal(train_set.y, rng=rng)
    net = make(rng)
    return World(rng, train_set, test_set, owner, partition.clients(train_set, owner), net, flat.ravel(net))


def final(history, name="accuracy"):
    """The mean of a metric over the last five rounds."""
    return sum(history.curve(name)[-5:]) / 5
