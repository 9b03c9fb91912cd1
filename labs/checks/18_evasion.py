"""Checks and quizzes of lab 18. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def fgsm_step_cases(rng):
    """Pictures in the middle and at the rim, and a gradient with zeros."""
    yield torch.rand(3, 1, 4, 4, generator=rng), torch.randn(3, 1, 4, 4, generator=rng), 0.1
    yield torch.rand(2, 5, generator=rng).round(), 0.001 * torch.randn(2, 5, generator=rng), 0.3
    gradient = torch.randn(2, 6, generator=rng)
    gradient[:, :3] = 0
    yield 0.4 + 0.2 * torch.rand(2, 6, generator=rng), gradient, 0.05


def fgsm_step_judge(case, output):
    x, gradient, eps = case
    return close(output, np.clip(x + np.float32(eps) * np.sign(gradient), 0, 1), rtol=1e-5, atol=1e-6)


def estimated_gradient_cases(rng):
    """One direction, and many; large and small sigma."""
    for n, d, sigma in ((1, 4, 0.5), (6, 3, 0.01), (20, 8, 0.1)):
        yield torch.randn(n, generator=rng), torch.randn(n, generator=rng), torch.randn(n, d, generator=rng), sigma


def estimated_gradient_judge(case, output):
    forth, back, u, sigma = case
    total = sum((f - b) * direction for f, b, direction in zip(forth, back, u.astype(np.float64), strict=True))
    return close(output, (total / (2 * len(u) * sigma)).astype(np.float32), rtol=1e-3, atol=1e-4)


checks = {
    "fgsm_step": Check(
        points=1,
        cases=fgsm_step_cases,
        judge=fgsm_step_judge,
        hints=("The size of the gradient does not matter, only whether it points up or down: `.sign()`.",
               "`x + eps * gradient.sign()`, then `.clamp(0, 1)`."),
        solution='''\
def fgsm_step(x, gradient, eps):
    """x, gradient (N, ...) -> (N, ...): each value of x moved by eps up the gradient, and kept in [0, 1]."""
    moved = x + eps * gradient.sign()
    return moved.clamp(0, 1)
''',
        wrong=('''\
def fgsm_step(x, gradient, eps):
    moved = x + eps * gradient
    return moved.clamp(0, 1)
''', '''\
def fgsm_step(x, gradient, eps):
    moved = x - eps * gradient.sign()
    return moved.clamp(0, 1)
'''),
    ),
    "estimated_gradient": Check(
        points=2,
        cases=estimated_gradient_cases,
        judge=estimated_gradient_judge,
        hints=("A slope is a difference of losses by the length of the way between the two points, which is 2 sigma.",
               "`forth - back`, and divide the sum by `2 * n * sigma`."),
        solution='''\
def estimated_gradient(forth, back, u, sigma):
    """forth, back (n,) losses at x + sigma u and x - sigma u; u (n, d) -> (d,): the estimate g."""
    n = len(u)
    difference = forth - back
    return (difference[:, None] * u).sum(0) / (2 * n * sigma)
''',
        wrong=('''\
def estimated_gradient(forth, back, u, sigma):
    n = len(u)
    difference = forth - back
    return (difference[:, None] * u).sum(0) / (n * sigma)
''', '''\
def estimated_gradient(forth, back, u, sigma):
    n = len(u)
    difference = back - forth
    return (difference[:, None] * u).sum(0) / (2 * n * sigma)
'''),
    ),
}

quizzes = {
    "rounding": Quiz(
        "A server rounds its scores to two decimals. Whom does that stop?",
        {
            "Everybody: without scores there is no gradient":
                (False, "The attacker with the class alone has as much success as before, and a copy has gradients of its own."),
            "The one who estimates gradients from scores; the others go on":
                (True, "A small move changes nothing in two decimals. The class alone still shows the boundary, with patience."),
            "Nobody: the class stays the same":
                (False, "The estimate from scores fails: recorded, success falls from more than half to 13 % at most."),
            "The one who has the copy":
                (False, "The copy's gradients need no answers at all."),
        },
    ),
    "judging": Quiz(
        "A paper reports a new defence: PGD succeeds on 6 % of pictures in place of 81 %. What do you ask first?",
        {
            "Whether the accuracy on clean pictures fell":
                (False, "A good second question. Distillation lost a few points at most, and was no defence."),
            "Whether attackers without this gradient fail too":
                (True, "A copy, the class alone, or another loss that is not flat: if these succeed, the gradient was only hidden."),
            "Whether PGD took enough steps":
                (False, "Where the gradient is exactly zero, a thousand steps do not move."),
            "Whether eps was large enough":
                (False, "With a zero gradient a larger eps changes nothing either. Recorded: 6 % at 0.1 and at 0.2."),
        },
    ),
}
