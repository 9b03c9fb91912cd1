"""What the server does with the aggregated update. A server is `(w, update, state) -> (w, state)`; state is None before the first round.

w, update: (P,). Nothing is changed in place, so that a state can be kept as a checkpoint.
adagrad, adam and yogi are Reddi et al. 2021, algorithm 2, to the letter: m starts at 0, v at tau^2, and there is no bias correction.
"""
import torch


def sgd(lr):
    """w <- w + lr * update. sgd(1.0) is FedAvg: the server takes the average as it comes."""
    def server(w, update, state):
        return w + lr * update, None
    return server


def momentum(lr, *, beta=0.9):
    """FedAvgM (Hsu et al. 2019, sec. 4.2): m <- beta * m + (w - average),  w <- w - lr * m.  beta=0 is sgd(lr)."""
    def server(w, update, state):
        m = -update if state is None else beta * state - update            # w - average = -update
        return w - lr * m, m
    return server


def adagrad(lr, *, beta1=0.0, tau=1e-3):
    """FedAdagrad: v <- v + update^2. tau bounds how far a weight can move: lr * |update| / tau at most. The paper sets beta1 = 0 here."""
    return _adaptive(lr, beta1, tau, lambda v, square: v + square)


def adam(lr, *, beta1=0.9, beta2=0.99, tau=1e-3):
    """FedAdam: v <- beta2 * v + (1 - beta2) * update^2."""
    return _adaptive(lr, beta1, tau, lambda v, square: beta2 * v + (1 - beta2) * square)


def yogi(lr, *, beta1=0.9, beta2=0.99, tau=1e-3):
    """FedYogi: v <- v - (1 - beta2) * update^2 * sign(v - update^2), which lets v fall only as fast as it can rise."""
    return _adaptive(lr, beta1, tau, lambda v, square: v - (1 - beta2) * square * torch.sign(v - square))


def _adaptive(lr, beta1, tau, next_v):
    if tau <= 0:
        raise ValueError(f"tau={tau} must be above 0: it keeps the step finite where a weight has not moved yet")

    def server(w, update, state):
        m, v = state if state is not None else (torch.zeros_like(w), torch.full_like(w, tau ** 2))
        m = beta1 * m + (1 - beta1) * update
        v = next_v(v, update ** 2)
        return w + lr * m / (v.sqrt() + tau), (m, v)
    return server
