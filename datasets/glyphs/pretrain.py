"""Train the net that lab 22 adapts to characters never seen: nets.glyph_net, 14 convolutions, on 150 of the 240 classes.

First 2,400 steps of plain classification, batch 75, Adam with a cosine rate from 0.002; then 800 episodes of ProtoNet, 20 classes with 5
examples and 5 queries each, from 0.001. Which classes are used is episodes.split_classes(y, (150, 40, 50), rng) with a fresh generator of
the same seed: 40 are left for validation, 50 for tests. The norms are folded: the stored weights are those of nets.glyph_net(10), 21,754,
with a head of zeros, which prototypes will fill. Three seeds, about two minutes each.

    python datasets/glyphs/pretrain.py        writes pretrained.npz
"""
import torch
from torch.nn import functional as F

from odl_kit.data import datasets, pretrained
from odl_kit.learners import episodes
from odl_kit.models import flat, fold, nets

SPLIT = (150, 40, 50)


def make(seed, supervised=2400, meta=800, ways=20, queries=5, lr=0.001):
    """w (P,) float32, the head 0. supervised, meta: steps of the two stages; 0 leaves one out. ways, queries, lr: of the episodes."""
    rng = torch.Generator().manual_seed(seed)
    data = datasets.load("glyphs")
    mine, *_ = episodes.split_classes(data.y, SPLIT, rng=rng)
    seen = data.subset(torch.isin(data.y, mine))
    y = torch.searchsorted(mine.sort().values, seen.y)
    net = nets.glyph_net(len(mine), norm="batch", rng=rng)
    if supervised:
        classify(net, seen.x, y, steps=supervised, rng=rng)
    if meta:
        episodes.meta_train(net[:-1], seen.x, y, steps=meta, ways=ways, shots=5, queries=queries, lr=lr, rng=rng, progress=False)
    below = flat.ravel(fold.fold(net[:-1]))
    return torch.cat([below, torch.zeros(10 * net[-1].in_features + 10)])


def classify(net, x, y, *, steps, rng, batch_size=75):
    """Adam, cosine rate from 0.002, cross-entropy, batches drawn with replacement."""
    optimizer = torch.optim.Adam(net.parameters(), 0.002)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.randint(len(x), (batch_size,), generator=rng)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
        schedule.step()


if __name__ == "__main__":
    pretrained.build(__file__, make, seeds=range(3))
