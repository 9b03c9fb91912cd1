"""The brief on which designs are scored in the tests of scorecard and leaderboard."""
from types import SimpleNamespace

import pytest
import torch

from odl_kit.budget import BOARDS, Budget
from odl_kit.data import partition
from odl_kit.federation import design as designs
from odl_kit.models import nets

PHONES, PEOPLE, INPUTS, CLASSES = 40, 12, 12, 3


def people(count, per, rng, *, turned=0):
    """Three clouds of points; the last `turned` people have the classes in another order."""
    y = torch.randint(CLASSES, (count * per,), generator=rng)
    user = torch.arange(count).repeat_interleave(per)
    seen = torch.where(user >= count - turned, (y + 1) % CLASSES, y)
    x = 0.5 * torch.randn(count * per, INPUTS, generator=rng)
    x[torch.arange(len(x)), seen] += 2
    return SimpleNamespace(x=x, y=y, user=user)


def part(data, when):
    return partition.clients(SimpleNamespace(x=data.x[when], y=data.y[when]), data.user[when])


@pytest.fixture(scope="session")
def brief():
    """A small capstone: 40 phones, 12 people to be served, the last two of them unlike the others."""
    rng = torch.Generator().manual_seed(0)
    train_set, test, given = people(PHONES, 10, rng), people(PEOPLE, 30, rng, turned=2), people(2, 20, rng)
    early = torch.arange(len(test.y)) % 30 < 15
    return designs.Brief(net=lambda hidden, rng: nets.mlp(INPUTS, hidden, CLASSES, rng=rng),
                         phones=partition.clients(train_set, train_set.user), first=part(test, early), later=part(test, ~early),
                         volunteers=(given.x, given.y), board=BOARDS["nano33"], budget=Budget(flash=10**5, sram=10**5), epsilon=None,
                         delta=0.01, secure=False, attack=lambda uplink, state, rng: (uplink, state),
                         mJ=lambda macs, link_bytes, calls: macs + 1000 * link_bytes + 10**6 * calls)
