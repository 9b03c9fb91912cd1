"""Checks and quizzes of lab 03. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def list_bytes_cases(rng):
    """Rows of up to 256 columns, and longer ones; no nonzero at all; sizes drawn afresh."""
    yield from ((32, 144, 460), (10, 256, 100), (10, 257, 100), (4, 1000, 0), (1, 1, 1))
    for _ in range(2):
        rows, columns = (int(torch.randint(2, 600, (), generator=rng)) for _ in range(2))
        yield rows, columns, int(torch.randint(0, min(rows * columns, 60_000), (), generator=rng))


def list_bytes_judge(case, output):
    rows, columns, nonzero = case
    return close(output, (4 + (1 if columns <= 256 else 2)) * nonzero + 2 * (rows + 1))


def book_gradient_cases(rng):
    """Whole numbers, so that no rounding decides; a value that nobody takes; one value for all."""
    for weights, k in ((6, 3), (200, 16), (9, 1)):
        index = torch.randint(max(1, k - 1), (weights,), generator=rng)
        yield torch.randint(-8, 9, (weights,), generator=rng).float(), index, k


def book_gradient_judge(case, output):
    gradient, index, k = case
    return close(output, np.array([gradient[index == value].sum() for value in range(k)], dtype=np.float32), rtol=1e-5, atol=1e-5)


def remember_cases(rng):
    """The first value of all, a later one, and one that is the mean itself."""
    yield 0, 0.0, 0.0, 2.5
    yield 1, 2.5, 0.0, 4.5
    yield 7, 3.0, 12.0, 3.0
    for _ in range(3):
        count, *rest = torch.rand(4, generator=rng).tolist()
        yield 1 + int(20 * count), 4 * rest[0] - 2, 9 * rest[1], 8 * rest[2] - 4


def remember_judge(case, output):
    """Two clouds of numbers joined: mean by weights, squared distances about the new mean (no use of Welford's rule)."""
    count, mean, spread, x = case
    if not isinstance(output, tuple) or len(output) != 3:
        return "three numbers are wanted: count, mean, sum of squared distances"
    joined = (count * mean + x) / (count + 1)
    about = spread + count * (mean - joined) ** 2 + (x - joined) ** 2
    for name, got, expected in zip(("count", "mean", "the sum of squared distances"), output, (count + 1, joined, about), strict=True):
        if message := close(got, expected, rtol=1e-6, atol=1e-9):
            return f"{name}: {message}"
    return None


checks = {
    "list_bytes": Check(
        points=1,
        cases=list_bytes_cases,
        judge=list_bytes_judge,
        hints=("A column number takes one byte as long as 256 different ones suffice. The row starts do not depend on the zeros.",
               "`1 if columns <= 256 else 2` for a column; `2 * (rows + 1)` for the row starts."),
        solution='''\
def list_bytes(rows, columns, nonzero):
    """Bytes of a matrix with `nonzero` values that are not zero, as a list; an int."""
    column = 1 if columns <= 256 else 2
    return (4 + column) * nonzero + 2 * (rows + 1)
''',
        wrong=('''\
def list_bytes(rows, columns, nonzero):
    column = 1 if rows <= 256 else 2
    return (4 + column) * nonzero + 2 * (rows + 1)
''', '''\
def list_bytes(rows, columns, nonzero):
    column = 1 if columns <= 256 else 2
    return (4 + column) * nonzero + 2 * rows
'''),
    ),
    "book_gradient": Check(
        points=2,
        cases=book_gradient_cases,
        judge=book_gradient_judge,
        hints=("For each value: which weights take it, and what do their gradients sum up to? A value that nobody takes gets 0.",
               "`for value in range(k): total[value] = gradient[index == value].sum()`, or `total.index_add_(0, index, gradient)`."),
        solution='''\
def book_gradient(gradient, index, k):
    """gradient (n,) float, index (n,) int64 in 0..k-1 -> (k,): the gradient of each value of the book."""
    total = torch.zeros(k)
    total.index_add_(0, index, gradient)
    return total
''',
        wrong=('''\
def book_gradient(gradient, index, k):
    total = torch.zeros(k)
    for value in range(k):
        if (index == value).any():
            total[value] = gradient[index == value].mean()
    return total
''', '''\
def book_gradient(gradient, index, k):
    total = torch.zeros(k)
    total[index] = gradient
    return total
'''),
    ),
    "remember": Check(
        points=2,
        cases=remember_cases,
        judge=remember_judge,
        hints=("`count` has already gone up: it is the n of the formula. The mean takes one n-th of the step.",
               "`mean = mean + step / count`, then `spread + step * (x - mean)` with the *new* mean."),
        solution='''\
def remember(count, mean, spread, x):
    """One more value: (count, mean, sum of squared distances) -> the same three, with x."""
    count = count + 1
    step = x - mean
    mean = mean + step / count
    spread = spread + step * (x - mean)
    return count, mean, spread
''',
        wrong=('''\
def remember(count, mean, spread, x):
    count = count + 1
    step = x - mean
    mean = mean + step / count
    spread = spread + step * step
    return count, mean, spread
''', '''\
def remember(count, mean, spread, x):
    count = count + 1
    step = x - mean
    mean = mean + step / 2
    spread = spread + step * (x - mean)
    return count, mean, spread
'''),
    ),
}

quizzes = {
    "zeros_time": Quiz(
        "Nine weights of ten are zero, and PyTorch needs as long as before. Why?",
        {
            "Fine-tuning made most of them nonzero again": (False, "They stayed zero: their gradients were set to zero."),
            "A dense kernel multiplies by zeros as by all numbers": (True, "It does not look. A kernel that skips zeros must read where "
            "the others are; that pays when zeros are many, or stand in whole blocks."),
            "The time goes into reading the images": (False, "With half of the channels the same images take clearly less time."),
            "Ten percent of the weights do ninety percent of the work": (False, "Each weight of a layer does the same number of "
            "multiplications."),
        },
    ),
    "forget": Quiz(
        "A fitness band starts from a model of many people and is to adapt to its owner in a hundred examples. What would you not take?",
        {
            "Logistic regression by SGD with a constant rate": (False, "Each step forgets a little of the past. It does adapt."),
            "A tree rebuilt from the last few hundred examples": (False, "It adapts; what it costs is the memory for the examples."),
            "Naive Bayes that adds the owner to the statistics of thousands": (True, "A hundred examples among thousands hardly move a "
            "mean. It would need to start anew, or to weigh the past less."),
            "Naive Bayes that starts from nothing": (False, "In the stream of this lab it did as well as the best; it only has nothing to "
            "say in the first minutes."),
        },
    ),
}
