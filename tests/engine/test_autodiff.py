"""The derived backward graph against torch autograd and finite differences, for every op and for the ways in which gradients meet."""
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.engine import execute, gradients, program
from odl_kit.engine.parameters import to_torch
from odl_kit.models import quantize

seed = torch.Generator().manual_seed


class Twice(nn.Module):
    """One tensor with many readers: y + y, a skip, a ReLU of a sum, a sum that nothing clamps."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        y = self.a(x)
        z = F.relu(self.b(y) + y)
        z = z + self.c(y) + y
        z = F.max_pool2d(z + z, 2)
        return self.head(torch.flatten(F.relu6(z), 1))


def pooled():
    return nn.Sequential(OrderedDict([
        ("stem", nn.Conv2d(2, 6, 3, stride=(2, 1), padding=(1, 2))), ("clip", nn.ReLU6()), ("mean", nn.AvgPool2d(3, 2, 1)),
        ("relu", nn.ReLU()), ("depth", nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)), ("top", nn.MaxPool2d(3, 1, 1)),
        ("many", nn.Conv2d(6, 12, (1, 2), groups=6)), ("middle", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()),
        ("head", nn.Linear(12, 5))]))


def convolutional_head():
    return nn.Sequential(nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten())


CASES = {"many readers": Twice, "every pooling": pooled, "a convolution as head": convolutional_head}


def case(make, integer):
    torch.manual_seed(0)
    net, x, y = make(), torch.randn(3, 2, 4, 4, generator=seed(1)), torch.tensor([0, 4, 2])
    return (quantize.quantize_model(net, x, float_head=integer != "all") if integer else net), x, y


def engine_gradients(made, x, y):
    """{parameter: gradient in torch's shape} that the stage `autodiff`, before anything is pruned, leaves behind."""
    whole = next(stage.program for stage in made.passes if stage.name == "autodiff")
    arrays = execute._arrays(whole, execute.start(whole).values)
    arrays[whole.input][...], arrays[whole.labels][...] = execute.encode(whole, x), y.numpy().reshape(-1, 1, 1, 1)
    execute.run(whole, arrays, [op for op in whole.ops if op.kind != "UPDATE"], gradients.Rule(0.0))
    found = {op["w"]: arrays[op["grad"]] for op in whole.ops if op.kind == "UPDATE"}
    return {part.name: to_torch(found[part.number], part.shape, part.chw) if len(part.shape) > 1 else found[part.number].reshape(-1)
            for part in whole.layout}


@pytest.mark.parametrize("integer", [False, True, "all"])
@pytest.mark.parametrize("name", CASES)
def test_every_gradient_is_that_of_torch(name, integer):
    net, x, y = case(CASES[name], integer)
    made = program.compile(net, x, None, precision="int8" if integer else "float32", batch=3)
    want = dict(zip(dict(net.named_parameters()), torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters())), strict=True))
    for key, found in engine_gradients(made, x, y).items():
        scale = want[key].abs().max().item()
        assert scale > 0 and np.abs(found - want[key].numpy()).max() <= 1e-5 * max(1.0, scale), key


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_slopes_of_the_loss(name):
    net, x, y = case(CASES[name], False)
    made, rng = program.compile(net, x, None, precision="float32", batch=3), np.random.default_rng(0)
    found = np.concatenate([g.reshape(-1) for g in engine_gradients(made, x, y).values()])
    w, loss = made.weights(), lambda w: execute.step(made.set_weights(w), None, x, y, 0.0)[1]
    hit = 0
    for _ in range(20):
        direction = torch.from_numpy(rng.standard_normal(len(w)).astype(np.float32))
        direction /= direction.norm()
        slopes = [(loss(w + h * direction) - loss(w - h * direction)) / (2 * h) for h in (2e-2, 1e-2)]
        if abs(slopes[0] - slopes[1]) < 1e-3:           # no kink of a ReLU or a maximum in between
            hit += 1
            assert abs(slopes[1] - float(found @ direction.numpy())) < 2e-3
    assert hit >= 10


def test_the_input_gets_no_gradient_and_each_weight_one():
    net, x, _ = case(pooled, False)
    whole = program.compile(net, x, None, precision="float32").passes[1].program
    kinds = [op.kind for op in whole.ops]
    assert kinds.count("CONV_DW") == 4 and kinds.count("CONV_DX") == 3 and kinds.count("CONV_DB") == 3 and kinds.count("UPDATE") == 7
    assert kinds[-7:] == ["UPDATE"] * 7


def test_a_net_that_starts_with_a_relu_of_its_input_needs_no_mask_there():
    net = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x = torch.randn(2, 2, 2, 2, generator=seed(3))
    made = program.compile(net, x, None, precision="float32", batch=2)
    assert [op.kind for op in made.ops] == ["RELU", "CONV", "LOSS", "CONV_DW_UPDATE", "CONV_DB_UPDATE"] and made.ops[0]["mask"] is None
