"""Checks and quizzes of lab 09. Judging uses NumPy on plain copied values."""
import itertools

import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def setting_cases(rng):
    """All sixteen, in a drawn order."""
    every = list(itertools.product((True, False), repeat=4))
    yield from (every[i] for i in torch.randperm(16, generator=rng).tolist())


# (same task, same domain, labels at the source, labels at the target); whatever is not here is none of the three
SETTINGS = ({(False, domain, labels, True): "inductive" for domain in (True, False) for labels in (True, False)}
            | {(True, False, True, False): "transductive"}
            | {(False, domain, False, False): "unsupervised" for domain in (True, False)})


def setting_judge(case, output):
    expected = SETTINGS.get(tuple(case), "none of the three")
    if output == expected:
        return None
    said = ", ".join(f"{what} {'yes' if answer else 'no'}" for what, answer in
                     zip(("same task", "same domain", "source labels", "target labels"), case, strict=True))
    return f"{said}: expected {expected!r}, got {output!r}"


def norm_statistics_cases(rng):
    """Some of each, few new ones, the old forgotten."""
    for n, old in ((3, 5), (2, 40), (4, 0)):
        yield (torch.randn(3, generator=rng), torch.rand(3, generator=rng) + 0.5,
               2 * torch.randn(n, 3, 4, 4, generator=rng) + torch.tensor([1.0, -2.0, 0.0]).view(3, 1, 1), old)


def norm_statistics_judge(case, output):
    mean_old, var_old, x, old = case
    rows = x.astype(np.float64).transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
    weights = np.array([old, len(x)]) / (old + len(x))
    expected = (weights @ np.stack([mean_old, rows.mean(1)]), weights @ np.stack([var_old, ((rows - rows.mean(1)[:, None]) ** 2).mean(1)]))
    return close(output, tuple(part.astype(np.float32) for part in expected), rtol=1e-3, atol=1e-5)


def nt_xent_cases(rng):
    """Two near views, two that have nothing in common, another temperature."""
    a = torch.randn(5, 4, generator=rng)
    yield a, a + 0.3 * torch.randn(5, 4, generator=rng), 0.5
    yield a, torch.randn(5, 4, generator=rng), 0.5
    yield a[:3], torch.randn(3, 4, generator=rng), 0.2


def nt_xent_judge(case, output):
    a, b, t = case
    rows = np.concatenate([a, b]).astype(np.float64)
    rows, losses, n = rows / np.linalg.norm(rows, axis=1, keepdims=True), [], len(a)
    for i in range(2 * n):
        likes = np.exp([rows[i] @ rows[k] / t for k in range(2 * n) if k != i]).sum()
        losses.append(np.log(likes) - rows[i] @ rows[(i + n) % (2 * n)] / t)
    return close(output, float(np.mean(losses)), rtol=1e-3, atol=1e-4)


checks = {
    "setting": Check(
        points=2,
        cases=setting_cases,
        judge=setting_judge,
        hints=("Read the table row by row: 'same or another' and 'some, or none' mean that this answer is not asked for.",
               "inductive: `not same_task and target_labels`. Transductive asks for all four answers, unsupervised for three."),
        solution='''\
def setting(same_task, same_domain, source_labels, target_labels):
    """Four bools -> "inductive", "transductive", "unsupervised" or "none of the three"."""
    if not same_task and target_labels:
        return "inductive"
    if same_task and not same_domain and source_labels and not target_labels:
        return "transductive"
    if not same_task and not source_labels and not target_labels:
        return "unsupervised"
    return "none of the three"
''',
        wrong=('''\
def setting(same_task, same_domain, source_labels, target_labels):
    if not same_task and target_labels:
        return "inductive"
    if not same_task and same_domain and source_labels and not target_labels:
        return "transductive"
    if not same_task and not source_labels and not target_labels:
        return "unsupervised"
    return "none of the three"
''', '''\
def setting(same_task, same_domain, source_labels, target_labels):
    if not same_task and source_labels and target_labels:
        return "inductive"
    if same_task and not same_domain and source_labels and not target_labels:
        return "transductive"
    if not source_labels:
        return "unsupervised"
    return "none of the three"
'''),
    ),
    "norm_statistics": Check(
        points=2,
        cases=norm_statistics_cases,
        judge=norm_statistics_judge,
        hints=("share is what the new ones count: n examples of N + n. Without old ones it is 1.",
               "`share = len(x) / (source_examples + len(x))`; mean and variance go over dimensions `(0, 2, 3)`, with `correction=0`."),
        solution='''\
def norm_statistics(mean_old, var_old, x, source_examples):
    """mean_old, var_old (C,), x (n, C, H, W); the old count for source_examples -> (mean, var), each (C,)."""
    share = len(x) / (source_examples + len(x))
    mean = x.mean((0, 2, 3))
    var = x.var((0, 2, 3), correction=0)
    return (1 - share) * mean_old + share * mean, (1 - share) * var_old + share * var
''',
        wrong=('''\
def norm_statistics(mean_old, var_old, x, source_examples):
    share = source_examples / (source_examples + len(x))
    mean = x.mean((0, 2, 3))
    var = x.var((0, 2, 3), correction=0)
    return (1 - share) * mean_old + share * mean, (1 - share) * var_old + share * var
''', '''\
def norm_statistics(mean_old, var_old, x, source_examples):
    share = len(x) / (source_examples + len(x))
    mean = x.mean((0, 2, 3))
    var = x.mean((2, 3)).var(0, correction=0)
    return (1 - share) * mean_old + share * mean, (1 - share) * var_old + share * var
'''),
    ),
    "nt_xent": Check(
        points=2,
        cases=nt_xent_cases,
        judge=nt_xent_judge,
        hints=("The rows of `both` have length 1, so a matrix product gives all cosines at once. Do not forget t.",
               "`scores = both @ both.T / temperature`. Row i of a is row i of both, its partner is row i + N; and the other way round: "
               "`torch.arange(len(both)).roll(len(a))`."),
        solution='''\
def nt_xent(a, b, temperature=0.5):
    """a, b (N, D): row n of both shows the same picture -> the mean loss of all 2N rows, a scalar."""
    both = F.normalize(torch.cat([a, b]), dim=1)
    scores = both @ both.T / temperature
    scores = scores.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(both)).roll(len(a))
    return F.cross_entropy(scores, partner)
''',
        wrong=('''\
def nt_xent(a, b, temperature=0.5):
    both = F.normalize(torch.cat([a, b]), dim=1)
    scores = both @ both.T
    scores = scores.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(both)).roll(len(a))
    return F.cross_entropy(scores, partner)
''', '''\
def nt_xent(a, b, temperature=0.5):
    both = F.normalize(torch.cat([a, b]), dim=1)
    scores = both @ both.T / temperature
    scores = scores.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(both)).roll(1)
    return F.cross_entropy(scores, partner)
'''),
    ),
}

quizzes = {
    "guard": Quiz(
        "A device has adapted its norms to a new camera, without labels. How can it know that this helped?",
        {
            "The entropy of its answers has fallen": (False, "It falls for wrong answers, too: behind the negative camera Tent made the "
            "net surer, and it stayed near chance."),
            "The MMD between both cameras is small": (False, "Noise 0.4 is near and is cured by less than a third; contrast 0.2 is far and "
            "is cured nearly completely."),
            "A few pictures from the new camera get labels, and both nets are asked about them": (True, "Only labels tell right from "
            "wrong. Judging takes fewer of them than learning."),
            "The source's test pictures are still read well": (False, "They come through the old camera. They say nothing of the new one."),
        },
    ),
    "ankle": Quiz(
        "A watch tells walking from running. Its owner straps it to the ankle and labels nothing. Which kind of transfer is it, and what "
        "does adapting the norms assume?",
        {
            "Inductive; that the owner walks and runs": (False, "Inductive transfer has labels at the target. Here nobody gives any."),
            "Transductive; that the owner walks and runs in the same shares as people did at the source": (True, "The same task, another "
            "domain, labels at the source alone. A week on the sofa would be taken for a change of the sensor."),
            "Unsupervised; that walking and running form two groups": (False, "The source has labels, and the task is the same."),
            "Transductive; nothing, since no weight changes": (False, "Statistics are the assumption: they mix sensor and classes."),
        },
    ),
}
