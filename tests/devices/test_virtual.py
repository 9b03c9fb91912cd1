"""The virtual board: the memory of its model, and nothing of it left after power is gone."""
import os
import shutil
import subprocess
import sys

import pytest

import odl_kit
from odl_kit.budget import BOARDS
from odl_kit.devices import board, elf
from odl_kit.devices.machine import RAM
from odl_kit.devices.virtual import FIRMWARE, VirtualPort, firmware_for
from odl_kit.devices.wire import Wire


@pytest.mark.parametrize("name", ["nano33", "portenta", "uno_r4"])
def test_what_the_arduino_core_takes_is_not_there(name):
    with board.open_board(f"virtual?board={name}") as device:
        info = device.info()
    left = BOARDS[name].budget().sram - BOARDS[name].core_sram
    assert left - 8 < info.room + info.static + info.stack_size <= left


def test_the_firmware_is_the_same_but_for_the_end_of_ram():
    at, data = elf.read(FIRMWARE.read_bytes()).symbols["ram_end"], firmware_for(BOARDS["nano33"])
    image = elf.read(data)
    (start, text), *_ = image.segments
    assert int.from_bytes(text[at - start:at - start + 4], "little") == RAM + 2**18 - 44_552
    assert image.symbols == elf.read(FIRMWARE.read_bytes()).symbols


def test_the_stack_lies_lowest_so_that_one_too_large_leaves_ram():
    symbols = elf.read(FIRMWARE.read_bytes()).symbols
    assert symbols["link_stack_begin"] == RAM and symbols["link_stack_end"] <= symbols["link_bss_begin"] <= symbols["link_room"]


def test_the_clock_ticks_once_an_instruction_while_counting():
    port = VirtualPort()
    assert port._timer(4) == 0
    with port.machine.counting():
        Wire(port, "virtual").hello()
        assert port._timer(4) == 2**32 - port.machine.instructions


def test_ctrl_c_during_a_run_leaves_a_board_that_was_reset(monkeypatch):
    port = VirtualPort()
    line = Wire(port, "virtual")
    line.hello()

    def interrupted(*_, **__):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(port.machine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            line.ask("info")
    assert line.hello()[1] == 0


def test_no_compiler_and_no_checkout_is_needed(tmp_path):
    code = """
import sys
for name in ("ziglang", "elftools", "serial"):
    sys.modules[name] = None
import torch
from odl_kit.devices.board import open_board
from odl_kit.engine import program
from odl_kit.models import nets
x, y = torch.randn(4, 6), torch.tensor([0, 1, 0, 1])
net = nets.mlp(6, 4, 2, rng=torch.Generator().manual_seed(0))
with open_board("virtual") as board:
    print(len(board.load(program.compile(net, x, None, precision="float32")).train(x, y, lr=0.1)))
"""
    shutil.copytree(odl_kit.home() / "odl_kit", tmp_path / "odl_kit", ignore=shutil.ignore_patterns("__pycache__"))     # no hardware/
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PATH": "", "PYTHONPATH": str(tmp_path)})
    assert done.stdout == "4\n", done.stderr[-2000:]
