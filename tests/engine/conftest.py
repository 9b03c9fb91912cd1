"""The standard nets, as floats and as integers, and their data: for every test of the engine."""
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import plan
from odl_kit.models import layers, nets, quantize

seed = torch.Generator().manual_seed
NETS = {"mlp": lambda rng: nets.mlp(64, 24, 10, rng=rng), "tiny_cnn": lambda rng: nets.tiny_cnn(1, 10, rng=rng),
        "ds_cnn": lambda rng: nets.ds_cnn(1, 10, norm=None, rng=rng), "mobile_net": lambda rng: nets.mobile_net(1, 10, norm=None, rng=rng)}


def sparse(net):
    """Biases of the last half, some channels of two weights of every other kind, the head."""
    traced = layers.trace(net, torch.zeros(1, 1, 8, 8))
    convs = [layer for layer in traced if layer.kind == "conv"]
    if not convs:
        return plan.UpdatePlan({"head"}, {"hidden1": 17, "head": 24})
    last = len(convs) // 2
    chosen = list(range(last, len(convs)))
    ratios = [0.4, 1.0, 0.5][:len(chosen)] + [0.25] * (len(chosen) - 3)
    return plan.from_scheme(traced, num_bias=len(chosen), indices=chosen, ratios=ratios)


PLANS = {"full": plan.full, "head_only": plan.head_only, "bias_only": plan.bias_only, "sparse": sparse}


@pytest.fixture(scope="session")
def world():
    """world(name, precision) -> (net, x (12, 1, 8, 8), y (12,)): always the same, made anew each time."""
    def make(name, precision="float32"):
        x, y = torch.rand(12, 1, 8, 8, generator=seed(1)), torch.randint(10, (12,), generator=seed(2))
        net = NETS[name](seed(0))
        for key, p in net.named_parameters():
            if key.endswith("bias"):        # not the zeros with which a net begins
                nn.init.uniform_(p, -0.2, 0.2, generator=seed(3))
        return (net if precision == "float32" else quantize.quantize_model(net, x)), x, y
    return make


@pytest.fixture(scope="session")
def plan_of():
    """plan_of(name, net) -> UpdatePlan, of one of the four kinds in PLANS."""
    return lambda name, net: PLANS[name](net)


class Drawn(nn.Module):
    """A net of drawn steps (kind, sources), a module or a function each; a sum may reach far back."""

    def __init__(self, steps, parts):
        super().__init__()
        self.steps, self.parts = steps, nn.ModuleDict(parts)

    def forward(self, x):
        seen = [x]
        for kind, sources in self.steps:
            v = seen[sources[0]]
            seen.append(self.parts[kind](v) if kind in self.parts else {"relu": F.relu, "relu6": F.relu6, "flatten": lambda t: t.flatten(1),
                                                                        "add": lambda t, s=sources: t + seen[s[1]]}[kind](v))
        return seen[-1]


@pytest.fixture(scope="session")
def drawn():
    """drawn(seed) -> (net, x (12, C, H, W), y (12,), plan): any convolution, pooling, ReLUs, sums, some channels of some layers."""
    def make(number):
        draw = random.Random(number)
        torch.manual_seed(number)
        shapes, steps, parts = [tuple(draw.randint(low, 8) for low in (1, 3, 3))], [], {}

        def put(kind, *more):
            steps.append((kind, (len(shapes) - 1, *more)))
            with torch.no_grad():
                shapes.append(tuple(Drawn(steps, parts)(torch.zeros(1, *shapes[0])).shape[1:]))

        def layer(module):
            parts[f"part{len(parts)}"] = module
            put(f"part{len(parts) - 1}")

        for _ in range(draw.randint(2, 7)):
            (c, h, w), kind = shapes[-1], draw.choice(["conv", "conv", "conv", "relu", "relu6", "add", "add", "max", "mean"])
            if kind == "conv":
                groups = draw.choice([d for d in range(1, c + 1) if c % d == 0])
                size, padding = [(draw.randint(1, min(3, side))) for side in (h, w)], (draw.randint(0, 1), draw.randint(0, 1))
                layer(nn.Conv2d(c, groups * draw.randint(1, 3), size, (draw.randint(1, 2), draw.randint(1, 2)), padding, groups=groups,
                                bias=draw.random() < 0.8))
            elif kind in ("max", "mean") and min(h, w) >= 2:
                k = draw.randint(2, min(3, h, w))
                layer((nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(k, draw.randint(1, 2), draw.randint(0, k // 2)))
            elif kind in ("relu", "relu6"):
                put(kind)
            elif kind == "add":
                put("add", draw.choice([i for i, shape in enumerate(shapes) if shape == shapes[-1]]))
        if draw.random() < 0.5:
            layer(nn.AdaptiveAvgPool2d(1))
        put("flatten")
        layer(nn.Linear(shapes[-1][0], 6))
        put("relu")
        layer(nn.Linear(6, 4))
        net = Drawn(steps, parts)
        own = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        chosen = {name: draw.randint(0, plan.num_channels(m)) for name, m in own.items() if draw.random() < 0.6}
        biases = {name for name, m in own.items() if m.bias is not None and draw.random() < 0.6} | {f"parts.part{len(parts) - 1}"}
        return net, torch.randn(12, *shapes[0]), torch.randint(4, (12,)), plan.UpdatePlan(biases, chosen)
    return make
