"""Our reading of an ELF file is pyelftools's."""
import io

import pytest
from elftools.elf.elffile import ELFFile

from odl_kit.devices import elf
from odl_kit.devices.virtual import FIRMWARE

DATA = FIRMWARE.read_bytes()


def test_segments_and_symbols_are_those_of_pyelftools():
    theirs, image = ELFFile(io.BytesIO(DATA)), elf.read(DATA)
    assert image.segments == tuple((s["p_paddr"], s.data()) for s in theirs.iter_segments("PT_LOAD") if s["p_filesz"])
    for symbol in theirs.get_section_by_name(".symtab").iter_symbols():
        kind = symbol["st_info"]["type"]
        if symbol.name and kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_info"]["bind"] == "STB_GLOBAL":
            assert image.symbols[symbol.name] == symbol["st_value"] & (~1 if kind == "STT_FUNC" else -1)


def test_near_names_the_function_of_an_address():
    image = elf.read(DATA)
    assert image.near(image.symbols["odl_crc32"] + 6) == "odl_crc32+0x6" and elf.Image((), {}, {}).near(5) == "?"


def test_patched_changes_these_bytes_and_no_others():
    at = elf.read(DATA).symbols["ram_end"]
    changed = elf.patched(DATA, at, b"\1\2\3\4")
    assert len(changed) == len(DATA) and sum(a != b for a, b in zip(DATA, changed, strict=True)) <= 4
    (address, text), *_ = elf.read(changed).segments
    assert text[at - address:at - address + 4] == b"\1\2\3\4"
    with pytest.raises(ValueError, match="nothing is loaded at 0x30000000"):
        elf.patched(DATA, 0x30000000, b"\0")


@pytest.mark.parametrize("data, says", [(b"", "not an executable"), (b"\x7fELF\x02\x01" + bytes(60), "not an executable"),
                                        (DATA[:40], "damaged"), (DATA[:4000], "damaged")])
def test_what_is_no_firmware_is_an_error(data, says):
    with pytest.raises(ValueError, match=says):
        elf.read(data)
