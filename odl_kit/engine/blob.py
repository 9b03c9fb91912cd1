"""A Program as bytes, for the wire and for flash: header, tensors, ops, constants, state, all little-endian, every offset a multiple of 4.

The state, all that learns, comes last: a device that holds the bytes in RAM trains them where they lie. A matrix whose tensor says `pairs`
is stored in pairs of rows, 4 columns of one, then 4 of the other: the Cortex-M4 reads two rows with one load.
"""
import struct
import zlib

import numpy as np

from odl_kit.engine.graph import DTYPES, KINDS, PLACES, Op, Tensor

MAGIC, VERSION, NONE = 0x504C444F, 1, 0xFFFF        # "ODLP"
HEADER, TENSOR, OP = struct.Struct("<IHHIIHHHBBIIIIIIHHHHII"), struct.Struct("<BBBb4HIIf"), struct.Struct("<8B8HHHff")
CRC_FROM = 16       # the checksum covers everything behind itself
FIELDS = ("magic version batch blob_bytes crc32 num_tensors num_ops num_forward precision rounding tensors_at ops_at const_at state_at "
          "state_bytes arena_bytes input labels logits loss seed reserved").split()
PRECISIONS, ROUNDINGS = ("float32", "int8"), ("nearest", "stochastic")


def write(program):
    """The bytes of a Program: see `read` for the way back."""
    tensors = b"".join(_tensor(t) for t in program.tensors)
    ops = b"".join(_op(op) for op in program.ops)
    const, state = (region(program, place) for place in ("const", "state"))
    tensors_at = HEADER.size
    ops_at = tensors_at + len(tensors)
    const_at = ops_at + len(ops)
    state_at = const_at + len(const)
    ends = (program.input, program.labels, program.logits, program.loss)
    behind = (len(program.tensors), len(program.ops), program.num_forward, PRECISIONS.index(program.precision),
              ROUNDINGS.index(program.rounding), tensors_at, ops_at, const_at, state_at, len(state), program.arena_bytes, *ends,
              program.seed, 0)
    total = state_at + len(state)
    body = HEADER.pack(MAGIC, VERSION, program.batch, total, 0, *behind)[CRC_FROM:] + tensors + ops + const + state
    return struct.pack("<IHHII", MAGIC, VERSION, program.batch, total, zlib.crc32(body)) + body


def header(data):
    """{field: value} of the header. Raises ValueError that names what is wrong: no Program, another version, cut off, damaged."""
    if len(data) < HEADER.size:
        raise ValueError(f"{len(data)} bytes are no Program: its header alone has {HEADER.size}")
    h = dict(zip(FIELDS, HEADER.unpack_from(data), strict=True))
    if h["magic"] != MAGIC:
        raise ValueError(f"these bytes begin with {data[:4]!r}: a Program begins with b'ODLP'")
    if h["version"] != VERSION:
        raise ValueError(f"version {h['version']} of the format: this kit reads version {VERSION}; compile the net again")
    if h["blob_bytes"] != len(data):
        raise ValueError(f"{len(data)} bytes came, the header says {h['blob_bytes']}: the Program was cut off or has something behind it")
    if (crc := zlib.crc32(data[CRC_FROM:])) != h["crc32"]:
        raise ValueError(f"the checksum is {crc:08x}, the header says {h['crc32']:08x}: the bytes were damaged; send them again")
    if h["precision"] >= len(PRECISIONS) or h["rounding"] >= len(ROUNDINGS) or h["reserved"]:
        raise ValueError(f"precision {h['precision']}, rounding {h['rounding']}, reserved {h['reserved']}: at most 1, 1 and 0")
    return h


def tables(data, h):
    """(tensors, ops) of the header h, const and state tensors with their data. Raises ValueError for a table or tensor out of its place."""
    ends = (h["ops_at"], h["const_at"], h["state_at"], len(data))
    want = (HEADER.size + TENSOR.size * h["num_tensors"],
            HEADER.size + TENSOR.size * h["num_tensors"] + OP.size * h["num_ops"])
    if h["tensors_at"] != HEADER.size or ends[:2] != want or not ends[1] <= ends[2] <= len(data) or (ends[2] | h["arena_bytes"]) % 4 \
            or ends[2] + h["state_bytes"] != len(data):
        raise ValueError(f"the parts begin at {h['tensors_at']}, {ends[:3]} of {len(data)} bytes, arena {h['arena_bytes']}: wrong places")
    at = {"const": (h["const_at"], h["state_at"]), "state": (h["state_at"], len(data)), "arena": (0, h["arena_bytes"])}
    tensors = [_read_tensor(data, n, TENSOR.unpack_from(data, HEADER.size + TENSOR.size * n), at) for n in range(h["num_tensors"])]
    ops = [_read_op(n, OP.unpack_from(data, h["ops_at"] + OP.size * n)) for n in range(h["num_ops"])]
    return tensors, ops


def pack_tensor(tensor, values):
    """The values of a const or state tensor (an array of its dims) as a device stores them: bytes."""
    flat = np.ascontiguousarray(values, DTYPES[tensor.dtype])
    if tensor.pairs:        # (O/2, 2, K/4, 4) -> (O/2, K/4, 2, 4)
        flat = flat.reshape(tensor.dims[0] // 2, 2, -1, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(flat).astype(flat.dtype.newbyteorder("<")).tobytes()


def unpack_tensor(tensor, data):
    """The array, of the tensor's dims, that pack_tensor stored."""
    flat = np.frombuffer(data, np.dtype(DTYPES[tensor.dtype]).newbyteorder("<"))
    if tensor.pairs:
        flat = flat.reshape(tensor.dims[0] // 2, -1, 2, 4).transpose(0, 2, 1, 3)
    values = np.array(flat, DTYPES[tensor.dtype]).reshape(tensor.dims if tensor.dtype != "bits" else -1)
    values.flags.writeable = False
    return values


def region(program, place):
    """Const or state as bytes, each tensor at its offset."""
    own = [t for t in program.tensors if t.place == place]
    region = bytearray(max((-(-(t.offset + t.nbytes) // 4) * 4 for t in own), default=0))
    for t in own:
        region[t.offset:t.offset + t.nbytes] = pack_tensor(t, t.data)
    return bytes(region)


def _tensor(t):
    return TENSOR.pack(list(DTYPES).index(t.dtype), PLACES.index(t.place), int(t.pairs), t.zero, *t.dims, t.offset, t.nbytes, t.scale)


def _op(op):
    t = [NONE if n is None else n for n in op.t] + [NONE] * (8 - len(op.t))
    return OP.pack(list(KINDS).index(op.kind) + 1, *op.kernel, *op.stride, *op.padding, 0, *t, op.groups, 0, op.lo, op.hi)


def _read_tensor(data, n, row, at):
    dtype, place, flags, zero, *dims, offset, nbytes, scale = row
    if dtype >= len(DTYPES) or place >= len(PLACES) or flags > 1 or 0 in dims:
        raise ValueError(f"tensor {n} has dtype {dtype}, place {place}, flags {flags}, dims {dims}: at most 5, 2, 1; no dim is 0")
    t = Tensor(f"t{n}", list(DTYPES)[dtype], tuple(dims), PLACES[place], zero, scale, bool(flags), offset)
    start, end = at[t.place]
    if nbytes != t.nbytes or offset % 4 or offset + nbytes > end - start:
        raise ValueError(f"tensor {n} of {t.nbytes} bytes says {nbytes}, at {offset} of {end - start} in {t.place}: it does not fit there")
    if t.pairs and (t.dtype != "s8" or t.dims[0] % 2 or t.size // t.dims[0] % 8):
        raise ValueError(f"tensor {n}, {t.dtype} {t.dims}, cannot lie in pairs of rows")
    if t.place == "arena":
        return t
    values = unpack_tensor(t, data[start + offset:start + offset + nbytes])
    return Tensor(t.name, t.dtype, t.dims, t.place, zero, scale, t.pairs, offset, data=values)


def _read_op(n, row):
    kind, kh, kw, sh, sw, ph, pw, flags, *t, groups, zero, lo, hi = row
    if not 1 <= kind <= len(KINDS) or flags or zero:
        raise ValueError(f"op {n} is of kind {kind}, flags {flags}, padding {zero}: there are kinds 1 to {len(KINDS)}, the others are 0")
    name = list(KINDS)[kind - 1]
    if any(number != NONE for number in t[len(KINDS[name]):]):
        raise ValueError(f"op {n}, {name}, has more than its {len(KINDS[name])} operands")
    numbers = tuple(None if number == NONE else number for number in t[:len(KINDS[name])])
    return Op(name, numbers, (kh, kw), (sh, sw), (ph, pw), groups, lo, hi)
