"""Train the net that the labs personalise: nets.ds_cnn, 48 channels, 3 blocks, on the 2,688 clips of the 32 training speakers.

12 epochs, batch 64, AdamW with a one-cycle rate up to 1e-2, each clip jittered anew in every epoch; then the norms are folded, so the
stored weights are those of nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm=None): 11,052 for each of five seeds. A minute or two.

    python datasets/keywords/pretrain.py        writes pretrained.npz
"""
from dataclasses import replace

import torch
from torch.nn import functional as F

from odl_kit.data import datasets, pretrained, sounds
from odl_kit.models import flat, fold, nets


def make(seed, epochs=12, batch_size=64, without=None):
    """w (11052,) float32: weights drawn and batches ordered by `seed`. without: a class that the net shall never hear; those behind it
    move up by one, and w has 49 numbers less."""
    rng = torch.Generator().manual_seed(seed)
    data = datasets.load("keywords").group("train")
    if without is not None:
        data = data.subset(data.y != without)
        data = replace(data, y=data.y - (data.y > without).long(), classes=())
    net = nets.ds_cnn(1, 12 if without is None else 11, width=48, blocks=3, stem=(10, 4), norm="batch", rng=rng)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=epochs * -(-len(data) // batch_size))
    for _ in range(epochs):
        for batch in torch.randperm(len(data), generator=rng).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(net(sounds.jitter(data.x[batch], rng=rng)), data.y[batch]).backward()
            optimizer.step()
            schedule.step()
    return flat.ravel(fold.fold(net))


if __name__ == "__main__":
    pretrained.build(__file__, make, seeds=range(5))
