"""w (P,) and the tensors of a Program: there and back, in the order of models.flat.ravel."""
import numpy as np
import pytest
import torch

from odl_kit.engine import blob, execute, layout, program
from odl_kit.models import flat


def real(net):
    """flat.ravel of a QuantNet in real units."""
    w = flat.unravel(net, flat.ravel(net).clone())
    for name, layer in net.integer_layers().items():
        w[f"{name}.weight"] *= layer.s_w.view(-1, *[1] * (layer.weight.dim() - 1))
        w[f"{name}.bias"] *= layer.s_w * layer.s_x
    return torch.cat([v.reshape(-1) for v in w.values()])


@pytest.mark.parametrize("name", ["mlp", "tiny_cnn", "ds_cnn", "mobile_net"])
def test_the_weights_are_those_of_the_net_in_its_order(world, plan_of, name):
    net, x, _ = world(name)
    assert torch.equal(program.compile(net, x, plan_of("head_only", net), precision="float32").weights(), flat.ravel(net))
    net, x, _ = world(name, "int8")
    assert torch.allclose(program.compile(net, x, plan_of("head_only", net)).weights(), real(net), rtol=1e-6, atol=0)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_weights_that_are_set_come_back_after_rounding_and_a_device_gets_the_same(world, plan_of, precision):
    net, x, _ = world("tiny_cnn", precision)
    made = program.compile(net, x, plan_of("full", net), precision=precision)
    w = made.weights() + 0.01 * torch.randn(len(made.weights()), generator=torch.Generator().manual_seed(1))
    moved = made.set_weights(w)
    if precision == "float32":
        assert torch.equal(moved.weights(), w)
    else:
        pieces = (v.split([int(np.prod(part.shape)) for part in made.layout]) for v in (moved.weights(), w))
        for part, got, want in zip(made.layout, *pieces, strict=True):
            if part.scale is None:
                assert torch.equal(got, want)
            else:
                step = torch.from_numpy(part.scale).view(-1, 1)
                got, want = got.view(len(step), -1), want.view(len(step), -1)
                assert ((got - want.clamp(-127 * step, 127 * step)).abs() <= 0.5001 * step).all() or part.name.endswith("bias")
    assert torch.equal(moved.set_weights(moved.weights()).weights(), moved.weights())
    stored = {n: blob.pack_tensor(made.tensors[n], v) for n, v in layout.state_of(made, w).items()}
    assert torch.equal(made.weights(stored), moved.weights())
    assert torch.equal(made.weights(execute.start(moved).values), moved.weights()) and not torch.equal(made.weights(), moved.weights())


def test_a_frozen_weight_that_would_change_is_refused_by_name(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    made = program.compile(net, x, plan_of("head_only", net))
    w = made.weights()
    assert torch.equal(made.set_weights(w).weights(), w)
    w[0] += 1
    with pytest.raises(ValueError, match="'stem.weight' is frozen in this Program and would change"):
        made.set_weights(w)


def test_a_vector_of_another_length_or_with_what_is_no_number_is_refused(world, plan_of):
    net, x, _ = world("mlp")
    made = program.compile(net, x, plan_of("full", net), precision="float32")
    with pytest.raises(ValueError, match=r"w has 3 weights, the Program 1810"):
        made.set_weights(torch.zeros(3))
    with pytest.raises(ValueError, match="1 numbers that are not finite"):
        made.set_weights(made.weights().index_fill(0, torch.tensor([5]), float("nan")))
    with pytest.raises(ValueError, match="came from bytes"):
        program.from_bytes(made.to_bytes()).weights()


def test_a_parameter_that_no_layer_uses_is_refused_by_name(world, plan_of):
    net, x, _ = world("mlp")
    net.spare = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="parameter 'spare' is not used"):
        program.compile(net, x, plan_of("head_only", net), precision="float32")
