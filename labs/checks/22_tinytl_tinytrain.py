"""Checks and quizzes of lab 22. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def prototype_head_cases(rng):
    """Classes of equal size, of unequal size and in disorder, and one class alone."""
    yield torch.randn(12, 4, generator=rng), torch.arange(3).repeat_interleave(4)
    yield torch.randn(7, 5, generator=rng), torch.tensor([1, 0, 1, 2, 2, 1, 2])
    yield torch.randn(2, 3, generator=rng), torch.tensor([0, 0])


def prototype_head_judge(case, output):
    features, y = case
    if not isinstance(output, tuple) or len(output) != 2:
        return "two tensors are wanted: weight (classes, values), bias (classes,)"
    centres = np.stack([features[y == c].astype(np.float64).mean(0) for c in range(y.max() + 1)])
    want = np.column_stack([2 * centres, -(centres ** 2).sum(1)])
    for name, part, shape in zip(("weight", "bias"), output, (centres.shape, centres.shape[:1]), strict=True):
        if np.shape(part) != shape:
            return f"{name}: shaped {np.shape(part)}, and {shape} is wanted"
    # what is added to all classes alike, and one positive factor for all, do not change which output is the largest
    got = np.column_stack([np.asarray(part, np.float64) for part in output])
    got, want = got - got.mean(0), want - want.mean(0)
    scale = (got * want).sum() / max((want * want).sum(), 1e-12)
    if scale <= 0 < np.abs(want).max():
        return "the largest output is not the nearest prototype: weight and bias point the wrong way"
    for name, part in (("weight", np.s_[:, :-1]), ("bias", np.s_[:, -1])):
        if message := close(got[part] / (scale or 1), want[part], rtol=1e-3, atol=1e-4):
            return f"{name}, less its mean over the classes and scaled so that weight and bias fit best: {message}"
    return None


def saved_bits_cases(rng):
    """Everything learns, nothing learns, and a mixture."""
    inputs, outputs = (torch.randint(10, 2000, (5,), generator=rng) for _ in range(2))
    for learns in (torch.ones(5), torch.zeros(5), torch.tensor([0, 1, 0, 0, 1])):
        yield inputs, outputs, learns.bool()


def saved_bits_judge(case, output):
    inputs, outputs, learns = case
    expected = 0
    for size, out, trained in zip(inputs.tolist(), outputs.tolist(), learns.tolist(), strict=True):
        expected += out
        if trained:
            expected += 32 * size
    return close(output, expected)


def score_cases(rng):
    """Layers drawn at random, and two that differ in their cost alone."""
    weights, macs = (torch.randint(low, high, (6,), generator=rng) for low, high in ((100, 4000), (10_000, 90_000)))
    yield torch.rand(6, generator=rng) + 0.1, weights, macs
    yield torch.tensor([1.0, 1.0]), torch.tensor([100, 400]), torch.tensor([5000, 20_000])


def score_judge(case, output):
    potential, weights, macs = (value.astype(np.float64) for value in case)
    return close(output, (potential / (weights / weights.max() * macs / macs.max())).astype(np.float32), rtol=1e-3)


checks = {
    "prototype_head": Check(
        points=2,
        cases=prototype_head_cases,
        judge=prototype_head_judge,
        hints=("Multiply out |f - c|^2. Which of the three terms is the same for every class, and may be left out?",
               "A linear layer computes weight . f + bias, and the largest wins: weight is 2c, and bias is minus the squared length of c."),
        solution='''\
def prototype_head(features, y):
    """features (N, D), y (N,) int64 from 0 -> weight (C, D), bias (C,) of a linear layer whose largest output is the nearest mean."""
    centres = torch.stack([features[y == c].mean(0) for c in range(int(y.max()) + 1)])
    weight = 2 * centres
    bias = -(centres ** 2).sum(1)
    return weight, bias
''',
        wrong=('''\
def prototype_head(features, y):
    centres = torch.stack([features[y == c].mean(0) for c in range(int(y.max()) + 1)])
    weight = 2 * centres
    bias = torch.zeros(len(centres))
    return weight, bias
''', '''\
def prototype_head(features, y):
    centres = torch.stack([features[y == c].sum(0) for c in range(int(y.max()) + 1)])
    weight = 2 * centres
    bias = -(centres ** 2).sum(1)
    return weight, bias
'''),
    ),
    "saved_bits": Check(
        points=2,
        cases=saved_bits_cases,
        judge=saved_bits_judge,
        hints=("What does the gradient of a weight need? What does the gradient of a bias need?",
               "Each ReLU keeps one bit a value, whatever learns. Where the weight learns, 32 bits are kept for each value of the input."),
        solution='''\
def saved_bits(inputs, outputs, learns):
    """inputs, outputs (L,) int64: values that layer l reads and makes; learns (L,) bool: its weight learns. Bits kept, an int."""
    masks = outputs.sum()
    saved = 32 * inputs[learns].sum()
    return int(masks + saved)
''',
        wrong=('''\
def saved_bits(inputs, outputs, learns):
    masks = outputs.sum()
    saved = 32 * inputs.sum()
    return int(masks + saved)
''', '''\
def saved_bits(inputs, outputs, learns):
    masks = outputs[learns].sum()
    saved = 32 * inputs[learns].sum()
    return int(masks + saved)
'''),
    ),
    "score": Check(
        points=2,
        cases=score_cases,
        judge=score_judge,
        hints=("Two costs stand below the line: the share of the largest layer's weights, and the share of the largest layer's MACs.",
               "`weights / weights.max()` is the first share; the score is the potential divided by the product of both."),
        solution='''\
def score(potential, weights, macs):
    """potential (L,) float, weights (L,), macs (L,) int64 -> (L,) float: potential for each weight and each MAC."""
    cost = (weights / weights.max()) * (macs / macs.max())
    return potential / cost
''',
        wrong=('''\
def score(potential, weights, macs):
    cost = weights / weights.max() + macs / macs.max()
    return potential / cost
''', '''\
def score(potential, weights, macs):
    cost = (weights / weights.max()) * (macs / macs.max())
    return potential * cost
'''),
    ),
}

quizzes = {
    "prototypes": Quiz(
        "A device meets ten new characters through the camera of the factory, five examples each. What should it do first?",
        {
            "Fine-tune everything: more weights can learn more": (False, "Fifty pictures say little that the trained net does not know "
            "already. On known ground section 5 finds no gain."),
            "Average the features of each class": (True, "It costs one forward pass and no gradient. Without a shift little is left for "
            "training to win; with another camera there is."),
            "Train the head by gradient descent from random weights": (False, "It would have to find what the means give for nothing."),
            "Ask for a thousand examples": (False, "Then it would not be few-shot learning, and the five are nearly enough."),
        },
    ),
    "same_choice": Quiz(
        "TinyTrain's score divides the potential of a layer by its weights and its MACs. Why do our tasks get nearly the same layers?",
        {
            "Its tasks are all alike": (False, "Without the division the choice does change from task to task."),
            "The potential is computed wrongly": (False, "The tests hold it against what the loss does when a channel is dimmed."),
            "A depthwise convolution is so cheap that the division decides, not the task": (True, "Its weights times MACs are a "
            "seventh to a twenty-eighth of its neighbours'. The potentials shift less than that."),
            "The budget is too small for any other layer": (False, "Other layers fit. They come later in the order."),
        },
    ),
}
