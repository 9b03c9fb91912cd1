"""One op as a Program of its own, drawn at random, and who runs it: NumPy, the C core here, the C core on a virtual Cortex-M4."""
import ctypes
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pytest

from odl_kit import home
from odl_kit.devices import build
from odl_kit.engine import blob, execute
from odl_kit.engine.gradients import UPDATES, Rule
from odl_kit.engine.graph import DTYPES, KINDS, Graph, weight_index
from odl_kit.engine.program import Program
from odl_kit.engine.workspace import workspace_bytes

NONE, GUARD, LR = 0xFFFF, 64, 0.05


@dataclass(frozen=True)
class Case:
    """program: of one op. inputs: {tensor number: array} of the arena. outputs: tensor numbers that the op writes, scratch left out."""
    program: Program
    inputs: dict
    outputs: tuple


def one_op(kind, operands, *, rounding="nearest", seed=0, **fields):
    """A Case. operands: {role: (dtype, dims or array, options of Graph.tensor)}; an array in the arena is an input."""
    g, inputs, numbers = Graph(), {}, {}
    for role, (dtype, value, *options) in operands.items():
        options = options[0] if options else {}
        array = None if isinstance(value, tuple) else np.ascontiguousarray(value, DTYPES[dtype])
        stays = options.get("place", "arena") != "arena"
        dims = value if array is None else options.get("dims", array.shape)
        options = {key: v for key, v in options.items() if key != "dims"} | ({"data": array} if stays else {})
        n = numbers[role] = g.tensor(role, dtype, dims, **options)
        if array is not None and not stays:
            inputs[n] = array
    g.op(kind, **numbers, **fields)
    if need := workspace_bytes(g.ops[0], g.tensors):
        g.ops[0] = g.ops[0].but(ws=g.tensor("scratch", "f32", (1, 1, 1, -(-need // 4))))
    ends = g.tensor("in", "f32", (1, 1, 1, 1)), g.tensor("out", "f32", (1, 1, 1, 1))
    at, tensors = {"arena": 0, "const": 0, "state": 0}, []
    for t in g.tensors:
        tensors.append(replace(t, offset=at[t.place]))
        at[t.place] += -(-t.nbytes // 4) * 4
    written = tuple(n for role, n in zip(KINDS[kind], g.ops[0].t, strict=True) if n is not None and role[0] in ">+" and "ws" not in role)
    made = Program("int8", 1, tuple(tensors), tuple(g.ops), 1, ends[0], NONE, ends[1], NONE, at["arena"], (), rounding, seed)
    return Case(made, inputs, written)


def meant(tensor, data):
    """The bytes of a tensor without the bits behind its last value, which mean nothing."""
    spare = 8 * tensor.nbytes - tensor.size if tensor.dtype == "bits" else 0
    return data[:-1] + bytes([data[-1] & (0xFF >> spare)])


def by_numpy(case):
    """{tensor number: bytes} that the reference leaves."""
    p = case.program
    arrays = execute._arrays(p, {n: t.data.copy() for n, t in enumerate(p.tensors) if t.place == "state"})
    for n, value in case.inputs.items():
        arrays[n].reshape(-1)[:] = value.reshape(-1)
    execute.run(p, arrays, p.ops, Rule(LR, p.rounding, p.seed, 0) if p.ops[0].kind in UPDATES else None)
    return {n: meant(p.tensors[n], blob.pack_tensor(p.tensors[n], arrays[n])) for n in case.outputs}


class Host:
    """The core as a library of this computer. The arena has a guard around it, which must not change."""

    def __init__(self):
        self.lib = ctypes.CDLL(str(build.host_library(*build.core())))
        self.lib.odl_step.restype, self.lib.odl_step.argtypes = ctypes.c_float, (ctypes.c_void_p, ctypes.c_float)
        self.lib.odl_data.restype, self.lib.odl_data.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_uint16)
        self.lib.odl_error_name.restype = ctypes.c_char_p
        self.lib.odl_exp.restype = self.lib.odl_log.restype = ctypes.c_float
        self.lib.odl_exp.argtypes = self.lib.odl_log.argtypes = (ctypes.c_float,)

    def open(self, data, arena_bytes):
        """(error, engine): odl_open of these bytes, in memory of their own."""
        self.blob, self.arena = np.zeros(len(data) // 4 + 1, np.uint32), np.full((arena_bytes + 2 * GUARD) // 4, 0xA5A5A5A5, np.uint32)
        ctypes.memmove(self.blob.ctypes.data, data, len(data))
        engine = ctypes.create_string_buffer(128)
        start = ctypes.c_void_p(self.arena.ctypes.data + GUARD)
        return self.lib.odl_open(engine, ctypes.c_void_p(self.blob.ctypes.data), len(data), None, start, arena_bytes), engine

    def __call__(self, case):
        p = case.program
        error, engine = self.open(blob.write(p), p.arena_bytes)
        assert error == 0, self.lib.odl_error_name(error)
        for n, value in case.inputs.items():
            ctypes.memmove(self.lib.odl_data(engine, n), value.tobytes(), value.nbytes)
        self.lib.odl_step(engine, LR)
        whole = self.arena.view(np.uint8)
        assert (whole[:GUARD] == 0xA5).all() and (whole[GUARD + p.arena_bytes:] == 0xA5).all(), "written outside the arena"
        return {n: meant(p.tensors[n], ctypes.string_at(self.lib.odl_data(engine, n), p.tensors[n].nbytes)) for n in case.outputs}


class OnBoard:
    """The core on a virtual Cortex-M4, its DSP instructions used or not."""

    def __init__(self, plain):
        from odl_kit.devices.machine import Machine
        firmware = build.firmware(*build.core(), home() / "benchmarks" / "board_kernels.c", defines=("ODL_PLAIN",) if plain else ())
        self.machine = Machine(firmware)

    def __call__(self, case):
        from odl_kit.devices.machine import RAM
        p, machine = case.program, self.machine
        data, at = blob.write(p), RAM + 2**15
        arena = at + -(-len(data) // 8) * 8
        machine.write(at, data)
        assert machine.call("program_open", at, len(data), 0, arena, p.arena_bytes) == 0
        for n, value in case.inputs.items():
            machine.write(machine.call("program_data", n), value.tobytes())
        machine.write(at - 64, np.float32(LR).tobytes())
        machine.call("program_step", at - 64)
        return {n: meant(p.tensors[n], machine.read(machine.call("program_data", n), p.tensors[n].nbytes)) for n in case.outputs}


@pytest.fixture(scope="session")
def host(need_tool):
    """host(case) -> {tensor number: bytes}; host.open, host.lib."""
    need_tool("gcc", "cc", "clang", hint="apt-get install gcc")
    return Host()


@pytest.fixture(scope="session", params=["simd", "plain"])
def on_board(request, need_tool):
    """on_board(case) -> {tensor number: bytes}, by SIMD and by plain C."""
    pytest.importorskip("ziglang", reason="pip install 'odl-kit[build]'")
    return OnBoard(request.param == "plain")


# ---- drawn cases: rng is a numpy Generator ----

def ints(rng, shape, low=-128, high=128):
    return rng.integers(low, high, shape)


def floats(rng, shape):
    return (rng.standard_normal(shape) * 10 ** rng.uniform(-2, 1)).astype(np.float32)


def window(rng, *, pool=False):
    """(n, h, w, ho, wo, fields) of a kernel on a map."""
    while True:
        n, h, w = rng.integers(1, 3), *rng.integers(1, 10, 2)
        kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        if rng.random() < 0.3:
            kernel = stride = np.array([1, 1])
        elif rng.random() < 0.4:
            kernel, stride = np.array([3, 3]), rng.integers(1, 3, 2)
        padding = np.minimum(rng.integers(0, 3, 2), kernel - 1) if pool or rng.random() < 0.8 else rng.integers(0, 3, 2)
        out = (np.array([h, w]) + 2 * padding - kernel) // stride + 1
        if (np.array([h, w]) + 2 * padding >= kernel).all():
            fields = {name: tuple(map(int, v)) for name, v in (("kernel", kernel), ("stride", stride), ("padding", padding))}
            return int(n), int(h), int(w), *map(int, out), fields


def channels_of(rng):
    """(c, o, groups): one group, some, or depthwise."""
    kind = rng.integers(0, 4)
    if kind == 3:
        c = int(rng.integers(2, 10))
        return c, c, c
    groups = 1 if kind else int(rng.integers(2, 4))
    widths = (1, 2, 3, 4, 5, 8, 12, 16, 24)
    return groups * int(rng.choice(widths)), groups * int(rng.choice(widths)), groups


def some(rng, count):
    """A few of `count` channels, ascending, as (n, 1, 1, 1)."""
    chosen = rng.permutation(count)[:rng.integers(1, count + 1)]
    return np.sort(chosen).reshape(-1, 1, 1, 1)


def fits_pairs(w):
    return w.shape[0] % 2 == 0 and prod(w.shape[1:]) % 8 == 0


def conv_case(rng, dtype):
    n, h, w, ho, wo, fields = window(rng)
    c, o, groups = channels_of(rng)
    y, k = (n, ho, wo, o), (o, *fields["kernel"], c // groups)
    options = {"mask": ("bits", y)} if rng.random() < 0.5 else {}
    if dtype == "f32":
        lo, hi = [(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0)][rng.integers(3)]
        bias = {"b": ("f32", floats(rng, (o, 1, 1, 1)), {"place": "state"})} if rng.random() < 0.7 else {}
        given = {"x": ("f32", floats(rng, (n, h, w, c))), "w": ("f32", floats(rng, k), {"place": "const"}), **bias}
        return one_op("CONV", {**given, "y": ("f32", y), **options}, groups=groups, lo=float(lo), hi=float(hi), **fields)
    zx, zy = map(int, ints(rng, 2))
    weights, m = ints(rng, k, -127), 10 ** rng.uniform(-5, -1, (o, 1, 1, 1))
    if rng.random() < 0.1:
        m[0] = 1e30                                                     # far beyond an int32
    bias = {"b": ("s32", ints(rng, (o, 1, 1, 1), -9999, 9999), {"place": "state"})} if rng.random() < 0.7 else {}
    pairs = groups == 1 and fits_pairs(weights) and rng.random() < 0.8
    given = {"x": ("s8", ints(rng, (n, h, w, c)), {"zero": zx}), "w": ("s8", weights, {"place": "const", "pairs": pairs}), **bias}
    return one_op("CONV", {**given, "m": ("f32", m, {"place": "const"}), "y": ("s8", y, {"zero": zy}), **options}, groups=groups, **fields)


def dx_case(rng, dtype):
    n, h, w, ho, wo, fields = window(rng)
    c, o, groups = channels_of(rng)
    k = (o, *fields["kernel"], c // groups)
    weights = ints(rng, k, -127) if dtype == "s8" else floats(rng, k)
    pairs = dtype == "s8" and groups == 1 and fits_pairs(weights)
    return one_op("CONV_DX", {"g": ("f32", floats(rng, (n, ho, wo, o))), "w": (dtype, weights, {"place": "const", "pairs": pairs}),
                              "dx": ("f32", (n, h, w, c))}, groups=groups, **fields)


def dw_operands(rng, dtype):
    """(g, x, channels, shape of w, shape of the gradient, groups, fields)."""
    n, h, w, ho, wo, fields = window(rng)
    c, o, groups = channels_of(rng)
    k = (o, *fields["kernel"], c // groups)
    chosen = {"channels": ("u16", some(rng, c), {"place": "const"})} if rng.random() < 0.5 else {}
    saved = len(chosen["channels"][1]) if chosen else c
    x = ("s8", ints(rng, (n, h, w, saved)), {"zero": int(ints(rng, 1)[0])}) if dtype == "s8" else ("f32", floats(rng, (n, h, w, saved)))
    grad = weight_index(k, groups, chosen["channels"][1] if chosen else None).shape
    return {"g": ("f32", floats(rng, (n, ho, wo, o))), "x": x, **chosen}, k, grad, groups, fields


def dw_case(rng, dtype):
    operands, k, grad, groups, fields = dw_operands(rng, dtype)
    return one_op("CONV_DW", {**operands, "dw": ("f32", grad)}, groups=groups, hi=float(k[3]), **fields)


def rule_of(rng, o, grad):
    """(operands, options) of an update."""
    r = {"r": ("f32", 10 ** rng.uniform(-1, 3, (o, 1, 1, 1)), {"place": "const"})} if rng.random() < 0.6 else {}
    velocity = {"velocity": ("f32", floats(rng, grad), {"place": "state"})} if rng.random() < 0.4 else {}
    return {**r, **velocity}, {"lo": 0.9, "rounding": ["nearest", "stochastic"][rng.integers(2)], "seed": int(rng.integers(2**32))}


def stored(rng, shape, groups, kinds=("s8", "s32", "f32")):
    """A weight in the state."""
    dtype = kinds[rng.integers(len(kinds))]
    values = {"s8": ints(rng, shape, -127), "s32": ints(rng, shape, -2**23, 2**23), "f32": floats(rng, shape)}[dtype]
    pairs = dtype == "s8" and groups == 1 and fits_pairs(values) and rng.random() < 0.8
    return dtype, values, {"place": "state", "pairs": pairs}


def update_case(rng):
    c, o, groups = channels_of(rng)
    k = (o, *map(int, rng.integers(1, 4, 2)), c // groups)
    chosen = {"channels": ("u16", some(rng, c), {"place": "const"})} if rng.random() < 0.5 else {}
    grad = weight_index(k, groups, chosen["channels"][1] if chosen else None).shape
    operands, options = rule_of(rng, o, grad)
    given = {"w": stored(rng, k, groups), "grad": ("f32", floats(rng, grad)), **chosen, **operands}
    return one_op("UPDATE", given, groups=groups, **options)


def dw_update_case(rng, dtype):
    operands, k, grad, groups, fields = dw_operands(rng, dtype)
    more, options = rule_of(rng, k[0], grad)
    return one_op("CONV_DW_UPDATE", {**operands, "w": stored(rng, k, groups, ("s8", "f32")), **more}, groups=groups, **fields, **options)


def db_case(rng, update):
    n, h, w, o = map(int, rng.integers(1, 9, 4))
    g = ("f32", floats(rng, (n, h, w, o)))
    if not update:
        return one_op("CONV_DB", {"g": g, "db": ("f32", (o, 1, 1, 1))})
    more, options = rule_of(rng, o, (o, 1, 1, 1))
    return one_op("CONV_DB_UPDATE", {"g": g, "b": stored(rng, (o, 1, 1, 1), 1, ("s32", "f32")), **more}, **options)


def pool_case(rng, kind, dtype):
    n, h, w, ho, wo, fields = window(rng, pool=True)
    c = int(rng.integers(1, 9))
    x, y, zero = (n, h, w, c), (n, ho, wo, c), int(ints(rng, 1)[0])
    if kind == "AVG_POOL_DX":
        return one_op(kind, {"g": ("f32", floats(rng, y)), "dx": ("f32", x)}, **fields)
    if kind == "MAX_POOL_DX":
        values = np.round(floats(rng, x))                               # ties
        ran = by_numpy_places(values, y, fields)
        return one_op(kind, {"g": ("f32", floats(rng, y)), "place": ("u8", ran), "dx": ("f32", x)}, **fields)
    value = ("s8", ints(rng, x), {"zero": zero}) if dtype == "s8" else ("f32", np.round(floats(rng, x)))
    place = {"place": ("u8", y)} if kind == "MAX_POOL" else {}
    return one_op(kind, {"x": value, "y": (dtype, y, {"zero": zero}), **place}, **fields)


def by_numpy_places(x, y, fields):
    case = one_op("MAX_POOL", {"x": ("f32", x), "y": ("f32", y), "place": ("u8", y)}, **fields)
    return np.frombuffer(by_numpy(case)[2], np.uint8).reshape(y)


def plain_case(rng, kind, dtype):
    """Value by value."""
    shape = tuple(map(int, rng.integers(1, 7, 4)))
    zeros = [{"zero": int(z)} for z in ints(rng, 3)] if dtype == "s8" else [{}] * 3
    value = lambda i: (dtype, ints(rng, shape) if dtype == "s8" else floats(rng, shape), zeros[i])       # noqa: E731
    mask = {"mask": ("bits", shape)} if rng.random() < 0.5 else {}
    lo, hi = (float(v) for v in (rng.uniform(0.1, 2, 2) if dtype == "s8" else ((0.0, 6.0), (-np.inf, np.inf))[rng.integers(2)]))
    if kind == "ADD":
        return one_op(kind, {"a": value(0), "b": value(1), "y": (dtype, shape, zeros[2]), **mask}, lo=lo, hi=hi)
    if kind == "RELU":
        return one_op(kind, {"x": value(0), "y": (dtype, shape, zeros[2]), **mask}, lo=lo, hi=hi)
    if kind == "DEQUANTIZE":
        x = ("s8", ints(rng, shape), {"zero": int(ints(rng, 1)[0]), "scale": float(rng.uniform(0.01, 1))})
        return one_op(kind, {"x": x, "y": ("f32", shape)})
    if kind == "ACCUMULATE":
        return one_op(kind, {"a": value(0), "b": value(1)})
    if kind == "GATHER":
        chosen = some(rng, shape[3])
        return one_op(kind, {"x": value(0), "channels": ("u16", chosen, {"place": "const"}), "y": (dtype, (*shape[:3], len(chosen)))})
    if kind == "SCALE_GRAD":
        bits = {"mask": ("bits", rng.integers(0, 256, -(-prod(shape) // 8)), {"dims": shape})} if rng.random() < 0.8 else {}
        m = {"m": ("f32", floats(rng, (shape[3], 1, 1, 1)), {"place": "const"})} if rng.random() < 0.5 else {}
        return one_op(kind, {"gy": value(0), **bits, **m, "g": (dtype, shape)}, lo=lo)
    n, c = shape[0], shape[3] + 1
    dlogits = {"dlogits": ("f32", (n, 1, 1, c))} if rng.random() < 0.8 else {}
    return one_op("LOSS", {"logits": ("f32", 3 * floats(rng, (n, 1, 1, c))), "labels": ("s32", rng.integers(0, c, (n, 1, 1, 1))), **dlogits,
                           "loss": ("f32", (1, 1, 1, 1))})


DRAWN = {f"{kind} {dtype}": (draw, (dtype,)) for dtype in ("s8", "f32") for kind, draw in
         (("CONV", conv_case), ("CONV_DX", dx_case), ("CONV_DW", dw_case), ("CONV_DW_UPDATE", dw_update_case))}
DRAWN |= {f"{kind} {dtype}": (pool_case, (kind, dtype)) for kind in ("AVG_POOL", "MAX_POOL") for dtype in ("s8", "f32")}
DRAWN |= {f"{kind} {dtype}": (plain_case, (kind, dtype)) for kind in ("ADD", "RELU", "GATHER") for dtype in ("s8", "f32")}
DRAWN |= {kind: (pool_case, (kind, "f32")) for kind in ("AVG_POOL_DX", "MAX_POOL_DX")}
DRAWN |= {kind: (plain_case, (kind, "f32")) for kind in ("DEQUANTIZE", "ACCUMULATE", "SCALE_GRAD", "LOSS")}
DRAWN |= {"UPDATE": (update_case, ()), "CONV_DB": (db_case, (False,)), "CONV_DB_UPDATE": (db_case, (True,))}


@pytest.fixture(scope="session")
def draw():
    """draw(kind, seed) -> Case of one of draw.kinds: "CONV s8", "LOSS", ..."""
    def made(kind, seed):
        make, arguments = DRAWN[kind]
        return make(np.random.default_rng(seed), *arguments)
    made.kinds = tuple(DRAWN)
    return made


@pytest.fixture(scope="session")
def reference():
    """reference(case) -> {tensor number: bytes} by NumPy."""
    return by_numpy
