"""Checks and quizzes of lab 01. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def degrees_off_cases(rng):
    """Guesses that lie above and below the dial; then one hour; then all right."""
    for hours in (40, 7, 1):
        yield torch.randn(hours, 11, generator=rng), torch.randint(11, (hours,), generator=rng)
    scores = torch.randn(12, 11, generator=rng)
    yield scores, scores.argmax(1)


def degrees_off_judge(case, output):
    scores, dial = case
    off = [abs(int(np.argmax(row)) - int(degree)) for row, degree in zip(scores, dial, strict=True)]
    return close(output, sum(off) / len(off))


def weekly_bytes_cases(rng):
    """Sizes drawn afresh; then a device that nobody used for a week."""
    for _ in range(3):
        yield tuple(int(torch.randint(low, high, (1,), generator=rng)) for low, high in ((100, 10_000), (2, 5_000), (100, 50_000), (2, 8)))
    yield 0, 40, 491, 7


def weekly_bytes_judge(case, output):
    readings, reading_bytes, num_weights, nights = case
    return close(output, (readings * reading_bytes, 0, 4 * num_weights * nights))


checks = {
    "degrees_off": Check(
        points=2,
        cases=degrees_off_cases,
        judge=degrees_off_judge,
        hints=("The guess is the class with the largest score. Too warm and too cold are both wrong: they must not cancel.",
               "`scores.argmax(dim=1)` gives the guesses; take `(guess - dial).abs()` as floats, then the mean and `.item()`."),
        solution='''\
def degrees_off(scores, dial):
    """scores (N, 11), dial (N,) int classes -> a number: degrees that the guess is off, on average."""
    guess = scores.argmax(dim=1)
    return (guess - dial).abs().float().mean().item()
''',
        wrong=('''\
def degrees_off(scores, dial):
    guess = scores.argmax(dim=1)
    return (guess - dial).float().mean().abs().item()
''', '''\
def degrees_off(scores, dial):
    guess = scores.argmax(dim=1)
    return (guess != dial).float().mean().item()
'''),
    ),
    "weekly_bytes": Check(
        points=2,
        cases=weekly_bytes_cases,
        judge=weekly_bytes_judge,
        hints=("A reading goes to the cloud once. An update is as large as the model, and there is one each night.",
               "The cloud gets readings * reading_bytes; an update takes 4 * num_weights, and there are `nights` of them."),
        solution='''\
def weekly_bytes(readings, reading_bytes, num_weights, nights):
    """Bytes sent in a week: (cloud, on-device, federated), three ints. 4 bytes a weight, every night."""
    cloud = readings * reading_bytes
    federated = 4 * num_weights * nights
    return cloud, 0, federated
''',
        wrong=('''\
def weekly_bytes(readings, reading_bytes, num_weights, nights):
    cloud = readings * reading_bytes
    federated = num_weights * nights
    return cloud, 0, federated
''', '''\
def weekly_bytes(readings, reading_bytes, num_weights, nights):
    cloud = readings * reading_bytes
    federated = 4 * num_weights
    return cloud, 0, federated
'''),
    ),
}

quizzes = {
    "duties": Quiz(
        "A fitness band sold in the EU learns on the wrist, as its maker designed it. No byte leaves it. What does the GDPR say?",
        {
            "It is satisfied: the GDPR requires that data stay where they are":
                (False, "It has no such rule. Chapter V lets data go abroad with an adequacy decision or safeguards."),
            "Nothing: it begins when data leave the device":
                (False, "Storing and using data is processing (Art. 4(2)), wherever the chip is. What matters is who decides why and how."),
            "Where the maker decides why and how, much gets lighter, but nothing is settled by the place alone":
                (True, "No transfer, less risk, less to lose in one breach. A lawful basis for health data and security remain."),
            "It forbids learning from health data without a doctor":
                (False, "Art. 9 restricts health data and lists exceptions, such as explicit consent; a doctor is not always needed."),
        },
    ),
    "which_design": Quiz(
        "An alarm in a million homes should know the sound of a gas leak. Hardly any home will ever hear one. Which design fits?",
        {
            "Each alarm learns only from its own home":
                (False, "It would have to hear a leak first. In this lab, a phone never suggested a word that it had not seen."),
            "A generic model from many sources; each alarm fits it to its own noise, with the rare sound kept in the lessons":
                (True, "Strangers supply the rare event, own data the room. What is not rehearsed is forgotten."),
            "No learning: a rule is always as good":
                (False, "A rule was a strong rival for the thermostat. It was not as good as a day of learning."),
            "Send all sound to the cloud; privacy law allows nothing else":
                (False, "The law asks why all of it is needed (data minimisation). And sound is many bytes: count them."),
        },
    ),
}
