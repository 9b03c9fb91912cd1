"""Checks and quizzes of lab 10. Judging uses NumPy on plain copied values."""
import numpy as np
import torch
from torch.nn import functional as F

from odl_kit.lab.judging import Check, Quiz, close


def cosine_head_cases(rng):
    """Many classes, two, and a middle at 0."""
    for classes, size, far in ((5, 4, 1.0), (2, 3, 3.0), (3, 6, 0.0)):
        yield F.normalize(torch.randn(classes, size, generator=rng), dim=1), far * torch.randn(size, generator=rng)


def cosine_head_judge(case, output):
    directions, centre = (np.asarray(value, dtype=np.float64) for value in case)
    if not isinstance(output, tuple) or len(output) != 2:
        return "weight and bias are wanted, in this order"
    weight, bias = (np.asarray(value, dtype=np.float64) for value in output)
    if weight.shape != directions.shape or bias.shape != (len(directions),):
        return f"weight is {weight.shape}, bias is {bias.shape}: {directions.shape} and {(len(directions),)} are wanted"
    asked = np.random.default_rng(0).normal(size=(200, len(centre))) + centre
    seen = asked - centre
    cosine = seen @ directions.T / np.linalg.norm(seen, axis=1, keepdims=True)
    wrong = np.mean((asked @ weight.T + bias).argmax(1) != cosine.argmax(1))
    return None if wrong < 0.01 else f"for {100 * wrong:.0f} % of 200 features the largest output is not the word with the largest cosine"


def ewc_penalty_cases(rng):
    """Weights that matter much, little and not at all; and a net that has not moved."""
    importance = torch.rand(6, generator=rng) * torch.tensor([0.0, 1, 1, 5, 0.1, 20])
    start = torch.randn(6, generator=rng)
    yield start + torch.randn(6, generator=rng), start, importance, 3.0
    yield start - 0.1, start, importance, 0.5
    yield start, start.clone(), importance, 10.0


def ewc_penalty_judge(case, output):
    w, start, importance, pull = case
    expected = pull / 2 * np.sum(importance.astype(np.float64) * (w.astype(np.float64) - start) ** 2)
    return close(output, np.float32(expected), rtol=1e-4, atol=1e-6)


def place_cases(rng):
    """While it fills, at the last free place, and after: inside, at the edge and outside."""
    yield 3, 5, 0.9
    yield 5, 5, 0.0
    yield from ((6, 5, 0.99), (6, 5, 0.72), (10, 5, 0.45), (10, 5, 0.5), (1000, 5, 0.0042), (1000, 5, 0.2), (7, 1, 0.1))
    yield 40, 8, float(torch.rand((), generator=rng))


def place_judge(case, output):
    n, room, u = case
    drawn = int(u * n)
    expected = n - 1 if n <= room else drawn if drawn < room else None
    if expected is None or output is None:
        said = f"example {n}, room for {room}, u = {u:.4g}: {expected} is expected, your answer is {output}"
        return None if expected is None and output is None else said
    return close(output, expected)


checks = {
    "cosine_head": Check(
        points=2,
        cases=cosine_head_cases,
        judge=cosine_head_judge,
        hints=("Multiply out the product of d and (f - c). What stands before f, and what is left without f?",
               "d.(f - c) = d.f - d.c: the weight is d, and the bias has no f in it. `directions @ centre` is (C,)."),
        solution='''\
def cosine_head(directions, centre):
    """directions (C, D) of length 1, centre (D,) -> weight (C, D), bias (C,): the largest output is the largest cosine."""
    weight = directions
    bias = -directions @ centre
    return weight, bias
''',
        wrong=('''\
def cosine_head(directions, centre):
    weight = directions
    bias = directions @ centre
    return weight, bias
''', '''\
def cosine_head(directions, centre):
    weight = directions - centre
    bias = -(weight * weight).sum(1) / 2
    return weight, bias
'''),
    ),
    "ewc_penalty": Check(
        points=1,
        cases=ewc_penalty_cases,
        judge=ewc_penalty_judge,
        hints=("It is the formula of EWC above: which factor is different for each weight?",
               "`(w - start).square()` is how far each went; the importance multiplies it before the sum, `pull / 2` the whole."),
        solution='''\
def ewc_penalty(w, start, importance, pull):
    """w, start, importance: (P,), pull: a number -> the penalty, a scalar."""
    return pull / 2 * (importance * (w - start).square()).sum()
''',
        wrong=('''\
def ewc_penalty(w, start, importance, pull):
    return pull / 2 * (w - start).square().sum()
''', '''\
def ewc_penalty(w, start, importance, pull):
    return pull / 2 * (importance * (w - start)).square().sum()
'''),
    ),
    "place": Check(
        points=2,
        cases=place_cases,
        judge=place_judge,
        hints=("How do you turn u, which is from 0 to below 1, into one of the n whole numbers 0 to n - 1?",
               "`int(u * n)`; the buffer has such a place if it is below `room`."),
        solution='''\
def place(n, room, u):
    """Where the n-th example (n = 1, 2, ...) goes: 0 to room - 1, or None. u: a random number, 0 <= u < 1."""
    if n <= room:
        return n - 1
    drawn = int(u * n)
    return drawn if drawn < room else None
''',
        wrong=('''\
def place(n, room, u):
    if n <= room:
        return n - 1
    drawn = int(u * room)
    return drawn if drawn < room else None
''', '''\
def place(n, room, u):
    if n <= room:
        return n - 1
    drawn = int(u * n)
    return drawn if u < 0.5 and drawn < room else None
'''),
    ),
}

quizzes = {
    "cure": Quiz(
        "A maker may put no recording of other people on the device, and the old users shall lose little. What can it still do?",
        {
            "Nothing: without old clips a net forgets":
                (False, "L2, EWC and LwF kept a part of what the plain training lost, and none of them needs an old clip on the device."),
            "Ship the Fisher information, or hold the net's old answers about the user's own clips":
                (True, "EWC takes numbers computed in the factory, LwF what the old net says about the user's own clips. No "
                       "old clip leaves the factory."),
            "Train the head alone, which cannot forget":
                (False, "It can: the old users lost with the head alone as well. The head is the part that says which word it is."),
            "Replace the net by the user's prototypes, which train nothing":
                (False, "Not training is no protection: with the user's own prototypes the old users lost most of all."),
        },
    ),
    "gate": Quiz(
        "A shadow is better on the user's 24 confirmed clips: 4 won, 1 lost. Should it serve?",
        {
            "Yes: it is better on the user's clips":
                (False, "Two equally good nets differ like that, or more, in 3 of 16 cases: 4 or 5 won of 5 that differ."),
            "Yes, if the shadow has been trained long enough":
                (False, "How long it trained says nothing about how good it is. The gate looks at answers."),
            "Not yet: chance does as much, and the old users have to be asked too":
                (True, "4 or 5 of 5 come up by chance with probability 3/16. More confirmed clips would tell; and a gain for one must "
                       "not be a loss for the others."),
            "No: it has lost a clip that the old net had right":
                (False, "A gate that allows no single loss lets nothing through. What counts is how much, and whether it can be chance."),
        },
    ),
}
