"""Predicted memory beside what a board finds: the arena by looking which bytes were touched, the stack by paint, flash by section."""
import io
import json

import pytest
import torch
from elftools.elf.elffile import ELFFile

import odl_kit
from odl_kit.devices import board, selftest
from odl_kit.devices.virtual import FIRMWARE
from odl_kit.engine import program
from odl_kit.learners import plan
from odl_kit.models import nets, quantize

GOLDEN = odl_kit.home() / "tests" / "golden" / "board_memory.json"
NETS = {"mlp": lambda rng: nets.mlp(64, 32, 10, rng=rng), "tiny_cnn": lambda rng: nets.tiny_cnn(1, 10, rng=rng),
        "ds_cnn": lambda rng: nets.ds_cnn(1, 10, norm=None, rng=rng), "mobile_net": lambda rng: nets.mobile_net(1, 10, norm=None, rng=rng)}
CASES = [(name, precision, what) for name in NETS for precision in ("float32", "int8") for what in ("full", "head_only")]


def compiled(name, precision, what):
    rng = torch.Generator().manual_seed(0)
    net, x = NETS[name](rng), torch.randn(8, 1, 8, 8, generator=rng)
    net = net if precision == "float32" else quantize.quantize_model(net, x)
    return program.compile(net, x, getattr(plan, what)(net), precision=precision), x


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_predicted_memory_is_what_the_board_finds(case):
    made, x = compiled(*case)
    with board.open_board("virtual") as device:
        machine, start = device.link.machine, device.link.machine.image.symbols["link_room"]
        device.load(made).train(x, torch.zeros(len(x), dtype=torch.int64), lr=0.01)
        device.predict(x)
        info, report = device.info(), device.memory()
        room = machine.read(start, info.room)
        assert len(room.rstrip(b"\xa5")) <= -(-made.nbytes // 8) * 8 + made.arena_bytes         # nothing behind its arena was touched
        needed = -(-made.nbytes // 8) * 8 + len(room[-(-made.nbytes // 8) * 8:].rstrip(b"\xa5"))
        assert needed == pytest.approx(made.report.sram, rel=0.03)                              # and the arena was used to its end
    assert report.peak == made.report.peak and report.sram == made.report.sram + info.static + info.stack_peak
    assert info.stack_peak < info.stack_size / 2


def test_flash_and_static_memory_are_those_of_the_elf_files_sections():
    sections = {s.name: s["sh_size"] for s in ELFFile(io.BytesIO(FIRMWARE.read_bytes())).iter_sections()}
    with board.open_board("virtual") as device:
        info = device.info()
    assert info.flash == sections[".text"] + sections.get(".ARM.exidx", 0) + sections[".data"]
    assert info.static == sections[".data"] + sections[".bss"] and info.stack_size == sections[".stack"]


def measured():
    """{case: bytes} that the golden file holds."""
    with board.open_board("virtual") as device:
        for check in selftest.run(device):
            assert check.ok
        own = device.info()
    found = {"firmware flash": own.flash, "firmware static": own.static, "firmware stack": own.stack_peak}
    for case in CASES:
        made, _ = compiled(*case)
        found[" ".join(case)] = made.nbytes + made.arena_bytes
    return found


def test_no_standard_net_and_no_firmware_grew_by_three_percent():
    limits, found = json.loads(GOLDEN.read_text(encoding="utf-8")), measured()
    assert set(found) == set(limits)
    grown = {name: f"{limits[name]:,} -> {size:,} B" for name, size in found.items() if size > limits[name] * 1.03}
    assert grown == {}, "if that must be: python tests/devices/test_memory.py writes tests/golden/board_memory.json anew"


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(measured(), indent=2) + "\n", encoding="utf-8")
