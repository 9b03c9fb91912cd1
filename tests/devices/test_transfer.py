"""Blobs, states and batches in pieces, and what a board refuses of them."""
import struct
import zlib

import pytest
import torch

from odl_kit.devices import transfer
from odl_kit.devices.board import open_board
from odl_kit.devices.wire import Refused
from odl_kit.engine import program
from odl_kit.models import nets


@pytest.fixture(scope="module")
def made():
    net = nets.mlp(20, 8, 3, rng=torch.Generator().manual_seed(0))
    return program.compile(net, torch.zeros(1, 20), None, precision="float32")


@pytest.mark.parametrize("size, room", [(0, 504), (1, 504), (504, 504), (505, 504), (1000, 507)])
def test_spans_cover_every_byte_once_in_multiples_of_four(size, room):
    pieces = list(transfer.spans(size, room, None))
    assert [at for at, _ in pieces] == [sum(n for _, n in pieces[:i]) for i in range(len(pieces))]
    assert sum(n for _, n in pieces) == size and all(n % 4 == 0 and n <= room for _, n in pieces[:-1])


@pytest.mark.parametrize("place, value", [(0, b"XXXX"), (40, b"\xff"), (200, b"\x55")])
@pytest.mark.parametrize("url", ["host", "virtual"])
def test_a_damaged_program_is_refused_by_name_and_the_board_goes_on(made, url, place, value):
    data = made.to_bytes()
    bad = data[:place] + value + data[place + len(value):]
    with open_board(url) as device:
        with pytest.raises(Refused, match="refuses load_end: invalid program, "):
            transfer.load(device.wire.ask, 512, bad, made.arena_bytes)
        with pytest.raises(Refused, match="no program is loaded"):
            device.wire.ask("predict")
        assert device.load(made).info().program == struct.unpack_from("<I", data, 12)[0] == zlib.crc32(data[16:])


def test_a_tensor_that_never_changes_cannot_be_written(made):
    with open_board("host") as device:
        device.load(made)
        for number in (made.logits, 9999):
            with pytest.raises(Refused, match="no such tensor"):
                transfer.write(device.wire.ask, 512, number, bytes(4))
        with pytest.raises(Refused, match="wrong offset"):
            device.wire.ask("read", struct.pack("<HHII", made.input, 0, made.tensors[made.input].nbytes, 4))


def test_a_batch_that_was_written_in_part_is_not_trained_on(made):
    with open_board("host") as device:
        device.load(made)
        transfer.write(device.wire.ask, 512, made.input, bytes(40))
        with pytest.raises(Refused, match="input or labels are not whole"):
            device.wire.ask("train", struct.pack("<f", 0.1))
        with pytest.raises(Refused, match=r"wrong offset.*needed 40, have 44"):
            device.wire.ask("write", struct.pack("<HHI", made.input, 0, 44) + bytes(4))


@pytest.mark.parametrize("label, lr, says", [(3, 0.1, "label"), (-1, 0.1, "label"), (0, float("inf"), "learning rate"),
                                             (0, float("nan"), "learning rate")])
def test_an_impossible_value_is_refused_by_the_board_too(made, label, lr, says):
    with open_board("host") as device:
        device.load(made)
        with pytest.raises(Refused, match=f"impossible value .{says}"):
            device.wire.ask("train", struct.pack("<f", lr) + bytes(80) + struct.pack("<i", label))
        assert device.info().step == 0
