"""Checks and quizzes of lab 02. Judging uses plain numbers."""
import torch

from odl_kit.lab.judging import Check, Quiz, close


def training_bytes_cases(rng):
    """Sizes drawn afresh, then a batch of one."""
    for _ in range(3):
        yield tuple(int(torch.randint(low, high, (1,), generator=rng)) for low, high in ((2, 500), (2, 300), (2, 64)))
    yield 64, 10, 1


def training_bytes_judge(case, output):
    inputs, outputs, batch = case
    return close(output, 4 * (2 * inputs * outputs + batch * inputs))


checks = {
    "training_bytes": Check(
        points=2,
        cases=training_bytes_cases,
        judge=training_bytes_judge,
        hints=("Weights and gradients have the same number of entries. What is saved depends on the batch, and only on what goes *in*.",
               "There are inputs * outputs weights, as many gradients, and batch * inputs saved numbers; each takes 4 bytes."),
        solution='''\
def training_bytes(inputs, outputs, batch):
    """Bytes for weights, gradients and saved inputs of one linear layer, 4 bytes a number; an int."""
    weights = inputs * outputs
    saved = batch * inputs
    return 4 * (2 * weights + saved)
''',
        wrong=('''\
def training_bytes(inputs, outputs, batch):
    weights = inputs * outputs
    saved = batch * outputs
    return 4 * (2 * weights + saved)
''', '''\
def training_bytes(inputs, outputs, batch):
    weights = inputs * outputs
    saved = batch * inputs
    return 4 * (weights + saved)
'''),
    ),
}

quizzes = {
    "runtimes": Quiz(
        "A team adds gradient code to an inference runtime. Weights lie in flash, buffers are shared. What must change first?",
        {
            "Nothing: gradient code is all that was missing": (False, "The gradient of a weight needs the layer's input, and that "
            "was overwritten."),
            "Which buffers may be shared": (True, "The inputs of layers that learn must live until the backward pass. And weights "
            "that learn must move from flash to SRAM."),
            "The clock of the chip, which is too slow": (False, "Slow training is still training. Missing inputs make it impossible."),
            "The net, which is too small to learn": (False, "Size is not what keeps it from learning."),
        },
    ),
    "which_limit": Quiz(
        "A smart watch reads its owner's heart beats very well, and everybody else's badly. Which limit of this lab is that?",
        {
            "Memory": (False, "It trained, so it fitted."),
            "Time": (False, "Nobody asked for a faster update."),
            "Data of one kind: it learned one person": (True, "For a watch that nobody lends, this may even be what you want. "
            "For a product's first model it is not."),
            "Label noise": (False, "Then the owner's own beats would be read badly too."),
        },
    ),
}
