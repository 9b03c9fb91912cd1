"""Checks and quizzes of lab 00. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def accuracy_cases(rng):
    """Scores and labels of several sizes, none of them square, so that the wrong axis shows."""
    for examples, classes in ((7, 3), (40, 10), (1, 5)):
        yield torch.randn(examples, classes, generator=rng), torch.randint(classes, (examples,), generator=rng)
    scores = torch.randn(12, 4, generator=rng)
    yield scores, scores.argmax(1)


def accuracy_judge(case, output):
    scores, labels = case
    right = sum(int(np.argmax(row)) == int(label) for row, label in zip(scores, labels, strict=True))
    return close(output, right / len(labels))


checks = {
    "accuracy": Check(
        points=2,
        cases=accuracy_cases,
        judge=accuracy_judge,
        hints=("The guess for a row is the column of its largest score. Then count how often guess and label agree.",
               "`scores.argmax(dim=1)` gives one guess a row; `(guesses == labels)` is True where it is right. Turn that into numbers "
               "with `.float()`; their mean is the share."),
        solution='''\
def accuracy(scores, labels):
    """scores (N, classes) float, labels (N,) int -> the share of right answers, a number in [0, 1]."""
    guesses = scores.argmax(dim=1)
    return (guesses == labels).float().mean().item()
''',
        wrong=('''\
def accuracy(scores, labels):
    guesses = scores.argmax(dim=1)
    return (guesses == labels).sum().item()
''', '''\
def accuracy(scores, labels):
    guesses = scores.argmax(dim=0)
    return (guesses[: len(labels)] == labels[: len(guesses)]).float().mean().item()
'''),
    ),
}

quizzes = {
    "not_the_same": Quiz(
        "A hearing aid adapts to its owner's rooms. It has no radio. What is that?",
        {
            "Federated learning": (False, "A federation needs several learners that send updates. This device talks to nobody."),
            "On-device learning, not federated": (True, "It trains where it is used, on its own data, and sends nothing."),
            "Both, since the data stay on the device": (False, "Data that stay at home do not make a federation; sharing a model does."),
            "Neither, since no server takes part": (False, "On-device learning needs no server. That is its point."),
        },
    ),
}
