"""Checks and quizzes of lab 12. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def earth_movers_cases(rng):
    """Clients of unequal size; one federation where all are alike; one client alone."""
    yield torch.randint(0, 30, (5, 4), generator=rng) + torch.eye(5, 4, dtype=torch.int64),
    yield torch.tensor([[10, 0], [0, 30]]),
    yield torch.tensor([[1, 2, 3], [2, 4, 6]]),
    yield torch.tensor([[4, 1, 0]]),


def earth_movers_judge(case, output):
    histogram = case[0].astype(np.float64)
    overall = histogram.sum(0) / histogram.sum()
    expected = [np.abs(row / row.sum() - overall).sum() for row in histogram]
    return close(output, np.array(expected, np.float32), rtol=1e-4, atol=1e-5)


def prox_step_cases(rng):
    """With the spring, and without; once at the start, where it does not pull."""
    for lr, mu, moved in ((0.1, 1.0, 1), (0.5, 0.0, 1), (0.2, 3.0, 0)):
        start = torch.randn(6, generator=rng)
        yield start + moved * torch.randn(6, generator=rng), start, torch.randn(6, generator=rng), lr, mu


def prox_step_judge(case, output):
    w, start, gradient, lr, mu = case
    return close(output, w - lr * (gradient + mu * (w - start)), rtol=1e-4, atol=1e-6)


def fair_weights_cases(rng):
    """Clients that answer always, often and seldom. A scale of all weights is free: the mean divides by their sum."""
    yield torch.tensor([10, 10, 20]), torch.tensor([1.0, 0.1, 0.5])
    yield torch.randint(1, 60, (6,), generator=rng), 0.05 + 0.95 * torch.rand(6, generator=rng)


def fair_weights_judge(case, output):
    num_examples, reachable = (value.astype(np.float64) for value in case)
    expected = num_examples / reachable
    got = np.asarray(output, dtype=np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all() or got.sum() <= 0:
        return f"one finite weight above 0 for each of {len(expected)} clients is wanted"
    return close((got / got.sum()).astype(np.float32), (expected / expected.sum()).astype(np.float32), rtol=1e-3, atol=1e-5)


checks = {
    "earth_movers": Check(
        points=2,
        cases=earth_movers_cases,
        judge=earth_movers_judge,
        hints=("Both are shares that add up to one: of a client's own examples, and of all examples of all clients.",
               "`histogram.sum(1, keepdim=True)` is the size of each client; `histogram.sum(0)` counts each label over all clients."),
        solution='''\
def earth_movers(histogram):
    """histogram (C, labels), counts of each client -> (C,): the distance of each client from all."""
    here = histogram / histogram.sum(1, keepdim=True)
    overall = histogram.sum(0) / histogram.sum()
    return (here - overall).abs().sum(1)
''',
        wrong=('''\
def earth_movers(histogram):
    here = histogram / histogram.sum(1, keepdim=True)
    overall = here.mean(0)
    return (here - overall).abs().sum(1)
''', '''\
def earth_movers(histogram):
    here = histogram / histogram.sum()
    overall = histogram.sum(0) / histogram.sum()
    return (here - overall).abs().sum(1)
'''),
    ),
    "prox_step": Check(
        points=1,
        cases=prox_step_cases,
        judge=prox_step_judge,
        hints=("The slope of a sum is the sum of the slopes, and the slope of v^2 / 2 is v. Here v is w - start.",
               "Add `mu * (w - start)` to the gradient."),
        solution='''\
def prox_step(w, start, gradient, lr, mu):
    """w, start, gradient (P,) -> w after one step on the loss plus mu / 2 * |w - start|^2."""
    slope = gradient + mu * (w - start)
    return w - lr * slope
''',
        wrong=('''\
def prox_step(w, start, gradient, lr, mu):
    slope = gradient + mu * (start - w)
    return w - lr * slope
''', '''\
def prox_step(w, start, gradient, lr, mu):
    slope = gradient + mu / 2 * (w - start) ** 2
    return w - lr * slope
'''),
    ),
    "fair_weights": Check(
        points=1,
        cases=fair_weights_cases,
        judge=fair_weights_judge,
        hints=("A camera that is heard one time in ten should count ten times when it is heard.",
               "Divide the number of examples by the chance to be heard."),
        solution='''\
def fair_weights(num_examples, reachable):
    """num_examples (C,), reachable (C,) in (0, 1] -> (C,): on average, clients count by examples."""
    return num_examples / reachable
''',
        wrong=('''\
def fair_weights(num_examples, reachable):
    return num_examples * reachable
''', '''\
def fair_weights(num_examples, reachable):
    return 1 / reachable
'''),
    ),
}

quizzes = {
    "remedy": Quiz(
        "Why did a few shared pictures help so much more than FedProx?",
        {
            "They add more pictures of the two digits that each device already has":
                (False, "72 pictures of all ten digits came. Seven or so of them are of each digit the device had."),
            "Each device now has all ten digits, so the pulls agree":
                (True, "They take away part of the cause. FedProx treats the symptom: it shortens the pull, in whichever direction it "
                       "goes."),
            "FedProx needs more memory on each device, so it learns less":
                (False, "It needs the start weights once more. That costs memory, not accuracy."),
            "The shared pictures are from the test set": (False, "They are not: they come from the training pictures."),
        },
    ),
    "who_is_missing": Quiz(
        "A federation reports 91 % accuracy, as always. Since last month a whole region has been silent. What is true?",
        {
            "91 % shows that the region was not needed":
                (False, "The mean hides it: here accuracy on all species fell by a few points while two species were lost."),
            "The model may fail for that region: measure it by groups":
                (True, "Rare answers can be given more weight. Where none comes at all, one needs data from there by another way."),
            "More rounds will repair it, since the rest still cover all species":
                (False, "More rounds with the same participants learn the same bias."),
            "FedAvg weighs by examples, so it is corrected already":
                (False, "It weighs those who answer. Those who do not answer weigh nothing."),
        },
    ),
}
