"""Few-shot learning: episodes of classes never seen before, and prototypes, which need no training on the device.

A class is the mean of what the net makes of its few examples; a new example goes to the nearest. Source: Snell et al. 2017 (ProtoNet).
"""
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm


@dataclass(frozen=True, eq=False)
class Episode:
    """One few-shot task: support_x (ways * shots, ...), support_y int64 to learn from, query_x and query_y to be tested on.

    Classes are numbered 0 to ways - 1 anew, class by class. classes: (ways,) int64, what they were called before.
    """
    support_x: torch.Tensor
    support_y: torch.Tensor
    query_x: torch.Tensor
    query_y: torch.Tensor
    classes: torch.Tensor


def split_classes(y, sizes, *, rng):
    """The classes in y (N,) int64, shuffled and dealt: a tuple of (n,) int64, one for each n in `sizes`; what is left over is left out.

    For learning that is tested on classes never seen. Raises ValueError if there are fewer classes than asked for.
    """
    classes = torch.unique(y)
    if sum(sizes) > len(classes):
        raise ValueError(f"sizes {tuple(sizes)} ask for {sum(sizes)} classes, y has {len(classes)}")
    return classes[torch.randperm(len(classes), generator=rng)][:sum(sizes)].split(list(sizes))


def draw(x, y, *, ways, shots, queries, rng):
    """An Episode of `ways` classes drawn from those in y, with `shots` examples of each to learn from and `queries` to test on.

    x (N, ...), y (N,) int64. Raises ValueError for more classes than there are, and for a class with too few examples.
    """
    classes = torch.unique(y)
    if not 1 <= ways <= len(classes):
        raise ValueError(f"ways={ways}, and y has {len(classes)} classes: give 1 to {len(classes)}")
    classes, chosen = classes[torch.randperm(len(classes), generator=rng)[:ways]], []
    for c in classes.tolist():
        own = (y == c).nonzero().flatten()
        if not 1 <= shots <= shots + queries <= len(own):
            raise ValueError(f"shots={shots} and queries={queries}, and class {c} has {len(own)} examples: ask for at least 1 shot, and "
                             "for no more than there are")
        chosen.append(own[torch.randperm(len(own), generator=rng)[:shots + queries]])
    index, labels = torch.stack(chosen), torch.arange(ways)
    support, query = index[:, :shots].flatten(), index[:, shots:].flatten()
    return Episode(x[support], labels.repeat_interleave(shots), x[query], labels.repeat_interleave(queries), classes)


def prototypes(features, y):
    """The mean of each class. features (N, D), y (N,) int64 from 0 to C - 1, none missing -> (C, D). Snell et al. 2017, eq. 1."""
    counts = torch.bincount(y)
    if not counts.all():
        raise ValueError(f"class {int((counts == 0).nonzero()[0])} has no example, so it has no prototype: number the classes from 0")
    return features.new_zeros(len(counts), features.shape[1]).index_add(0, y, features) / counts[:, None]


def linear_head(centres):
    """Nearest prototype as a linear layer: centres (C, D) -> weight (C, D), bias (C,).

    -|f - c|^2 = 2 c.f - |c|^2 - |f|^2, and |f|^2 is the same for every class. Snell et al. 2017, sec. 2.4.
    """
    return 2 * centres, -(centres * centres).sum(1)


@torch.no_grad()
def set_head(net, x, y):
    """Write the prototypes of x (N, ...), y (N,) into the head of `net`, in place; returns `net`. Nothing is trained.

    net: a Sequential that ends in a Linear, as in models.nets; its norms use their stored statistics.
    Raises ValueError if the head has another number of classes than y.
    """
    training = net.training
    weight, bias = linear_head(prototypes(net.eval()[:-1](x), y))
    if net[-1].weight.shape != weight.shape:
        raise ValueError(f"the head is for {len(net[-1].weight)} classes, y has {len(weight)}: make the net with {len(weight)}")
    net[-1].weight.copy_(weight)
    net[-1].bias.copy_(bias)
    net.train(training)
    return net


def loss(features, episode):
    """Cross-entropy of the queries by distance from the prototypes of the support: a scalar to differentiate. Snell et al. 2017, eq. 2.

    features: a function or net, (N, ...) -> (N, D). Support and queries go through it together.
    """
    made = features(torch.cat([episode.support_x, episode.query_x]))
    seen, asked = made.split([len(episode.support_x), len(episode.query_x)])
    return F.cross_entropy(F.linear(asked, *linear_head(prototypes(seen, episode.support_y))), episode.query_y)


def meta_train(features, x, y, *, steps, ways, shots, queries, lr, rng, progress=True):
    """Train `features` in place on `steps` episodes, by Adam with a cosine rate from `lr`; returns the losses, one an episode.

    x (N, ...), y (N,) int64; ways, shots, queries as for `draw`. This is ProtoNet, and TinyTrain's offline stage.
    """
    optimizer = torch.optim.Adam(features.parameters(), lr)
    schedule, losses = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), []
    features.train()
    for _ in tqdm(range(steps), desc="episodes", unit="episode", disable=None if progress else True):
        value = loss(features, draw(x, y, ways=ways, shots=shots, queries=queries, rng=rng))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        losses.append(value.item())
    return losses
