"""Checks and quizzes of lab NN. Judging uses NumPy on plain copied values; nothing here imports what a student could replace."""
import torch

from odl_kit.lab.judging import Check, Quiz, close


def error_rate_cases(rng):
    """Fresh inputs for every try: long, short, all right, all wrong. The cases must tell the wrong answers below from the solution."""
    for examples, classes in ((40, 10), (7, 3)):
        yield torch.randint(classes, (examples,), generator=rng), torch.randint(classes, (examples,), generator=rng)
    labels = torch.randint(5, (6,), generator=rng)
    yield labels, labels
    yield labels + 1, labels


def error_rate_judge(case, output):
    """None, or a sentence for the student. The expected value is computed in another way than the solution does."""
    guesses, labels = case
    return close(output, sum(int(a) != int(b) for a, b in zip(guesses, labels, strict=True)) / len(labels))


checks = {
    "error_rate": Check(
        points=2,
        cases=error_rate_cases,
        judge=error_rate_judge,
        hints=("Count the places where guess and label differ, then divide by how many places there are.",
               "`guesses != labels` is True where they differ; `.float().mean().item()` makes a share of it."),
        solution='''\
def error_rate(guesses, labels):
    """guesses (N,), labels (N,) int -> the share of places where they differ, a number."""
    wrong = guesses != labels
    return wrong.float().mean().item()
''',
        wrong=('''\
def error_rate(guesses, labels):
    wrong = guesses != labels
    return wrong.sum().item()
''', '''\
def error_rate(guesses, labels):
    wrong = guesses == labels
    return wrong.float().mean().item()
'''),
    ),
}

quizzes = {
    "new_pictures": Quiz(
        "Why is the error rate measured on pictures that the net has not seen?",
        {
            "Because there are more of them": (False, "Here there are fewer. Their number is not the point."),
            "Because a net can know its own pictures by heart": (True, "Then its error on them is 0, and says nothing about new ones."),
            "Because the training pictures are used up": (False, "They can be looked at as often as one likes."),
        },
    ),
}
