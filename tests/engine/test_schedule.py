"""Each pass leaves every bit of a step as it was, and takes away what it says."""
import numpy as np
import pytest
import torch

from odl_kit.engine import execute, program
from odl_kit.learners.plan import UpdatePlan

NETS = ("mlp", "tiny_cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ds_cnn", "mobile_net")))
PLANS = ("full", "head_only", "bias_only", "sparse")


def trained(made, x, y, steps=3):
    """The state after some steps, and the losses."""
    state, losses = None, []
    for k in range(steps):
        part = slice(made.batch * k, made.batch * (k + 1))
        state, loss = execute.step(made, state, x[part], y[part], 0.05)
        losses.append(loss)
    return state, losses


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NETS)
def test_no_pass_changes_a_bit_of_a_step(world, plan_of, name, precision, plan):
    net, x, y = world(name, precision)
    made = program.compile(net, x, plan_of(plan, net), precision=precision, batch=2, momentum=0.9 if plan == "sparse" else 0.0)
    state, losses = trained(made, x, y)
    assert len(set(losses)) == 3
    last = {t.name: state.values[n] for n, t in enumerate(made.tensors) if t.place == "state"}
    assert any(not np.array_equal(v, made.tensors[n].data) for n, v in state.values.items())
    for stage in made.passes[1:]:
        other, same = trained(stage.program, x, y)
        assert same == losses, stage.name
        for n, value in other.values.items():
            assert np.array_equal(value, last[stage.program.tensors[n].name]), (stage.name, stage.program.tensors[n].name)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NETS)
def test_no_pass_needs_more_bytes_than_the_one_before(world, plan_of, name, plan):
    net, x, _ = world(name, "int8")
    stages = program.compile(net, x, plan_of(plan, net), batch=1).passes
    assert [stage.name for stage in stages] == ["forward", "autodiff", "prune", "reorder", "in place", "pack"]
    bounds = [stage.bound for stage in stages[1:5]]
    assert bounds == sorted(bounds, reverse=True) and bounds[0] > bounds[-1]


def test_what_a_head_alone_needs_of_the_backward_pass_is_its_own_gradient(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    made = program.compile(net, x, plan_of("head_only", net))
    assert [op.kind for op in made.ops[made.num_forward:]] == ["LOSS", "CONV_DW_UPDATE", "CONV_DB_UPDATE"]
    assert all(op.operands().keys().isdisjoint({"mask", "place"}) for op in made.ops)


def test_a_plan_that_learns_nothing_leaves_the_loss_alone(world):
    net, x, y = world("tiny_cnn", "int8")
    made = program.compile(net, x, UpdatePlan())
    assert [op.kind for op in made.ops[made.num_forward:]] == ["LOSS"] and made.ops[-1]["dlogits"] is None
    state, loss = execute.step(made, None, x[:1], y[:1], 0.1)
    with torch.no_grad():
        assert abs(torch.nn.functional.cross_entropy(net(x[:1]), y[:1]).item() - loss) < 1e-5 and state.values == {}


def test_no_gradient_goes_below_the_first_layer_that_learns(world, plan_of):
    net, x, _ = world("ds_cnn", "float32")
    plan = UpdatePlan({"pointwise2", "head"}, {"head": 16, "pointwise2": 3})
    made = program.compile(net, x, plan, precision="float32")
    by = {n: t.name for n, t in enumerate(made.tensors)}
    assert [by[op["w"]] for op in made.ops if op.kind == "CONV_DX"] == ["head.weight"]
    gathers = [op for op in made.ops if op.kind == "GATHER"]
    assert len(gathers) == 1 and made.tensors[gathers[0]["y"]].dims == (1, 4, 4, 3)
    whole = made.root(gathers[0]["x"])
    assert all(made.root(n) != whole for op in made.ops[made.num_forward:] for n in op.reads())      # the whole input is not kept


def test_an_update_stands_right_behind_its_gradient_and_no_old_weight_is_needed_after(world, plan_of):
    net, x, _ = world("tiny_cnn", "float32")
    reordered = next(s.program for s in program.compile(net, x, plan_of("full", net), precision="float32").passes if s.name == "reorder")
    for i, op in enumerate(reordered.ops):
        if op.kind == "UPDATE":
            assert op["grad"] in reordered.ops[i - 1].writes()
            assert all(op["w"] not in later.reads() for later in reordered.ops[i + 1:])


def test_a_gradient_that_somebody_still_needs_is_not_scaled_in_place(world, plan_of):
    net, x, _ = world("mobile_net", "float32")          # its skip connections hand one gradient to two readers
    made = program.compile(net, x, plan_of("full", net), precision="float32")
    scaled = [op for op in made.ops if op.kind == "SCALE_GRAD"]
    assert any(op["g"] == op["gy"] for op in scaled)
    for i, op in enumerate(made.ops):
        if op.kind == "SCALE_GRAD" and op["g"] != op["gy"]:
            assert any(made.root(op["gy"]) in map(made.root, later.reads()) for later in made.ops[i + 1:])
