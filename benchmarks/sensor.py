"""The task that the benchmarks of labs 03 to 07 share: a net that knows clean digits meets a second sensor."""
from dataclasses import dataclass

import torch

from odl_kit.data import datasets, pretrained
from odl_kit.models import flat, nets


@dataclass(frozen=True, eq=False)
class World:
    """rng: the generator behind all of it, ready for the run. net: pre-trained on `source`, norms folded, float32, with a new head.

    source: 898 clean images. train, validation, test: 449, 135 and 315 images of the second sensor. calibration: (128, 1, 16, 16),
    images of both sensors without labels, for quantize.quantize_model.
    """
    rng: torch.Generator
    net: torch.nn.Module
    source: datasets.Dataset
    train: datasets.Dataset
    validation: datasets.Dataset
    test: datasets.Dataset
    calibration: torch.Tensor


def world(seed):
    """A World: split and new head come from `seed` (0 to 4), the rest of the net is what was pre-trained from it."""
    rng = torch.Generator().manual_seed(seed)
    data = datasets.load("sensor_shift")
    source, target = data.subset(data.user == 0), data.subset(data.user == 1)
    order = torch.randperm(len(target), generator=rng)
    train, validation, test = (target.subset(part) for part in order.split((449, 135, 315)))
    net = nets.mobile_net(1, 10, norm=None, rng=rng)
    head = sum(p.numel() for p in net.head.parameters())
    flat.assign(net, torch.cat([pretrained.load("sensor_shift", seed=seed)[:-head], flat.ravel(net)[-head:]]))
    return World(rng, net, source, train, validation, test, torch.cat([source.x[:64], train.x[:64]]))
