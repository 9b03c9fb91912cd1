"""A Cortex-M4F that executes machine code: so much flash, so much RAM, some devices, and nothing else. Faults are errors, not hangs.

Unicorn does the work (its core is QEMU's). Instructions are counted exactly, block by block; they are not cycles: no wait states, no bus.
"""
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass

from odl_kit.devices import counter, elf

try:
    import unicorn as uc
    from unicorn import arm_const as arm
except ImportError as error:
    raise ImportError("the virtual board needs unicorn: pip install 'odl-kit[board]'") from error

FLASH, RAM, SYSTEM = 0, 0x20000000, 0xE000E000
CPACR, AIRCR, RESET_KEY = 0xD88, 0xD0C, 0x05FA0004
ARGUMENTS = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3)
RETURN = 0x10000000         # where a called function returns to: mapped, never executed (0xFF000000 and above would mean an exception)


class Fault(RuntimeError):
    """The processor did what it cannot do: the message has the reason, PC and SP."""


class PowerCut(RuntimeError):
    """The power went away at the chosen instruction; RAM is lost."""


@dataclass(frozen=True)
class Snapshot:
    """All that a machine knows at one moment. A restored one goes on bit by bit as the first did."""
    context: object
    ram: bytes
    instructions: int


class Machine:
    """One processor with its memory.

    firmware: bytes of an ELF file. ram_bytes, flash_bytes: mapped, rounded up to pages of 4 KiB. devices: {address: (read, write)}, a page
    each; read(offset) -> int, write(offset, value). image: the elf.Image. instructions: executed since the power came, while counting.
    """

    def __init__(self, firmware, *, ram_bytes=2**18, flash_bytes=2**20, devices=None):
        self.image = elf.read(firmware)
        self.ram_bytes, self.flash_bytes = ram_bytes, flash_bytes
        self._uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4)
        self._uc.mem_map(FLASH, _pages(flash_bytes), uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        self._uc.mem_map(RAM, _pages(ram_bytes), uc.UC_PROT_ALL)
        self._uc.mem_map(RETURN, 4096, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        for address, (read, write) in {SYSTEM: (lambda offset: 0, self._system), **(devices or {})}.items():
            self._uc.mmio_map(address, 4096, _reader(read), None, _writer(write), None)
        for address, data in self.image.segments:
            if not FLASH <= address <= FLASH + flash_bytes - len(data):
                raise ValueError(f"the firmware puts {len(data)} bytes at {address:#x}; flash ends at {FLASH + flash_bytes:#x}")
            self._uc.mem_write(address, data)
        self._blank, self._counter = self._uc.context_save(), None
        self._cut, self._wants_reset, self._on = None, False, False
        self.power_on()

    @property
    def instructions(self):
        return self._counted + (self._counter.value if self._counter else 0)

    @contextmanager
    def counting(self):
        """While this is open, `instructions` counts. Without it a machine runs faster."""
        outer, self._counter = self._counter, self._counter or counter.attach(self._uc)
        try:
            yield self
        finally:
            if not outer:
                self._counted, self._counter = self.instructions, self._counter.detach()

    def power_on(self):
        """Begin anew: flash stays, RAM holds noise (the same every time), nothing is counted yet."""
        self.write(RAM, bytes(_pages(self.ram_bytes)).replace(b"\0", b"\xa5"))
        self._counted, self._cut, self._on = -(self._counter.value if self._counter else 0), None, True
        self.reset()

    def reset(self):
        """Start at the reset vector; RAM keeps what it holds."""
        self._uc.context_restore(self._blank)
        stack, start = struct.unpack("<II", self.read(FLASH, 8))
        self._uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm.UC_ARM_REG_PC, start)
        self._wants_reset = False

    def read(self, address, size):
        """`size` bytes of memory from `address`."""
        return bytes(self._uc.mem_read(address, size))

    def write(self, address, data):
        """Put bytes into memory: RAM, or flash as a programmer would."""
        self._uc.mem_write(address, bytes(data))

    def stop(self):
        """For devices: end the run that is going on."""
        self._stopped = True
        self._uc.emu_stop()

    def cut_power_after(self, instructions):
        """Lose power after so many more instructions: the run in which that happens raises PowerCut. Counting, so slower, until then."""
        self._cut = instructions

    def run(self, *, limit_s=60.0):
        """Execute until a device calls stop(). Raises Fault, PowerCut, or TimeoutError after limit_s of real time."""
        if not self._on:
            raise PowerCut("the board has no power: call power_on(), or power_cycle() of its port")
        self._stopped = False
        if self._cut is None:
            return self._run(limit_s)
        with self.counting():
            before = self.instructions
            self._run(limit_s, max(self._cut, 1))          # 0 would be no limit
            self._cut -= self.instructions - before
            if not self._stopped:
                self._on = False
                raise PowerCut("the power was cut: RAM is lost, flash is not")

    def _run(self, limit_s, count=0):
        while not self._stopped:
            began = time.monotonic()
            try:        # a stop from outside, as by the timeout, is not exact: nothing may go on after one
                self._uc.emu_start(self._pc() | 1, RETURN, 0 if count else int(limit_s * 1e6), count)
            except uc.UcError as error:
                raise Fault(f"{error}, {self._where()}") from None
            if self._wants_reset:
                self.reset()
            elif count or self._pc() == RETURN:
                return
            elif not self._stopped:
                self._on = False
                raise TimeoutError(f"still running after {time.monotonic() - began:.1f} s: {self._where()}; power it on again")

    def call(self, function, *arguments, limit_s=60.0):
        """Call a function of the firmware with up to 8 whole numbers (pointers, ints; a float as its bits) -> r0 as unsigned int.

        The machine should be fresh from power_on() or idle; the stack is the firmware's. Raises KeyError for a name that is not there.
        """
        stack, _ = struct.unpack("<II", self.read(FLASH, 8))
        values = [value & 0xFFFFFFFF for value in arguments]
        more = b"".join(struct.pack("<I", value) for value in values[4:])
        stack -= -(-len(more) // 8) * 8
        self.write(stack, more)
        for register, value in zip(ARGUMENTS, values, strict=False):
            self._uc.reg_write(register, value)
        self._uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm.UC_ARM_REG_LR, RETURN | 1)
        self._uc.reg_write(arm.UC_ARM_REG_PC, self.image.symbols[function] | 1)
        self.run(limit_s=limit_s)
        return self._uc.reg_read(arm.UC_ARM_REG_R0)

    def snapshot(self):
        """The machine as it is now. Devices keep their own state."""
        return Snapshot(self._uc.context_save(), self.read(RAM, _pages(self.ram_bytes)), self.instructions)

    def restore(self, snapshot):
        """Back to a snapshot of this machine."""
        self._uc.context_restore(snapshot.context)
        self.write(RAM, snapshot.ram)
        self._counted, self._on = snapshot.instructions - (self._counter.value if self._counter else 0), True

    def _pc(self):
        return self._uc.reg_read(arm.UC_ARM_REG_PC)

    def _where(self):
        pc, sp = self._pc(), self._uc.reg_read(arm.UC_ARM_REG_SP)
        return f"PC = {pc:#010x} ({self.image.near(pc)}), SP = {sp:#010x}"

    def _system(self, offset, value):
        if offset == AIRCR and value == RESET_KEY:
            self._wants_reset = True
            self._uc.emu_stop()


def _pages(size):
    return -(-size // 4096) * 4096


def _reader(read):
    return lambda machine, offset, size, _: read(offset)


def _writer(write):
    return lambda machine, offset, size, value, _: write(offset, value)
