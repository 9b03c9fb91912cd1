"""Is it you? An embedding that many users train together, and what a device compares with at home: a prototype, or a secret code.

Each user has examples of one class only, "me", so plain cross-entropy has nothing to push apart. FedUV (Hosseini et al. 2021) gives every
user a secret code and lets the user pull its own outputs towards it; codes that differ keep users apart though nobody sees another's.
Here codes are drawn at random: the paper takes words of an error-correcting code, which are sure to lie far apart.
"""
import torch
from torch.nn import functional as F

from odl_kit.federation.metrics import equal_error_rate
from odl_kit.learners.cohort import Uplink
from odl_kit.models import flat


def secret_codes(num_users, bits, *, rng):
    """(num_users, bits) float32 of +1 and -1, one row a user, no two alike. Raises ValueError if there are not that many codes."""
    if not 1 <= num_users <= 2 ** bits:
        raise ValueError(f"{num_users} users, and {bits} bits make {2 ** bits} codes: take more bits")
    while True:
        codes = torch.randint(2, (num_users, bits), generator=rng) * 2.0 - 1
        if len(codes.unique(dim=0)) == num_users:
            return codes


def match(outputs, targets):
    """(N, U): the cosine of each of outputs (N, D) with each of targets (U, D), codes or prototypes: 1 is the same direction."""
    return F.normalize(outputs, dim=1) @ F.normalize(targets, dim=1).T


def code_loss(outputs, code, *, unit=True):
    """Mean of max(0, 1 - correlation of an output with the code): outputs (n, bits), code (bits,) -> scalar.

    unit: outputs are first brought to the length of a code, so that a long output is no short cut; else they are taken as they are.
    """
    correlation = match(outputs, code[None]).squeeze(1) if unit else outputs @ code / len(code)
    return (1 - correlation).clamp(min=0).mean()


def train_codes(net, clients, codes, w, chosen, *, steps, batch_size, lr, unit=True, rng):
    """The `chosen` users ((m,) int64) each pull the net from w (P,) towards their own row of codes (C, bits) -> cohort.Uplink.

    partial(train_codes, net, clients, codes, steps=...) is a `train` for rounds.run. clients: x (C, N, ...) and num_examples (C,); labels
    are not looked at, all examples of a client are its user's. Each step is SGD on a batch drawn with replacement.
    """
    updates = []
    for c in chosen.tolist():
        flat.assign(net, w)
        parameters = list(net.parameters())
        for _ in range(steps):
            batch = torch.randint(int(clients.num_examples[c]), (batch_size,), generator=rng)
            gradients = torch.autograd.grad(code_loss(net(clients.x[c, batch]), codes[c], unit=unit), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= lr * gradient
        updates.append(flat.ravel(net) - w)
    updates = torch.stack(updates)
    return Uplink(updates, clients.num_examples[chosen], chosen, updates.numel() * updates.element_size(), note="one by one")


def prototypes(embeddings, user, users):
    """(U, D): the mean of each user's embeddings, each brought to length 1 first. embeddings (N, D), user (N,), users: U ids.

    Raises ValueError that names a user without an example.
    """
    missing = [int(u) for u in users if not (user == u).any()]
    if missing:
        raise ValueError(f"users {missing} have no example to enrol with")
    rows = F.normalize(embeddings, dim=1)
    return torch.stack([rows[user == u].mean(0) for u in users])


def error_rates(scores, user, users, *, against=None):
    """The equal error rate of each of U users, (U,) float64: its own examples against those of others.

    scores: (N, U), how well example n matches users[u]. user: (N,), whose example it is; some may belong to none of `users`.
    against: whose examples count as others' (ids); None: everybody's. Every user has a threshold of its own, as on its own device.
    Raises ValueError as metrics.equal_error_rate does.
    """
    rates = []
    for k, u in enumerate(users):
        counts = torch.ones_like(user, dtype=torch.bool) if against is None else (user == u) | torch.isin(user, against)
        rates.append(equal_error_rate(scores[counts, k], (user[counts] == u).long()))
    return torch.stack(rates)
