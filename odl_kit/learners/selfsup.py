"""Learning features without labels: by questions whose answers the pictures bring along. learn_turns, learn_views (SimCLR), learn_pixels.

Each trains `body`, a net from x (N, ...) to features (N, D), in place, and returns a train.History. What is trained beside it, a head for
the invented question, is thrown away after. For a net of models.nets the body is net[:-1], which shares its weights.
"""
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from odl_kit.learners import optimizers, train
from odl_kit.models import nets


def turns(x):
    """x (N, C, H, H) -> x (4N, C, H, H) turned by 0, 1, 2, 3 quarters, and y (4N,) int64, how many: labels that cost nothing.

    Raises ValueError for pictures that are not square. Source: Gidaris et al. 2018, sec. 2.1.
    """
    if x.dim() != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"x is {tuple(x.shape)}: quarter turns need square pictures (N, C, H, H)")
    return torch.cat([x.rot90(k, (-2, -1)) for k in range(4)]), torch.arange(4).repeat_interleave(len(x))


def learn_turns(body, x, *, epochs, batch_size, lr, rng, optimizer=None, progress=True):
    """Train body to tell by how many quarters a picture x (N, C, H, H) was turned. Symmetric pictures have no right answer.

    Options as in train.fit; the four turns of a picture may fall into different batches. Source: Gidaris et al. 2018.
    """
    return train.fit(nn.Sequential(body, _head(body, x, 4, rng)), *turns(x), epochs=epochs, batch_size=batch_size, lr=lr, rng=rng,
                     optimizer=optimizer or optimizers.adam(), progress=progress)


def learn_pixels(body, x, *, epochs, batch_size, lr, rng, optimizer=None, progress=True):
    """Train body as the first half of an autoencoder: a linear layer must draw x (N, ...) again from the features. Options as in train.fit.

    The loss is the mean squared error of a value. If the body is linear too, the features span the same space as those of PCA (Bourlard
    and Kamp 1988). Source: Hinton and Salakhutdinov 2006, with a decoder of one layer.
    """
    return train.fit(nn.Sequential(body, _head(body, x, x[0].numel(), rng)), x, x.flatten(1), epochs=epochs, batch_size=batch_size, lr=lr,
                     rng=rng, optimizer=optimizer or optimizers.adam(), progress=progress)


def nt_xent(a, b, *, temperature=0.5):
    """SimCLR's loss, a scalar. a, b (N, D): features of two views; row n of both is the same picture, all other rows are others.

        l(i, j) = -ln( exp(s_ij / t) / sum_{k != i} exp(s_ik / t) ),    s: cosine,    (i, j): the two views of a picture, both ways
    and the mean of all 2N. Guessing gives ln(2N - 1). Raises ValueError for unequal shapes, one picture alone, and t <= 0.
    Source: Chen et al. 2020, eq. 1 (NT-Xent) and algorithm 1.
    """
    if a.dim() != 2 or a.shape != b.shape or len(a) < 2 or not temperature > 0:
        raise ValueError(f"a is {tuple(a.shape)}, b is {tuple(b.shape)}, temperature={temperature}: give two (N, D) with N >= 2, and a "
                         "temperature above 0")
    both = F.normalize(torch.cat([a, b]), dim=1)
    scores = (both @ both.T / temperature).fill_diagonal_(-torch.inf)       # k != i
    return F.cross_entropy(scores, torch.arange(len(both)).roll(len(a)))


def learn_views(body, x, view, *, epochs, batch_size, lr, rng, temperature=0.5, optimizer=None, progress=True):
    """Train body so that two views of a picture come out alike, and views of different pictures do not (contrastive, SimCLR).

    view: function of x (B, ...), rng=... -> the same shape, changed at random, in ways that do not change what the picture shows:
    images.jitter, say. It decides what the features will ignore. A projection of two layers stands between features and loss, and is thrown
    away. batch_size: each picture is held against all others of its batch; a last batch of one picture is left out.
    Raises ValueError unless epochs >= 1 and batch_size >= 2. Source: Chen et al. 2020, algorithm 1 (its batches have 4096 pictures).
    """
    if epochs < 1 or batch_size < 2 or len(x) < 2:
        raise ValueError(f"{len(x)} examples, epochs={epochs}, batch_size={batch_size}: a picture needs another one in its batch")
    width = _width(body, x)
    net = nn.Sequential(body, nets.mlp(width, width, width, rng=rng)).train()
    learning = [p for p in net.parameters() if p.requires_grad]
    step, states, losses = optimizer or optimizers.adam(), [None] * len(learning), []
    for _ in tqdm(range(epochs), desc="views", unit="epoch", disable=None if progress else True):
        total, seen = 0.0, 0
        for batch in torch.randperm(len(x), generator=rng).split(batch_size):
            if len(batch) < 2:
                continue
            loss = nt_xent(*(net(view(x[batch], rng=rng)) for _ in range(2)), temperature=temperature)
            gradients = torch.autograd.grad(loss, learning)
            with torch.no_grad():
                states = [step(p, g, state, lr) for p, g, state in zip(learning, gradients, states, strict=True)]
            total, seen = total + loss.item() * len(batch), seen + len(batch)
        losses.append(total / seen)
    return train.History(tuple(losses))


@torch.no_grad()
def _width(body, x):
    """D, how many features body makes; its mode and statistics stay as they are."""
    return nn.Sequential(body).eval()(x[:1]).shape[1]


def _head(body, x, outputs, rng):
    return nets.softmax(_width(body, x), outputs, rng=rng)
