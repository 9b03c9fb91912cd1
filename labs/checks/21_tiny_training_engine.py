"""Checks and quizzes of lab 21. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def draw(low, high, rng):
    return int(torch.randint(low, high, (1,), generator=rng))


def backward_cases(rng):
    """All learn, the top alone, the bottom alone, one in the middle, none, some drawn at random, and a single layer."""
    names = [f"layer{i}" for i in range(draw(4, 7, rng))]
    for learns in (names, names[-1:], names[:1], names[2:3], [], [name for name in names if draw(0, 2, rng)]):
        yield list(names), list(learns)
    yield ["only"], ["only"]


def needed(layers, learns):
    """From the lowest layer that learns up to the loss, turned round: found from the bottom, not from the top."""
    lowest = min((layers.index(name) for name in learns), default=len(layers))
    ops = []
    for i in range(lowest, len(layers)):
        own = [("SCALE_GRAD", layers[i])] if i + 1 < len(layers) else []
        own += [("CONV_DX", layers[i])] if i > lowest else []
        own += [("CONV_DW", layers[i]), ("CONV_DB", layers[i])] if layers[i] in learns else []
        ops = own + ops
    return ops


def backward_judge(case, output):
    want = needed(*case)
    if not isinstance(output, list) or not all(isinstance(op, (tuple, list)) and len(op) == 2 for op in output):
        return "a list of pairs (kind, layer's name) is wanted"
    got = [tuple(op) for op in output]
    if got == want:
        return None
    if extra := [op for op in got if op not in want]:
        return f"{extra[0]} is there, and nothing that learns needs it"
    if missing := [op for op in want if op not in got]:
        return f"{missing[0]} is missing"
    return f"the right ops in another order, or twice: {got}, and {want} is wanted"


def peak_cases(rng):
    """Tensors that touch at one op, that follow each other, that all live at once, and drawn ones."""
    yield ([(100, 0, 2), (50, 2, 4), (70, 3, 5)],)
    yield ([(draw(1, 100, rng), i, i) for i in range(6)],)
    yield ([(draw(1, 100, rng), 0, 9) for _ in range(5)],)
    for _ in range(2):
        firsts = [draw(0, 20, rng) for _ in range(12)]
        yield ([(draw(1, 5000, rng), first, first + draw(0, 8, rng)) for first in firsts],)


def peak_judge(case, output):
    (spans,) = case
    alive = np.zeros(max(last for _, _, last in spans) + 1, dtype=np.int64)
    for size, first, last in spans:
        alive[first:last + 1] += size
    return close(output, int(alive.max()))


def updated_cases(rng):
    """Small steps, steps that leave the range on both sides, one row, and scales that differ by a factor of a hundred."""
    for rows, columns, size in ((3, 5, 2e-5), (4, 4, 3e-2), (1, 6, 1e-3)):
        q = torch.randint(-127, 128, (rows, columns), generator=rng).float()
        g = size * torch.randn(rows, columns, generator=rng)
        yield q, g, 0.005 + 0.01 * torch.rand(rows, generator=rng), 0.1
    yield torch.tensor([[127.0, -127.0], [5.0, -5.0]]), torch.tensor([[-1e-3, 1e-3], [2e-3, -2e-3]]), torch.tensor([0.002, 0.2]), 0.1


def updated_judge(case, output):
    q, g, s, lr = (np.asarray(part, np.float64) for part in case)
    if np.shape(output) != q.shape:
        return f"shaped {np.shape(output)}, and {q.shape} is wanted"
    output, moved = np.asarray(output, np.float64), q - lr * g / s[:, None] ** 2
    if (output != np.rint(output)).any():
        return f"{output[output != np.rint(output)][0]:.4g} is not an integer"
    if np.abs(output).max() > 127:
        return f"{output.flat[np.abs(output).argmax()]:.0f} does not fit: the stored range is -127 to 127"
    off = np.abs(output - np.clip(moved, -127, 127))        # a half may go either way
    worst = off.argmax()
    if off.flat[worst] > 0.501:
        return f"{q.flat[worst]:.0f} moved to {output.flat[worst]:.0f}, and {moved.flat[worst]:.4g}, rounded and kept in range, is wanted"
    return None


checks = {
    "backward": Check(
        points=3,
        cases=backward_cases,
        judge=backward_judge,
        hints=("For each op ask who reads its result. CONV_DX of a layer is read by SCALE_GRAD of the layer below it, and by nobody else.",
               "SCALE_GRAD: if there is a ReLU (not the last layer) and the layer or one below learns. CONV_DX: if one below learns. "
               "CONV_DW and CONV_DB: if the layer learns."),
        solution='''\
def backward(layers, learns):
    """layers: names, from the input up; learns: those whose weight and bias learn.

    Returns the backward ops that are needed, in order: a list of pairs (kind, layer's name).
    """
    ops = []
    for i in reversed(range(len(layers))):
        below = any(name in learns for name in layers[:i])
        if i + 1 < len(layers) and (below or layers[i] in learns):
            ops.append(("SCALE_GRAD", layers[i]))
        if below:
            ops.append(("CONV_DX", layers[i]))
        if layers[i] in learns:
            ops += [("CONV_DW", layers[i]), ("CONV_DB", layers[i])]
    return ops
''',
        wrong=('''\
def backward(layers, learns):
    ops = []
    for i in reversed(range(len(layers))):
        if i + 1 < len(layers):
            ops.append(("SCALE_GRAD", layers[i]))
        if i > 0:
            ops.append(("CONV_DX", layers[i]))
        if layers[i] in learns:
            ops += [("CONV_DW", layers[i]), ("CONV_DB", layers[i])]
    return ops
''', '''\
def backward(layers, learns):
    ops = []
    for i in reversed(range(len(layers))):
        if layers[i] in learns:
            if i + 1 < len(layers):
                ops.append(("SCALE_GRAD", layers[i]))
            if i > 0:
                ops.append(("CONV_DX", layers[i]))
            ops += [("CONV_DW", layers[i]), ("CONV_DB", layers[i])]
    return ops
'''),
    ),
    "peak": Check(
        points=2,
        cases=peak_cases,
        judge=peak_judge,
        hints=("At op i a tensor lives if first <= i <= last. Add up the bytes for one op, then think of all ops.",
               "The most is reached at an op at which some tensor is born. So: the max over those ops of a sum over spans."),
        solution='''\
def peak(spans):
    """spans: list of (bytes, first, last), not empty. Returns the most bytes that live at the same op, an int."""
    return max(sum(size for size, first, last in spans if first <= i <= last) for _, i, _ in spans)
''',
        wrong=('''\
def peak(spans):
    return max(sum(size for size, first, last in spans if first <= i < last) for _, i, _ in spans)
''', '''\
def peak(spans):
    return sum(size for size, first, last in spans)
'''),
    ),
    "updated": Check(
        points=2,
        cases=updated_cases,
        judge=updated_judge,
        hints=("One scale for each row: s must become (O, 1). Divide by its square, round, and only then look at the range.",
               "(q - lr * g / s[:, None] ** 2), then .round(), then .clamp(-127, 127)."),
        solution='''\
def updated(q, g, s, lr):
    """q: (O, K) float32, integers; g: (O, K) float32, gradient with respect to q; s: (O,) float32, scale of each row.

    Returns q after one step of SGD with QAS: (O, K) float32, integers from -127 to 127.
    """
    return (q - lr * g / s[:, None] ** 2).round().clamp(-127, 127)
''',
        wrong=('''\
def updated(q, g, s, lr):
    return (q - lr * g / s[:, None] ** 2).trunc().clamp(-127, 127)
''', '''\
def updated(q, g, s, lr):
    return (q - lr * g / s[:, None]).round().clamp(-127, 127)
'''),
    ),
}

quizzes = {
    "frozen": Quiz(
        "The last layer of a net is frozen, those below it learn. Which of the last layer's backward ops can be dropped?",
        {
            "All of them, it does not learn": (False, "The layers below would get no gradient: it has to come through the last layer."),
            "The gradients of its weight and bias, and so its saved input": (True, "CONV_DW and CONV_DB go, and nobody reads its input any "
            "more. CONV_DX stays: it reads the weights, not the input."),
            "CONV_DX, since the layer does not learn": (False, "CONV_DX is what hands the gradient down. It has nothing to do with the "
            "layer's own learning."),
            "None, a gradient needs the whole layer": (False, "Two of the three are read by an update only, and the update is not there."),
        },
    ),
    "early": Quiz(
        "A weight is updated as soon as its gradient is known. Which op must have run before?",
        {
            "All backward ops of the net": (False, "The layers below never ask for this weight again, except through one op."),
            "CONV_DX of the same layer": (True, "It computes the gradient for the layer below with the weight of the forward pass. "
            "After the update the weight is another one, and so would be the gradient."),
            "CONV_DX of the layer below": (False, "It reads the weights of the layer below, not these."),
            "None: the forward pass is over": (False, "The forward pass is over, but the backward pass reads weights, too."),
        },
    ),
}
