"""Checks and quizzes of lab 14. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def clipped_mean_cases(rng):
    """Long and short updates together, all short, and one alone that is far too long."""
    yield torch.randn(5, 6, generator=rng) * torch.tensor([0.1, 0.3, 1.0, 5.0, 40.0])[:, None], 1.0
    yield 0.05 * torch.randn(3, 4, generator=rng), 2.0
    yield torch.tensor([[30.0, -40.0]]), 0.5


def clipped_mean_judge(case, output):
    updates, clip = case
    total = 0
    for update in updates.astype(np.float64):
        total = total + update * min(1, clip / np.sqrt((update ** 2).sum()))
    return close(output, (total / len(updates)).astype(np.float32), rtol=1e-4, atol=1e-6)


def momentum_step_cases(rng):
    """In motion, at the start, and without memory."""
    for beta, moving, lr in ((0.9, 1, 1.0), (0.5, 0, 0.3), (0.0, 1, 2.0)):
        w, update, m = torch.randn(3, 5, generator=rng)
        yield w, update, moving * m, lr, beta


def momentum_step_judge(case, output):
    w, update, m, lr, beta = case
    m = beta * m.astype(np.float64) + update
    return _pair(output, ("w", "m"), (w + lr * m, m))


def adam_step_cases(rng):
    """In motion, and at the start, where v is tau squared."""
    for tau, begun in ((1e-3, True), (0.1, False)):
        w, update, m = torch.randn(3, 5, generator=rng)
        v = torch.rand(5, generator=rng) if begun else torch.full((5,), tau ** 2)
        yield w, update, m if begun else torch.zeros(5), v, 0.1, tau


def adam_step_judge(case, output):
    w, update, m, v, lr, tau = (np.asarray(value, dtype=np.float64) for value in case)
    m = 0.9 * m + 0.1 * update
    v = 0.99 * v + 0.01 * update ** 2
    return _pair(output, ("w", "m", "v"), (w + lr * m / (np.sqrt(v) + tau), m, v))


def _pair(output, names, expected):
    if not isinstance(output, tuple) or len(output) != len(names):
        return f"{' and '.join(names)} are wanted, in this order"
    for name, got, want in reversed(list(zip(names, output, expected, strict=True))):
        if message := close(got, want.astype(np.float32), rtol=1e-3, atol=1e-5):
            return f"{name}: {message}"
    return None


checks = {
    "clipped_mean": Check(
        points=2,
        cases=clipped_mean_cases,
        judge=clipped_mean_judge,
        hints=("By which factor must an update of length 4 be multiplied to have length 1? And one of length 0.5?",
               "`clip / lengths` is right for long updates; `.clamp(max=1)` leaves short ones alone."),
        solution='''\
def clipped_mean(updates, clip):
    """updates (C, P) -> (P,): the mean of updates cut to length `clip` (L2) at most; none grows."""
    lengths = updates.norm(dim=1, keepdim=True)
    factor = (clip / lengths).clamp(max=1)
    return (updates * factor).mean(0)
''',
        wrong=('''\
def clipped_mean(updates, clip):
    lengths = updates.norm(dim=1, keepdim=True)
    factor = clip / lengths
    return (updates * factor).mean(0)
''', '''\
def clipped_mean(updates, clip):
    return updates.clamp(-clip, clip).mean(0)
'''),
    ),
    "momentum_step": Check(
        points=1,
        cases=momentum_step_cases,
        judge=momentum_step_judge,
        hints=("What was there fades, what is new is added in full.", "`beta * m + update`."),
        solution='''\
def momentum_step(w, update, m, lr, beta):
    """w, update, m (P,) -> (w, m): m fades by beta and takes the update in; w moves along the new m."""
    m = beta * m + update
    return w + lr * m, m
''',
        wrong=('''\
def momentum_step(w, update, m, lr, beta):
    m = beta * m - update
    return w + lr * m, m
''', '''\
def momentum_step(w, update, m, lr, beta):
    m = m + beta * update
    return w + lr * m, m
'''),
    ),
    "adam_step": Check(
        points=2,
        cases=adam_step_cases,
        judge=adam_step_judge,
        hints=("A mean, not the sum of section 4: 0.9 of the old m, and only the rest, 0.1, of the update. v is the same with squares.",
               "`0.9 * m + 0.1 * update`; for v it is 0.99 and 0.01, with `update ** 2`."),
        solution='''\
def adam_step(w, update, m, v, lr, tau):
    """w, update, m, v (P,) -> (w, m, v), with beta1 = 0.9 and beta2 = 0.99, and no bias correction."""
    m = 0.9 * m + 0.1 * update
    v = 0.99 * v + 0.01 * update ** 2
    return w + lr * m / (v.sqrt() + tau), m, v
''',
        wrong=('''\
def adam_step(w, update, m, v, lr, tau):
    m = 0.9 * m + update
    v = 0.99 * v + update ** 2
    return w + lr * m / (v.sqrt() + tau), m, v
''', '''\
def adam_step(w, update, m, v, lr, tau):
    m = 0.9 * m + 0.1 * update
    v = 0.99 * v + 0.01 * m ** 2
    return w + lr * m / (v.sqrt() + tau), m, v
'''),
    ),
}

quizzes = {
    "metadata": Quiz(
        "When may a server weigh clients by the type of their device?",
        {
            "Whenever it knows the type: cheap devices have worse data":
                (False, "Here nothing was wrong with the cheap devices' pictures. Counting them a tenth erased two digits."),
            "If the type tells how good the data are, but not which":
                (True, "How good: that makes the weights useful. Not which: that keeps them harmless. Accuracy by groups shows it."),
            "Never, the mean must treat all alike":
                (False, "With twenty careless owners, weights by trust were better in each of five recorded seeds."),
            "Whenever the clients agree to be weighed by their type":
                (False, "Agreement makes it fair to them. It does not make the model right."),
        },
    ),
    "which_rule": Quiz(
        "Your federation runs well with server momentum. Then a few devices begin to send huge updates. What happens, and what helps?",
        {
            "Momentum averages the huge updates out, so no help is needed":
                (False, "It keeps them: each is felt for about ten rounds. Under this attack momentum fell below the plain mean."),
            "Momentum keeps them for many rounds; clip them first":
                (True, "Clipped first, a huge update is no longer than others, and momentum may go on doing its work."),
            "Momentum keeps them; FedAdam divides by their size and is safe":
                (False, "It divides by the size of past updates. Under attack it fell far as well, in one seed to guessing."),
            "Momentum keeps them; the median resists and costs nothing":
                (False, "It resists, and costs 7 to 15 points when devices have two digits each and nobody is hostile."),
        },
    ),
}
