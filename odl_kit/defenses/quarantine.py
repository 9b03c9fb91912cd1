"""An example far from the prototype of the class it claims is neither learned nor thrown away: it waits until somebody decides.

Prototypes are the class means of Snell et al. 2017 (sec. 2.2), with the cosine distance instead of theirs. The device keeps K vectors and K
limits, not the clean data. What this cannot see: a wrong example near its class's prototype, which is what a careful attacker makes.
"""
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Queue:
    """What waits. x (M, ...), y (M,) int64, distance (M,) float32, number (M,) int64: how many examples had been screened before it.

    capacity: the most that may wait. screened, turned_away: counts so far; who comes to a full queue is turned away, so that a flood
    pushes no evidence out.
    """
    x: torch.Tensor
    y: torch.Tensor
    distance: torch.Tensor
    number: torch.Tensor
    capacity: int
    screened: int = 0
    turned_away: int = 0

    def __len__(self):
        return len(self.number)

    def __repr__(self):
        return f"{len(self)} of {self.screened} screened examples wait ({self.capacity} places), {self.turned_away} were turned away"


def prototypes(x, y, num_classes):
    """(K, D) float32: the mean of each class's examples, each brought to length 1 first. x (N, ...), or embeddings (N, D); y (N,) int64.

    Raises ValueError that names the classes without an example.
    """
    rows = F.normalize(x.float().flatten(1), dim=1)
    count = torch.bincount(y, minlength=num_classes)
    if len(count) > num_classes or (count == 0).any():
        missing = (count[:num_classes] == 0).nonzero().flatten().tolist()
        raise ValueError(f"{num_classes} classes, labels ask for {len(count)}, {missing} have no example: give clean ones of every "
                         "class, and of no other")
    return torch.zeros(num_classes, rows.shape[1]).index_add_(0, y, rows) / count[:, None]


def distance(x, y, prototypes):
    """(N,) float32: 1 - cosine of each example with the prototype of the class y (N,) it claims; 0 the same direction, 2 the opposite.

    An example of zeros has distance 1, one with nan has nan.
    """
    return 1 - (F.normalize(x.float().flatten(1), dim=1) * F.normalize(prototypes, dim=1)[y]).sum(1)


def limits(distances, y, num_classes, *, keep=0.99):
    """(K,) float32: for each class the distance that a share `keep` of its clean examples does not exceed. distances, y: (N,).

    The examples should not be those of the prototypes, which lie closer to them than new ones. About 1 - keep of the honest examples wait;
    a larger keep lets more wrong ones pass. Raises ValueError unless 0 < keep <= 1, and for a class without an example.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep={keep}: give a share above 0, at most 1")
    missing = [k for k in range(num_classes) if not (y == k).any()]
    if missing:
        raise ValueError(f"classes {missing} have no clean example to set a limit with")
    return torch.stack([distances[y == k].quantile(keep, interpolation="higher") for k in range(num_classes)])


def empty(shape, *, capacity, dtype=torch.float32):
    """A Queue with nothing in it, for examples of `shape`. Raises ValueError unless capacity >= 1."""
    if capacity < 1:
        raise ValueError(f"capacity={capacity}: a quarantine needs at least one place")
    return Queue(torch.empty(0, *shape, dtype=dtype), torch.empty(0, dtype=torch.int64), torch.empty(0), torch.empty(0, dtype=torch.int64),
                 capacity)


def screen(queue, x, y, *, prototypes, limits):
    """Screen a batch, x (N, ...) and y (N,) int64 -> (accepted (N,) bool, Queue). Learn from x[accepted] only.

    Whoever is not surely within the limit of its class is held, nan too. Raises ValueError for a label that is no class.
    """
    if len(y) and not (0 <= int(y.min()) and int(y.max()) < len(prototypes)):
        raise ValueError(f"labels from {int(y.min())} to {int(y.max())}, there are classes 0 to {len(prototypes) - 1}: check labels first")
    far = distance(x, y, prototypes)
    accepted = far <= limits[y]
    held = (~accepted).nonzero().flatten()
    fits = held[:queue.capacity - len(queue)]
    return accepted, replace(queue, x=torch.cat([queue.x, x[fits]]), y=torch.cat([queue.y, y[fits]]),
                             distance=torch.cat([queue.distance, far[fits]]), number=torch.cat([queue.number, queue.screened + fits]),
                             screened=queue.screened + len(x), turned_away=queue.turned_away + len(held) - len(fits))


def decide(queue, *, release=(), drop=()):
    """Somebody has looked -> (x, y, Queue): the examples released to learn from, and the queue without them and without the dropped.

    release, drop: numbers of waiting examples. Raises ValueError for a number that does not wait, or that is in both.
    """
    waiting, both = set(queue.number.tolist()), {*release} & {*drop}
    if both or not {*release, *drop} <= waiting:
        raise ValueError(f"release {list(release)}, drop {list(drop)}: each number once, out of those that wait: {sorted(waiting)}")
    free, gone = (torch.tensor([number in chosen for number in queue.number.tolist()], dtype=torch.bool)
                  for chosen in ({*release}, {*release, *drop}))
    return queue.x[free], queue.y[free], replace(queue, x=queue.x[~gone], y=queue.y[~gone], distance=queue.distance[~gone],
                                                 number=queue.number[~gone])
