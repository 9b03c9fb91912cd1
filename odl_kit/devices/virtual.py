"""The virtual board: the firmware of hardware/targets/virtual on a Machine, behind a port that looks like pyserial's.

It has the flash and RAM of a board in budget.BOARDS, less what the Arduino core takes there: what fits here fits there.
"""
from collections import deque
from pathlib import Path

from odl_kit.budget import BOARDS
from odl_kit.devices import elf
from odl_kit.devices.machine import RAM, Machine

FIRMWARE = Path(__file__).with_name("firmware.elf")
TIMER, UART = 0x40000000, 0x40004000            # CMSDK, as on Arm's MPS2 (Application Note AN386)
DATA, STATE, VALUE = 0, 4, 4
MODELS = tuple(name for name, board in BOARDS.items() if 2**15 <= board.sram <= 2**20)     # whose memory it can have
IDLE = 3                                        # polls of an empty UART in a row: sending polls it too, between two bytes


def firmware_for(board, firmware=None):
    """The firmware as bytes of an ELF file, told where RAM ends on this budget.Board: what the Arduino core takes there lies behind it."""
    data = FIRMWARE.read_bytes() if firmware is None else firmware
    end = RAM + board.budget().sram - board.core_sram
    return elf.patched(data, elf.read(data).symbols["ram_end"], end.to_bytes(4, "little"))


class VirtualPort:
    """write(data) runs the firmware until it waits for more; read(size) gives what it sent. machine: the Machine beneath.

    board: one of MODELS. firmware: bytes of an ELF file, None: the one that the package brings. limit_s: real time that it may work on
    what came.
    """

    def __init__(self, board="nano33", *, firmware=None, limit_s=120.0):
        if board not in MODELS:
            raise ValueError(f"board={board}: the virtual board, a Cortex-M4, can have the memory of {', '.join(MODELS)}")
        limits = BOARDS[board].budget()
        self.timeout, self.write_timeout, self.limit_s = 0, 0, limit_s      # the first two for pyserial's sake: nothing here waits
        self._in, self._out, self._empty = deque(), bytearray(), 0
        devices = {TIMER: (self._timer, lambda *_: None), UART: (self._get, self._put)}
        self.machine = Machine(firmware_for(BOARDS[board], firmware), ram_bytes=limits.sram, flash_bytes=limits.flash, devices=devices)

    def write(self, data):
        """Hand bytes to the board and let it work until it waits again. Raises machine.Fault, PowerCut or TimeoutError."""
        self._in.extend(data)
        self._empty = 0
        try:
            self.machine.run(limit_s=self.limit_s)
        except KeyboardInterrupt:           # it stopped anywhere: begin anew, as a board whose plug was pulled
            self.power_cycle()
            raise
        return len(data)

    def read(self, size=1):
        """Up to `size` bytes that the board sent."""
        got = bytes(self._out[:size])
        del self._out[:size]
        return got

    @property
    def in_waiting(self):
        """Bytes that read would give."""
        return len(self._out)

    def power_cycle(self):
        """Take the power away and give it back: RAM, and what was on the line, is lost."""
        self._in.clear()
        self._out.clear()
        self.machine.power_on()

    def reset_input_buffer(self):
        """Forget what the board sent."""
        self._out.clear()

    def close(self):
        """Nothing to do."""

    def _get(self, offset):
        if offset == DATA:
            self._empty = 0
            return self._in.popleft() if self._in else 0
        if offset == STATE and not self._in:
            self._empty += 1
            if self._empty >= IDLE:
                self.machine.stop()
        return 2 * bool(self._in) if offset == STATE else 0

    def _put(self, offset, value):
        if offset == DATA:
            self._empty = 0
            self._out.append(value & 0xFF)

    def _timer(self, offset):
        return -self.machine.instructions & 0xFFFFFFFF if offset == VALUE else 0       # one tick an instruction, while counting
