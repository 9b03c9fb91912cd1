"""Plain copied values: what a judge is handed, so that an object that lies about itself wins nothing."""
import copy
import dataclasses

import numpy as np
import torch

SCALARS = (bool, int, float, complex, str, type(None))
NUMPY_SCALARS = tuple({np.dtype(code).type for code in np.typecodes["All"]} - {np.object_, np.void, np.bytes_})
DEPTH = 20


def plain(value, *, _depth=0):
    """A deep copy of `value` made of NumPy arrays, numbers, strings, None, lists, tuples and dicts only.

    Types are taken exactly: a torch.Tensor becomes a NumPy array, a NumPy scalar a Python number; a subclass or any other object raises
    TypeError with a sentence for the student, because such an object could answer `==` as it likes.
    """
    kind = type(value)
    if _depth > DEPTH:
        raise TypeError(f"the result is nested more than {DEPTH} deep: return numbers, tensors, or a list or dict of them")
    if kind in SCALARS:
        return value
    if kind in NUMPY_SCALARS:
        return value.item()
    if kind is torch.Tensor:
        return _tensor(value)
    if kind is np.ndarray:
        if value.dtype.kind not in "biufcUMm":
            raise TypeError(f"the result holds a NumPy array of dtype {value.dtype}: return an array of numbers")
        return np.array(value, copy=True, subok=False)
    if kind in (list, tuple):
        return kind(plain(v, _depth=_depth + 1) for v in value)
    if kind is dict:
        return {plain(k, _depth=_depth + 1): plain(v, _depth=_depth + 1) for k, v in value.items()}
    raise TypeError(f"the result holds {article(kind.__name__)}: return plain numbers, tensors, or a list, tuple or dict of them")


def _tensor(value):
    if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
        raise TypeError(f"the result holds a {value.layout} {value.dtype} tensor on {value.device}: return an ordinary (dense) tensor")
    value = torch.Tensor.detach(value).cpu().resolve_conj().resolve_neg()     # not value.detach: an instance may carry its own
    if value.dtype is torch.bfloat16 or value.dtype.itemsize == 1 and value.dtype.is_floating_point:
        value = value.float()                       # NumPy has neither bfloat16 nor float8
    return np.array(value.numpy(), copy=True)


def plain_input(value):
    """Like `plain`, for the inputs that a check itself makes: a net becomes {name: array}, a record {field: value}, a generator
    its state and a function its name. Raises TypeError for anything else that `plain` refuses."""
    if isinstance(value, torch.nn.Module):
        return {name: plain(p.detach()) for name, p in value.state_dict().items()}
    if isinstance(value, torch.Generator):
        return plain(value.get_state())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain_input(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if type(value) in (list, tuple):
        return type(value)(plain_input(v) for v in value)
    if type(value) is dict:
        return {k: plain_input(v) for k, v in value.items()}
    if isinstance(value, torch.Tensor):
        return plain(value.detach().as_subclass(torch.Tensor))
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return plain(value)


def copies(case):
    """Two copies of a case, made before anybody could change it: (arguments for the student's function, plain values for the judge)."""
    if type(case) is not tuple:
        raise TypeError(f"cases must yield tuples of arguments, one of them is {article(type(case).__name__)}: write `yield (x,)`")
    return copy.deepcopy(case), plain_input(case)


def holds(value, kind):
    """True if `value` is of exactly this type, or is a list, tuple or dict that holds such a value."""
    if type(value) in (list, tuple):
        return any(holds(v, kind) for v in value)
    if type(value) is dict:
        return any(holds(v, kind) for v in value.values())
    return type(value) is kind


def article(noun):
    """The noun with its article: "a list", "an int"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def describe(value):
    """A plain value in a few words: "float32 values of shape (3, 4)", "the number 0.25", "None (is the `return` missing?)"."""
    if value is None:
        return "None (is the `return` missing?)"
    if type(value) is np.ndarray:
        small = f" {np.array2string(value, precision=4, threshold=9)}" if value.ndim <= 1 and value.size <= 8 else ""
        return f"{value.dtype} values of shape {value.shape}{small}"
    if type(value) in (list, tuple, dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value) if len(repr(value)) <= 60 else repr(value)[:60] + "..."
    return f"{ {str: 'the text', bool: 'the value'}.get(type(value), 'the number')} {text}"


def close(output, expected, *, rtol=1e-4, atol=1e-6):
    """None if `output` is `expected` within the tolerance, else one sentence: what was expected, what came, and where they differ most.

    Both are plain values (see `plain`): numbers, arrays of any shape, strings, None, and lists, tuples and dicts of them, taken
    item by item. Arrays must have the same shape and kind of dtype (float, integer, bool; float32 and float64 pass for each
    other); a number may come as a 0-dimensional array. Floats may differ by atol + rtol * |expected|, integers not at all; NaN
    and infinity match only themselves.
    """
    expected = plain(expected)
    if type(expected) in (list, tuple, dict):
        return _close_items(output, expected, rtol, atol)
    if expected is None or type(expected) in (str, bool):
        same = type(output) is type(expected) and output == expected
        if type(expected) is bool and type(output) is np.ndarray and output.shape == () and output.dtype == bool:
            same = bool(output) == expected
        return None if same else f"expected {describe(expected)}, got {describe(output)}"
    if type(output) not in (int, float, complex, np.ndarray) or (type(output) is not np.ndarray and np.ndim(expected)):
        return f"expected {describe(expected)}, got {describe(output)}"
    return _close_arrays(np.asarray(output), np.asarray(expected), rtol, atol)


def _close_items(output, expected, rtol, atol):
    if type(output) is not type(expected) and {type(output), type(expected)} != {list, tuple}:
        return f"expected {describe(expected)}, got {describe(output)}"
    if len(output) != len(expected):
        return f"expected {len(expected)} items, got {len(output)}"
    if type(expected) is dict and output.keys() != expected.keys():
        return f"expected the keys {sorted(map(str, expected))}, got {sorted(map(str, output))}"
    keys = expected if type(expected) is dict else range(len(expected))
    for key in keys:
        if message := close(output[key], expected[key], rtol=rtol, atol=atol):
            return f"item {key!r}: {message}"
    return None


def _close_arrays(output, expected, rtol, atol):
    if output.shape != expected.shape:
        return f"expected shape {expected.shape}, got {output.shape}"
    family = {"i": "integer", "u": "integer", "f": "float", "c": "complex", "b": "bool"}
    got, want = (family.get(a.dtype.kind, "other") for a in (output, expected))
    if got != want and not (expected.ndim == 0 and {got, want} <= {"integer", "float"}):
        return f"expected {want} numbers ({expected.dtype}), got {got} numbers ({output.dtype})"
    if {got, want} & {"float", "complex"}:
        with np.errstate(invalid="ignore", over="ignore"):
            wrong = np.atleast_1d(~np.isclose(output, expected, rtol=rtol, atol=atol, equal_nan=True))
    else:
        wrong = np.atleast_1d(output != expected)
    if not wrong.any():
        return None
    return _where(np.atleast_1d(output), np.atleast_1d(expected), wrong, one=expected.ndim == 0)


def _where(output, expected, wrong, *, one):
    gap = wrong.astype(np.float64)
    if output.dtype.kind in "iufc":
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where(wrong, np.abs(output.astype(np.complex128) - expected), -1.0)
        gap[np.isnan(gap)] = np.inf
    index = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    want, got = expected[index].item(), output[index].item()
    shown = (want, got)
    if output.dtype.kind in "fc" or expected.dtype.kind in "fc":
        digits = next((d for d in (4, 6, 9) if f"{want:.{d}g}" != f"{got:.{d}g}"), 17)
        shown = (f"{want:.{digits}g}", f"{got:.{digits}g}")
    text = f"expected {shown[0]}, got {shown[1]}"
    return text if one else f"{int(wrong.sum())} of {wrong.size} values are off, most at {list(index)}: {text}"
