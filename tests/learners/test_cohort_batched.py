import pytest
import torch
from torch import nn

from odl_kit.learners import cohort_batched


@pytest.mark.parametrize("net, layers", [
    (nn.Linear(3, 2), [("", False)]),
    (nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), [("1", True), ("5", False)]),
    (nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Linear(4, 2), nn.ReLU()), [("0.0", True), ("1", True)]),
])
def test_linear_relu_stacks_are_recognised(net, layers):
    assert cohort_batched.dense_layers(net) == layers


class Twice(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x):
        return x + self.a(x)


def shared():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def hooked():
    net = nn.Sequential(nn.Linear(3, 3))
    net[0].register_forward_hook(lambda module, args, out: 2 * out)
    return net


@pytest.mark.parametrize("net", [
    nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Sequential(Twice(3, 3)), Residual(), nn.Sequential(Residual()), shared(), hooked(),
    nn.Flatten(),
    nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), nn.Sequential(nn.Flatten(0), nn.Linear(3, 2)), nn.Sequential(nn.Conv2d(1, 2, 3)),
    nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
], ids=lambda net: type(net).__name__)
def test_a_net_that_computes_anything_else_is_not_taken_for_a_stack(net):
    assert cohort_batched.dense_layers(net) is None


@pytest.mark.parametrize("momentum, masked, prox", [(0, False, 0), (0, False, 0.4), (0.9, False, 0.4), (0, True, 0.4), (0.9, True, 0)])
def test_descend_is_the_rule_in_its_docstring(momentum, masked, prox):
    rng = torch.Generator().manual_seed(0)
    w, start, left, right = (torch.randn(2, *shape, generator=rng, dtype=torch.float64) for shape in ((3, 4), (3, 4), (3, 5), (5, 4)))
    mask = torch.rand(3, 4, generator=rng) < 0.5 if masked else None
    job = type("Job", (), {"lr": 0.1, "momentum": momentum, "prox": prox})
    stack = cohort_batched.Stack(w.clone(), start, mask, torch.zeros_like(w) if momentum or masked else None)
    v = torch.zeros_like(w)
    for _ in range(3):
        gradient = torch.einsum("cij,cjk->cik", left, right) + prox * (w - start)
        v = momentum * v + (gradient if mask is None else gradient * mask)
        w = w - 0.1 * v
        stack.descend(left, right, job)
    torch.testing.assert_close(stack.w, w)
