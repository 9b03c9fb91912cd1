"""Checks and quizzes of lab 15. Judging uses NumPy on plain copied values."""
import math

import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def release_cases(rng):
    """Short, long and zero updates; more and fewer clients than expected."""
    for clients, weights, clip_norm, noise_multiplier, expected in ((4, 5, 1.0, 0.7, 6), (3, 2, 0.5, 0.0, 3), (5, 3, 2.0, 1.5, 4)):
        updates = torch.randn(clients, weights, generator=rng) * torch.logspace(-1, 1, clients)[:, None]
        updates[0] = 0
        yield updates, clip_norm, noise_multiplier, torch.randn(weights, generator=rng), expected


def release_judge(case, output):
    updates, clip_norm, noise_multiplier, noise, expected = case
    total = noise_multiplier * clip_norm * noise.astype(np.float64)
    for update in updates.astype(np.float64):
        length = math.sqrt((update ** 2).sum())
        total = total + update * (clip_norm / length if length > clip_norm else 1)
    return close(output, (total / expected).astype(np.float32), rtol=1e-3, atol=1e-5)


def next_clip_cases(rng):
    """From far below and far above, and from the quantile itself."""
    norms = torch.rand(20, generator=rng) + 1
    for clip_norm, quantile, eta in ((0.1, 0.5, 0.2), (30.0, 0.5, 0.5), (float(norms.median()), 0.8, 0.3)):
        yield clip_norm, norms, quantile, eta


def next_clip_judge(case, output):
    clip_norm, norms, quantile, eta = case
    share = sum(norm <= clip_norm for norm in norms.astype(np.float64).tolist()) / len(norms)
    return close(output, clip_norm * math.exp(-eta * (share - quantile)), rtol=1e-4)


def masked_cases(rng):
    """The smallest number, the largest, and one in between."""
    for me in (0, 2, 5):
        pairs = {other: torch.randint(2 ** 32, (6,), generator=rng) for other in range(6) if other != me}
        yield torch.randint(2 ** 20, (6,), generator=rng), torch.randint(2 ** 32, (6,), generator=rng), pairs, me


def masked_judge(case, output):
    x, own_mask, pair_masks, me = case
    columns = zip(x.tolist(), own_mask.tolist(), *([(1 if me < other else -1) * value for value in mask.tolist()]
                                                   for other, mask in pair_masks.items()), strict=True)
    return close(output, np.array([sum(column) % 2 ** 32 for column in columns]))


checks = {
    "release": Check(
        points=3,
        cases=release_cases,
        judge=release_judge,
        hints=("An update shorter than the clip stays as it is; the factor is never above 1. A zero update must not divide by zero.",
               "`clip_norm / norms.clamp(min=clip_norm)` is the factor for each row. The noise on the sum is noise_multiplier * clip_norm "
               "* noise, added once."),
        solution='''\
def release(updates, clip_norm, noise_multiplier, noise, expected):
    """updates (C, P), noise (P,) -> the noised mean (P,)."""
    norms = updates.norm(dim=1, keepdim=True)
    clipped = updates * (clip_norm / norms.clamp(min=clip_norm))
    noised = clipped.sum(0) + noise_multiplier * clip_norm * noise
    return noised / expected
''',
        wrong=('''\
def release(updates, clip_norm, noise_multiplier, noise, expected):
    norms = updates.norm(dim=1, keepdim=True)
    clipped = updates * (clip_norm / norms.clamp(min=clip_norm))
    return (clipped.sum(0) + noise_multiplier * clip_norm * noise) / len(updates)
''', '''\
def release(updates, clip_norm, noise_multiplier, noise, expected):
    norms = updates.norm(dim=1, keepdim=True).clamp(min=1e-12)
    clipped = updates * clip_norm / norms
    return (clipped.sum(0) + noise_multiplier * clip_norm * noise) / expected
'''),
    ),
    "next_clip": Check(
        points=2,
        cases=next_clip_cases,
        judge=next_clip_judge,
        hints=("When everybody fits (share 1), the clip is too long and must fall.",
               "`share = (norms <= clip_norm).float().mean()`; the exponent is minus eta times (share - quantile)."),
        solution='''\
def next_clip(clip_norm, norms, quantile, eta):
    """norms (C,) of this round's updates -> the clip of the next round, a float."""
    share = float((norms <= clip_norm).float().mean())
    return clip_norm * 2.718281828459045 ** (-eta * (share - quantile))
''',
        wrong=('''\
def next_clip(clip_norm, norms, quantile, eta):
    share = float((norms <= clip_norm).float().mean())
    return clip_norm * 2.718281828459045 ** (eta * (share - quantile))
''', '''\
def next_clip(clip_norm, norms, quantile, eta):
    share = float((norms > clip_norm).float().mean())
    return clip_norm * 2.718281828459045 ** (-eta * (share - quantile))
'''),
    ),
    "masked": Check(
        points=2,
        cases=masked_cases,
        judge=masked_judge,
        hints=("The smaller number of a pair adds the mask, the larger one subtracts it.",
               "`mask if me < other else -mask`; at the end everything is taken `% 2 ** 32`."),
        solution='''\
def masked(x, own_mask, pair_masks, me):
    """x, own_mask (P,) int64; pair_masks {other phone: (P,) int64} -> (P,) int64 in 0 .. 2**32 - 1."""
    signed = [mask if me < other else -mask for other, mask in pair_masks.items()]
    total = x + own_mask + sum(signed)
    return total % 2 ** 32
''',
        wrong=('''\
def masked(x, own_mask, pair_masks, me):
    return (x + own_mask + sum(pair_masks.values())) % 2 ** 32
''', '''\
def masked(x, own_mask, pair_masks, me):
    total = x
    for other, mask in pair_masks.items():
        total = total + (mask if me < other else -mask)
    return total % 2 ** 32
'''),
    ),
}

quizzes = {
    "whose_promise": Quiz(
        "A vendor says: 'trained with differential privacy, epsilon 2, by noise on the gradient of each message'. You wrote 400 messages. "
        "What are you promised?",
        {
            "Epsilon 2 for you as a person": (False, "That would be a client-level promise: noise on a sum of clipped *client* updates."),
            "Epsilon 2 for any single message; much less for all 400 together":
                (True, "The unit is the record. What all your messages say together, such as your name in each, is hardly protected."),
            "Nothing, since noise on gradients cannot protect text": (False, "It does protect, one message at a time. The proof does not "
            "care what a record is."),
            "That nobody can ever read your messages": (False, "Privacy of this kind is about what the *model* gives away, not about who "
            "can read a phone."),
        },
    ),
    "secure_and_private": Quiz(
        "Updates are aggregated securely, without any noise. What can the server still find out?",
        {
            "Nothing: it never sees an update": (False, "It sees the sum, round after round, and the model that comes of it."),
            "Each update, because it also gets the shares of the masks":
                (False, "It gets one kind of share of each phone, never both, so it can take off one of its two masks only."),
            "What the sum gives away: a phone with a word that nobody else uses leaves its mark there too":
                (True, "Secure aggregation hides who said it, not that it was said. Noise on the sum is what blurs the mark."),
            "The number of weights, and nothing else": (False, "The sum itself is what it is all for, and the sum speaks."),
        },
    ),
}
