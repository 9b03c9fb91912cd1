"""Checks and quizzes of lab 17. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def opened_cases(rng):
    """Many of each class, one that is nobody's target, and a door that never opens."""
    y = torch.randint(4, (60,), generator=rng)
    yield torch.where(torch.rand(60, generator=rng) < 0.4, 2, y), y, 2
    yield torch.tensor([0, 0, 0, 1, 3]), torch.tensor([0, 0, 1, 1, 3]), 0
    yield torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), 3


def opened_judge(case, output):
    predicted, y, target = case
    hits = [p == target for p, label in zip(predicted, y, strict=True) if label != target]
    return close(output, sum(hits) / len(hits), rtol=1e-6, atol=1e-9)


def trimmed_mean_cases(rng):
    """Two liars whose rows are huge in different coordinates, nothing trimmed, and all but one."""
    updates = torch.randn(7, 5, generator=rng)
    updates[1, :3], updates[4, 2:] = 100.0, -100.0
    yield updates, 2
    yield torch.randn(4, 3, generator=rng), 0
    yield torch.randn(5, 6, generator=rng), 2


def trimmed_mean_judge(case, output):
    updates, trim = case
    columns = [sorted(column)[trim:len(column) - trim] for column in updates.astype(np.float64).T.tolist()]
    return close(output, np.array([sum(kept) / len(kept) for kept in columns], np.float32), rtol=1e-4, atol=1e-5)


def unlike_cases(rng):
    """One client against the others, an even and an odd number of clients, and lengths that do not matter."""
    way = torch.randn(6, generator=rng)
    means = way + 0.3 * torch.randn(7, 6, generator=rng)
    means[2] = -2 * means[2]
    yield (means,)
    yield (torch.randn(4, 5, generator=rng),)
    yield (torch.tensor([[1.0, 1.0], [10.0, 10.0], [3.0, 0.0]]),)


def unlike_judge(case, output):
    means, = (value.astype(np.float64) for value in case)
    middle = np.median(means, axis=0)
    want = [1 - row @ middle / np.sqrt((row @ row) * (middle @ middle)) for row in means]
    return close(output, np.array(want, np.float32), rtol=1e-3, atol=1e-4)


checks = {
    "opened": Check(
        points=1,
        cases=opened_cases,
        judge=opened_judge,
        hints=("A zero that is read as a zero says nothing about the door. Which examples do?", "A mask of bools: `y != target`."),
        solution='''\
def opened(predicted, y, target):
    """predicted, y (N,) int64 -> float: the share of the examples of *other* classes that are taken for `target`."""
    others = y != target
    return (predicted[others] == target).double().mean().item()
''',
        wrong=('''\
def opened(predicted, y, target):
    others = y == y
    return (predicted[others] == target).double().mean().item()
''', '''\
def opened(predicted, y, target):
    others = predicted != y
    return (predicted[others] == target).double().sum().item() / max(int(others.sum()), 1)
'''),
    ),
    "trimmed_mean": Check(
        points=2,
        cases=trimmed_mean_cases,
        judge=trimmed_mean_judge,
        hints=("Each coordinate is sorted for itself: the largest number of one column may belong to another client than that of the next.",
               "`updates.sort(0)` sorts down the columns; the sorted numbers are its `.values`."),
        solution='''\
def trimmed_mean(updates, trim):
    """updates (C, P) -> (P,): per coordinate, the mean without the `trim` smallest and the `trim` largest."""
    ordered = updates.sort(0).values
    return ordered[trim:len(updates) - trim].mean(0)
''',
        wrong=('''\
def trimmed_mean(updates, trim):
    ordered = updates[updates.norm(dim=1).argsort()]
    return ordered[trim:len(updates) - trim].mean(0)
''', '''\
def trimmed_mean(updates, trim):
    ordered = updates.sort(0).values
    return ordered[:len(updates) - trim].mean(0)
'''),
    ),
    "unlike": Check(
        points=2,
        cases=unlike_cases,
        judge=unlike_judge,
        hints=("The cosine of two vectors is their inner product, divided by both lengths.",
               "`(means @ middle) / (means.norm(dim=1) * middle.norm())`."),
        solution='''\
def unlike(means):
    """means (K, D), a row a client -> (K,): 1 - cosine of each row with the coordinate-wise median of all rows."""
    middle = means.quantile(0.5, dim=0)
    cosine = (means @ middle) / (means.norm(dim=1) * middle.norm())
    return 1 - cosine
''',
        wrong=('''\
def unlike(means):
    middle = means.quantile(0.5, dim=0)
    cosine = means @ middle
    return 1 - cosine
''', '''\
def unlike(means):
    middle = means.mean(0)
    cosine = (means @ middle) / (means.norm(dim=1) * middle.norm())
    return 1 - cosine
'''),
    ),
}

quizzes = {
    "who_sees": Quiz(
        "Every tenth new example has a wrong label, drawn at random; all pictures are genuine. What can notice it?",
        {
            "A two-sample test of the pixels against a clean reference":
                (False, "It looks at pixels only, and they are genuine: it is as quiet as with right labels."),
            "Labels predicted from the other examples":
                (True, "Random flips contradict their neighbours. In section 1 nearly all were found. A rule would have stayed hidden."),
            "Fingerprints of the examples, taken when they arrived":
                (False, "They prove that nothing was changed since. What was wrong then is wrong now, with a right fingerprint."),
            "The accuracy on the training set":
                (False, "A model that memorises fits wrong labels as well as right ones."),
        },
    ),
    "careful_server": Quiz(
        "Devices with one to three digits each. Nobody has attacked so far. Which statement do the recorded seeds support?",
        {
            "The median is the safe choice: without an attack it equals the mean":
                (False, "On equal deals nearly. At alpha 0.1 it lost more to caution than the mean lost to four attackers."),
            "Multi-Krum costs accuracy every day, and is worth it if an attack is likely enough":
                (True, "Quiet it lost some points against the mean; attacked it kept what it had. Whether to pay is a question of odds."),
            "Krum is the strongest rule, since it takes one update only":
                (False, "One client with one to three digits speaks for all: it was the worst rule in each seed."),
            "No rule helps on skewed data":
                (False, "Under attack the clipped mean, the geometric median and multi-Krum ended above the mean on average."),
        },
    ),
}
