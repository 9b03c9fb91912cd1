"""One Program, the same bits in NumPy, as C on this machine, on the virtual Cortex-M4 and in QEMU; emitted C is in test_emit_c."""
import numpy as np
import pytest
import torch

from odl_kit.devices import board
from odl_kit.engine import execute, program

RULES = {"full": {"rounding": "stochastic", "seed": 3}, "sparse": {"momentum": 0.5}, "bias_only": {}}


@pytest.fixture(params=["host", "virtual", "qemu"])
def url(request, need_tool):
    if request.param == "qemu":
        need_tool("qemu-system-arm", hint="apt-get install qemu-system-arm")
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["mlp", "tiny_cnn", "ds_cnn", "mobile_net"])
def test_a_board_trains_with_the_bits_of_the_reference(world, plan_of, url, name, precision):
    net, x, y = world(name, precision)
    with board.open_board(url) as device:
        for plan, options in RULES.items():
            made = program.compile(net, x, plan_of(plan, net), precision=precision, batch=2, **options)
            device.load(made)
            losses, state, want = [], None, []
            for _ in range(3):      # three times over the data: 18 steps
                losses += list(device.train(x, y, lr=0.05))
                for part in torch.arange(len(x)).split(2):
                    state, loss = execute.step(made, state, x[part], y[part], np.float32(0.05))
                    want.append(loss)
            assert np.array_equal(np.float32(losses), np.float32(want)), plan
            assert torch.equal(device.weights(), made.weights(state.values)), plan
            assert np.array_equal(np.float32(device.predict(x)), execute.predict(made, state, x)), plan
