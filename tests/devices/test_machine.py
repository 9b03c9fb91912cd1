"""The machine: exact counts, hard limits of memory, snapshots, power cuts."""
import struct
import zlib

import pytest

from odl_kit.devices import counter
from odl_kit.devices.machine import RAM, Fault, Machine, PowerCut
from odl_kit.devices.virtual import FIRMWARE, VirtualPort
from odl_kit.devices.wire import Wire

HERE = RAM + 0x10000


@pytest.fixture
def machine():
    return Machine(FIRMWARE.read_bytes())


def test_a_called_function_computes_and_its_instructions_are_counted(machine):
    data = bytes(range(200))
    machine.write(HERE, data)
    counts = []
    with machine.counting():
        for n in (100, 100, 200):
            before = machine.instructions
            assert machine.call("odl_crc32", 0, HERE, n) == zlib.crc32(data[:n])
            counts.append(machine.instructions - before)
    assert counts[0] == counts[1]
    assert 400 < counts[2] - counts[1] < 3000           # the loop: some instructions a byte


def test_without_counting_nothing_is_counted(machine):
    machine.call("odl_crc32", 0, HERE, 10)
    assert machine.instructions == 0


def test_counting_inside_counting_counts_once(machine):
    with machine.counting():
        machine.call("odl_crc32", 0, HERE, 10)
        once = machine.instructions
        with machine.counting():
            machine.call("odl_crc32", 0, HERE, 10)
        assert machine.instructions == 2 * once
    assert machine.instructions == 2 * once


def test_power_on_begins_to_count_anew_and_restore_goes_back(machine):
    with machine.counting():
        machine.call("odl_crc32", 0, HERE, 10)
        moment, counted = machine.snapshot(), machine.instructions
        machine.power_on()
        assert machine.instructions == 0
        machine.call("odl_crc32", 0, HERE, 10)
        assert machine.instructions == counted
        machine.call("odl_crc32", 0, HERE, 10)
        machine.restore(moment)
        assert machine.instructions == counted


def test_instructions_of_thumb_code_have_two_or_four_bytes():
    nop, bl, vadd = b"\x00\xbf", b"\x00\xf0\x00\xf8", b"\x30\xee\x20\x0a"       # Armv7-M ARM: A7.7.88, A7.7.18, A7.7.225
    assert [counter.count(code) for code in (b"", nop, bl, vadd, nop + bl + nop + vadd)] == [0, 1, 1, 1, 4]


def test_an_access_outside_memory_is_a_fault_that_says_where(machine):
    with pytest.raises(Fault, match=r"PC = 0x[0-9a-f]{8} \(odl_crc32\+0x[0-9a-f]+\), SP = 0x2000"):
        machine.call("odl_crc32", 0, RAM + 2**18 - 8, 16)
    with pytest.raises(Fault):
        machine.call("odl_crc32", 0, 0x60000000, 1)


def test_what_does_not_return_is_an_error_after_its_time(machine):
    machine.write(HERE, b"\xfe\xe7")        # b .
    machine.image.symbols["forever"] = HERE
    with pytest.raises(TimeoutError, match="still running after .* s: PC = 0x20010000"):
        machine.call("forever", limit_s=0.2)


def test_a_firmware_that_is_larger_than_flash_is_an_error():
    with pytest.raises(ValueError, match="flash ends at 0x4000"):
        Machine(FIRMWARE.read_bytes(), flash_bytes=2**14)


def test_a_restored_machine_goes_on_as_the_first_did():
    port = VirtualPort()
    line = Wire(port, "virtual")
    line.hello()
    moment = port.machine.snapshot()
    ask = lambda: line.ask("load_begin", struct.pack("<II", 500, 500)) + line.ask("info")      # noqa: E731
    sequence, first = line.sequence, ask()
    after = port.machine.snapshot()
    port.machine.restore(moment)
    line.sequence = sequence
    assert ask() == first and port.machine.snapshot().ram == after.ram


def test_power_that_is_cut_is_gone_until_it_comes_back_and_ram_is_lost():
    port = VirtualPort()
    line = Wire(port, "virtual")
    line.hello()
    port.machine.cut_power_after(20_000)
    with pytest.raises(PowerCut, match="RAM is lost"):
        for _ in range(1000):
            line.ask("info")
    with pytest.raises(PowerCut, match="no power"):
        line.ask("info")
    port.power_cycle()
    assert line.hello()[1] == 0


def test_power_cut_at_the_same_instruction_leaves_the_same_ram():
    def cut():
        port = VirtualPort()
        line = Wire(port, "virtual")
        line.boot, line.sequence = 1, 0
        port.machine.cut_power_after(5_000)
        with pytest.raises(PowerCut):
            for _ in range(100):
                line.ask("hello" if line.sequence == 0 else "info", tries=1)
        return port.machine.snapshot().ram
    assert cut() == cut()
