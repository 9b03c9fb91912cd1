"""The standard nets, as floats and as integers, and their data: for every test of the engine."""
import pytest
import torch

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
        return (net if precision == "float32" else quantize.quantize_model(net, x)), x, y
    return make


@pytest.fixture(scope="session")
def plan_of():
    """plan_of(name, net) -> UpdatePlan, of one of the four kinds in PLANS."""
    return lambda name, net: PLANS[name](net)
