"""Checks and quizzes of lab 13. Judging uses NumPy on plain copied values."""
import math

import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def top_k_bytes_cases(rng):
    """Few and many entries of small and large models: the list is shorter in some cases, the bitmap in others."""
    yield from ((2410, 24), (2410, 241), (100_000, 10), (100_000, 50_000), (1000, 100), (7, 1))
    yield int(torch.randint(10_000, 90_000, (), generator=rng)), int(torch.randint(1, 300, (), generator=rng))


def top_k_bytes_judge(case, output):
    num_weights, k = case
    return close(output, 4 * k + math.ceil(min(k * math.ceil(math.log2(num_weights)), num_weights) / 8))


def quantise_cases(rng):
    """Entries and chances that are binary fractions, so no rounding of floats decides; the largest entry is a whole number of steps."""
    for size, bits, step in ((9, 2, 0.5), (40, 4, 0.25), (5, 8, 2.0), (1, 2, 1.0)):
        levels = 2 ** (bits - 1) - 1
        update = torch.randint(-16 * levels, 16 * levels + 1, (size,), generator=rng) * step / 16
        update[0] = levels * step * (1 if bits < 4 else -1)
        yield update, bits, torch.randint(0, 32, (size,), generator=rng) / 32 + 1 / 64


def quantise_judge(case, output):
    update, bits, chance = case
    step = np.abs(update.astype(np.float64)).max() / (2 ** (bits - 1) - 1)
    return close(output, (np.floor(update / step + chance) * step).astype(np.float32), rtol=1e-4, atol=1e-5)


def send_cases(rng):
    """Without and with something left from before; once all is sent."""
    for size, k, scale in ((6, 2, 0), (9, 1, 3), (30, 5, 1), (4, 4, 1)):
        yield torch.randn(size, generator=rng), scale * torch.randn(size, generator=rng), k


def send_judge(case, output):
    update, left, k = case
    if not isinstance(output, tuple) or len(output) != 2:
        return "two tensors are wanted: what is sent, and what is left"
    wanted = update.astype(np.float64) + left
    sent = np.zeros_like(wanted)
    places = np.argsort(-np.abs(wanted))[:k]
    sent[places] = wanted[places]
    for name, got, expected in (("what is sent", output[0], sent), ("what is left", output[1], wanted - sent)):
        if message := close(got, expected.astype(np.float32), rtol=1e-4, atol=1e-6):
            return f"{name}: {message}"
    return None


checks = {
    "top_k_bytes": Check(
        points=1,
        cases=top_k_bytes_cases,
        judge=top_k_bytes_judge,
        hints=("The list has k indices; the bitmap has a bit for every weight, whether it is sent or not.",
               "`math.ceil(math.log2(num_weights))` bits for one index, times k; `num_weights` bits for the bitmap."),
        solution='''\
def top_k_bytes(num_weights, k):
    """Bytes of k numbers of 32 bits and of their k places, by whichever of list and bitmap is shorter."""
    list_bits = k * math.ceil(math.log2(num_weights))
    bitmap_bits = num_weights
    return 4 * k + math.ceil(min(list_bits, bitmap_bits) / 8)
''',
        wrong=('''\
def top_k_bytes(num_weights, k):
    list_bits = 32 * k
    bitmap_bits = num_weights
    return 4 * k + math.ceil(min(list_bits, bitmap_bits) / 8)
''', '''\
def top_k_bytes(num_weights, k):
    list_bits = k * math.ceil(math.log2(num_weights))
    bitmap_bits = k
    return 4 * k + math.ceil(min(list_bits, bitmap_bits) / 8)
'''),
    ),
    "quantise": Check(
        points=2,
        cases=quantise_cases,
        judge=quantise_judge,
        hints=("How many steps is an entry? That is a number with a fraction; the fraction is its chance to be rounded up.",
               "`update / step + chance`, then `.floor()`: with a fraction of 0.3, adding a number from 0 to 1 passes the next whole "
               "number in three of ten cases."),
        solution='''\
def quantise(update, bits, chance):
    """update (P,), chance (P,) in [0, 1) -> update in whole steps, rounded up or down by chance."""
    levels = 2 ** (bits - 1) - 1
    step = update.abs().max() / levels
    multiple = (update / step + chance).floor()
    return multiple * step
''',
        wrong=('''\
def quantise(update, bits, chance):
    levels = 2 ** (bits - 1) - 1
    step = update.abs().max() / levels
    multiple = (update / step).round()
    return multiple * step
''', '''\
def quantise(update, bits, chance):
    levels = 2 ** (bits - 1) - 1
    step = update.abs().max() / levels
    multiple = (update / step).floor() + chance
    return multiple * step
'''),
    ),
    "send": Check(
        points=2,
        cases=send_cases,
        judge=send_judge,
        hints=("There are two things to say: the new update, and what could not be said before.",
               "`wanted` is their sum; what is left is `wanted` without what was sent."),
        solution='''\
def send(update, left, k):
    """update (P,), left (P,) -> (sent (P,), left (P,)): the k largest of what there is to say."""
    wanted = update + left
    places = wanted.abs().topk(k).indices
    sent = torch.zeros_like(wanted)
    sent[places] = wanted[places]
    left = wanted - sent
    return sent, left
''',
        wrong=('''\
def send(update, left, k):
    wanted = update + left
    places = wanted.abs().topk(k).indices
    sent = torch.zeros_like(wanted)
    sent[places] = wanted[places]
    left = update - sent
    return sent, left
''', '''\
def send(update, left, k):
    wanted = update
    places = wanted.abs().topk(k).indices
    sent = torch.zeros_like(wanted)
    sent[places] = wanted[places]
    left = left + wanted - sent
    return sent, left
'''),
    ),
}

quizzes = {
    "who_needs_feedback": Quiz(
        "A colleague writes a new compressor. When should error feedback go around it?",
        {
            "Always: sending what was lost can only help":
                (False, "Around two bits by chance it lost several points. Where the error is longer than the update, the debt grows "
                        "round by round."),
            "When its error is short, but does not average out":
                (True, "Shorter than the update, that is. Then what is lost would stay lost, and what is kept stays bounded. "
                       "Top-k, sign and rounding to the nearest are "
                       "of this kind."),
            "When it sends less than a tenth of the bytes of the whole update":
                (False, "Two bits by chance send a sixteenth and do not need it. What counts is the kind of error."),
            "Only when all clients take part in every round":
                (False, "Here ten of fifty did, and the sign gained much. Old residuals are a price, not a bar."),
        },
    ),
    "what_would_you_send": Quiz(
        "A camera trap has a link of a few bytes a second, and its pictures must stay where they are. What do you send?",
        {
            "Activation maps of the best pictures: they are small, and no pictures":
                (False, "A straight line turned most of them back into pictures. They are small because the net is, not because they say "
                        "little."),
            "Updates in two bits, rounded by chance":
                (True, "Sixteen times fewer bytes than plain updates, at about the same accuracy, and no state to keep."),
            "Updates of the head alone, in 32 bits":
                (False, "More bytes than two bits for all weights, and with a random first layer far less accurate."),
            "The sign, without anything kept on the device":
                (False, "The fewest bytes of these, but it lost twelve points or more with two digits each."),
        },
    ),
}
