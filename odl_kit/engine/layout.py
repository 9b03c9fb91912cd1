"""Between w (P,), the net's weights as one vector of real numbers, and the tensors of a Program, integers among them."""
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch

from odl_kit.engine import blob
from odl_kit.engine.parameters import to_engine, to_torch


@dataclass(frozen=True)
class Part:
    """One parameter of the net: its name, tensor number and torch shape. chw: (C, H, W) of the map that a linear layer reads flattened.

    scale: what one step of the integer is worth: (O,) float32, or None where the tensor holds float32.
    """
    name: str
    number: int
    shape: tuple
    chw: tuple | None = None
    scale: np.ndarray | None = None


def parts(net, weighed):
    """The Parts of a net in the order of models.flat.ravel. Raises ValueError for a parameter that no op uses."""
    found = []
    for name, p in net.named_parameters():
        layer, _, kind = name.rpartition(".")
        own = weighed.get(layer)
        if own is None or kind not in ("weight", "bias"):
            raise ValueError(f"parameter {name!r} is not used by any layer that the engine runs: take it out of the net")
        scale = own.s_w
        if kind == "bias" and scale is not None:
            scale = (scale.astype(np.float64) * own.s_x).astype(np.float32)
        weight = kind == "weight"
        found.append(Part(name, own.w if weight else own.b, tuple(p.shape), own.chw if weight else None, scale))
    return tuple(found)


def weights(program, values=None):
    """w (P,) float32 in the order of models.flat.ravel, frozen weights included, integers as real numbers: q * s_w, biases q * s_w s_x.

    values: {number of a state tensor: its array, or its bytes as a device stores them}; what is missing has its value at the start.
    """
    found = []
    for part in _layout(program):
        real = _values(program, values, part.number).astype(np.float32)
        if part.scale is not None:
            real = real * part.scale.reshape(-1, *[1] * (real.ndim - 1))
        found.append((to_torch(real, part.shape, part.chw) if len(part.shape) > 1 else real).reshape(-1))
    return torch.from_numpy(np.concatenate(found))


def state_of(program, w, values=None):
    """{number of a state tensor: array}: the weights w (P,) as the Program stores them: nearest, half to even, within +-127, +-2^23.

    Only what learns may differ from `values` (as for `weights`). Raises ValueError for w of another length or with numbers that are not
    finite, and, naming the layer, for a frozen weight that differs.
    """
    w, layout = np.asarray(w, dtype=np.float32).reshape(-1), _layout(program)
    if (need := sum(prod(part.shape) for part in layout)) != len(w):
        raise ValueError(f"w has {len(w)} weights, the Program {need}: make w with flat.ravel of the same net")
    if not np.isfinite(w).all():
        raise ValueError(f"w holds {np.count_nonzero(~np.isfinite(w))} numbers that are not finite: the Program stays as it is")
    new = {}
    for part, piece in zip(layout, np.split(w, np.cumsum([prod(part.shape) for part in layout])[:-1]), strict=True):
        stored = _stored(program.tensors[part.number], part, piece)
        if program.tensors[part.number].place == "state":
            new[part.number] = stored
        elif not np.array_equal(stored, _values(program, None, part.number)):
            raise ValueError(f"{part.name!r} is frozen in this Program and would change: compile it with a plan in which it learns")
    return new


def with_weights(program, w):
    """The Program that starts from w (P,); everything else as it was. Arguments and errors as for `state_of`."""
    tensors = list(program.tensors)
    for number, values in state_of(program, w).items():
        values.flags.writeable = False
        tensors[number] = replace(tensors[number], data=values)
    return replace(program, tensors=tuple(tensors))


def _stored(tensor, part, piece):
    real = piece.reshape(part.shape)
    real = np.ascontiguousarray(to_engine(real, part.chw) if real.ndim > 1 else real)
    if part.scale is None:
        return real.reshape(tensor.dims).copy()
    most = 127 if tensor.dtype == "s8" else 2**23
    q = np.rint(real / part.scale.reshape(-1, *[1] * (real.ndim - 1)))
    return np.clip(q, -most, most).astype(blob.DTYPES[tensor.dtype]).reshape(tensor.dims)


def _values(program, values, number):
    tensor, given = program.tensors[number], (values or {}).get(number)
    if isinstance(given, bytes | bytearray | memoryview):
        return blob.unpack_tensor(tensor, given)
    return tensor.data if given is None else np.asarray(given)


def _layout(program):
    if program.layout is None:
        raise ValueError("this Program came from bytes, which do not say where the net's weights are: keep the one that compile gave")
    return program.layout
