"""The verbs of a board. Its bits are compared with NumPy's in tests/engine/test_executors.py; here with learners.train and in use."""
import numpy as np
import pytest
import torch

from odl_kit.devices import board
from odl_kit.devices.wire import Rebooted
from odl_kit.engine import program
from odl_kit.learners import plan
from odl_kit.learners.train import evaluate
from odl_kit.models import flat, nets

x = torch.randn(30, 20, generator=torch.Generator().manual_seed(1))
y = torch.randint(0, 3, (30,), generator=torch.Generator().manual_seed(2))


def net_of(seed=0):
    return nets.mlp(20, 8, 3, rng=torch.Generator().manual_seed(seed))


def made(net=None, **options):
    return program.compile(net or net_of(), x, options.pop("plan", None), **{"precision": "float32", "batch": 3} | options)


@pytest.fixture(params=["virtual", "host"])
def device(request):
    with board.open_board(request.param) as opened:
        yield opened


def test_a_board_trains_as_torch_does(device):
    net = net_of()
    losses = device.load(made(net)).train(x, y, lr=0.1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for part, found in zip(torch.arange(30).split(3), losses, strict=True):
        loss = torch.nn.functional.cross_entropy(net(x[part]), y[part])
        assert loss.item() == pytest.approx(found.item(), abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.allclose(device.weights(), flat.ravel(net), atol=1e-5)


def test_evaluate_and_predict_are_torchs_also_where_the_last_batch_is_short(device):
    net = net_of()
    device.load(made(net))
    found, want = device.evaluate(x[:29], y[:29]), evaluate(net, x[:29], y[:29])
    assert found["accuracy"] == want["accuracy"] and found["loss"] == pytest.approx(want["loss"], abs=1e-5)
    assert torch.allclose(device.predict(x[:29]), net(x[:29]), atol=1e-5) and device.predict(x[:29]).shape == (29, 3)
    assert torch.equal(device.weights(), flat.ravel(net))       # nothing learned


def test_an_example_larger_than_a_frame_goes_in_pieces(device):
    wide = torch.randn(4, 1, 14, 14, generator=torch.Generator().manual_seed(3))
    net = nets.tiny_cnn(1, 3, width=2, rng=torch.Generator().manual_seed(0))
    one = program.compile(net, wide, None, precision="float32", batch=2)
    device.load(one)
    assert torch.allclose(device.predict(wide), net(wide), atol=1e-5)
    assert len(device.train(wide, y[:4], lr=0.1)) == 2 and device.evaluate(wide, y[:4])["loss"] > 0


def test_steps_begin_again_with_the_first_example(device):
    device.load(made())
    losses = device.train(x[:6], y[:6], lr=0.0, steps=5)
    assert losses.shape == (5,) and torch.equal(losses[:2], losses[2:4]) and losses[4] == losses[0]


def test_weights_that_are_set_are_read_back_and_an_update_is_what_one_adds(device):
    net, w = net_of(), flat.ravel(net_of(5))
    device.load(made(net))
    device.set_weights(w)
    assert torch.equal(device.weights(), w)
    update, num_examples = device.update(w, x, y, lr=0.1)
    assert num_examples == 30 and torch.equal(device.weights(), w + update) or torch.allclose(device.weights(), w + update, atol=1e-7)
    assert update.abs().max() > 0


def test_a_frozen_weight_cannot_be_set(device):
    net = net_of()
    device.load(made(net, plan=plan.head_only(net)))
    with pytest.raises(ValueError, match="hidden1"):
        device.set_weights(flat.ravel(net_of(5)))


def test_a_checkpoint_goes_on_bit_by_bit_on_another_board(device):
    one = made(momentum=0.9)
    whole = device.load(one).train(x, y, lr=0.1)
    end = device.checkpoint()
    device.load(one).train(x[:15], y[:15], lr=0.1)
    middle = device.checkpoint()
    assert middle.step == 5
    with board.open_board("host") as other:
        other.load(one).restore(middle)
        assert torch.equal(other.train(x[15:], y[15:], lr=0.1), whole[5:])
        assert other.checkpoint() == end
        other.load(made(net_of(1)))
        with pytest.raises(ValueError, match="belongs to program"):
            other.restore(middle)


def test_a_board_that_is_reset_says_so_and_begins_anew_with_load():
    with board.open_board("virtual") as device:
        device.load(made()).train(x, y, lr=0.1)
        device.link.power_cycle()
        with pytest.raises(Rebooted, match=r"virtual: it was reset, and what it had learned is lost; load\(program\) begins anew"):
            device.train(x, y, lr=0.1)
        with pytest.raises(ValueError, match="no program is on virtual"):
            device.weights()
        assert device.load(made()).boot_id_before == 0 and len(device.train(x, y, lr=0.1)) == 10


def test_a_program_too_large_for_a_board_says_by_how_much():
    large = made(nets.mlp(20, 1500, 3, rng=torch.Generator().manual_seed(0)))
    with board.open_board("virtual?board=uno_r4") as device:
        with pytest.raises(ValueError, match=r"virtual\?board=uno_r4: sram is .* KiB over: .* needed, .* allowed"):
            device.load(large)
        assert len(device.load(made()).train(x, y, lr=0.1)) == 10       # and back
    with board.open_board("virtual") as device:
        assert len(device.load(large).train(x, y, lr=0.1)) == 10


@pytest.mark.parametrize("wrong, says", [
    (lambda d: d.train(x[:4], y[:4], lr=0.1), "4 examples are no whole number of batches of 3: give steps=, or 3 examples"),
    (lambda d: d.train(x, y[:4], lr=0.1), "30 examples and 4 labels"),
    (lambda d: d.train(x, y + 1, lr=0.1), "labels go from 1 to 3: this net has the classes 0 to 2"),
    (lambda d: d.train(x, y, lr=np.inf), "lr = inf"),
    (lambda d: d.train(x[:, :5], y, lr=0.1), r"shaped \(5,\)")])
def test_what_cannot_be_is_an_error_before_anything_is_sent(device, wrong, says):
    device.load(made())
    with pytest.raises(ValueError, match=says):
        wrong(device)
    assert device.info().step == 0


@pytest.mark.parametrize("url, says", [("virtual?board=c64", "board=c64: .* can have the memory of nano33"),
                                       ("virtual?board=phone", "board=phone"),
                                       ("qemu?cpu=m7", "option cpu is unknown")])
def test_an_unknown_board_is_an_error_that_names_those_there_are(url, says):
    with pytest.raises(ValueError, match=says):
        board.open_board(url)
