"""Checks and quizzes of lab 25. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def largest_batch_cases(rng):
    """Room to spare, exactly enough, one byte too little, and not even for one; a random one."""
    yield 31_668, 46_072, 208_000
    yield 1000, 1400, 2200
    yield 1000, 1400, 2199
    yield 1000, 1400, 999
    yield 1000, 1100, 300
    one, each = int(torch.randint(2000, 9000, (), generator=rng)), int(torch.randint(100, 900, (), generator=rng))
    yield one, one + each, one + 7 * each + each // 2


def largest_batch_judge(case, output):
    one, two, room = case
    expected = 0
    while one + expected * (two - one) <= room:
        expected += 1
    if isinstance(output, float) and output != int(output):
        return f"a batch of {output:.2f} clips: a whole number is wanted"
    return close(output, expected)


def go_on_cases(rng):
    """In the first pass, at its end, in a later one, with a batch that does not divide the data, and at the start."""
    order = torch.randperm(12, generator=rng)
    yield from ((order, 4, 1), (order, 4, 3), (order, 4, 8), (order[:10], 4, 4), (order, 1, 30), (order, 2, 0))


def go_on_judge(case, output):
    order, batch, step = case
    return close(output, np.array([order[(step * batch + i) % len(order)] for i in range(len(order))]))


def windows_cases(rng):
    """Side by side, overlapping, with gaps, with a rest at the end, and one window only."""
    for length, width, hop in ((40, 10, 10), (40, 10, 5), (43, 8, 12), (29, 10, 7), (10, 10, 3)):
        yield torch.randn(3, length, generator=rng), width, hop


def windows_judge(case, output):
    stream, width, hop = case
    return close(output, np.stack([stream[:, at:at + width] for at in range(0, stream.shape[1], hop) if at + width <= stream.shape[1]]))


checks = {
    "largest_batch": Check(
        points=2,
        cases=largest_batch_cases,
        judge=largest_batch_judge,
        hints=("What does one more example cost? How many more fit into what a batch of one leaves?",
               "`each = two - one`; the first costs `one`, and `(room - one) // each` more fit beside it."),
        solution='''\
def largest_batch(one, two, room):
    """one, two: bytes with a batch of 1 and of 2; room: bytes there are -> the largest batch that fits, 0 if none does."""
    each = two - one
    return max(0, 1 + (room - one) // each)
''',
        wrong=('''\
def largest_batch(one, two, room):
    return max(0, room // one)
''', '''\
def largest_batch(one, two, room):
    each = two - one
    return max(0, (room - one) // each)
'''),
    ),
    "go_on": Check(
        points=1,
        cases=go_on_cases,
        judge=go_on_judge,
        hints=("How many examples have been used after `step` steps? What if that is more than there are?",
               "`step * batch` examples came by; the remainder by `len(order)` says where in the order one stands."),
        solution='''\
def go_on(order, batch, step):
    """order (N,) int64: example numbers as they are trained on; step: steps done -> (N,) the order from the next example on."""
    start = step * batch % len(order)
    return torch.cat([order[start:], order[:start]])
''',
        wrong=('''\
def go_on(order, batch, step):
    start = step % len(order)
    return torch.cat([order[start:], order[:start]])
''', '''\
def go_on(order, batch, step):
    start = step * batch
    return torch.cat([order[start:], order[:start]])
'''),
    ),
    "windows": Check(
        points=1,
        cases=windows_cases,
        judge=windows_judge,
        hints=("Where may the last window begin, so that it still is `width` long?",
               "`range(0, last + 1, hop)`, and the last whole window begins at T - width at the latest."),
        solution='''\
def windows(stream, width, hop):
    """stream (axes, T) float32 -> (N, axes, width): windows that begin at 0, hop, 2 hop, ..., as long as they are whole."""
    starts = range(0, stream.shape[1] - width + 1, hop)
    return torch.stack([stream[:, at:at + width] for at in starts])
''',
        wrong=('''\
def windows(stream, width, hop):
    starts = range(0, max(1, stream.shape[1] - width), hop)
    return torch.stack([stream[:, at:at + width] for at in starts])
''', '''\
def windows(stream, width, hop):
    starts = range(0, stream.shape[1] - width + 1, width)
    return torch.stack([stream[:, at:at + width] for at in starts])
'''),
    ),
}

quizzes = {
    "same_bits": Quiz(
        "After 27 steps the board's weights are the notebook's, bit for bit. What does that prove?",
        {
            "That training in 8 bits is as good as in 32":
                (False, "Nothing here was compared with floats. Two machines did the same arithmetic, good or bad."),
            "That the board executed this Program as NumPy does, on these data":
                (True, "Compiler, machine code, line and memory plan did what the reference says. Whether what the reference "
                       "says is a good way to learn, held-out data must tell."),
            "That the net will serve the user well":
                (False, "A wrong gradient, the same on both sides, would give the same bits too. Accuracy is another question."),
            "That every board gives the same bits, for every program":
                (False, "It is evidence for this program on this board. Another core or compiler has to be tested as well."),
        },
    ),
    "out_of_memory": Quiz(
        "Everything shall learn, and a batch of two is too large by some 30 KiB. What helps, and keeps the gradient but for rounding?",
        {
            "A smaller learning rate":
                (False, "The rate is one number. It changes what is learned, and no byte."),
            "Momentum":
                (False, "A velocity for each weight that learns is memory on top."),
            "Nothing: with one example a step the gradient is another one":
                (False, "True for a step on one example. But two gradients can be added before the weights move."),
            "One example after the other, their gradients added before the weights move":
                (True, "Saved inputs for one example at a time. The price is a buffer of gradients, as large as the weights that learn "
                       "(lab 06 measures that trade)."),
        },
    ),
}
