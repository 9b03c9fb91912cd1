"""compile and the record it makes: options, budgets, text, digest."""
import re
from dataclasses import FrozenInstanceError

import pytest
import torch

from odl_kit.budget import Budget
from odl_kit.engine import execute, program
from odl_kit.learners import plan
from odl_kit.models import nets


def test_a_program_is_frozen_and_prints_its_ops_by_name(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    made = program.compile(net, x, plan_of("sparse", net))
    lines = repr(made).splitlines()
    assert lines[0].startswith(f"Program int8, batch 1: {len(made.ops)} ops, {made.num_forward} of them forward")
    assert len(lines) == 1 + len(made.ops)
    assert re.search(r"CONV +x=input, w=stem.weight, b=stem.bias", repr(made)) and "CONV_DW_UPDATE" in repr(made)
    assert repr(made.passes[-1]) == f"pack: {len(made.ops)} ops, arena {made.arena_bytes:,} B (bound {made.passes[-1].bound:,} B)"
    with pytest.raises(FrozenInstanceError):
        made.batch = 2
    with pytest.raises(ValueError, match="read-only"):
        made.tensors[made.layout[0].number].data[...] = 0


def test_the_same_net_plan_and_seed_give_the_same_bytes_and_others_do_not(world, plan_of):
    net, x, _ = world("ds_cnn", "int8")
    a, b, c = (program.compile(net, x, plan_of("sparse", net), seed=s) for s in (1, 1, 2))
    assert a.to_bytes() == b.to_bytes() and a.digest == b.digest != c.digest and re.fullmatch("[0-9a-f]{16}", a.digest)


def test_a_broken_budget_says_by_how_much_and_names_the_largest_part(world, plan_of):
    net, x, _ = world("ds_cnn", "int8")
    made = program.compile(net, x, plan_of("full", net))
    assert program.compile(net, x, plan_of("full", net), budget=Budget(sram=made.report.sram)).digest == made.digest
    largest = max(made.report.parts(), key=made.report.parts().get)
    words = rf"sram is 0.1 KiB over: .* KiB needed, .*; the largest part is {largest}, .*\(in flash it would take .* of RAM\)"
    with pytest.raises(ValueError, match=words):
        program.compile(net, x, plan_of("full", net), budget=Budget(sram=made.report.sram - 100))


@pytest.mark.parametrize(("option", "match"), [({"batch": 0}, "batch=0"), ({"rounding": "up"}, "rounding 'up' is unknown"),
                                               ({"momentum": 1.0}, "momentum=1.0"), ({"seed": -1}, "seed=-1")])
def test_an_option_out_of_range_is_refused(world, option, match):
    net, x, _ = world("mlp")
    with pytest.raises(ValueError, match=match):
        program.compile(net, x, None, precision="float32", **option)


def test_a_plan_for_another_net_is_refused(world):
    net, x, _ = world("mlp")
    with pytest.raises(ValueError, match="net has no layer 'conv1'"):
        program.compile(net, x, plan.UpdatePlan({"conv1"}), precision="float32")


def test_a_random_plan_draws_its_channels_from_the_seed(world):
    net, x, _ = world("mlp")
    random = plan.UpdatePlan(frozenset(), {"hidden1": 5}, order="random")
    made = (program.compile(net, x, random, precision="float32", seed=s) for s in (1, 1, 2))
    channels = [next(t.data for t in p.tensors if t.dtype == "u16").reshape(-1).tolist() for p in made]
    assert channels[0] == channels[1] != channels[2] and len(channels[0]) == 5


def test_what_learns_lies_in_the_state_and_all_else_does_not(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    made = program.compile(net, x, plan_of("head_only", net), momentum=0.9)
    assert sorted(t.name for t in made.tensors if t.place == "state") == sorted(
        ["head.weight", "head.bias", "head.weight.velocity", "head.bias.velocity"])


def test_a_flattened_image_is_read_in_the_engines_order():
    net = nets.mlp(2 * 3 * 4, (), 3, rng=torch.Generator().manual_seed(0))
    x = torch.rand(5, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    made = program.compile(net, x, plan.UpdatePlan(frozenset(), {"head": 7}), precision="float32", batch=5)
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(execute.predict(made, None, x)), net(x), atol=1e-6)
    assert made.tensors[next(op for op in made.ops if op.kind == "GATHER")["x"]].dims == (5, 1, 1, 24)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_net_that_trains_on_does_not_change_the_program(world, plan_of, precision):
    net, x, _ = world("mlp", precision)
    made = program.compile(net, x, plan_of("full", net), precision=precision)
    before = made.weights().clone()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1.0)
    assert torch.equal(made.weights(), before) and made.to_bytes() == program.compile(
        *(world("mlp", precision)[:2]), plan_of("full", net), precision=precision).to_bytes()
