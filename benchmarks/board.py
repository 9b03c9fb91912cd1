"""Instructions on a Cortex-M4: for each multiply-accumulate of a kernel, and for a training step of nets; plain C and the SIMD path.

Counted exactly on the virtual board, so a run repeats to the instruction on any machine. A figure has everything in the call: widening,
im2col, requantizing, clamping, storing. MACs are nominal: height x width x kernel x inputs x outputs, padding counted, as in the rivals'
figures. Instructions are not cycles: a board adds wait states and load latency. Both paths must leave the same bytes, or this script ends.

    python benchmarks/board.py            prints three tables, writes benchmarks/results/board.json (a minute; needs ziglang and unicorn)
"""
import argparse
import struct
from pathlib import Path

import numpy as np
import torch

from odl_kit.devices import build
from odl_kit.devices.machine import FLASH, Machine
from odl_kit.engine import execute, program
from odl_kit.engine.graph import Op, Tensor
from odl_kit.engine.workspace import workspace_bytes
from odl_kit.learners import cost, plan
from odl_kit.models import layers, nets, quantize

seed = torch.Generator().manual_seed
# name: (kind, (side, kernel, c, o), most instructions a MAC that we want, CMSIS-NN at its best option, tinyengine). The rivals were
# counted beside each other in QEMU, CMSIS-NN of July 2026 and tinyengine of November 2024, gcc 12.2; None: it has no such kernel.
KERNELS = {
    "1x1, 16 to 16": ("conv", (8, 1, 16, 16), 2.3, 3.76, 2.96), "1x1, 32 to 64": ("conv", (8, 1, 32, 64), 1.6, 2.61, 2.31),
    "1x1, 64 to 32": ("conv", (8, 1, 64, 32), 1.4, 2.04, 2.00), "3x3, 16 to 16": ("conv", (8, 3, 16, 16), 1.45, 2.29, None),
    "depthwise 3x3, 32": ("depthwise", (8, 3, 32, 32), 4.5, 7.63, 7.07), "dense 256 to 64": ("conv", (1, 1, 256, 64), 1.6, 2.05, None),
    "dense 64 to 10": ("conv", (1, 1, 64, 10), 2.1, 2.77, None), "weight gradient, 64 to 32": ("dw", (8, 1, 64, 32), 2.5, None, 4.07),
    "input gradient, int8 weights": ("dx", (8, 1, 64, 32), 3.0, None, 5.8)}
FORMAT = "<8H6B2b8I"        # of call_t in board_kernels.c
ROLES = {"CONV": ("x", "w", "b", "m", "y", "mask", "ws"), "CONV_DX": ("g", "w", "dx", "ws"), "CONV_DW": ("g", "x", "channels", "dw", "ws")}
CALLS = {"conv": "kernel_conv", "depthwise": "kernel_conv", "dx": "kernel_dx", "dw": "kernel_dw"}
# The published engine on mcunet-5fps with its 49 KB scheme: instructions of one forward pass and one step, counted likewise in QEMU.
TINYENGINE = {"forward_macs": 22_490_000, "forward": 65_510_000, "step": 129_230_000, "step_without_fma": 139_700_000}


def firmware(plain):
    """The bytes of the benchmark's firmware."""
    sources = (*build.core(), Path(__file__).parent / "board_kernels.c")
    return build.firmware(*sources, defines=("ODL_PLAIN",) if plain else ())


def operands(kind, side, kernel, c, o):
    """(op, tensors, arrays by role) of one kernel; the arrays hold random values, as the device has them, and room for the result."""
    rng = np.random.default_rng(0)
    x, y, w = (1, side, side, c), (1, side, side, o), (o, kernel, kernel, 1 if kind == "depthwise" else c)
    if kind in ("conv", "depthwise"):
        name, roles = "CONV", {"x": x, "w": w, "y": y}
        arrays = {"x": rng.integers(-128, 128, x, np.int8), "w": rng.integers(-128, 128, w, np.int8), "y": np.zeros(y, np.int8),
                  "b": rng.integers(-9999, 9999, o, np.int32), "m": rng.uniform(1e-3, 2e-3, o).astype(np.float32)}
    elif kind == "dx":
        name, roles = "CONV_DX", {"g": y, "w": w, "dx": x}
        arrays = {"x": rng.standard_normal(y, np.float32), "w": rng.integers(-128, 128, w, np.int8), "y": np.zeros(x, np.float32)}
    else:
        name, roles = "CONV_DW", {"g": y, "x": x, "dw": w}
        arrays = {"x": rng.standard_normal(y, np.float32), "w": rng.standard_normal(x, np.float32), "y": np.zeros(w, np.float32)}
    order = ROLES[name]
    int8 = ("x", "w", "y") if name == "CONV" else ("w",)
    tensors = [Tensor(role, "s8" if role in int8 else "f32", dims, "arena", pairs=kind == "conv" and role == "w")
               for role, dims in roles.items()]
    numbers = tuple(list(roles).index(role) if role in roles else None for role in order)
    groups = o if kind == "depthwise" else 1
    return Op(name, numbers, (kernel, kernel), (1, 1), (kernel // 2, kernel // 2), groups), tensors, arrays


def kernel(image, kind, sizes):
    """(instructions, the bytes that the kernel leaves) of one call."""
    side, k, c, o = sizes
    op, tensors, arrays = operands(kind, *sizes)
    machine, where = Machine(image), {}
    at = machine.image.symbols["link_room"]
    for role, array in arrays.items():
        pairs = array.reshape(o // 2, 2, -1, 4).transpose(0, 2, 1, 3) if kind == "conv" and role == "w" else array
        machine.write(at, pairs.tobytes())
        where[role], at = at, at + -(-array.nbytes // 8) * 8
    scratch = at + struct.calcsize(FORMAT)
    machine.write(at, struct.pack(FORMAT, 1, side, side, c, side, side, o, op.groups, k, k, 1, 1, k // 2, k // 2, -5, 3,
                                  *(where.get(role, 0) for role in ("x", "w", "b", "m", "y")), 0, scratch, int(kind == "conv")))
    machine.write(scratch, bytes(workspace_bytes(op, tensors)))         # it fits, or this raises
    with machine.counting():
        before = machine.instructions
        machine.call(CALLS[kind], at)
        return machine.instructions - before, machine.read(where["y"], arrays["y"].nbytes)


def mcunet_sized():
    """(QuantNet, x, plan): about the MACs, convolutions and scheme of mcunet-5fps at 128x128x3 with its 49 KB scheme, weights at random."""
    blocks = ((16, 8, 1), (24, 16, 2), (64, 16, 1), (64, 16, 1), (64, 24, 2), (96, 24, 1), (120, 24, 1), (120, 40, 2), (200, 40, 1),
              (200, 48, 1), (240, 48, 1), (288, 96, 2), (384, 96, 1))
    x = torch.rand(4, 3, 128, 128, generator=seed(1))
    net = nets.mobile_net(3, 10, stem=16, blocks=blocks, features=160, norm=None, rng=seed(0))
    wish = plan.from_scheme(layers.trace(net, x[:1]), num_bias=20, indices=(25, 28, 31), ratios=(.25, .5, .5))
    return quantize.quantize_model(net, x), x, wish


def programs():
    """Yields (name, net, x, plan) of the nets whose steps are counted, all int8, batch 1."""
    x = torch.rand(64, 1, 16, 16, generator=seed(1))
    for name, net in (("mlp 256-32-10", nets.mlp(256, 32, 10, rng=seed(0))), ("tiny_cnn 16x16", nets.tiny_cnn(1, 10, rng=seed(0))),
                      ("mobile_net 16x16", nets.mobile_net(1, 10, norm=None, rng=seed(0)))):
        yield name, quantize.quantize_model(net, x), x, plan.full(net)
    yield "MCUNet-sized 128x128, sparse", *mcunet_sized()


def steps(image, p, x):
    """(instructions of a forward pass, of a training step, the state afterwards) of a Program whose constants lie in flash."""
    machine, blob = Machine(image), p.to_bytes()
    flash = FLASH + -(-machine.image.symbols["link_flash_end"] // 8) * 8
    machine.write(flash, blob)
    state = machine.image.symbols["link_room"]
    arena = state + -(-p.state_bytes // 8) * 8
    room = arena + -(-p.arena_bytes // 8) * 8       # behind it the rate of the step
    if error := machine.call("program_open", flash, len(blob), state, arena, p.arena_bytes):
        raise RuntimeError(f"odl_open refuses the Program: error {error}")
    machine.write(room, struct.pack("<f", 0.01))
    counts = []
    with machine.counting():
        for function in ("program_forward", "program_step"):
            machine.write(machine.call("program_data", p.input), execute.encode(p, x[:1]).tobytes())
            machine.write(machine.call("program_data", p.labels), struct.pack("<i", 3))
            before = machine.instructions
            machine.call(function, room, limit_s=300)
            counts.append(machine.instructions - before)
    return *counts, machine.read(state, p.state_bytes)


def compare(name, function, *arguments):
    """What both firmwares count; ends the script if they leave other bytes."""
    found = {way: function(firmware(plain=way == "plain"), *arguments) for way in ("plain", "simd")}
    if found["plain"][-1] != found["simd"][-1]:
        raise SystemExit(f"{name}: plain C and SIMD leave different bytes")
    return {way: list(counts) for way, (*counts, _) in found.items()}


def main():
    import record
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    kernels, nets_found = {}, {}
    print(f"{'instructions per MAC':<32}{'plain C':>9}{'SIMD':>9}{'aim':>7}{'CMSIS-NN':>10}{'tinyengine':>12}")
    for name, (kind, sizes, aim, cmsis_nn, tinyengine) in KERNELS.items():
        side, k, c, o = sizes
        macs = side**2 * k**2 * (1 if kind == "depthwise" else c) * o
        found = {way: round(count / macs, 3) for way, (count,) in compare(name, kernel, kind, sizes).items()}
        kernels[name] = {**found, "aim": aim, "cmsis_nn": cmsis_nn, "tinyengine": tinyengine}
        print(f"{name:<32}{found['plain']:9.2f}{found['simd']:9.2f}{aim:7.2f}{cmsis_nn or '-':>10}{tinyengine or '-':>12}")
    print(f"\n{'millions of instructions':<30}{'MMACs':>7}{'forward':>10}{'SIMD':>8}{'step':>10}{'SIMD':>8}    arena    state     blob")
    for name, net, x, wish in programs():
        p = program.compile(net, x, wish)
        traced, found = layers.trace(net, x[:1]), compare(name, steps, p, x)
        macs, extra = sum(layer.macs for layer in traced), cost.extra_bits(traced, wish) // 8
        nets_found[name] = {"forward_macs": macs, "extra_bytes": extra, "arena": p.arena_bytes, "state": p.state_bytes, "blob": p.nbytes,
                            **{way: dict(zip(("forward", "step"), counts, strict=True)) for way, counts in found.items()}}
        (a, b), (c, d) = found["plain"], found["simd"]
        print(f"{name:<30}{macs / 1e6:7.2f}{a / 1e6:10.2f}{c / 1e6:8.2f}{b / 1e6:10.2f}{d / 1e6:8.2f}"
              f"{p.arena_bytes:>9,}{p.state_bytes:>9,}{p.nbytes:>9,}")
    record.write("board", kernels=kernels, nets=nets_found, rivals=TINYENGINE)


if __name__ == "__main__":
    main()
