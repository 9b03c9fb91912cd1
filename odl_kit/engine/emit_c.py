"""A Program as static C source: one call a step, straight to the kernels of hardware/odl, without a table and without an interpreter.

What does not learn is `static const` and stays in flash; what learns lies in .data, which start-up code copies to RAM.
"""
import re

from odl_kit.engine import blob, verify
from odl_kit.engine.graph import INF

TYPES = {"s8": "int8_t", "s32": "int32_t", "f32": "float", "bits": "uint8_t", "u8": "uint8_t", "u16": "uint16_t"}
NAMES = {"s8": "ODL_S8", "s32": "ODL_S32", "f32": "ODL_F32"}
REGIONS = {"const": "constants", "state": "state", "arena": "arena"}

TEMPLATE = """\
/* Program {digest}: {precision}, batch {batch}; {flash} bytes of constants, {ram} bytes that learn, an arena of {arena} bytes.
 * Made by odl_kit.engine.emit_c; compile it with hardware/odl/src. Write a batch to {name}_input (and {name}_labels), then call. */
#include "odl.h"

{input_type} *{name}_input(void);                        /* {input_dims}, channels last{quantized} */
int32_t *{name}_labels(void);
const float *{name}_logits(void);                  /* {logits_dims} */
uint8_t *{name}_state(void);                       /* all that learns, {ram} bytes, as a pushed Program stores it */
void {name}_forward(void);
float {name}_step(float lr);                       /* one step of SGD; returns the loss before it */

{regions}
static uint32_t step;

{tensors}

{input_type} *{name}_input(void) {{ return {input}; }}
int32_t *{name}_labels(void) {{ return {labels}; }}
const float *{name}_logits(void) {{ return {logits}; }}
uint8_t *{name}_state(void) {{ return {state}; }}

void {name}_forward(void) {{
{forward}
}}

float {name}_step(float lr) {{
  {name}_forward();
{backward}
  step++;
  return *{loss};
}}
"""


def source(program, name="net"):
    """The text of one .c file (C99) that predicts and trains: functions NAME_input, _labels, _logits, _state, _forward, _step.

    Raises ValueError for a name that is no C name, and as engine.verify does.
    """
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name):
        raise ValueError(f"name {name!r}: it begins C functions, so give letters, digits and underscores")
    verify.check(program)
    c = _c_names(program)
    lines = [f"  {_call(program, c, op)};" for op in program.ops]
    t, none = program.tensors[program.input], program.loss is None
    return TEMPLATE.format(
        name=name, digest=program.digest, precision=program.precision, batch=program.batch,
        flash=program.const_bytes, ram=program.state_bytes, arena=program.arena_bytes,
        input_type=TYPES[t.dtype], input_dims=t.dims, logits_dims=program.tensors[program.logits].dims,
        quantized=f"; x is stored as rint(x / {t.scale:.9g}) + {t.zero}" if t.dtype == "s8" else "",
        regions="\n".join(_region(program, place) for place in REGIONS), tensors="\n".join(_pointer(program, c, n) for n in c),
        input=c[program.input], labels="0" if none else c[program.labels], logits=c[program.logits],
        loss=c[program.logits if none else program.loss], state="state.b" if program.state_bytes else "0",
        forward="\n".join(lines[:program.num_forward]),
        backward="\n".join(lines[program.num_forward:]) + ("" if any("lr" in line for line in lines) else "\n  (void)lr;"))


def _c_names(program):
    """{tensor number: a C name of its own} of the tensors that are used."""
    used = sorted({n for op in program.ops for n in op.operands().values()} | {program.input, program.logits})
    plain = {n: "t_" + re.sub(r"\W+", "_", program.tensors[n].name) for n in used}
    return {n: name if list(plain.values()).count(name) == 1 else f"{name}_{n}" for n, name in plain.items()}


def _region(program, place):
    """The memory of one place, aligned to 4 bytes."""
    if place == "arena":
        return f"static union {{ uint8_t b[{max(4, program.arena_bytes)}]; uint32_t align; }} arena;"
    data = blob.region(program, place)
    if not data:
        return ""
    rows = ",\n  ".join(",".join(map(str, data[k:k + 32])) for k in range(0, len(data), 32))
    const = "const " if place == "const" else ""
    return f"static {const}union {{ uint8_t b[{len(data)}]; uint32_t align; }} {REGIONS[place]} = {{{{\n  {rows}}}}};"


def _pointer(program, c, n):
    t = program.tensors[n]
    const = "const " if t.place == "const" else ""
    comment = f"/* {t.dtype} {t.dims} {t.name} */".replace("*/*", "*")
    return f"#define {c[n]} (({const}{TYPES[t.dtype]} *)({const}void *)({REGIONS[t.place]}.b + {t.offset}))    {comment}"


def _call(program, c, op):
    """One op as a call of its kernel."""
    t = {role: program.tensors[n] for role, n in op.operands().items()}
    p = {role: c[n] for role, n in op.operands().items()}
    def arg(*roles):
        return ", ".join(p.get(role, "0") for role in roles)
    return CALLS[op.kind](program, op, t, arg)


def _shape(op, x, y, c=None):
    numbers = (*x.dims[:3], c or x.dims[3], *y.dims[1:], op.groups, *op.kernel, *op.stride, *op.padding)
    return f"&(odl_shape_t){{{', '.join(map(str, numbers))}}}"


def _weight(op, t, pointer):
    rows, kh, kw, per = t.dims
    return f"&(odl_weight_t){{{pointer}, {NAMES[t.dtype]}, {_pairs(t)}, {rows}, {kh * kw}, {per}, {op.groups}}}"


def _rule(program, op, number, arg):
    rounding = "ODL_STOCHASTIC" if program.rounding == "stochastic" else "ODL_NEAREST"
    return f"&(odl_rule_t){{lr, {_float(op.lo)}, {arg('r', 'velocity')}, odl_key({program.seed}u, step, {number}), {rounding}}}"


def _pairs(t):
    return "ODL_PAIRS" if t.pairs else "0"


def _float(value):
    if abs(value) == INF:
        return f"{'-' if value < 0 else ''}(1.0f / 0.0f)"
    return f"{float(value).hex()}f"


def _places(t):
    return t.dims[0] * t.dims[1] * t.dims[2]


def _conv(program, op, t, arg):
    if t["x"].dtype == "s8":
        return (f"odl_conv_s8({_shape(op, t['x'], t['y'])}, {arg('x', 'w', 'b', 'm', 'y', 'mask', 'ws')}, {t['x'].zero}, {t['y'].zero}, "
                f"{_pairs(t['w'])})")
    return f"odl_conv_f32({_shape(op, t['x'], t['y'])}, {arg('x', 'w', 'b', 'y', 'mask', 'ws')}, {_float(op.lo)}, {_float(op.hi)})"


def _add(program, op, t, arg):
    s8 = t["y"].dtype == "s8"
    zeros = f", {t['a'].zero}, {t['b'].zero}, {t['y'].zero}" if s8 else ""
    return f"odl_add_{'s8' if s8 else 'f32'}({t['y'].size}, {arg('a', 'b', 'y', 'mask')}{zeros}, {_float(op.lo)}, {_float(op.hi)})"


def _relu(program, op, t, arg):
    if t["y"].dtype == "s8":
        return f"odl_relu_s8({t['y'].size}, {arg('x', 'y', 'mask')}, {t['x'].zero}, {t['y'].zero}, {_float(op.lo)})"
    return f"odl_relu_f32({t['y'].size}, {arg('x', 'y', 'mask')}, {_float(op.lo)}, {_float(op.hi)})"


def _conv_dx(program, op, t, arg):
    s8 = t["w"].dtype == "s8"
    pairs = f", {_pairs(t['w'])}" if s8 else ""
    return f"odl_conv_dx_{'s8' if s8 else 'f32'}({_shape(op, t['dx'], t['g'])}, {arg('g', 'w', 'dx', 'ws')}{pairs})"


def _reads(op, t, arg):
    """What both weight gradients read."""
    per = int(op.hi) * op.groups if op.kind == "CONV_DW" and "channels" in t and op.groups > 1 else None
    s8 = t["x"].dtype == "s8"
    return f"{_shape(op, t['x'], t['g'], per)}, {arg('g', 'x')}, {int(s8)}, {t['x'].zero}, {arg('channels')}, {t['x'].dims[3]}"


CALLS = {
    "CONV": _conv, "ADD": _add, "RELU": _relu, "CONV_DX": _conv_dx,
    "AVG_POOL": lambda p, op, t, arg: f"odl_avg_pool_s8({_shape(op, t['x'], t['y'])}, {arg('x', 'y')}, {t['x'].zero})"
    if t["x"].dtype == "s8" else f"odl_avg_pool_f32({_shape(op, t['x'], t['y'])}, {arg('x', 'y')})",
    "MAX_POOL": lambda p, op, t, arg: f"odl_max_pool_{t['x'].dtype}({_shape(op, t['x'], t['y'])}, {arg('x', 'y', 'place')})",
    "DEQUANTIZE": lambda p, op, t, arg: f"odl_dequantize({t['y'].size}, {arg('x', 'y')}, {t['x'].zero}, {_float(t['x'].scale)})",
    "LOSS": lambda p, op, t, arg: f"odl_loss({p.batch}, {t['logits'].dims[3]}, {arg('logits', 'labels', 'dlogits', 'loss')})",
    "SCALE_GRAD": lambda p, op, t, arg: f"odl_scale_grad({t['g'].size}, {t['g'].dims[3]}, {arg('gy', 'mask', 'm')}, {_float(op.lo)}, "
                                        f"{arg('g')})",
    "CONV_DW": lambda p, op, t, arg: f"odl_conv_dw({_reads(op, t, arg)}, {arg('dw', 'ws')})",
    "CONV_DB": lambda p, op, t, arg: f"odl_conv_db({_places(t['g'])}, {t['g'].dims[3]}, {arg('g', 'db')})",
    "UPDATE": lambda p, op, t, arg: f"odl_update({_weight(op, t['w'], arg('w'))}, {arg('grad', 'channels')}, "
                                    f"{t['channels'].size if 'channels' in t else 0}, {_rule(p, op, op['w'], arg)})",
    "CONV_DW_UPDATE": lambda p, op, t, arg: f"odl_conv_dw_update({_reads(op, t, arg)}, {_weight(op, t['w'], arg('w'))}, "
                                            f"{_rule(p, op, op['w'], arg)}, {arg('ws')})",
    "CONV_DB_UPDATE": lambda p, op, t, arg: f"odl_conv_db_update({_places(t['g'])}, {t['g'].dims[3]}, {arg('g')}, "
                                            f"{_weight(op, t['b'], arg('b'))}, {_rule(p, op, op['b'], arg)})",
    "AVG_POOL_DX": lambda p, op, t, arg: f"odl_avg_pool_dx({_shape(op, t['dx'], t['g'])}, {arg('g', 'dx')})",
    "MAX_POOL_DX": lambda p, op, t, arg: f"odl_max_pool_dx({_shape(op, t['dx'], t['g'])}, {arg('g', 'place', 'dx')})",
    "ACCUMULATE": lambda p, op, t, arg: f"odl_accumulate({t['a'].size}, {arg('a', 'b')})",
    "GATHER": lambda p, op, t, arg: f"odl_gather({_places(t['x'])}, {t['x'].dims[3]}, {arg('x')}, {t['channels'].size}, "
                                    f"{arg('channels', 'y')}, {int(t['x'].dtype == 's8')})",
}
