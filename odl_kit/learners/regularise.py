"""Not to forget: penalties that hold a net near what it was, each for train.fit(penalty=...). None of them needs the old data afterwards.

ewc holds each weight as firmly as it mattered, lwf holds the outputs. transfer.l2_sp holds all weights below the head alike.
"""
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional as F

from odl_kit.learners import distil
from odl_kit.models import flat


def fisher(net, x, *, batch_size=16):
    """How much each weight matters for what the net says about x: the diagonal of the Fisher information, (P,) float32, from 0 up.

        F_i = mean over x of  sum over classes k of  p(k | x) * (d log p(k | x) / d w_i)^2

    The classes are weighed by the net's own p(k | x), all of them, so nothing is drawn and no labels are needed (Kirkpatrick et al. 2017,
    sec. 2.1; with true labels in place of p it would be the "empirical" Fisher). The gradient is taken example by example: the square of a
    mean gradient is not the mean of squares. Memory grows with batch_size * P. The net is asked in evaluation mode, which is put back.
    """
    if len(x) == 0:
        raise ValueError("x has no examples: give the net some that it should stay good at")
    mode, w = net.training, flat.ravel(net)

    def log_p(w, one):
        return F.log_softmax(functional_call(net, flat.unravel(net, w), (one[None],)), 1)[0]

    def of_example(one):
        return log_p(w, one).exp() @ jacrev(log_p)(w, one).square()       # (K,) @ (K, P)
    net.eval()
    try:
        return sum(vmap(of_example)(part).sum(0) for part in x.split(batch_size)).detach() / len(x)
    finally:
        net.train(mode)


def ewc(net, importance, *, pull):
    """Elastic weight consolidation: a penalty that holds the weights that `net` has now, each as firmly as it matters.

        pull / 2 * sum over i of importance_i * (w_i - w_start_i)^2

    importance: (P,) from `fisher`, or 1: every weight alike, the head too. Keeps the old weights and their importance: on a device, twice
    the bytes of the net. Source: Kirkpatrick et al. 2017, eq. 3 (pull is their lambda).
    """
    if pull < 0:
        raise ValueError(f"pull={pull}: a pull below 0 pushes away; give 0 or more")
    start = flat.ravel(net)
    if torch.is_tensor(importance) and importance.shape not in ((), start.shape):
        raise ValueError(f"importance is {tuple(importance.shape)}, the net has {len(start)} weights: take it from fisher of the same net")

    def penalty(net):
        w = torch.cat([p.reshape(-1) for p in net.parameters()])
        return pull / 2 * (importance * (w - start).square()).sum()
    return penalty


def lwf(net, x, *, pull=1.0, temperature=2.0):
    """Learning without forgetting: a penalty that holds what `net` says now about x (N, ...), the new user's own examples.

        pull * T^2 * KL(softmax(old outputs / T) || softmax(new outputs / T)), the mean over x.

    Keeps the old outputs, not the old net, and costs one more forward and backward pass of x a step. Source: Li and Hoiem 2017, eq. 2
    (T = 2, pull 1), whose new task has other classes than the old one; here they are the same, so the old net may be wrong about x.
    The net is asked as it trains: fold BatchNorm first (models.fold), else ValueError. Of a plan, only whole layers may learn.
    """
    if pull < 0:
        raise ValueError(f"pull={pull}: a pull below 0 pushes away; give 0 or more")
    if any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        raise ValueError("the net has BatchNorm, which would take the statistics of x while it trains: fold it first (models.fold)")
    said = distil.ask(net, x)

    def penalty(net):
        return pull * distil.loss(net(x), said, temperature=temperature)
    return penalty
