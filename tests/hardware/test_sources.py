"""The sources keep their promises: no warning from any compiler, no libc, no fused multiply-add, an Arduino library."""
import re
import subprocess
import sys

import pytest

from odl_kit.devices import build

LIBRARY = build.home() / "hardware" / "odl"
M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
ZIG = (sys.executable, "-m", "ziglang", "cc")
ARM = "arm-none-eabi-gcc"
COMPILERS = {"gcc": ("gcc",), "arm-none-eabi-gcc, Cortex-M4": (ARM, *M4), "arm-none-eabi-gcc, Cortex-M7": (ARM, *M7),
             "arm-none-eabi-gcc, Cortex-M0": (ARM, "-mcpu=cortex-m0", "-mthumb"), "avr-gcc": ("avr-gcc", "-mmcu=atmega2560"),
             "zig": ZIG, "zig, Cortex-M4": (*ZIG, *build.CORTEX_M4F)}
HINTS = {"gcc": "gcc", "arm-none-eabi-gcc": "gcc-arm-none-eabi", "avr-gcc": "gcc-avr"}
# What compilers may ask for behind our back: soft floats, division, and, on a freestanding target too, these four.
RUNTIME = re.compile(r"__\w+|mem(cpy|set|move|cmp)")


def compile_all(command, folder, *flags):
    """Object files of the core. zig cc is clang, which goes untested under its own name."""
    objects = [folder / f"{source.stem}.o" for source in build.core()]
    for source, made in zip(build.core(), objects, strict=True):
        done = subprocess.run([*command, *flags, "-c", str(source), "-o", str(made)], capture_output=True, text=True)
        assert (done.returncode, done.stderr.strip()) == (0, "")
    return objects


@pytest.fixture
def compiler(request, need_tool):
    """The command of one of COMPILERS."""
    command = COMPILERS[request.param]
    if command[0] == sys.executable:
        pytest.importorskip("ziglang", reason="pip install 'odl-kit[build]'")
    else:
        need_tool(command[0], hint=f"apt-get install {HINTS[command[0]]}")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS, indirect=True)
def test_it_compiles_without_a_warning_as_c99(compiler, tmp_path):
    assert all(path.exists() for path in compile_all(compiler, tmp_path, *build.STRICT))


@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc, Cortex-M4"], indirect=True)
@pytest.mark.parametrize("plain", [(), ("-DODL_PLAIN",)])
def test_no_product_is_fused_with_a_sum_even_if_the_compiler_may(compiler, plain, tmp_path):
    fused = 0
    for path in compile_all(compiler, tmp_path, "-std=c99", "-O2", "-ffp-contract=fast", *plain):
        listed = subprocess.run(["arm-none-eabi-objdump", "-d", str(path)], capture_output=True, text=True, check=True).stdout
        assert "vmul.f32" in listed or "grad" not in path.name
        fused += len(re.findall(r"vfn?m[as]", listed)) if path.name not in ("odl_server.o", "odl_command.o", "odl_wire.o") else 0
    assert fused == 0


@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc, Cortex-M4"], indirect=True)
def test_it_needs_nothing_of_libc(compiler, tmp_path):
    objects = compile_all(compiler, tmp_path, "-std=c99", "-O2")
    listed = subprocess.run(["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    defined = set(re.findall(r"^\w+ [A-TV-Za-tv-z] (\w+)$", listed, re.M))
    wanted = set(re.findall(r"^ +U (\w+)$", listed, re.M))
    assert "odl_step" in defined and not [name for name in wanted - defined if not RUNTIME.fullmatch(name)]
    assert all(name.startswith("odl_") for name in re.findall(r"^\w+ [TDB] (\w+)$", listed, re.M)), "a public name without odl_"


def test_a_source_includes_nothing_but_stdint_and_its_own_headers_and_is_not_long():
    for path in sorted((LIBRARY / "src").glob("odl_*.[ch]")):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 340, path.name
        includes = re.findall(r"#include <(.+)>", path.read_text(encoding="utf-8"))
        assert set(includes) <= {"stdint.h"}, path.name


def test_the_library_has_what_the_arduino_ide_reads():
    fields = dict(line.split("=", 1) for line in (LIBRARY / "library.properties").read_text(encoding="utf-8").splitlines() if line)
    assert set("name version author maintainer sentence paragraph category url architectures includes".split()) <= set(fields)
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"]) and fields["category"] == "Data Processing" and fields["architectures"] == "*"
    assert (LIBRARY / "src" / fields["includes"].split(",")[0]).exists() and (LIBRARY / "LICENSE").exists()


def test_every_keyword_is_a_name_of_the_headers():
    headers = "".join(path.read_text(encoding="utf-8") for path in (LIBRARY / "src").glob("*.h"))
    rows = [line.split("\t") for line in (LIBRARY / "keywords.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert rows and all(len(row) == 2 and row[1] in ("KEYWORD1", "KEYWORD2", "LITERAL1") for row in rows)
    assert [name for name, _ in rows if not re.search(rf"\b{name}\b", headers)] == []


def test_a_sketch_lies_in_a_folder_of_its_name():
    sketches = sorted((LIBRARY / "examples").glob("*/*.ino"))
    assert [path.parent.name for path in sketches] == ["01_meet_the_board", "02_train", "03_federate"]
    assert all(path.stem == path.parent.name for path in sketches)
