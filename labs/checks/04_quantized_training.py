"""Checks and quizzes of lab 04. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def requantize_cases(rng):
    """Values inside and outside the range, exact halves, and a ReLU."""
    yield torch.randint(-20_000, 20_000, (3, 4), generator=rng).float(), 0.01 * torch.rand(4, generator=rng), 7.0
    yield torch.tensor([[1.0, 3.0, 5.0, -1.0, -3.0]]), torch.full((5,), 0.5), 0.0
    yield torch.randint(-9_000, 9_000, (4, 2), generator=rng).float(), torch.tensor([0.02, 0.002]), -128.0


def requantize_judge(case, output):
    acc, m, z = case
    expected = np.clip(np.rint(acc.astype(np.float32) * m.astype(np.float32)) + z, -128, 127)
    return close(output, expected.astype(np.float32), rtol=0, atol=1e-6)


def qas_scale_cases(rng):
    """Scales that differ by channel, more channels than inputs, and one channel."""
    yield torch.randn(3, 5, generator=rng), torch.tensor([0.5, 0.01, 0.002])
    yield torch.randn(4, 4, generator=rng), 0.01 + 0.1 * torch.rand(4, generator=rng)
    yield torch.randn(1, 2, generator=rng), torch.tensor([0.1])


def qas_scale_judge(case, output):
    gradient, scale = case
    expected = np.stack([row / float(s) ** 2 for row, s in zip(gradient.astype(np.float64), scale, strict=True)])
    return close(output, expected.astype(np.float32), rtol=1e-4, atol=1e-6)


def stochastic_cases(rng):
    """Random numbers on both sides of zero, whole numbers, and draws at the edge."""
    yield 10 * torch.randn(40, generator=rng), torch.rand(40, generator=rng)
    yield torch.tensor([3.0, -3.0, 0.0, 7.0]), torch.tensor([0.0, 0.999, 0.5, 0.25])
    yield torch.tensor([2.25, 2.25, -2.25, -2.25]), torch.tensor([0.9, 0.1, 0.9, 0.1])


def stochastic_judge(case, output):
    q, u = (value.astype(np.float64) for value in case)
    low = np.floor(q)
    up = q - low
    if np.shape(output) != q.shape:
        return f"{q.shape} numbers are wanted, one for each of q"
    output = np.asarray(output, dtype=np.float64)
    if np.abs(output - np.rint(output)).max() > 0:
        return "what is stored must be whole numbers"
    if ((output < low) | (output > low + (up > 0))).any():
        return "each result is floor(q) or, if something stands behind the point, floor(q) + 1"
    # of all draws, a share `up` rounds up: either those with u < up, or those with u >= 1 - up
    fits = [np.array_equal(output, low + rule) for rule in (u < up, u >= 1 - up)]
    edge = np.array_equal(output, np.floor(case[0] + case[1]))
    return None if any(fits) or edge else "a number that is 0.3 above floor(q) goes up for 30 % of the draws u, and a whole number stays"


checks = {
    "requantize": Check(
        points=2,
        cases=requantize_cases,
        judge=requantize_judge,
        hints=("Three things in this order: round to whole steps, add the zero point, cut to the range of int8.",
               "`(real.round() + z)` first, then `.clamp(...)` with the ends of int8, -128 and 127."),
        solution='''\
def requantize(acc, m, z):
    """acc (N, C) sums, m (C,), z a number -> (N, C): the int8 outputs, as float32."""
    real = acc * m
    return (real.round() + z).clamp(-128, 127)
''',
        wrong=('''\
def requantize(acc, m, z):
    real = acc * m
    return real.round().clamp(-128, 127) + z
''', '''\
def requantize(acc, m, z):
    real = acc * m
    return (real.trunc() + z).clamp(-128, 127)
'''),
    ),
    "qas_scale": Check(
        points=2,
        cases=qas_scale_cases,
        judge=qas_scale_judge,
        hints=("What must each row be divided by, and which shape lets a vector of O numbers divide the rows of an (O, I) matrix?",
               "`scale[:, None] ** 2` has shape (O, 1): one number a row."),
        solution='''\
def qas_scale(gradient, scale):
    """gradient (O, I) in integer units, scale (O,) -> (O, I)."""
    per_row = scale[:, None] ** 2
    return gradient / per_row
''',
        wrong=('''\
def qas_scale(gradient, scale):
    per_row = scale[:, None]
    return gradient / per_row
''', '''\
def qas_scale(gradient, scale):
    per_row = scale.mean() ** 2
    return gradient / per_row
'''),
    ),
    "stochastic": Check(
        points=1,
        cases=stochastic_cases,
        judge=stochastic_judge,
        hints=("Add something random to q before you cut off what stands behind the point.",
               "`(q + u).floor()`: 2.3 + u reaches 3 for 30 % of all u."),
        solution='''\
def stochastic(q, u):
    """q (N,) real, u (N,) uniform -> (N,): floor(q), or floor(q) + 1 with the probability of the part behind the point."""
    return (q + u).floor()
''',
        wrong=('''\
def stochastic(q, u):
    return (q + u).round()
''', '''\
def stochastic(q, u):
    return q.floor() + (u < 0.5).float()
'''),
    ),
}

quizzes = {
    "identity": Quiz(
        "A colleague trains the int8 net with QAS, latent floats and SGD. You train the float net with SGD, but every forward pass "
        "uses the same integers, for weights, biases and activations, with scales that stay fixed. What differs?",
        {
            "Nothing but rounding errors of float32": (True, "The step of q, times s, is the step of v. QAS is QAT with frozen scales, in "
             "integer units."),
            "The colleague's rate is effectively 1/s² times larger": (False, "Without QAS it would be 1/s² times too small; QAS cancels "
             "exactly that."),
            "The colleague's net forgets steps below one half": (False, "Latent floats keep them. Section 5 takes them away."),
            "Yours is more exact, because gradients are float": (False, "Both gradients are float32; only weights and activations are "
             "integers."),
        },
    ),
    "rivals": Quiz(
        "What do these measurements say about QAS?",
        {
            "Nothing else trains an int8 net": (False, "LARS did as well here, and so did one searched factor."),
            "It reaches what float training reaches, and needs no other rate than float does": (True, "That is its gain: a factor less to "
             "search, which a device cannot search for. QAS took the same grid of rates as float SGD."),
            "It is better than float training": (False, "The ranges overlap: the two are the same method in other units."),
            "Its gain comes from a larger learning rate": (False, "The factor differs by tensor, 10,000 for weights and ten million for "
             "biases. A larger rate for all would break the head."),
        },
    ),
}
