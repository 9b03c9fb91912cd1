"""The native path of `cohort`: nets of Linear and ReLU in compiled C (cohort_native.c), clients drawn by one thread per core."""
import ctypes
from pathlib import Path

import torch

from odl_kit.learners import cohort_batched, cohort_steps, native
from odl_kit.models import flat

SOURCE = Path(__file__).with_name("cohort_native.c")
PANEL = 16                          # as in cohort_native.c
WORK_PER_THREAD = 20_000_000        # weights x examples x epochs: about a millisecond; with less, starting a thread gains nothing
_Pointer, _Integer = ctypes.c_void_p, ctypes.c_int64


class Layer(ctypes.Structure):
    """Layer of cohort_native.c."""
    _fields_ = [(name, _Integer) for name in ("inputs", "outputs", "bias", "relu", "learns")]


class Job(ctypes.Structure):
    """Job of cohort_native.c, which says what the fields are."""
    _fields_ = ([(name, _Integer) for name in ("clients", "epochs", "batch_size", "layers", "weights", "room", "longest", "start_stride")]
                + [("layer", ctypes.POINTER(Layer))]
                + [(name, _Pointer) for name in ("x", "start", "mask", "y", "rows", "num_examples", "order", "turn", "update")])


class Room(ctypes.Structure):
    """Rule and Room of cohort_native.c."""
    _fields_ = ([(name, _Pointer) for name in ("w", "v", "start", "mask")] + [(name, ctypes.c_float) for name in ("lr", "momentum", "prox")]
                + [("floats", _Integer)] + [(name, _Pointer) for name in ("h", "d", "dt", "gt")])


def refusal(net, w, x, device):
    """Why the native path cannot train `net` from w on x; None if it can. Compiles it if that has not been done."""
    if cohort_batched.dense_layers(net) is None:
        return "it has other layers than Flatten, Linear and ReLU"
    if device.type != "cpu" or w.dtype != torch.float32 or x.dtype != torch.float32:
        return f"compiled code takes float32 on the CPU, these are {w.dtype} and {x.dtype} on {device.type}"
    try:
        native.library(SOURCE)
    except native.Unavailable as error:
        return str(error)


def train(net, start, job):
    """Updates (C, P) by training from `start` (C, P), where refusal(...) is None. The same result as every other path."""
    update, layers = torch.empty_like(start, memory_format=torch.contiguous_format), layer_table(net, job.mask)
    _check_classes(job, layers[-1].outputs)
    batch = int(job.num_examples.max()) if job.batch_size is None else min(job.batch_size, int(job.num_examples.max()))
    described, _memory = describe(layers, start, job, batch, update)
    weights_to_move = start.shape[1] * int(job.num_examples.sum()) * job.order.shape[1]
    threads = min(len(start), cohort_steps.cores(start.device), max(1, weights_to_move // WORK_PER_THREAD))
    rooms, turn, compiled = [furnish(layers, batch, job) for _ in range(threads)], _Integer(0), native.library(SOURCE)

    def work(todo):                                             # ctypes releases the interpreter while C computes
        for room, _ in todo:
            compiled.odl_cohort_train(ctypes.byref(described), ctypes.byref(turn), ctypes.byref(room))
    cohort_steps.share_out(rooms, work, threads)
    return update


def _check_classes(job, classes):
    y = job.y[job.rows]
    wrong = ((y < 0) | (y >= classes)) & (torch.arange(y.shape[1]) < job.num_examples.unsqueeze(1))
    if wrong.any():
        c, i = wrong.nonzero()[0].tolist()
        raise ValueError(f"client row {int(job.rows[c])} has an example of class {int(y[c, i])}: the net has 0 to {classes - 1}")


def describe(layers, start, job, batch, update):
    """(the Job for C, the arrays it points to, which must outlive it)."""
    arrays = {"x": job.x, "mask": None if job.mask is None else job.mask.to(start.dtype), "y": job.y, "rows": job.rows, "order": job.order,
              "num_examples": job.num_examples, "turn": job.num_examples.argsort(descending=True, stable=True), "update": update}
    arrays = {name: array.contiguous() for name, array in arrays.items() if array is not None}
    arrays["start"] = start if start.stride() == (0, 1) else start.contiguous()             # the one start of all is not copied
    pointers = {name: array.data_ptr() for name, array in arrays.items()}
    return Job(clients=len(start), epochs=job.order.shape[1], batch_size=batch, layers=len(layers), weights=start.shape[1],
               room=job.x.shape[1], longest=job.order.shape[2], start_stride=arrays["start"].stride(0), layer=layers, **pointers), arrays


def layer_table(net, mask):
    """The net's layers as an array of Layer."""
    learning = {} if mask is None else flat.unravel(net, mask)
    parameters, table = dict(net.named_parameters()), []
    for name, relu in cohort_batched.dense_layers(net):
        names = [f"{name}.{part}" if name else part for part in ("weight", "bias")]
        outputs, inputs = parameters[names[0]].shape
        learns = mask is None or any(bool(learning[n].any()) for n in names if n in parameters)
        table.append(Layer(inputs, outputs, names[1] in parameters, relu, learns))
    return (Layer * len(table))(*table)


def furnish(layers, batch, job):
    """(the Room of one thread, the memory behind it, all zeros)."""
    floats = sum((a.inputs + 1) * _pad(a.outputs) for a in layers)
    h = batch * (sum(_pad(a.inputs) for a in layers) + _pad(layers[-1].outputs))
    d = _pad(batch) * max(_pad(a.outputs) for a in layers)
    wanted = {"w": floats, "v": floats * bool(job.momentum), "start": floats * bool(job.prox), "mask": floats * (job.mask is not None),
              "h": h, "d": d, "dt": d, "gt": d}
    memory = {name: torch.zeros(count) for name, count in wanted.items() if count}
    pointers = {name: memory[name].data_ptr() for name in memory}
    return Room(floats=floats, lr=job.lr, momentum=job.momentum, prox=job.prox, **pointers), memory


def _pad(n):
    return -(-n // PANEL) * PANEL
