"""Checks and quizzes of lab 08. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def cka_cases(rng):
    """Noise of two widths, a turned and shifted copy, a copy with one value stretched."""
    a = torch.randn(40, 5, generator=rng)
    yield a, torch.randn(40, 3, generator=rng)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=rng))
    yield a, 3 * a @ turn + 4
    yield a, a * torch.tensor([6.0, 1, 1, 1, 1]) - 2


def cka_judge(case, output):
    a, b = (part.astype(np.float64) - part.astype(np.float64).mean(0) for part in case)
    k, other = a @ a.T, b @ b.T                 # by Gram matrices: the same number by another way
    return close(output, float((k * other).sum() / np.sqrt((k * k).sum() * (other * other).sum())), rtol=1e-3, atol=1e-4)


def reweigh_cases(rng):
    """A mixture, nothing wrong, everything wrong."""
    for wrong in (torch.rand(9, generator=rng) < 0.5, torch.zeros(9), torch.ones(9)):
        yield torch.rand(9, generator=rng).double() + 0.1, wrong.double(), 6, 0.7, 0.3


def reweigh_judge(case, output):
    weights, wrong, n, beta, beta_t = case
    factor = [(beta if i < n else 1 / beta_t) if wrong[i] else 1.0 for i in range(len(weights))]
    return close(output, np.array([w * f for w, f in zip(weights, factor, strict=True)]), rtol=1e-4)


def balanced_cases(rng):
    """One child in ten, as many of each, and a net that always says no."""
    for share in (0.1, 0.5):
        truth = torch.cat([torch.ones(3), torch.zeros(3), (torch.rand(54, generator=rng) < share)]).long()
        yield (torch.rand(60, generator=rng) < 0.6).long(), truth
    yield torch.zeros(60, dtype=torch.int64), truth


def balanced_judge(case, output):
    said, truth = (part.tolist() for part in case)
    right = {kind: [a == kind for a, b in zip(said, truth, strict=True) if b == kind] for kind in (0, 1)}
    return close(output, float(np.mean([np.mean(right[0]), np.mean(right[1])])), rtol=1e-4)


checks = {
    "cka": Check(
        points=2,
        cases=cka_cases,
        judge=cka_judge,
        hints=("Both representations are centred, each by its own mean. The norm above the line is squared.",
               "`torch.linalg.norm` of a matrix is its Frobenius norm: same is the norm of `a.T @ b`, squared."),
        solution='''\
def cka(a, b):
    """a (N, D), b (N, E) float, row n of both is the same example -> a number from 0 to 1."""
    a = a - a.mean(0)
    b = b - b.mean(0)
    same = torch.linalg.norm(a.T @ b) ** 2
    return float(same / (torch.linalg.norm(a.T @ a) * torch.linalg.norm(b.T @ b)))
''',
        wrong=('''\
def cka(a, b):
    a = a - a.mean(0)
    b = b
    same = torch.linalg.norm(a.T @ b) ** 2
    return float(same / (torch.linalg.norm(a.T @ a) * torch.linalg.norm(b.T @ b)))
''', '''\
def cka(a, b):
    a = a - a.mean(0)
    b = b - b.mean(0)
    same = torch.linalg.norm(a.T @ b)
    return float(same / (torch.linalg.norm(a.T @ a) * torch.linalg.norm(b.T @ b)))
'''),
    ),
    "reweigh": Check(
        points=2,
        cases=reweigh_cases,
        judge=reweigh_judge,
        hints=("Where wrong is 0 nothing changes, on both sides: any number to the power 0 is 1.",
               "`weights[:n] * beta ** wrong[:n]` are the others; the own examples have the exponent `-wrong[n:]` and beta_t."),
        solution='''\
def reweigh(weights, wrong, n, beta, beta_t):
    """weights, wrong (n + m,): the first n are others' examples; wrong is |h(x) - y|, 0 or 1 -> new weights (n + m,)."""
    others = weights[:n] * beta ** wrong[:n]
    own = weights[n:] * beta_t ** -wrong[n:]
    return torch.cat([others, own])
''',
        wrong=('''\
def reweigh(weights, wrong, n, beta, beta_t):
    others = weights[:n] * beta ** -wrong[:n]
    own = weights[n:] * beta_t ** -wrong[n:]
    return torch.cat([others, own])
''', '''\
def reweigh(weights, wrong, n, beta, beta_t):
    others = weights[:n] * beta ** wrong[:n]
    own = weights[n:] * beta_t ** wrong[n:]
    return torch.cat([others, own])
'''),
    ),
    "balanced": Check(
        points=2,
        cases=balanced_cases,
        judge=balanced_judge,
        hints=("`said[truth == 1]` is what the net said about the child's clips.",
               "found is the mean of `said[truth == 1] == 1`, as float; refused is the mean of `said[truth == 0] == 0`."),
        solution='''\
def balanced(said, truth):
    """said, truth (N,) int64: 1 is the child, 0 somebody else -> a number from 0 to 1."""
    found = (said[truth == 1] == 1).float().mean()
    refused = (said[truth == 0] == 0).float().mean()
    return float((found + refused) / 2)
''',
        wrong=('''\
def balanced(said, truth):
    found = (said == truth).float().mean()
    refused = (said == truth).float().mean()
    return float((found + refused) / 2)
''', '''\
def balanced(said, truth):
    found = (truth[said == 1] == 1).float().mean().nan_to_num()
    refused = (truth[said == 0] == 0).float().mean().nan_to_num()
    return float((found + refused) / 2)
'''),
    ),
}

quizzes = {
    "frozen": Quiz(
        "With 400 clean digits, head only is behind the same net trained from random weights. Why?",
        {
            "The learning rate of head only was too small": (False, "Four rates were tried with 100 pictures; the best lies between two "
            "that are worse."),
            "650 numbers on features made for printed characters cannot say all that the labels tell": (True, "The features are the limit, "
            "and more labels do not lift it: with seven layers free, the same start stays ahead."),
            "The net has forgotten its source": (False, "Nothing below the head changed by a bit."),
            "400 digits are too few for scratch": (False, "Scratch is the one that is ahead."),
        },
    ),
    "old_clips": Quiz(
        "One picture in ten shows the child. The new head (40 clips, with others) finds 91 %, with 14 % false alarms. Of 100 pictures that "
        "the phone shows to the parent, how many are of the child?",
        {
            "About 91": (False, "91 % is the share of the child's pictures that are found. This asks for the share of what is shown."),
            "About 86": (False, "14 % is a share of the strangers' pictures, and there are nine times as many of them."),
            "About 42": (True, "Of 1,000 pictures, 91 of 100 are found, and 14 % of 900, 126, are false alarms: 91 of 217. Balanced "
                         "accuracy, 0.89, did not show this; a gate must ask what the parent will see."),
            "About 10": (False, "That is what no net at all would show. This one makes it four times as much."),
        },
    ),
}
