"""What every Program must keep, whoever made it: operands of the right type, place and shape, and no byte outside of its memory.

A Program that passes cannot make an executor read or write outside its tensors. odl_open of hardware/odl checks the same on the device.
"""
from math import isfinite

import numpy as np

from odl_kit.engine.graph import KINDS, ROLES, gradient_dims
from odl_kit.engine.workspace import workspace_bytes

VALUE, STORED = ("s8", "f32"), ("s8", "s32", "f32")
TYPES = {"x": VALUE, "y": VALUE, "w": STORED, "b": STORED, "labels": ("s32",), "channels": ("u16",), "mask": ("bits",), "place": ("u8",)}
MOST = 65535        # of what 16 bits hold; so many int8 products stay below 2^31
FORWARD = ("CONV", "ADD", "AVG_POOL", "MAX_POOL", "RELU", "DEQUANTIZE", "GATHER")


def check(program):
    """Raises ValueError that names the op or tensor and what is wrong with it."""
    _ends(program)
    for i, op in enumerate(program.ops):
        try:
            need(i >= program.num_forward or op.kind in FORWARD, "it stands in the forward pass, where nothing learns")
            t = _operands(op, program.tensors)
            RULES[op.kind](op, t)
            scratch, ws = workspace_bytes(op, program.tensors), t["ws"].nbytes if "ws" in t else 0
            need(ws >= scratch, f"it needs {scratch} bytes of scratch and has {ws}")
        except ValueError as error:
            raise ValueError(f"op {i}, {op.kind}: {error}") from None


def need(holds, text):
    """Raises ValueError(text) unless `holds`."""
    if not holds:
        raise ValueError(text)


def _ends(p):
    need(p.batch >= 1 and p.num_forward <= len(p.ops), f"batch {p.batch}, {p.num_forward} forward ops of {len(p.ops)}: it cannot run")
    ends = {"input": (VALUE, (p.batch, None, None, None)), "logits": (("f32",), (p.batch, 1, 1, None)),
            "labels": (("s32",), (p.batch, 1, 1, 1)), "loss": (("f32",), (1, 1, 1, 1))}
    for name, (types, dims) in ends.items():
        number = getattr(p, name)
        if number is not None or name in ("input", "logits"):
            need(number is not None and number < len(p.tensors), f"{name} is tensor {number} of {len(p.tensors)}")
            t = p.tensors[number]
            need(t.place == "arena" and t.dtype in types, f"{name} is {t.dtype} in {t.place}: it must be {' or '.join(types)} in the arena")
            need(all(want in (None, d) for want, d in zip(dims, t.dims, strict=True)), f"{name} has dims {t.dims}, not {dims}")
    for t in p.tensors:
        need(max(t.dims) <= MOST, f"{t.name} has dims {t.dims}: at most {MOST}; use a smaller layer or image")
    need(max(len(p.tensors), len(p.ops)) < MOST, f"{len(p.tensors)} tensors, {len(p.ops)} ops: fewer than {MOST} can be numbered")
    t = p.tensors[p.input]
    need(t.dtype == "f32" or isfinite(t.scale) and t.scale > 0, f"the input has the scale {t.scale}: it must be above 0")
    loss = any(op.kind == "LOSS" for op in p.ops)
    need((p.labels is not None) == (p.loss is not None) == loss, "labels, loss and an op LOSS: all three or none")


def _operands(op, tensors):
    """{role: Tensor}: each there if it must be, of a type for its role, in the arena if it is written, in the state if it learns."""
    found = {}
    for role, spec, number in zip(ROLES[op.kind], KINDS[op.kind], op.t, strict=True):
        if number is None:
            need(spec.endswith("?"), f"operand {role} is missing")
            continue
        need(number < len(tensors), f"operand {role} is tensor {number} of {len(tensors)}")
        t = found[role] = tensors[number]
        types = STORED if role == "ws" else VALUE if op.kind == "ADD" and role in "ab" else TYPES.get(role, ("f32",))
        need(t.dtype in types, f"operand {role} is {t.dtype}: it must be {' or '.join(types)}")
        need(not t.pairs or role == "w" and op.groups == 1, f"operand {role} lies in pairs of rows, as only a weight of one group may")
        place = "state" if spec[0] == "+" and op.kind != "ACCUMULATE" else "arena" if spec[0] in "+>" else t.place
        need(t.place == place, f"operand {role} lies in {t.place}: it is written, so it must lie in {place}")
    if "channels" in found:
        need(found["channels"].place == "const", "channels must be constant")
        need((np.diff(found["channels"].data.reshape(-1).astype(np.int64)) > 0).all(), "channels must ascend")
    window = (*op.kernel, *op.stride, *op.padding)
    need(min(*op.kernel, *op.stride, op.groups) >= 1, f"kernel {op.kernel}, stride {op.stride}, groups {op.groups}: at least 1")
    need(max(window) <= 255, f"kernel {op.kernel}, stride {op.stride}, padding {op.padding}: a byte holds at most 255; use a smaller map")
    return found


def _same(t, *roles):
    """Operands of one shape; those that are missing do not count."""
    dims = {role: t[role].dims for role in roles if role in t}
    need(len(set(dims.values())) == 1, f"the dims of {dims} must be equal")


def _vector(t, role, n):
    need(role not in t or t[role].dims == (n, 1, 1, 1), f"operand {role} must have the dims ({n}, 1, 1, 1)")


def _window(op, x, y):
    """y, of (H + 2p - k) // s + 1 places, is what a kernel makes of x."""
    for side, k, s, p in zip((1, 2), op.kernel, op.stride, op.padding, strict=True):
        left = x[side] + 2 * p - k
        need(x[0] == y[0] and left >= 0 and y[side] == left // s + 1,
             f"kernel {op.kernel}, stride {op.stride}, padding {op.padding} do not make {y} of {x}")


def _convolution(op, x, w, y):
    _window(op, x, y)
    need(x[3] % op.groups == 0 and y[3] % op.groups == 0 and w == (y[3], *op.kernel, x[3] // op.groups),
         f"a weight {w} in {op.groups} groups does not make {y} of {x}")


def _conv(op, t):
    x, w, y = (t[role] for role in "xwy")
    _convolution(op, x.dims, w.dims, y.dims)
    need(x.dtype == w.dtype == y.dtype, f"x is {x.dtype}, w {w.dtype}, y {y.dtype}: they must be of one type")
    need(x.dtype == "f32" or w.size // w.dims[0] <= MOST, f"an output sums {w.size // w.dims[0]} products, an int32 may hold {MOST}")
    need(("m" in t) == (x.dtype == "s8"), "m stands in int8 convolutions, and in all of them")
    need("b" not in t or t["b"].dtype == {"s8": "s32", "f32": "f32"}[x.dtype], "the bias of int8 is s32, that of f32 is f32")
    _vector(t, "b", y.dims[3])
    _vector(t, "m", y.dims[3])
    _same(t, "y", "mask")


def _elementwise(*roles):
    def rule(op, t):
        _same(t, *roles, "mask")
        need(len({t[role].dtype for role in roles}) == 1, f"{', '.join(roles)} must be of one type")
    return rule


def _pool(op, t):
    _elements(t["x"], t["y"])
    _window(op, t["x"].dims, t["y"].dims)
    _same(t, "y", "place")
    _places(op, t["x"], t["y"])


def _elements(x, y):
    need(x.dtype == y.dtype and x.dims[3] == y.dims[3], f"{x.dtype} of {x.dims[3]} channels and {y.dtype} of {y.dims[3]}: they must agree")


def _places(op, x, y):
    """Every window of a pooling sees at least one place of the map, and a byte can name its places."""
    need(op.kernel[0] * op.kernel[1] <= 256 or op.kind.startswith("AVG"), f"a window of {op.kernel} has more places than a byte can name")
    need(all(2 * p <= k for p, k in zip(op.padding, op.kernel, strict=True)), f"padding {op.padding} is over half of kernel {op.kernel}")


def _pool_dx(op, t):
    _elements(t["dx"], t["g"])
    _window(op, t["dx"].dims, t["g"].dims)
    _same(t, "g", "place")
    _places(op, t["dx"], t["g"])


def _dequantize(op, t):
    _same(t, "x", "y")
    need(t["x"].dtype == "s8" and t["y"].dtype == "f32", "it makes f32 of s8")


def _loss(op, t):
    n, h, w, c = t["logits"].dims
    need((h, w) == (1, 1) and t["labels"].dims == (n, 1, 1, 1) and t["loss"].dims == (1, 1, 1, 1),
         "logits are (N, 1, 1, C), labels (N, 1, 1, 1), the loss is one number")
    _same(t, "logits", "dlogits")


def _scale(op, t):
    _same(t, "gy", "g", "mask")
    _vector(t, "m", t["g"].dims[3])


def _conv_dx(op, t):
    need(t["w"].dtype in VALUE, "w is s8 or f32")
    _convolution(op, t["dx"].dims, t["w"].dims, t["g"].dims)


def _conv_dw(op, t):
    if "channels" not in t:
        _convolution(op, t["x"].dims, t["dw"].dims, t["g"].dims)
        return
    per = int(op.hi) if isfinite(op.hi) and op.hi >= 1 else 1
    _chosen(op, t, (t["g"].dims[3], *op.kernel, per), t["dw"].dims)


def _conv_dw_update(op, t):
    if "channels" in t:
        dims = _chosen(op, t, t["w"].dims, None)
    else:
        dims = t["w"].dims
        _convolution(op, t["x"].dims, dims, t["g"].dims)
    need(t["w"].dims[0] == t["g"].dims[3], f"w has {t['w'].dims[0]} rows, g {t['g'].dims[3]} channels")
    _update_of(t, t["w"], dims)


def _chosen(op, t, w, dw):
    """The dims of the gradient of chosen channels; x holds these channels only. dw: the dims that it must have, or None."""
    x, g, channels = t["x"].dims, t["g"].dims, t["channels"]
    _vector(t, "channels", x[3])
    _window(op, x, g)
    need(w[1:3] == op.kernel and w[0] % op.groups == 0, f"a weight {w} in {op.groups} groups, kernel {op.kernel}")
    need(channels.data.max() < w[3] * op.groups, f"channel {channels.data.max()} of {w[3] * op.groups}")
    dims = gradient_dims(w, op.groups, channels.size)
    need(dw in (None, dims), f"a gradient of dims {dims} for {dw}")
    return dims


def _update(op, t):
    w = t["w"]
    if "channels" not in t:
        need(t["grad"].dims == w.dims, f"a gradient {t['grad'].dims} for a weight {w.dims}")
    else:
        _vector(t, "channels", t["channels"].size)
        need(w.dims[0] % op.groups == 0 and t["channels"].data.max() < w.dims[3] * op.groups, f"channels of a weight {w.dims}")
        dims = gradient_dims(w.dims, op.groups, t["channels"].size)
        need(t["grad"].dims == dims, f"a gradient {t['grad'].dims} for {dims}: of chosen channels it holds these alone")
    _update_of(t, w, t["grad"].dims)


def _update_of(t, w, dims):
    _vector(t, "r", w.dims[0])
    need("velocity" not in t or t["velocity"].dims == dims, f"a velocity for a gradient {dims}")


def _db_update(op, t):
    _vector(t, "b", t["g"].dims[3])
    _update_of(t, t["b"], t["b"].dims)


def _gather(op, t):
    x, y = t["x"], t["y"]
    need(x.dtype == y.dtype and y.dims == (*x.dims[:3], t["channels"].size), f"{t['channels'].size} channels of {x.dims} are not {y.dims}")
    _vector(t, "channels", y.dims[3])
    need(t["channels"].data.max() < x.dims[3], f"channel {t['channels'].data.max()} of {x.dims[3]}")


RULES = {"CONV": _conv, "ADD": _elementwise("a", "b", "y"), "AVG_POOL": _pool, "MAX_POOL": _pool, "RELU": _elementwise("x", "y"),
         "DEQUANTIZE": _dequantize, "LOSS": _loss, "SCALE_GRAD": _scale, "CONV_DX": _conv_dx, "CONV_DW": _conv_dw,
         "CONV_DB": lambda op, t: _vector(t, "db", t["g"].dims[3]), "UPDATE": _update, "CONV_DW_UPDATE": _conv_dw_update,
         "CONV_DB_UPDATE": _db_update, "AVG_POOL_DX": _pool_dx, "MAX_POOL_DX": _pool_dx,
         "ACCUMULATE": lambda op, t: _same(t, "a", "b"), "GATHER": _gather}
