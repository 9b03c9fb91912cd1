"""Who owns which example: `owner (N,)` int64, every example owned by exactly one client 0..C-1; then padded once into Clients."""
from dataclasses import dataclass

import numpy as np
import torch

TRIES = 1000        # draws that `dirichlet` makes before it gives up


def iid(y, *, num_clients, rng):
    """Every client gets a random share of the same size (+-1). y (N,) -> owner (N,) int64. Raises ValueError if num_clients > N or < 1."""
    _check_clients(len(y), num_clients)
    owner = torch.empty(len(y), dtype=torch.int64)
    owner[torch.randperm(len(y), generator=rng)] = torch.arange(len(y)) % num_clients
    return owner


def shards(y, *, num_clients, per_client=2, rng):
    """Sort by label, cut into num_clients * per_client shards of equal size (+-1), deal per_client of them to each client.

    y (N,) int64 labels -> owner (N,) int64. With two shards a client owns two labels or so. Examples of one label are in random order.
    Raises ValueError if there are more shards than examples. Source: McMahan et al. 2017, sec. 3 (200 shards of 300, 100 clients).
    """
    _check_clients(len(y), num_clients)
    num_shards = num_clients * per_client
    if not 1 <= per_client or num_shards > len(y):
        raise ValueError(f"{num_clients} clients x per_client={per_client} is {num_shards} shards, there are {len(y)} examples: "
                         f"take per_client from 1 to {len(y) // num_clients}, or fewer clients")
    shuffled = torch.randperm(len(y), generator=rng)
    by_label = shuffled[y[shuffled].argsort(stable=True)]
    shard = torch.arange(len(y)) * num_shards // len(y)
    client = torch.randperm(num_shards, generator=rng) // per_client
    owner = torch.empty(len(y), dtype=torch.int64)
    owner[by_label] = client[shard]
    return owner


def dirichlet(y, *, num_clients, alpha, min_examples=1, rng):
    """Each label is shared out in proportions q ~ Dirichlet(alpha, ..., alpha) over the clients: small alpha, skewed labels and sizes.

    y (N,) int64 labels -> owner (N,) int64. Draws again until every client owns min_examples; raises ValueError after TRIES draws, or at
    once when min_examples * num_clients > N or alpha <= 0. Source: Yurochkin et al. 2019 (label by label, as here). Hsu et al. 2019
    draw the labels of each client instead, so that all clients are equally large; here the sizes differ as well.
    """
    _check_clients(len(y), num_clients)
    if not alpha > 0:
        raise ValueError(f"alpha = {alpha}, it must be > 0: 0.1 gives one or two labels a client, 100 is near iid")
    if min_examples < 1 or min_examples * num_clients > len(y):
        raise ValueError(f"min_examples = {min_examples} for {num_clients} clients, there are {len(y)} examples: take 1 to "
                         f"{len(y) // num_clients}")
    draw = np.random.default_rng(torch.randint(2**62, (), generator=rng).item())
    label, labels = y.numpy(), int(y.max()) + 1
    order = np.lexsort((draw.random(len(y)), label))                    # by label, in random order within a label
    count = np.bincount(label, minlength=labels)
    rank = np.arange(len(y)) - np.repeat(count.cumsum() - count, count)
    place = label[order] + (rank + 0.5) / count[label[order]]           # label + position within it, in (0, 1)
    best = 0
    for _ in range(TRIES):
        upto = draw.dirichlet(np.full(num_clients, alpha), size=labels).cumsum(1)
        upto[:, -1] = 1                                                 # cumsum ends at 1 only up to rounding
        client = np.searchsorted((upto + np.arange(labels)[:, None]).ravel(), place) % num_clients
        smallest = np.bincount(client, minlength=num_clients).min()
        if smallest >= min_examples:
            owner = np.empty(len(y), dtype=np.int64)
            owner[order] = client
            return torch.from_numpy(owner)
        best = max(best, smallest)
    raise ValueError(f"{TRIES} draws with alpha = {alpha} all left one of {num_clients} clients with fewer than min_examples = "
                     f"{min_examples} of {len(y)} examples (best draw: {best}): larger alpha or fewer clients may do")


def by_user(user):
    """Every person is a client: user (N,) int64 -> owner (N,) int64, people numbered 0..C-1 in sorted order. ValueError if user is None."""
    if user is None:
        raise ValueError("this data set does not say whose each example is (user is None): split by label or at random (shards, iid)")
    return torch.unique(user, return_inverse=True)[1]


@dataclass(frozen=True, eq=False)
class Description:
    """What clients own: sizes (C,) int64, histogram (C, labels) int64. Prints as a table, at most ten clients of it."""
    sizes: torch.Tensor
    histogram: torch.Tensor

    def __str__(self):
        width = max(5, len(str(int(self.sizes.max()))) + 1)
        head = f"client  examples  label:{''.join(f'{k:>{width}}' for k in range(self.histogram.shape[1]))}"
        rows = [f"{c:>6}  {int(n):>8}        {''.join(f'{k:>{width}}' for k in row.tolist())}"
                for c, (n, row) in enumerate(zip(self.sizes[:10], self.histogram[:10], strict=True))]
        more = [f"... and {len(self.sizes) - 10} more"] * (len(self.sizes) > 10)
        sizes = f"{len(self.sizes)} clients, {int(self.sizes.sum())} examples, {int(self.sizes.min())} to {int(self.sizes.max())} each"
        return "\n".join([head, *rows, *more, sizes])

    __repr__ = __str__


def describe(owner, y):
    """Sizes and label counts of each client. owner (N,), y (N,) int64 labels -> Description."""
    _check_owner(owner, len(y))
    if y.is_floating_point():
        raise ValueError(f"y is {y.dtype}: only labels (int64) can be counted")
    num_clients, labels = int(owner.max()) + 1, int(y.max()) + 1
    histogram = torch.bincount(owner * labels + y, minlength=num_clients * labels).view(num_clients, labels)
    return Description(sizes=histogram.sum(1), histogram=histogram)


@dataclass(frozen=True, eq=False)
class Clients:
    """All clients side by side: x (C, Nmax, ...), y (C, Nmax), padded with zeros behind num_examples (C,) int64.

    clients[c] is (x, y) of client c without padding; len(clients) is C.
    """
    x: torch.Tensor
    y: torch.Tensor
    num_examples: torch.Tensor

    def __len__(self):
        return len(self.num_examples)

    def __getitem__(self, client):
        n = int(self.num_examples[client])
        return self.x[client, :n], self.y[client, :n]

    def __repr__(self):
        least, most = int(self.num_examples.min()), int(self.num_examples.max())
        return f"{len(self)} clients, {int(self.num_examples.sum())} examples, {least} to {most} each"


def clients(dataset, owner):
    """The examples of `dataset` (anything with x and y), client by client -> Clients. Within a client the order of the data set is kept."""
    _check_owner(owner, len(dataset.y))
    order = owner.argsort(stable=True)
    num_examples = torch.bincount(owner)
    row, column = owner[order], torch.arange(len(owner)) - (num_examples.cumsum(0) - num_examples)[owner[order]]

    def padded(values):
        out = values.new_zeros(len(num_examples), int(num_examples.max()), *values.shape[1:])
        out[row, column] = values[order]
        return out
    return Clients(padded(dataset.x), padded(dataset.y), num_examples)


def _check_clients(examples, num_clients):
    if not 1 <= num_clients <= examples:
        raise ValueError(f"num_clients = {num_clients}, there are {examples} examples: take 1 to {examples} clients")


def _check_owner(owner, examples):
    if owner.shape != (examples,) or owner.dtype != torch.int64 or examples == 0 or owner.min() < 0:
        raise ValueError(f"owner is {tuple(owner.shape)} {owner.dtype}: it must be ({examples},) int64, client numbers from 0")
