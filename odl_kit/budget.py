"""What a device can hold and spend: Budget (limits), MemoryReport (bytes by purpose), Board and BOARDS. Bytes inside; KiB only in text."""
import operator
from dataclasses import dataclass, fields

PARTS = ("weights", "saved_activations", "gradients", "optimizer", "workspace")
KB, MB, GB = 2**10, 2**20, 2**30    # memory chips are sold in powers of two


def in_kib(count):
    """Bytes as text: '37.5 KiB', from 10 MiB on '64.0 MiB', from 1 GiB on '16.0 GiB'."""
    unit, name = next(((u, n) for least, u, n in ((GB, GB, "GiB"), (10 * MB, MB, "MiB")) if abs(count) >= least), (KB, "KiB"))
    return f"{count / unit:,.1f} {name}"


@dataclass(frozen=True)
class MemoryReport:
    """Bytes by purpose, for the analytic meter, the arena planner and a board alike.

    weights, saved_activations, gradients, optimizer, workspace: for each purpose, the most bytes it holds at any one moment.
    peak: the most bytes that all purposes together hold at any one moment. The moments may differ (a gradient can take the place of
    an activation that is no longer needed), so  largest part <= peak <= sum of the parts.  A meter that frees nothing has peak = sum.
    flash: bytes stored while the power is off (default: the weights). sram: bytes needed in working memory (default: the peak).
    Weights that never change may be read from flash, so sram may be below peak; a board counts its stack and program too, so both may be
    above. But every byte must lie somewhere: flash + sram >= peak. Integers >= 0, else TypeError or ValueError.
    """
    weights: int
    saved_activations: int
    gradients: int
    optimizer: int
    workspace: int
    peak: int
    flash: int | None = None
    sram: int | None = None

    def __post_init__(self):
        for name, default in (("flash", self.weights), ("sram", self.peak)):
            object.__setattr__(self, name, default if getattr(self, name) is None else getattr(self, name))
        for field in fields(self):
            object.__setattr__(self, field.name, _count(field.name, getattr(self, field.name)))
        parts = self.parts()
        if not max(parts.values()) <= self.peak <= sum(parts.values()):
            raise ValueError(f"peak is {self.peak} B: it must lie between the largest part, {max(parts.values())} B, and the "
                             f"sum of all parts, {sum(parts.values())} B")
        if self.flash + self.sram < self.peak:
            raise ValueError(f"flash {self.flash} B + sram {self.sram} B is less than the peak, {self.peak} B: it must lie somewhere")

    def parts(self):
        """{purpose: bytes} of the five purposes, in a fixed order."""
        return {name: getattr(self, name) for name in PARTS}

    def __str__(self):
        return "\n".join(f"{field.name:<18}{in_kib(getattr(self, field.name)):>14}" for field in fields(self))


@dataclass(frozen=True)
class Over:
    """One broken limit: `term` needs `need`, the limit is `limit`. str() is a sentence with the way out."""
    term: str
    need: float
    limit: float
    hint: str

    @property
    def excess(self):
        """need - limit, in the unit of the term."""
        return self.need - self.limit

    def __str__(self):
        text = in_kib if self.term not in ("macs", "energy_mJ") else lambda value: f"{value:,.6g}"
        return f"{self.term} is {text(self.excess)} over: {text(self.need)} needed, {text(self.limit)} allowed; {self.hint}"


@dataclass(frozen=True)
class Budget:
    """Limits, None is no limit. flash, sram: bytes; macs, energy_mJ, link_bytes: per update, per round or per day, as the caller says."""
    flash: int | None = None
    sram: int | None = None
    macs: float | None = None
    energy_mJ: float | None = None
    link_bytes: int | None = None

    def check(self, report, *, macs=None, energy_mJ=None, link_bytes=None):
        """Which limits are broken, and by how much: a tuple of Over, empty when all fits.

        report: MemoryReport (flash and sram come from it). Raises ValueError for a limit whose cost was not given: nothing passes unseen.
        """
        need = {"flash": report.flash, "sram": report.sram, "macs": macs, "energy_mJ": energy_mJ, "link_bytes": link_bytes}
        limits = {name: getattr(self, name) for name in need if getattr(self, name) is not None}
        for name in limits:
            if need[name] is None:
                raise ValueError(f"the budget allows {name} = {limits[name]}, but no {name} was given: call check(report, {name}=...)")
        part = max(PARTS, key=report.parts().get)
        hints = {"sram": f"the largest part is {part}, {in_kib(report.parts()[part])}: learn fewer layers, or take a smaller batch",
                 "flash": f"the weights are {in_kib(report.weights)}: a smaller net, or fewer bits a weight",
                 "macs": "fewer steps, or a plan that learns less", "energy_mJ": "fewer steps, or a smaller net",
                 "link_bytes": "call less often, or send fewer or smaller weights"}
        return tuple(Over(name, need[name], limit, hints[name]) for name, limit in limits.items() if need[name] > limit)


@dataclass(frozen=True)
class Board:
    """One device. flash, sram: bytes, as its data sheet says. fpu: "single", "double" or "" (none). source: where every figure stands.

    sketch_flash, sketch_sram: what the Arduino core leaves to a program, where that is less. core_sram: what an empty sketch already takes
    of that memory, the core's own variables and stacks; 0 where nobody has measured it.
    flash is None where the program lies on a card of any size. On a computer or phone `sram` is its DRAM.
    """
    title: str
    flash: int | None
    sram: int
    clock_hz: int
    fpu: str
    source: str
    sketch_flash: int | None = None
    sketch_sram: int | None = None
    core_sram: int = 0

    def budget(self):
        """The Budget of a program on this board: what the Arduino core leaves to it, else what the data sheet says."""
        return Budget(flash=self.sketch_flash or self.flash, sram=self.sketch_sram or self.sram)

    def __str__(self):
        limit = self.budget()
        flash = f"{in_kib(limit.flash)} flash" if limit.flash else "storage on a card"
        fpu = f"{self.fpu} precision FPU" if self.fpu else "no FPU"
        return f"{self.title}: {flash}, {in_kib(limit.sram)} memory, {self.clock_hz / 1e6:,.0f} MHz, {fpu}"


BOARDS = {
    "nano33": Board(
        "Arduino Nano 33 BLE Sense", 1 * MB, 256 * KB, 64_000_000, "single", sketch_flash=983_040, core_sram=44_552,
        source="Arduino Nano 33 BLE Sense Rev2 data sheet ABX00069 (nRF52840, Cortex-M4F); ArduinoCore-mbed boards.txt, nano33ble "
               "(maximum sketch); core_sram: what arduino-cli prints for an empty sketch (mbed_nano 4, global variables)"),
    "rp2040": Board(
        "Arduino Nano RP2040 Connect", 16 * MB, 264 * KB, 133_000_000, "",
        source="Arduino Nano RP2040 Connect tech specs ABX00052; ArduinoCore-mbed boards.txt, nanorp2040connect (264 KB of data; "
               "Cortex-M0+, no FPU)"),
    "esp32": Board(
        "Arduino Nano ESP32", 16 * MB, 512 * KB, 240_000_000, "single",
        source="Arduino Nano ESP32 data sheet ABX00083 (8 MB PSRAM not counted; Wi-Fi and the core take part of the SRAM); "
               "Espressif ESP32-S3 Series Datasheet (FPU)"),
    "portenta": Board(
        "Arduino Portenta H7, Cortex-M7", 2 * MB, 1 * MB, 480_000_000, "double", sketch_flash=786_432, sketch_sram=523_624,
        source="Arduino Portenta H7 collective data sheet ABX00042 (STM32H747XI; 8 MB SDRAM not counted); ArduinoCore-mbed boards.txt, "
               "envie_m7 with the default flash split (program limits)"),
    "uno_r4": Board(
        "Arduino UNO R4 Minima", 256 * KB, 32 * KB, 48_000_000, "single",
        source="Arduino UNO R4 Minima data sheet ABX00080 (RA4M1, Cortex-M4); ArduinoCore-renesas boards.txt, minima (fpv4-sp-d16)"),
    "uno_r3": Board(
        "Arduino UNO R3", 32 * KB, 2 * KB, 16_000_000, "", sketch_flash=32_256,
        source="Arduino UNO R3 data sheet A000066 (ATmega328P, 8-bit); ArduinoCore-avr boards.txt, uno (maximum sketch)"),
    "pi4": Board(
        "Raspberry Pi 4 Model B, 4 GB", None, 4 * GB, 1_500_000_000, "double",
        source="Raspberry Pi 4 Model B specifications (BCM2711, Cortex-A72, 1.5 GHz; later boards 1.8 GHz; also sold with 1, 2 and 8 GB; "
               "micro-SD card)"),
    "phone": Board(
        "a mid-range phone (assumed)", 128 * 10**9, 6 * GB, 2_000_000_000, "double",
        source="assumed: no particular model; round figures for a mid-range phone, shared with the system and other programs"),
}


def _count(name, value):
    """value as an int >= 0, or TypeError / ValueError that names it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; it must be a whole number of bytes (int)")
    if operator.index(value) < 0:
        raise ValueError(f"{name} = {value} B is negative")
    return operator.index(value)
