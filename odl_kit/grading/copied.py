"""Plain values (see lab.values.plain) as text and back. The judge reads what a student's process wrote: a pickle would run its code there.

Numbers, strings, None and lists are JSON's own; the rest is an object with one key: {"tuple": [...]}, {"dict": [[key, value], ...]},
{"complex": [re, im]}, {"array": [dtype, shape, base64 of the bytes]}.
"""
import base64
import json
import math

import numpy as np

KINDS = "biufcUMm"          # of NumPy dtypes: no objects, no records
DEPTH, BYTES = 25, 16 * 2**20


def encode(value):
    """Plain value -> text. Raises TypeError for anything that is not plain."""
    return json.dumps(_out(value))


def decode(text):
    """Text -> the plain value that `encode` was given. Raises ValueError for a text that it cannot have written."""
    if len(text) > BYTES:
        raise ValueError(f"{len(text)} characters came back, at most {BYTES} are read")
    try:
        return _in(json.loads(text), 0)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"no plain value: {error}") from None


def _out(value):
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_out(v) for v in value]
    if kind is tuple:
        return {"tuple": [_out(v) for v in value]}
    if kind is dict:
        return {"dict": [[_out(k), _out(v)] for k, v in value.items()]}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is np.ndarray and value.dtype.kind in KINDS:
        raw = np.ascontiguousarray(value).tobytes()
        return {"array": [value.dtype.str, list(value.shape), base64.b64encode(raw).decode()]}
    raise TypeError(f"{kind.__name__} is no plain value")


def _in(found, depth):
    if depth > DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    if type(found) is list:
        return [_in(v, depth + 1) for v in found]
    if type(found) is not dict:
        return found
    (kind, inner), = found.items()
    if kind == "tuple":
        return tuple(_in(v, depth + 1) for v in inner)
    if kind == "dict":
        return {_in(k, depth + 1): _in(v, depth + 1) for k, v in inner}
    if kind == "complex":
        return complex(*inner)
    if kind == "array":
        return _array(*inner)
    raise ValueError(f"the kind {kind!r}")


def _array(dtype, shape, text):
    dtype, raw = np.dtype(dtype), base64.b64decode(text, validate=True)
    sizes = all(type(n) is int and n >= 0 for n in shape)
    if dtype.kind not in KINDS or not sizes or math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes for an array of {dtype} and shape {shape}")
    return np.frombuffer(raw, dtype).reshape(shape).copy()
