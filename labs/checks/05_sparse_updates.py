"""Checks and quizzes of lab 05. Judging uses plain numbers."""
import itertools

import torch

from odl_kit.lab.judging import Check, Quiz, close


def learning_bits_cases(rng):
    """A plain convolution, one by one, a depthwise one; a part of the channels; the bias alone."""
    def draw(low, high):
        return int(torch.randint(low, high, (1,), generator=rng))
    yield draw(8, 80), draw(4, 9), draw(2, 4), 3, draw(2, 40), False
    yield draw(8, 80), 6, 6, 1, draw(2, 40), False
    yield draw(40, 80), 8, 4, 5, draw(2, 40), True
    yield draw(8, 80), 4, 4, 3, 0, False


def learning_bits_judge(case, output):
    c_out, h_in, h_out, kernel, channels, depthwise = case
    filters = 1 if depthwise else c_out
    expected = c_out * h_out ** 2 + 32 * c_out + 8 * channels * h_in ** 2 + 8 * channels * filters * kernel ** 2
    return close(output, expected)


def best_gain_cases(rng):
    """A few things drawn afresh; the greedy choice is a trap; nothing fits; a loss is there to be left out."""
    for n in (5, 7):
        gains = [round(float(v), 3) for v in torch.rand(n, generator=rng)]
        sizes = torch.randint(1, 12, (n,), generator=rng).tolist()
        yield gains, sizes, sum(sizes) // 2
    yield [0.61, 0.5, 0.5], [6, 5, 5], 10
    yield [0.3, 0.2], [7, 9], 5
    yield [0.3, -0.2, 0.1], [2, 1, 2], 6


def best_gain_judge(case, output):
    gains, sizes, budget = case
    best = 0.0
    for some in itertools.product((0, 1), repeat=len(gains)):
        if sum(size for size, take in zip(sizes, some, strict=True) if take) <= budget:
            best = max(best, sum(gain for gain, take in zip(gains, some, strict=True) if take))
    return close(output, best, rtol=1e-6, atol=1e-6)


checks = {
    "learning_bits": Check(
        points=2,
        cases=learning_bits_cases,
        judge=learning_bits_judge,
        hints=("The mask is about what goes out, however many channels learn. The inputs are those of the channels that do.",
               "`mask = c_out * h_out * h_out` and `inputs = 8 * channels * h_in * h_in`."),
        solution='''\
def learning_bits(c_out, h_in, h_out, kernel, channels, depthwise):
    """Bits that a convolution adds if its bias learns and `channels` of its input channels; an int."""
    mask = c_out * h_out * h_out
    bias = 32 * c_out
    inputs = 8 * channels * h_in * h_in
    weights = 8 * channels * kernel * kernel * (1 if depthwise else c_out)
    return mask + bias + inputs + weights
''',
        wrong=('''\
def learning_bits(c_out, h_in, h_out, kernel, channels, depthwise):
    mask = 8 * c_out * h_out * h_out
    bias = 32 * c_out
    inputs = 8 * channels * h_in * h_in
    weights = 8 * channels * kernel * kernel * (1 if depthwise else c_out)
    return mask + bias + inputs + weights
''', '''\
def learning_bits(c_out, h_in, h_out, kernel, channels, depthwise):
    mask = c_out * h_out * h_out
    bias = 32 * c_out
    inputs = 8 * channels * h_out * h_out
    weights = 8 * channels * kernel * kernel * (1 if depthwise else c_out)
    return mask + bias + inputs + weights
'''),
    ),
    "best_gain": Check(
        points=2,
        cases=best_gain_cases,
        judge=best_gain_judge,
        hints=("b bytes are filled without this thing, as before, or with it; then less room is left for the things before it.",
               "What is left is `b - size` bytes, and the best that fits there is `best[b - size]`."),
        solution='''\
def best_gain(gains, sizes, budget):
    """The largest sum of gains whose sizes sum to `budget` at most. sizes, budget: ints above 0."""
    best = [0.0] * (budget + 1)
    for gain, size in zip(gains, sizes, strict=True):
        for b in range(budget, size - 1, -1):       # downwards, so that best[b - size] is without this thing
            best[b] = max(best[b], gain + best[b - size])
    return best[budget]
''',
        wrong=('''\
def best_gain(gains, sizes, budget):
    best = [0.0] * (budget + 1)
    for gain, size in zip(gains, sizes, strict=True):
        for b in range(budget, size - 1, -1):
            best[b] = best[b - size] + gain
    return best[budget]
''', '''\
def best_gain(gains, sizes, budget):
    total = 0.0
    for gain, size in sorted(zip(gains, sizes, strict=True), reverse=True):
        if gain > 0 and size <= budget:
            total, budget = total + gain, budget - size
    return total
'''),
    ),
}

quizzes = {
    "validation": Quiz(
        "A colleague runs the contribution analysis on the test images, since there are more of them: less noise. What is wrong with that?",
        {
            "Nothing: the nets of the analysis are thrown away":
                (False, "The nets are, the choice is not: the plan would be picked because it does well on just these images."),
            "The test accuracy of the plan would then be too good to be true":
                (True, "Of many noisy numbers the search takes the highest, luck included. On images that were not used for the choice the "
                 "luck does not count."),
            "Test images come from another sensor":
                (False, "They come from the same sensor as the images that the net learns from."),
            "The analysis would take too long":
                (False, "Reading accuracies takes a small part of the time; training takes the rest."),
        },
    ),
    "rule": Quiz(
        "By the paper's rule a plan adds 12 KiB, and a board has 16 KiB left beside what inference takes. May you ship it?",
        {
            "Yes, 12 is less than 16":
                (False, "The rule leaves out working activations and gradients. Here the true extra was three to four times as much."),
            "Only after the true peak has been counted, or measured on the board":
                (True, "The rule is for choosing among plans. What must fit is the peak; it depends on the program, reordering lowers it."),
            "Yes, if the batch is one image":
                (False, "Both numbers of section 5 are for one image already."),
            "No: learning always needs the memory of training everything":
                (False, "What is frozen needs no gradient, and often no saved input: the peak falls with the plan."),
        },
    ),
}
