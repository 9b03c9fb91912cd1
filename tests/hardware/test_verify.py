"""odl_open refuses what is broken, by name; what it lets through cannot reach outside its memory. (Against verify.check: tests/engine.)"""
import ctypes
import struct
import subprocess
import zlib

import pytest
import torch

from odl_kit.devices import build
from odl_kit.engine import blob, program
from odl_kit.learners.plan import UpdatePlan
from odl_kit.models import layers, nets, quantize

seed = torch.Generator().manual_seed


def compiled(precision, **options):
    x = torch.rand(4, 1, 8, 8, generator=seed(0))
    net = nets.mobile_net(1, 10, stem=8, blocks=((16, 8, 1), (16, 8, 2)), norm=None, rng=seed(1))
    net = net if precision == "float32" else quantize.quantize_model(net, x)
    names = [layer.name for layer in layers.trace(net, x) if layer.weights]
    sparse = UpdatePlan(set(names[2:]), {names[2]: 5, names[3]: 8, names[-1]: 8})
    return program.compile(net, x[:2], sparse, precision=precision, batch=2, **options).to_bytes()


@pytest.fixture(scope="module")
def good():
    return compiled("int8", momentum=0.9)


def signed(data):
    """With a checksum that is right."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def name_of(host, data, arena_bytes=None):
    error, _ = host.open(data, blob.header(signed(data))["arena_bytes"] if arena_bytes is None else arena_bytes)
    return ctypes.string_at(host.lib.odl_error_name(error)).decode()


def test_a_program_as_compiled_is_taken(host, good):
    assert name_of(host, good) == "ok"


def test_each_kind_of_damage_has_its_name(host, good):
    arena = blob.header(good)["arena_bytes"]
    damage = ((0, b"X", "magic"), (4, b"\2", "version"), (8, b"\xff\xff\xff\x7f", "length"),
              (20, b"\xff", "crc"), (len(good) - 1, b"\x77", "crc"))
    for at, value, name in damage:
        assert name_of(host, good[:at] + value + good[at + len(value):], arena).startswith(name)
    assert name_of(host, good[:63], arena).startswith("length") and name_of(host, good[:-1], arena).startswith("length")
    assert name_of(host, good, arena - 4).startswith("arena")
    assert ctypes.string_at(host.lib.odl_error_name(-1)) == ctypes.string_at(host.lib.odl_error_name(99)) == b"unknown error"


def test_a_wrong_op_or_tensor_is_named_and_numbered(host, good):
    h = blob.header(good)
    first = h["ops_at"]                                             # a convolution
    op = first + 3 * blob.OP.size

    def broken(at, value):
        data = signed(good[:at] + value + good[at + len(value):])
        error, engine = host.open(data, h["arena_bytes"])
        where = struct.unpack_from("<H", engine, 6 * ctypes.sizeof(ctypes.c_void_p) + 8)[0]      # odl_t: six pointers, two u32, where
        return ctypes.string_at(host.lib.odl_error_name(error)).decode().split(":")[0], where
    assert broken(op, b"\0") == broken(op, b"\x7f") == ("kind", 3)
    assert broken(op + 8, b"\xfe\xff") == ("operand", 3) and broken(op + 8, b"\xff\xff") == ("operand", 3)
    assert broken(first + 1, b"\xff") == broken(first + 3, b"\0") == ("shape", 0)
    assert broken(blob.HEADER.size + 2 * blob.TENSOR.size + 12, b"\xf0\xff\xff\xff") == ("tensor", 2)       # offset + size beyond 2^32


def test_memory_that_is_not_aligned_is_refused(host, good):
    error, _ = host.open(good, blob.header(good)["arena_bytes"])
    engine, memory = ctypes.create_string_buffer(128), ctypes.create_string_buffer(len(good) + 8)
    start = ctypes.addressof(memory) // 4 * 4 + 4
    error = host.lib.odl_open(engine, ctypes.c_void_p(start + 2), len(good), None, ctypes.c_void_p(start), 0)
    assert ctypes.string_at(host.lib.odl_error_name(error)).startswith(b"alignment")


@pytest.mark.slow
def test_no_broken_program_that_passes_reaches_outside_its_memory(need_tool, tmp_path):
    gcc = need_tool("gcc", "clang", hint="apt-get install gcc")
    fuzz = tmp_path / "fuzz"
    flags = ("-std=c99", "-O1", "-g", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    sources = (build.home() / "tests" / "hardware" / "fuzz.c", *build.core())
    command = [gcc, *flags, f"-I{build.core()[0].parent}", *map(str, sources), "-o", str(fuzz)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "asan" in done.stderr:
        need_tool("a-compiler-with-asan", hint="apt-get install gcc with libasan")
    assert done.returncode == 0, done.stderr
    files = []
    for precision in ("float32", "int8"):
        for options in ({"rounding": "stochastic"}, {"momentum": 0.9}):
            files.append(tmp_path / f"{len(files)}.bin")
            files[-1].write_bytes(compiled(precision, **options))
    done = subprocess.run([str(fuzz), "1", "3000", *map(str, files)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    refused, ran = map(int, done.stdout.split())
    assert refused + ran == 12_000 and refused > 3_000 and ran > 500
