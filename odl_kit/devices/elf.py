"""What an ELF file of a 32-bit little-endian Arm puts where: segments to load, symbols. As much of the format as a firmware needs.

Source: TIS Portable Formats Specification 1.1, book I (ELF); Arm ELF ABI. A test compares with pyelftools.
"""
import struct
from dataclasses import dataclass

LOAD, SYMBOLS, ARM = 1, 2, 40


@dataclass(frozen=True)
class Image:
    """segments: ((address, bytes), ...) to write before the start. symbols: {name: address}, of Thumb functions without their lowest bit.

    names: {address: name} of the functions, for messages.
    """
    segments: tuple
    symbols: dict
    names: dict

    def near(self, address):
        """The function that `address` lies in, as "name+0x12"; "?" if none begins at or before it."""
        start = max((a for a in self.names if a <= address), default=None)
        return "?" if start is None else f"{self.names[start]}+{address - start:#x}"


def read(data):
    """bytes of an ELF file -> Image. Raises ValueError for anything but an executable of a 32-bit little-endian Arm, or a damaged one."""
    try:
        if data[:6] != b"\x7fELF\x01\x01" or struct.unpack_from("<HH", data, 16) != (2, ARM):
            raise ValueError(f"not an executable for a 32-bit little-endian Arm: it begins with {bytes(data[:6])!r}")
        phoff, shoff, _, _, phsize, phnum, shsize, shnum = struct.unpack_from("<IIIHHHHH", data, 28)
        segments = [struct.unpack_from("<8I", data, phoff + i * phsize) for i in range(phnum)]
        loads = tuple((paddr, _slice(data, offset, size)) for kind, offset, _, paddr, size, *_ in segments if kind == LOAD and size)
        sections = [struct.unpack_from("<10I", data, shoff + i * shsize) for i in range(shnum)]
        symbols, names = {}, {}
        for _, kind, _, _, offset, size, link, *_ in sections:
            if kind == SYMBOLS:
                _collect(_slice(data, offset, size), _slice(data, sections[link][4], sections[link][5]), symbols, names)
    except (struct.error, IndexError) as error:
        raise ValueError(f"a damaged ELF file of {len(data)} bytes: {error}") from None
    return Image(loads, symbols, names)


def patched(data, address, new):
    """The ELF file with the bytes `new` loaded at `address`. Raises ValueError if no segment brings all of that place."""
    phoff, _, _, _, phsize, phnum = struct.unpack_from("<IIIHHH", data, 28)
    for kind, offset, _, paddr, size, *_ in (struct.unpack_from("<8I", data, phoff + i * phsize) for i in range(phnum)):
        if kind == LOAD and paddr <= address <= paddr + size - len(new):
            at = offset + address - paddr
            return data[:at] + new + data[at + len(new):]
    raise ValueError(f"nothing is loaded at {address:#x}: {len(new)} bytes cannot be replaced there")


def _slice(data, offset, size):
    if offset + size > len(data):
        raise IndexError(f"bytes {offset} to {offset + size} are not there")
    return bytes(data[offset:offset + size])


def _collect(table, strings, symbols, names):
    for name, value, _, info, _, section in struct.iter_unpack("<IIIBBH", table):
        text = strings[name:strings.index(b"\0", name)].decode("ascii", "replace")
        is_function = info & 15 == 2
        if text and section and not text.startswith("$"):
            symbols[text] = value & ~1 if is_function else value
            if is_function:
                names[value & ~1] = text
