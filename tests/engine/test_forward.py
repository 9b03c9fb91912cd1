"""What becomes of each layer, and which nets are refused, with what to use instead."""
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.engine import execute, forward, program
from odl_kit.models import flat, fold, nets

seed = torch.Generator().manual_seed


def kinds(net, x):
    return [op.kind for op in forward.build(net, x, batch=1)[0].ops]


def test_a_relu_goes_into_the_layer_before_it_and_flatten_becomes_a_view(world):
    net, x, _ = world("tiny_cnn")
    graph, _ = forward.build(net, x, batch=2)
    assert [op.kind for op in graph.ops] == ["CONV", "MAX_POOL", "CONV", "MAX_POOL", "CONV", "AVG_POOL", "CONV"]
    assert [(op.lo, op.hi) for op in graph.ops if op.kind == "CONV"] == [(0, float("inf"))] * 3 + [(-float("inf"), float("inf"))]
    assert graph.tensors[graph.input].dims == (2, 8, 8, 1) and graph.num_forward == 7


def test_a_relu_that_is_not_the_only_reader_stays(world):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.head = nn.Conv2d(1, 2, 1), nn.Linear(2 * 64, 3)

        def forward(self, x):
            y = self.a(x)
            return self.head(torch.flatten(F.relu(y) + y, 1))
    assert kinds(Both(), torch.rand(1, 1, 8, 8)) == ["CONV", "RELU", "ADD", "CONV"]


def test_a_folded_net_predicts_like_the_net_with_norms():
    net, x = nets.mobile_net(1, 5, rng=seed(0)).eval(), torch.rand(6, 1, 8, 8, generator=seed(1))
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.2, 0.2, generator=seed(2))
    with pytest.raises(ValueError, match="'stem_norm' is a batch_norm.*fold it into the convolution before it"):
        program.compile(net, x, None, precision="float32")
    folded = fold.fold(net)             # its norms are identities now, which stand between a convolution and its ReLU
    made = program.compile(folded, x, None, precision="float32")
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(execute.predict(made, None, x)), net(x), atol=1e-5)
    assert all(op.kind != "RELU" for op in made.ops)


@pytest.mark.parametrize(("layer", "match"), [
    (nn.Sigmoid(), "is a sigmoid.*use ReLU"), (nn.Softmax(1), "is a softmax.*leave it out"), (nn.GroupNorm(1, 4), "group_norm.*norm=None"),
    (nn.MaxPool2d(17, 1), "over the 256 places"), (nn.Upsample(scale_factor=2, mode="bilinear"), "is a upsample"),
    (nn.Dropout(), "Dropout, which is not supported"), (nn.Conv2d(4, 4, 3, dilation=2), "dilation")])
def test_what_the_engine_has_no_op_for_is_refused_by_name_with_what_to_use(layer, match):
    net = nn.Sequential(nn.Conv2d(1, 4, 1), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=match):
        program.compile(net, torch.rand(1, 1, 20, 20), None, precision="float32")


def test_a_net_that_does_not_end_in_one_row_of_logits_is_refused():
    for net in (nn.Sequential(nn.Conv2d(1, 4, 1)), nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten())):
        with pytest.raises(ValueError, match="ends in a map: the net must end in one row of logits"):
            program.compile(net, torch.rand(1, 1, 2, 2), None, precision="float32")


def test_a_layer_that_runs_twice_and_one_that_nobody_reads_are_refused():
    class Net(nn.Module):
        def __init__(self, twice):
            super().__init__()
            self.a, self.b, self.twice = nn.Linear(3, 3), nn.Linear(3, 3), twice

        def forward(self, x):
            y = self.a(x)
            spare = self.a(y) if self.twice else self.b(x)
            return self.b(spare) if self.twice else y
    with pytest.raises(ValueError, match="'a' runs twice"):
        program.compile(Net(True), torch.rand(1, 3), None, precision="float32")


def test_rows_in_two_orders_are_not_added():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.line, self.head = nn.Conv2d(2, 2, 1), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            row = torch.flatten(self.conv(x), 1)
            return self.head(row + self.line(row))
    with pytest.raises(ValueError, match="adds a flattened map to another row"):
        program.compile(Net(), torch.rand(1, 2, 2, 2), None, precision="float32")


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 1, 1, 4)])
def test_an_example_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="the example is shaped"):
        program.compile(nn.Linear(4, 2), torch.rand(shape), None, precision="float32")


def test_compiling_leaves_the_net_as_it_was(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    before, mode = copy.deepcopy(net.state_dict()), net.training
    program.compile(net, x, plan_of("sparse", net))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()) and net.training == mode
    assert flat.ravel(net).requires_grad is False
