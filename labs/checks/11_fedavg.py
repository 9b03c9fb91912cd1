"""Checks and quizzes of lab 11. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def client_update_cases(rng):
    """A few small devices; the last one takes no step at all."""
    for n, features, classes, epochs, lr in ((6, 4, 3, 1, 0.5), (9, 5, 2, 3, 0.1), (1, 3, 4, 2, 1.0), (5, 2, 2, 0, 0.5)):
        w = torch.randn(features, classes, generator=rng)
        yield w, torch.randn(n, features, generator=rng), torch.randint(classes, (n,), generator=rng), epochs, lr


def client_update_judge(case, output):
    start, x, y, epochs, lr = case
    w = start.astype(np.float64)
    for _ in range(epochs):
        scores = x @ w
        odds = np.exp(scores - scores.max(1, keepdims=True))
        error = odds / odds.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        w = w - lr * x.T @ error / len(y)
    return close(output, (w - start).astype(np.float32), rtol=1e-3, atol=1e-5)


def weighted_mean_cases(rng):
    """One, three and seven clients with unequal counts."""
    for clients, weights in ((3, 5), (1, 2), (7, 4)):
        yield torch.randn(clients, weights, generator=rng), torch.randint(1, 60, (clients,), generator=rng)


def weighted_mean_judge(case, output):
    updates, num_examples = case
    expected = sum(n * u.astype(np.float64) for n, u in zip(num_examples.tolist(), updates, strict=True)) / num_examples.sum()
    return close(output, expected.astype(np.float32), rtol=1e-4, atol=1e-5)


def traffic_cases(rng):
    """Sizes drawn afresh."""
    for _ in range(3):
        yield tuple(int(torch.randint(low, high, (1,), generator=rng)) for low, high in ((100, 100_000), (2, 100), (2, 300)))


def traffic_judge(case, output):
    num_weights, devices, rounds = case
    return close(output, 2 * 4 * num_weights * devices * rounds)


checks = {
    "client_update": Check(
        points=3,
        cases=client_update_cases,
        judge=client_update_judge,
        hints=("The gradient uses the *present* w, so it is computed anew in every pass. Then one step goes downhill: minus, times lr.",
               "Scores are `x @ w`; `torch.softmax(..., dim=1)` turns each row into probabilities; subtract `target`; multiply "
               "by `x.T` from the left; divide by len(x)."),
        solution='''\
def client_update(w, x, y, epochs, lr):
    """w (features, classes), x (n, features), y (n,) labels -> what this device adds to w, the update."""
    start = w
    target = torch.nn.functional.one_hot(y, w.shape[1]).to(w.dtype)
    for _ in range(epochs):
        gradient = x.T @ (torch.softmax(x @ w, dim=1) - target) / len(x)
        w = w - lr * gradient
    return w - start
''',
        wrong=('''\
def client_update(w, x, y, epochs, lr):
    start = w
    target = torch.nn.functional.one_hot(y, w.shape[1]).to(w.dtype)
    for _ in range(epochs):
        gradient = x.T @ (torch.softmax(x @ w, dim=1) - target)
        w = w - lr * gradient
    return w - start
''', '''\
def client_update(w, x, y, epochs, lr):
    start = w
    target = torch.nn.functional.one_hot(y, w.shape[1]).to(w.dtype)
    gradient = x.T @ (torch.softmax(x @ w, dim=1) - target) / len(x)
    for _ in range(epochs):
        w = w - lr * gradient
    return w - start
'''),
    ),
    "weighted_mean": Check(
        points=2,
        cases=weighted_mean_cases,
        judge=weighted_mean_judge,
        hints=("The shares of all clients add up to one.",
               "A client's share is its own count divided by the sum of the counts; `share @ updates` needs floating-point "
               "numbers, and a division gives them."),
        solution='''\
def weighted_mean(updates, num_examples):
    """updates (C, P) float, num_examples (C,) int -> (P,): the mean, each weighted by its examples."""
    share = num_examples / num_examples.sum()
    return share @ updates
''',
        wrong=('''\
def weighted_mean(updates, num_examples):
    share = torch.ones(len(updates)) / len(updates)
    return share @ updates
''', '''\
def weighted_mean(updates, num_examples):
    share = num_examples / num_examples.max()
    return share @ updates
'''),
    ),
    "traffic": Check(
        points=1,
        cases=traffic_cases,
        judge=traffic_judge,
        hints=("A number of 32 bits takes 4 bytes, and the weights travel in both directions.",
               "One way is `4 * num_weights` for each chosen device in each round; the whole is twice that."),
        solution='''\
def traffic(num_weights, devices_per_round, num_rounds):
    """Bytes that cross the network in a whole run, both directions together. Returns an int."""
    one_way = 4 * num_weights * devices_per_round * num_rounds
    return 2 * one_way
''',
        wrong=('''\
def traffic(num_weights, devices_per_round, num_rounds):
    one_way = 4 * num_weights * devices_per_round * num_rounds
    return one_way
''', '''\
def traffic(num_weights, devices_per_round, num_rounds):
    one_way = 32 * num_weights * devices_per_round * num_rounds
    return 2 * one_way
'''),
    ),
}

quizzes = {
    "drift": Quiz(
        "Why does more local work lose part of its gain when every device has only two digits?",
        {
            "The devices have fewer pictures than before": (False, "They have the same number, about 29 each. Only which digits "
            "they are has changed."),
            "Each device moves towards a model that is best for its own two digits, and these models differ":
                (True, "The longer the devices work apart, the further apart they end, and the mean of ten such models fits "
                       "none of the digits well."),
            "The server must average more numbers": (False, "It averages the same 2,410 numbers from ten devices in both cases."),
            "Two digits are easier, so the gradients vanish at once": (False, "They do get small on a device's own digits. But "
            "the loss that counts is the one on all ten."),
        },
    ),
    "what_leaves": Quiz(
        "What did the server of this lab see of a device's pictures?",
        {
            "Nothing at all, so federated learning is private by itself":
                (False, "It saw an update computed from them. Lab 19 reconstructs pictures from updates like these."),
            "An update, from which something about the pictures can be inferred": (True, "Pictures stay at home; their trace in "
            "the update does not. Labs 15, 19 and 20 measure and limit it."),
            "The pictures, in compressed form": (False, "The update is not a code of the pictures that anybody designed. But it "
            "depends on them."),
            "Only how many pictures there are": (False, "That too: the weighted mean needs the count. But the update comes with it."),
        },
    ),
}
