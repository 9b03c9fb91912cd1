"""Make a net harder to fool, or let it say less: adversarial training, defensive distillation, rounded and noisy answers.

Judge each by an attacker who knows of it. Adversarial training moves the boundary away from the examples. Distillation, rounding and noise
hide the gradient: an attacker with a copy, or with patience, needs none. Two others live elsewhere: `unpairing`, so that a published
copy is a poor map of the big model, and training with differential privacy, federation.privacy.dp_sgd.
"""
import torch
from tqdm.auto import tqdm

from odl_kit.learners import distil, optimizers, train


def adversarial_training(net, x, y, *, attack, epochs, batch_size, lr, momentum=0.0, share=1.0, rng, progress=True):
    """Train `net` in place by SGD on what `attack` makes of each batch; returns a train.History.

    x: (N, ...) float32 in [0, 1], y: (N,) int64. attack: (net, x, y) -> (n, ...), say partial(evasion.pgd, eps=0.1, step=0.03, steps=7),
    asked afresh for every batch, since the net has moved. share: of each batch that is attacked, from 0 to 1; the rest stays clean.
    Source: Madry et al. 2018, eq. 2.1 (share 1); Goodfellow et al. 2015, sec. 6 (share 1/2, there as two terms of the loss).
    Raises ValueError for another share, and for no examples.
    """
    if not 0 <= share <= 1 or len(x) == 0 or len(x) != len(y):
        raise ValueError(f"share={share}, {len(x)} examples, {len(y)} labels: share is 0 (clean) to 1 (attacked); give as many of both")
    net.train()
    step, weights, losses = optimizers.sgd(momentum), [p for p in net.parameters() if p.requires_grad], []
    states = [None] * len(weights)
    bar = tqdm(range(epochs), desc="harden", unit="epoch", disable=None if progress else True)
    for _ in bar:
        total = 0.0
        for batch in torch.randperm(len(x), generator=rng).split(batch_size):
            hit = batch[:round(share * len(batch))]
            seen = torch.cat([attack(net, x[hit], y[hit]), x[batch[len(hit):]]]) if len(hit) else x[batch]
            # min over w of the mean of max over x' near x of L(w, x', y)
            loss = train.loss_of(net(seen), y[batch])
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                states = [step(p, g, state, lr) for p, g, state in zip(weights, gradients, states, strict=True)]
            total += loss.item() * len(batch)
        losses.append(total / len(x))
        bar.set_postfix(loss=f"{losses[-1]:.3f}")
    return train.History(tuple(losses))


def distillation(teacher, student, x, y, *, temperature=20.0, epochs, batch_size, lr, momentum=0.0, rng, progress=True):
    """Defensive distillation: both nets learn in place at a high temperature T; deployed at T = 1, `student` is T times too sure.

    The teacher learns y through softmax(logits / T), the student what the teacher then says at T; neither knows T afterwards. x: (N, ...)
    float32, y: (N,) int64. Both take the plain gradients of the loss at T, as in the paper (learners.distil scales by T^2, here undone).
    Source: Papernot et al. 2016. It hides the gradient, and no more: Carlini and Wagner 2017, sec. VIII. Returns student.
    Raises ValueError for a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}: above 0; 1 is plain distillation")
    cool = teacher.register_forward_hook(lambda module, inputs, logits: logits / temperature)
    try:
        train.fit(teacher, x, y, epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum, rng=rng, progress=progress)
    finally:
        cool.remove()
    distil.fit(student, teacher, x, epochs=epochs, batch_size=batch_size, lr=lr / temperature**2, momentum=momentum, mix=1.0,
               temperature=temperature, rng=rng, progress=progress)
    return student


def rounded(scores, *, decimals):
    """A target that tells its scores to so many decimals: a function x -> (N, K), of one that tells them all. The class stays the same
    as long as rounding leaves no tie. Raises ValueError for decimals below 0.
    """
    if decimals < 0:
        raise ValueError(f"decimals={decimals}: at least 0")
    return lambda x: scores(x).round(decimals=decimals)


def noisy(scores, *, sigma, rng):
    """A target that adds N(0, sigma^2) to each score it tells, drawn afresh for each answer: a function x -> (N, K), of one without."""
    def ask(x):
        told = scores(x)
        return told + sigma * torch.randn(told.shape, generator=rng)
    return ask
