"""Emitted C, compiled for this machine with every warning an error, trains with the bits of the NumPy reference."""
import ctypes
import subprocess

import numpy as np
import pytest

from odl_kit import home
from odl_kit.devices import build
from odl_kit.devices.machine import Machine
from odl_kit.engine import blob, emit_c, execute, program
from odl_kit.learners.plan import UpdatePlan

CORE = home() / "hardware" / "odl" / "src"
STRICT = ["-std=c99", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


@pytest.fixture(scope="module")
def library(need_tool, tmp_path_factory):
    """library(program) -> ctypes library of its emitted C and the core."""
    cc = need_tool("gcc", "cc", "clang", hint="apt-get install gcc")
    kernels = tmp_path_factory.mktemp("core")
    names = [f.stem for f in CORE.glob("*.c") if f.stem not in ("odl_server", "odl_wire")]
    subprocess.run([cc, *STRICT, "-fPIC", "-c", *(str(CORE / f"{n}.c") for n in names)], cwd=kernels, check=True)

    def build(made):
        folder = tmp_path_factory.mktemp("emitted")
        (folder / "net.c").write_text(emit_c.source(made), encoding="utf-8")
        objects = map(str, kernels.glob("*.o"))
        subprocess.run([cc, *STRICT, "-fPIC", "-shared", f"-I{CORE}", "net.c", *objects, "-o", "net.so"], cwd=folder, check=True)
        found = ctypes.CDLL(str(folder / "net.so"))
        for name in ("input", "labels", "logits", "state"):
            getattr(found, f"net_{name}").restype = ctypes.c_void_p
        found.net_step.argtypes, found.net_step.restype = [ctypes.c_float], ctypes.c_float
        return found
    return build


def state_bytes(made, state):
    region = bytearray(made.state_bytes)
    for n, values in state.values.items():
        t = made.tensors[n]
        region[t.offset:t.offset + t.nbytes] = blob.pack_tensor(t, values)
    return bytes(region)


def same_steps(made, lib, x, y, steps=5):
    state, lr = None, 0.05
    for k in range(steps):
        part = np.arange(made.batch * k, made.batch * (k + 1)) % len(x)
        rows = np.ascontiguousarray(execute.encode(made, x[part]))
        ctypes.memmove(lib.net_input(), rows.ctypes.data, rows.nbytes)
        labels = y[part].numpy().astype(np.int32)
        ctypes.memmove(lib.net_labels(), labels.ctypes.data, labels.nbytes)
        loss = lib.net_step(lr)
        state, want = execute.step(made, state, x[part], y[part], np.float32(lr))
        assert np.float32(loss) == np.float32(want), k
        assert ctypes.string_at(lib.net_state(), made.state_bytes) == state_bytes(made, state), k
    rows = np.ascontiguousarray(execute.encode(made, x[:made.batch]))
    ctypes.memmove(lib.net_input(), rows.ctypes.data, rows.nbytes)
    lib.net_forward()
    logits = np.frombuffer(ctypes.string_at(lib.net_logits(), 4 * made.batch * 10), np.float32)
    assert np.array_equal(logits, execute.predict(made, state, x[:made.batch]).reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["mlp", "tiny_cnn", "ds_cnn", "mobile_net"])
def test_emitted_c_trains_with_the_bits_of_the_reference(world, plan_of, library, name, precision):
    net, x, y = world(name, precision)
    for plan, options in (("full", {"momentum": 0.5}), ("sparse", {"rounding": "stochastic", "seed": 7})):
        made = program.compile(net, x, plan_of(plan, net), precision=precision, batch=2, **options)
        same_steps(made, library(made), x, y)


def test_frozen_weights_stay_in_flash_and_no_table_is_left(world, plan_of):
    net, x, _ = world("mobile_net", "int8")
    text = emit_c.source(program.compile(net, x, plan_of("head_only", net)), "keywords")
    assert "static const union { uint8_t b[" in text and "t_stem_weight ((const int8_t *)" in text and "t_head_weight ((float *)" in text
    assert "float keywords_step(float lr)" in text and "odl_open" not in text and text.count("odl_conv_s8(") == 13


@pytest.mark.slow
def test_a_program_that_learns_nothing_still_compiles(world, library):
    net, x, _ = world("mlp", "int8")
    made = program.compile(net, x, UpdatePlan())
    assert library(made).net_step(0.1) != 0


def test_a_name_that_c_does_not_know_is_refused(world, plan_of):
    net, x, _ = world("mlp")
    made = program.compile(net, x, plan_of("full", net), precision="float32")
    with pytest.raises(ValueError, match="name '3d net'"):
        emit_c.source(made, "3d net")


MAIN = """
#include <stdint.h>
void *net_input(void); int32_t *net_labels(void); uint8_t *net_state(void); void net_forward(void); float net_step(float lr);
typedef union { uint32_t u; float f; } bits;
uint32_t train(uint32_t lr); uint32_t train(uint32_t lr) { bits in, out; in.u = lr; out.f = net_step(in.f); return out.u; }
int main(void) {
  volatile uint32_t *device = (volatile uint32_t *)0x40000000u;
  void (*keep[])(void) = {(void (*)(void))train, net_forward, (void (*)(void))net_input, (void (*)(void))net_labels,
                          (void (*)(void))net_state};
  for (int i = 0; i < 5; i++) device[1] = (uint32_t)(uintptr_t)keep[i];
  device[0] = 1;                       /* started: .data and .bss are there */
  for (;;) {}
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_on_a_cortex_m4_emitted_c_has_the_same_bits_and_frozen_weights_take_no_ram(world, plan_of, tmp_path, precision):
    net, x, y = world("mobile_net", precision)
    made = program.compile(net, x, plan_of("sparse", net), precision=precision, batch=2)
    (tmp_path / "net.c").write_text(emit_c.source(made), encoding="utf-8")
    (tmp_path / "main.c").write_text(MAIN, encoding="utf-8")
    kernels = [f for f in CORE.glob("*.c") if f.stem not in ("odl_server", "odl_wire")]
    device = {0x40000000: (lambda offset: 0, lambda offset, value: offset or board.stop())}
    board = Machine(build.firmware(*kernels, tmp_path / "net.c", tmp_path / "main.c"), devices=device)
    board.run()
    at, state = board.image.symbols, None
    assert at["link_data_end"] - at["link_data_begin"] == made.state_bytes
    assert 0 <= at["link_bss_end"] - at["link_bss_begin"] - made.arena_bytes < 32      # the arena, the number of the step
    for k in range(4):
        part = slice(2 * k, 2 * k + 2)
        board.write(board.call("net_input"), execute.encode(made, x[part]).tobytes())
        board.write(board.call("net_labels"), y[part].numpy().astype(np.int32).tobytes())
        loss = np.uint32(board.call("train", int(np.float32(0.05).view(np.uint32)))).view(np.float32)
        state, want = execute.step(made, state, x[part], y[part], np.float32(0.05))
        assert loss == np.float32(want)
        assert board.read(board.call("net_state"), made.state_bytes) == state_bytes(made, state)
