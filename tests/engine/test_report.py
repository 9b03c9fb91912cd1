"""The MemoryReport of a Program against its own table, and against the analytic meter of learners.memory."""
import pytest

from odl_kit.engine import program, report
from odl_kit.learners import memory

NETS = ("mlp", "tiny_cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ds_cnn", "mobile_net")))
PLANS = ("full", "head_only", "bias_only", "sparse")


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NETS)
def test_pushed_everything_lies_in_ram_and_in_flash_only_what_learns_does(world, plan_of, name, precision, plan):
    net, x, _ = world(name, precision)
    made = program.compile(net, x, plan_of(plan, net), precision=precision, momentum=0.9)
    pushed, flash = made.report, made.flash_report
    assert (pushed.flash, pushed.sram, pushed.peak) == (0, len(made.to_bytes()) + made.arena_bytes, pushed.sram)
    assert (flash.flash, flash.sram) == (len(made.to_bytes()), made.state_bytes + made.arena_bytes) and flash.sram < pushed.sram
    velocity = sum(t.nbytes for t in made.tensors if t.name.endswith(".velocity"))
    assert pushed.optimizer == velocity > 0 and pushed.gradients == 0


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NETS)
def test_what_is_saved_is_what_the_meter_says_a_device_keeps(world, plan_of, name, plan):
    net, x, _ = world(name, "int8")
    made, meter = program.compile(net, x, plan_of(plan, net)), memory.memory_report(net, x[:1], plan_of(plan, net), rule="device")
    count = sum(t.dtype in ("s8", "bits", "u8", "f32") for t in made.tensors if t.place == "arena")
    # each saved tensor is rounded up to 4 bytes; the engine needs no mask where no gradient passes, and drops the batch after the stem
    assert made.report.saved_activations <= meter.saved_activations + 3 * count
    if plan in ("full", "head_only"):
        assert made.report.saved_activations >= 0.8 * meter.saved_activations


def test_gradients_count_where_they_are_kept(world, plan_of):
    net, x, _ = world("tiny_cnn")
    made = program.compile(net, x, plan_of("full", net), precision="float32")
    kept = {stage.name: report.report(stage.program).gradients for stage in made.passes[1:]}
    total = 4 * sum(p.numel() for p in net.parameters())
    assert kept["autodiff"] == kept["prune"] == total and 0 < kept["reorder"] < total and kept["in place"] == kept["pack"] == 0
