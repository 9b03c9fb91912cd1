"""Passes 3 to 5: prune what the plan freezes, put each update behind its gradient, let tensors take each other's place.

Each takes a Graph and returns another that does the same step with fewer bytes; its result does not change by a bit.
Source: Lin et al. 2022 (MCUNetV3), sec. 3.3 (graph pruning, operator reordering, in-place updates).
"""
from dataclasses import replace

from odl_kit.engine.graph import gradient_dims, make_op


def prune(graph):
    """Drop every op that no update needs, and everything that only such an op reads. Of an input whose weights learn in part, keep the
    channels that learn (GATHER) in the place of the whole."""
    g = graph.copy()
    for update in [op for op in g.ops if op.kind == "UPDATE" and op["channels"] is not None]:
        _gather(g, update)
    g.kept = (g.root(g.logits), g.root(g.loss))
    needed, kept = set(g.kept), []
    for i in reversed(range(len(g.ops))):
        op = g.ops[i]
        if i < g.num_forward or op.kind in ("LOSS", "UPDATE") or any(g.root(n) in needed for n in op.writes()):
            unread = {role: None for role in ("mask", "place", "dlogits") if role in op.operands() and g.root(op[role]) not in needed}
            op = op.but(**unread) if op.kind in ("CONV", "ADD", "RELU", "MAX_POOL", "LOSS") else op
            needed |= {g.root(n) for n in op.reads()}
            kept.append(op)
    g.ops = kept[::-1]
    return g


def _gather(g, update):
    """Let the gradient of `update` read a copy of the channels that learn, made behind the forward op that reads all of them."""
    source = next(i for i, op in enumerate(g.ops) if op.kind == "CONV_DW" and op["dw"] == update["grad"])
    forward = next(i for i, op in enumerate(g.ops) if op.kind == "CONV" and op["w"] == update["w"])
    op, named = g.ops[source], update["channels"]
    x, w, dw = g.tensors[op["x"]], g.tensors[update["w"]], g.tensors[update["grad"]]
    some = g.tensor(f"{x.name}, {g.tensors[named].size} of {x.dims[3]}", x.dtype, (*x.dims[:3], g.tensors[named].size),
                    zero=x.zero, scale=x.scale)
    gradient = g.tensor(dw.name, "f32", gradient_dims(w.dims, update.groups, g.tensors[named].size))
    g.ops[g.ops.index(update)] = update.but(grad=gradient)
    g.ops[source] = op.but(x=some, channels=named, dw=gradient, hi=float(w.dims[3]))
    g.op("GATHER", at=forward + 1, x=op["x"], channels=named, y=some)
    g.num_forward += 1


def reorder(graph):
    """Each update right behind its gradient, which is needed no longer then; the input gradient, of the old weight, comes before."""
    g = graph.copy()
    updates = {op["grad"]: op for op in g.ops if op.kind == "UPDATE"}
    g.ops = []
    for op in graph.ops:
        if op.kind != "UPDATE":
            g.ops += [op, *(updates[n] for n in op.writes() if n in updates)]
    for i, op in enumerate(g.ops):
        late = [other.kind for other in g.ops[i + 1:] if op.kind == "UPDATE" and op["w"] in other.reads()]
        assert not late, f"{late} would read a weight after its update"
    return g


def in_place(graph):
    """A gradient and its update become one op, without a gradient tensor; a scaled gradient takes the place of the gradient."""
    g = graph.copy()
    g.ops = []
    for op in graph.ops:
        if op.kind == "UPDATE" and g.ops[-1].kind in JOINED and op["grad"] in g.ops[-1].writes():
            g.ops[-1] = JOINED[g.ops[-1].kind](g.ops[-1], op)
        else:
            g.ops.append(op)
    for i, op in enumerate(g.ops):
        if op.kind == "SCALE_GRAD" and not _used_later(g, i, op["gy"]):
            g.ops = [replace(other, t=tuple(op["gy"] if n == op["g"] else n for n in other.t)) for other in g.ops]
            g.tensors = [replace(t, base=op["gy"]) if t.base == op["g"] else t for t in g.tensors]
    return g


def _dw_update(gradient, update):
    return make_op("CONV_DW_UPDATE", g=gradient["g"], x=gradient["x"], channels=gradient["channels"], w=update["w"], r=update["r"],
                   velocity=update["velocity"], kernel=gradient.kernel, stride=gradient.stride, padding=gradient.padding,
                   groups=gradient.groups, lo=update.lo)


def _db_update(gradient, update):
    return make_op("CONV_DB_UPDATE", g=gradient["g"], b=update["w"], r=update["r"], velocity=update["velocity"], lo=update.lo)


JOINED = {"CONV_DW": _dw_update, "CONV_DB": _db_update}


def _used_later(g, i, number):
    root = g.root(number)
    return root in g.kept or any(g.root(n) == root for op in g.ops[i + 1:] for n in (*op.reads(), *op.writes()))
