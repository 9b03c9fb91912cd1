"""Train the net that the labs adapt to the second sensor: nets.mobile_net, 13 convolutions, on the 898 clean images of the first.

40 epochs, batch 64, SGD with momentum 0.9, weight decay 5e-4, cosine rate from 0.1; then the norms are folded, so the stored weights are
those of nets.mobile_net(1, 10, norm=None): 13,482 for each of five seeds. Half a minute.

    python datasets/sensor_shift/pretrain.py        writes pretrained.npz
"""
import torch
from torch.nn import functional as F

from odl_kit.data import datasets, pretrained
from odl_kit.models import flat, fold, nets


def make(seed, epochs=40, batch_size=64):
    """w (13482,) float32: weights drawn and batches ordered by `seed`."""
    rng = torch.Generator().manual_seed(seed)
    data = datasets.load("sensor_shift")
    clean = data.subset(data.user == 0)
    net = nets.mobile_net(1, 10, rng=rng)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(clean) // batch_size))
    for _ in range(epochs):
        for batch in torch.randperm(len(clean), generator=rng).split(batch_size)[:len(clean) // batch_size]:
            optimizer.zero_grad()
            F.cross_entropy(net(clean.x[batch]), clean.y[batch]).backward()
            optimizer.step()
            schedule.step()
    return flat.ravel(fold.fold(net))


if __name__ == "__main__":
    pretrained.build(__file__, make, seeds=range(5))
