"""The engine's three records: Tensor, Op and Graph (ops over a table of tensors), and which operands each kind of op has.

Activations are (N, H, W, C), weights (O, kh, kw, C/groups), vectors (O, 1, 1, 1). A linear layer is a convolution on a map of 1x1.
"""
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

DTYPES = {"s8": np.int8, "s32": np.int32, "f32": np.float32, "bits": np.uint8, "u8": np.uint8, "u16": np.uint16}   # bits: 8 in a byte
PLACES = ("arena", "const", "state")        # passing, never changes, learns

# kind: its operands in order, at most 8. ">" it is written, "+" read and written, "?" may be missing. The order numbers the kinds from 1.
KINDS = {kind: tuple(text.split()) for kind, text in {
    "CONV": "x w b? m? >y >mask? >ws?", "ADD": "a b >y >mask?", "AVG_POOL": "x >y", "MAX_POOL": "x >y >place?", "RELU": "x >y >mask?",
    "DEQUANTIZE": "x >y", "LOSS": "logits labels >dlogits? >loss", "SCALE_GRAD": "gy mask? m? >g", "CONV_DX": "g w >dx >ws?",
    "CONV_DW": "g x channels? >dw >ws?", "CONV_DB": "g >db", "UPDATE": "+w grad r? channels? +velocity?",
    "CONV_DW_UPDATE": "g x channels? +w r? +velocity? >ws?", "CONV_DB_UPDATE": "g +b r? +velocity?", "AVG_POOL_DX": "g >dx",
    "MAX_POOL_DX": "g place >dx", "ACCUMULATE": "+a b", "GATHER": "x channels >y"}.items()}
ROLES = {kind: tuple(role.strip(">+?") for role in roles) for kind, roles in KINDS.items()}
INF = float("inf")


@dataclass(frozen=True)
class Tensor:
    """One row of the table. place: "arena", "const" or "state". zero, scale: of int8 activations. offset: bytes from the start of its place

    data: the values of a const or state tensor at the start, a NumPy array of `dims`. base: number of the tensor that this one is a view
    of. pairs: stored in row pairs on a device (see `blob`); NumPy holds it plain.
    """
    name: str
    dtype: str
    dims: tuple
    place: str = "arena"
    zero: int = 0
    scale: float = 0.0
    pairs: bool = False
    offset: int = 0
    base: int | None = None
    data: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def size(self):
        """Values."""
        return prod(self.dims)

    @property
    def nbytes(self):
        return -(-self.size // 8) if self.dtype == "bits" else self.size * np.dtype(DTYPES[self.dtype]).itemsize


@dataclass(frozen=True)
class Op:
    """One step. t: tensor numbers of its operands in the order of KINDS, None where one is missing; op["x"] is the number of operand x.

    lo, hi: the clamp of a float op; the two factors of an int8 sum; the momentum of an update (lo); the factor of SCALE_GRAD (lo);
    of CONV_DW with channels, how many input channels a group has (hi).
    """
    kind: str
    t: tuple
    kernel: tuple = (1, 1)
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    groups: int = 1
    lo: float = 0.0
    hi: float = 0.0

    def __getitem__(self, role):
        return self.t[ROLES[self.kind].index(role)]

    def operands(self):
        """{role: tensor number} of the operands that are there."""
        return {role: n for role, n in zip(ROLES[self.kind], self.t, strict=True) if n is not None}

    def reads(self):
        """Numbers of the tensors whose old values count."""
        return [n for role, n in zip(KINDS[self.kind], self.t, strict=True) if n is not None and role[0] != ">"]

    def writes(self):
        return [n for role, n in zip(KINDS[self.kind], self.t, strict=True) if n is not None and role[0] in ">+"]

    def but(self, **changes):
        """The same op with other operands (by role) or fields (by name)."""
        new = {role: changes.pop(role) for role in ROLES[self.kind] if role in changes}
        t = tuple(new.get(role, n) for role, n in zip(ROLES[self.kind], self.t, strict=True))
        return replace(self, t=t, **changes)


@dataclass
class Graph:
    """What the passes work on. ops[:num_forward] is the forward pass up to the logits. kept: tensors that live to the end of a step."""
    tensors: list = field(default_factory=list)
    ops: list = field(default_factory=list)
    num_forward: int = 0
    input: int = 0
    labels: int = 0
    logits: int = 0
    loss: int = 0
    kept: tuple = ()

    def tensor(self, name, dtype, dims, **options):
        """Append a tensor; returns its number."""
        self.tensors.append(Tensor(name, dtype, tuple(int(d) for d in dims), **options))
        return len(self.tensors) - 1

    def const(self, name, dtype, data, *, dims=None, **options):
        """Append a const tensor with these values; a vector (O,) gets the dims (O, 1, 1, 1). Returns its number."""
        data = np.array(data, DTYPES[dtype], order="C")         # a copy: the net may train on
        data = data.reshape(dims or (*data.shape, 1, 1, 1)[:4])
        data.flags.writeable = False
        return self.tensor(name, dtype, data.shape, place="const", data=data, **options)

    def op(self, kind, *, at=None, **operands):
        """Append an op (or insert it at place `at`); arguments as for make_op."""
        self.ops.insert(len(self.ops) if at is None else at, make_op(kind, **operands))

    def copy(self):
        """A graph that can change without this one: the records in the lists never do."""
        return replace(self, tensors=list(self.tensors), ops=list(self.ops))

    def root(self, number):
        """The tensor that holds the bytes of this one: itself, unless it is a view."""
        while self.tensors[number].base is not None:
            number = self.tensors[number].base
        return number


def make_op(kind, *, kernel=(1, 1), stride=(1, 1), padding=(0, 0), groups=1, lo=0.0, hi=0.0, **operands):
    """An Op with its operands by role: make_op("ADD", a=0, b=1, y=2)."""
    made = Op(kind, tuple(operands.pop(role, None) for role in ROLES[kind]), tuple(kernel), stride, padding, groups, float(lo), float(hi))
    if operands:
        raise ValueError(f"{kind} has no operands {list(operands)}: it has {', '.join(ROLES[kind])}")
    return made


def gradient_dims(dims, groups, count=None):
    """Dims of the gradient of a weight of these dims, or of `count` chosen input channels of it.

    (O, kh, kw, n) for n channels; with groups, each channel is read by the O/groups rows of its group: (O/groups, kh, kw, n); of a
    depthwise weight (one row and one channel a group) the n rows: (n, kh, kw, 1).
    """
    if count is None:
        return tuple(dims)
    return (count, *dims[1:3], 1) if depthwise(dims, groups) else (dims[0] // groups, *dims[1:3], count)


def depthwise(dims, groups):
    """Is a weight of these dims one row and one channel a group?"""
    return 1 < groups == dims[0] and dims[3] == 1


def weight_index(dims, groups, channels=None):
    """Flat places, in a weight of these dims, of the weights that read `channels` (None: all): int64 of gradient_dims."""
    places = np.arange(prod(dims)).reshape(dims)
    if channels is None:
        return places
    channels = np.asarray(channels, dtype=np.int64).reshape(-1)
    if depthwise(dims, groups):
        return places[channels]
    each, per = dims[0] // groups, dims[3]
    rows = (channels // per) * each + np.arange(each)[:, None]          # (O/groups, n)
    return places[rows, :, :, channels % per].transpose(0, 2, 3, 1)
