"""TinyTrain: ask the new task which layers and channels matter to it, by one backward pass, and learn those that a device can afford.

Its offline stage, ProtoNet episodes, is learners.episodes.meta_train. Source: Kwon et al. 2024, "TinyTrain: Resource-Aware Task-Adaptive
Sparse Training of DNNs at the Data-Scarce Edge", sec. 2.
"""
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import plan
from odl_kit.learners.cost import backward_macs, extra_bits
from odl_kit.models import layers

SHARES = (1, 1 / 2, 1 / 4, 1 / 8)      # of a layer's channels: the largest that still fits is taken


@dataclass(frozen=True, eq=False)
class Potential:
    """layer: {name: P_i, a float}. channel: {name: (channels,) float, for each input channel of the plan}. See `fisher`."""
    layer: dict
    channel: dict


def fisher(net, x, y):
    """How much the loss would change if an activation went missing, by one backward pass: a Potential of each convolution.

      D_o = 1/(2N) * sum_n (sum_d a_nd * g_nd)^2,   P_i = sum_o D_o
    a: output o of the layer for example n at place d, g: gradient of the loss of example n there. x (N, C, H, W), y (N,) int64.
    Deviation: an UpdatePlan cuts a layer by input channels, so `channel` has D of the layer's inputs; for a depthwise convolution, where
    input and output channels are the same, of its outputs, as published.
    Source: Kwon et al. 2024, sec. 2.2; Theis et al. 2018 (Fisher pruning). The weights of `net` do not change.
    """
    seen, training = {}, net.training
    convs = {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}

    def keep(name):
        return lambda module, inputs, output: seen.__setitem__(name, (inputs[0], output))
    hooks = [module.register_forward_pre_hook(lambda module, inputs: inputs[0].view_as(inputs[0])) for module in convs.values()]
    hooks += [module.register_forward_hook(keep(name)) for name, module in convs.items()]      # the view is what this layer alone reads
    try:
        out = net.eval()(x.detach().clone().requires_grad_())
        loss = F.cross_entropy(out, y, reduction="sum")       # a sum: the gradient of an example is its own
        gradients = iter(torch.autograd.grad(loss, [a for pair in seen.values() for a in pair]))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    by_input, by_output = {}, {}
    for name, pair in seen.items():
        by_input[name], by_output[name] = ((a * g).flatten(2).sum(2).square().mean(0).detach() / 2
                                           for a, g in zip(pair, gradients, strict=False))
    depthwise = {name for name, module in convs.items() if module.groups == module.in_channels == module.out_channels}
    return Potential({name: float(d.sum()) for name, d in by_output.items()},
                     {name: (by_output if name in depthwise else by_input)[name] for name in seen})


def scores(traced, potential):
    """{layer name: s_i}, the multi-objective score: potential for each weight and each MAC. Kwon et al. 2024, sec. 2.2.

      s_i = P_i / (|W_i| / max_l |W_l|  *  M_i / max_l M_l)
    traced: layers.trace(net, x). potential: {layer name: P_i}.
    """
    own = {layer.name: layer for layer in traced if layer.name in potential}
    weights, macs = (max(getattr(layer, what) for layer in own.values()) for what in ("weights", "macs"))
    return {name: potential[name] / (layer.weights / weights * layer.macs / macs) for name, layer in own.items()}


def choose(net, x, y, *, memory, macs, score=scores):
    """The UpdatePlan of TinyTrain for the task x (N, C, H, W), y (N,) int64: the head, and what the score says within the budgets.

    memory: bytes, by cost.extra_bits; macs: of the backward pass for one example, by cost.backward_macs. Layers in the order of their
    score; of each the largest share of channels (1, 1/2, 1/4 or 1/8, the highest potential first) with which the plan still fits, and
    its bias. score: function of (traced, {name: P_i}) -> {name: s_i}, to try another.
    Raises ValueError where not even the head fits.
    """
    traced, potential, chosen = layers.trace(net, x), fisher(net, x, y), plan.head_only(net)
    if not _fits(traced, chosen, memory, macs):
        raise ValueError(f"memory={memory} B and macs={macs}: the head alone needs {extra_bits(traced, chosen) // 8} B and "
                         f"{backward_macs(traced, chosen)} MACs; give at least these")
    order = {name: tuple(d.argsort(descending=True, stable=True).tolist()) for name, d in potential.channel.items()}
    ranked = score(traced, potential.layer)
    for name in sorted(ranked, key=ranked.get, reverse=True):
        with_bias = {name} if getattr(net.get_submodule(name), "bias", None) is not None else set()
        for share in SHARES:
            channels = chosen.channels | {name: max(1, int(len(order[name]) * share))}
            wider = plan.UpdatePlan(chosen.biases | with_bias, channels, order)
            if _fits(traced, wider, memory, macs):
                chosen = wider
                break
    return chosen


def _fits(traced, chosen, memory, macs):
    return extra_bits(traced, chosen) <= 8 * memory and backward_macs(traced, chosen) <= macs
