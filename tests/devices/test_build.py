"""The firmware that the package brings is what its sources give; other compilers give a firmware with the same bits."""
import importlib.util
import shutil
import subprocess

import pytest

import odl_kit
from odl_kit.devices import build, selftest
from odl_kit.devices.board import Board
from odl_kit.devices.virtual import FIRMWARE, VirtualPort

HARDWARE = odl_kit.home() / "hardware"
AGAIN = "python -m odl_kit.devices.build writes it anew; commit it with the sources"


@pytest.fixture
def zig(need_tool):
    if not importlib.util.find_spec("ziglang"):
        need_tool("zig-is-not-installed", hint="pip install 'odl-kit[build]'")


@pytest.mark.slow
def test_the_firmware_is_what_the_sources_give_wherever_they_lie(zig, tmp_path, monkeypatch):
    shutil.copytree(HARDWARE, tmp_path / "elsewhere" / "hardware")
    monkeypatch.setattr(build, "home", lambda: tmp_path / "elsewhere")
    monkeypatch.setenv("ODL_CACHE", str(tmp_path / "cache"))
    assert build.firmware() == FIRMWARE.read_bytes(), AGAIN


@pytest.mark.slow
def test_a_firmware_made_by_gcc_computes_the_same_bits(need_tool, tmp_path):
    gcc = need_tool("arm-none-eabi-gcc", hint="apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    virtual, made = HARDWARE / "targets" / "virtual", tmp_path / "gcc.elf"
    subprocess.run([gcc, *build.STRICT, "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffunction-sections",
                    "-fdata-sections", "-Wl,--gc-sections", "-nostartfiles", "-T", virtual / "link.ld", f"-I{HARDWARE / 'odl' / 'src'}",
                    *build.core(), virtual / "main.c", virtual / "start.c", "-o", made], check=True, capture_output=True)
    with Board(VirtualPort(firmware=made.read_bytes()), "gcc") as device:
        assert [str(check) for check in selftest.run(device) if not check.ok] == []


@pytest.mark.parametrize("compiler", [("gcc",), ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"), ("avr-gcc", "-mmcu=atmega2560")])
def test_wire_and_server_compile_without_a_warning(need_tool, tmp_path, compiler):
    need_tool(compiler[0], hint=f"apt-get install a package with {compiler[0]}")
    for name in ("odl_wire.c", "odl_server.c", "odl_command.c"):
        command = [*compiler, *build.STRICT, "-c", HARDWARE / "odl" / "src" / name, "-o", tmp_path / "x.o"]
        assert subprocess.run(command, capture_output=True, text=True).stderr == ""


def test_a_source_that_does_not_compile_is_an_error_with_the_compilers_words(need_tool, tmp_path):
    need_tool("gcc", "cc", "clang", hint="apt-get install gcc")
    (tmp_path / "bad.c").write_text("int f(void) { return oops; }\n")
    with pytest.raises(build.NoCompiler, match="oops"):
        build.host_library(tmp_path / "bad.c")


def test_the_same_sources_are_compiled_once(need_tool, tmp_path, monkeypatch):
    need_tool("gcc", "cc", "clang", hint="apt-get install gcc")
    monkeypatch.setenv("ODL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "good.c").write_text("int f(void);\nint f(void) { return 7; }\n")
    first = build.host_library(tmp_path / "good.c")
    monkeypatch.setattr(build, "_run", lambda command: pytest.fail("compiled again"))
    assert build.host_library(tmp_path / "good.c") == first
