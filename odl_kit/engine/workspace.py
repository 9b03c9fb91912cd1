"""Scratch that the C kernels need, op by op: the same sizes as hardware/odl/src/odl_workspace.h, which says what lies in it.

Matrices are widened (int8 to int16, or to float32) once and then used by many outputs; what is widened at one time is bounded.
"""
from math import prod

CHUNK = 4096        # bytes of weights packed, or of a plane widened, at once
POSITIONS = 64      # places of a map widened at once for a weight gradient


def workspace_bytes(op, tensors):
    """Bytes of scratch that `op` (graph.Op) needs; 0: none. tensors: the table of graph.Tensor; dims and dtypes count, offsets do not."""
    t = {role: tensors[n] for role, n in op.operands().items()}
    if op.kind == "CONV":
        return _conv(op, t["x"], t["w"], t["y"])
    if op.groups > 1:
        return 0
    if op.kind == "CONV_DX":
        return 16 * t["g"].dims[3] if t["w"].dtype == "s8" else 0           # four columns of w as float32
    if op.kind in ("CONV_DW", "CONV_DW_UPDATE"):                            # four columns of x at some places, four of the gradient
        return 16 * (min(prod(t["g"].dims[:3]), POSITIONS) + t["g"].dims[3])
    return 0


def _conv(op, x, w, y):
    k = prod(op.kernel) * x.dims[3]
    pointwise = op.kernel == op.stride == (1, 1) and op.padding == (0, 0)
    if x.dtype == "f32":
        return 0 if op.groups > 1 or pointwise else 4 * k                   # one window
    if 1 < op.groups == x.dims[3] == y.dims[3]:
        return _depthwise(op, x, y)
    if op.groups > 1:
        return 0
    padded, outputs = -(-k // 8) * 8, y.dims[3]
    packed = 0 if w.pairs else min(outputs + outputs % 2, max(2, CHUNK // padded // 2 * 2)) * padded
    return 4 * padded + (0 if pointwise and x.dims[3] % 8 == 0 else padded) + packed       # two windows as int16, one as int8, rows of w


def _depthwise(op, x, y):
    (kh, kw), width = op.kernel, (x.dims[2] + 2 * op.padding[1] + 1) // 2 * 2
    strip = min(y.dims[1], max(CHUNK // (2 * width) - kh, 0) // op.stride[0] + 1)           # rows of outputs at once
    rows = (strip - 1) * op.stride[0] + kh
    return 2 * kh * (kw + kw % 2) + 4 * (y.dims[2] + y.dims[2] % 2) + 2 * width * rows + 4  # taps, sums of a row, a framed plane
