"""How a gradient becomes a step. An optimizer is a function  step(p, g, state, lr) -> state  that changes one parameter p in place.

state is None at first; fit keeps one for each parameter. sgd (plain, momentum), adam, lars; cosine is a rate that falls. For a QuantNet,
qas.optimizer goes around one of them.
"""
import math


def sgd(momentum=0.0):
    """v = momentum * v + g;  p = p - lr * v. Keeps v, one value a weight, unless momentum is 0."""
    def step(p, g, v, lr):
        if momentum:
            g = v = g.clone() if v is None else v.mul_(momentum).add_(g)
        p.sub_(g, alpha=lr)
        return v
    return step


def adam(beta1=0.9, beta2=0.999, eps=1e-8):
    """m, v: fading means of g and g^2, corrected for their start at 0;  p = p - lr * m / (sqrt(v) + eps). Keeps two values a weight.

    Source: Kingma and Ba 2015, algorithm 1.
    """
    def step(p, g, state, lr):
        m, v, t = state or (g.new_zeros(g.shape), g.new_zeros(g.shape), 0)
        t += 1
        m.mul_(beta1).add_(g, alpha=1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        p.sub_(m / (1 - beta1 ** t) / ((v / (1 - beta2 ** t)).sqrt() + eps), alpha=lr)
        return m, v, t
    return step


def lars(trust=0.01, momentum=0.9):
    """Each tensor's step is a part of its own length:  v = momentum * v + lr * trust * |p| / |g| * g;  p = p - v.

    Without weight decay. A tensor of length 0 takes lr * trust * g / |g|, else it would never move. Keeps one value a weight.
    Source: You et al. 2017, algorithm 1 (its trust is 0.001).
    """
    def step(p, g, v, lr):
        length, slope = p.norm(), g.norm()
        rate = lr * trust * (length if length > 0 else 1.0) / slope if slope > 0 else 0.0
        v = rate * g if v is None else v.mul_(momentum).add_(rate * g)
        p.sub_(v)
        return v
    return step


def cosine(lr, *, warmup=0.1):
    """A rate for train.fit: rises from 0 to lr over the first `warmup` of all steps, and falls along a half cosine to 0.

    -> function of the share of steps that are done, 0 <= share < 1. Source: Loshchilov and Hutter 2017, without restarts.
    """
    def rate(share):
        rise = min(1.0, share / warmup) if warmup else 1.0
        return lr * rise * 0.5 * (1 + math.cos(math.pi * share))
    return rate
