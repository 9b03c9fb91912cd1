"""Pass 6, pack: when does each tensor live, and where does it lie? One arena for all that passes.

At op i of a step a tensor lives if something has written it and something will still read it. Two that live at the same op must not
overlap; the fewest bytes are no fewer than the most that live at once (`bound`). Views lie where their base lies.
"""
import random
from dataclasses import replace

from odl_kit.engine.workspace import workspace_bytes

ALIGN = 4
TRIES = 500     # of a hill climb


def lifetimes(graph):
    """{arena tensor, no view: (first op, last op)}, both inclusive. What the host writes (input, labels) lives from op 0 on, what it reads
    at the end (graph.kept) to the last op. A tensor that no op touches is not there."""
    found = {graph.root(graph.input): (0, 0)} | ({graph.labels: (0, 0)} if any(op.kind == "LOSS" for op in graph.ops) else {})
    for i, op in enumerate(graph.ops):
        for n in map(graph.root, (*op.reads(), *op.writes())):
            if graph.tensors[n].place == "arena":
                found[n] = (found.get(n, (i, i))[0], i)
    last = len(graph.ops) - 1
    return {n: (first, last if n in graph.kept else end) for n, (first, end) in found.items()}


def alive(graph):
    """[bytes that live at op i], each tensor rounded up to 4 bytes."""
    spans = lifetimes(graph)
    return [sum(room(graph.tensors[n]) for n, (first, last) in spans.items() if first <= i <= last) for i in range(len(graph.ops))]


def bound(graph):
    """The most bytes that live at once: no arena can be smaller."""
    return max(alive(graph))


def room(tensor):
    """Bytes of a tensor in the arena, rounded up so that the next one is aligned."""
    return -(-tensor.nbytes // ALIGN) * ALIGN


def first_fit(sizes, spans, order, met=None):
    """({tensor: offset}, bytes of the arena): each tensor in turn goes to the lowest gap among those that live while it lives.

    met: {tensor: those that live at some time when it lives}, found anew if it is not given.
    """
    at, met = {}, met or meetings(spans)
    for n in order:
        offset = 0
        for low, high in sorted((at[m], at[m] + sizes[m]) for m in met[n] if m in at):
            if low - offset >= sizes[n]:
                break
            offset = max(offset, high)
        at[n] = offset
    return at, max((at[n] + sizes[n] for n in at), default=0)


def meetings(spans):
    """{tensor: the others that live at some op at which it lives}."""
    return {n: [m for m in spans if m != n and spans[m][0] <= spans[n][1] and spans[n][0] <= spans[m][1]] for n in spans}


def by_birth(graph):
    """First-fit in the order in which the tensors come to life, as a simple allocator at run time would: ({tensor: offset}, bytes)."""
    spans = lifetimes(graph)
    return first_fit({n: room(graph.tensors[n]) for n in spans}, spans, sorted(spans, key=lambda n: spans[n]))


def pack(graph, *, seed=0):
    """The best place for every tensor that was found: ({tensor: offset}, bytes). See best_fit."""
    spans = lifetimes(graph)
    return best_fit({n: room(graph.tensors[n]) for n in spans}, spans, bound(graph), seed=seed)


def best_fit(sizes, spans, least, *, seed):
    """The best of several orders, each the start of a hill climb: ({tensor: offset}, bytes). It stops where `least` bytes are reached.

    A climb moves a tensor that reaches the top of the arena to an earlier place in the order, and any tensor to any place, in turn, and
    keeps what is not worse: TRIES times from each start, drawn from `seed`.
    """
    keys = (lambda n: -sizes[n] * (1 + spans[n][1] - spans[n][0]), lambda n: spans[n][0] - spans[n][1], lambda n: -sizes[n],
            lambda n: spans[n])
    draw, met, found = random.Random(seed), meetings(spans), []
    for order in (sorted(spans, key=key) for key in keys):
        found.append(first_fit(sizes, spans, order, met))
        for k in range(TRIES):
            if found[-1][1] == least:
                return found[-1]
            at, total = found[-1]
            place = draw.choice([i for i, n in enumerate(order) if at[n] + sizes[n] == total]) if k % 2 else draw.randrange(len(order))
            moved = order.copy()
            moved.insert(draw.randrange(place + 1 if k % 2 else len(moved)), moved.pop(place))
            new = first_fit(sizes, spans, moved, met)
            if new[1] <= total:
                found[-1], order = new, moved
    return min(found, key=lambda one: one[1])


def placed(graph, offsets):
    """The tensors with their offsets: arena tensors as `offsets` says, views as their base, const and state one behind the other."""
    behind, made = {"const": 0, "state": 0}, []
    for n, t in enumerate(graph.tensors):
        if t.place == "arena":
            made.append(replace(t, offset=offsets.get(graph.root(n), 0)))
        else:
            made.append(replace(t, offset=behind[t.place]))
            behind[t.place] += room(t)
    return made


def with_scratch(graph):
    """The graph with a tensor for the scratch of each op that needs some: it lives for this op only."""
    g = graph.copy()
    for i, op in enumerate(graph.ops):
        if need := workspace_bytes(op, g.tensors):
            g.ops[i] = op.but(ws=g.tensor(f"scratch of {op.kind}", "f32", (1, 1, 1, -(-need // ALIGN))))
    return g


def compact(graph):
    """(the graph without the tensors that no op names, {old number: new}); what is left keeps its order."""
    g, used = graph.copy(), {graph.input, graph.labels, graph.logits, graph.loss}
    used |= {n for op in graph.ops for n in op.t if n is not None}
    used |= {graph.root(n) for n in used}
    used |= {t.base for n, t in enumerate(graph.tensors) if n in used and t.base is not None}
    new = {old: i for i, old in enumerate(sorted(used))}
    g.tensors = [replace(graph.tensors[old], base=new.get(graph.tensors[old].base)) for old in new]
    g.ops = [replace(op, t=tuple(new.get(n) for n in op.t)) for op in graph.ops]
    g.input, g.labels, g.logits, g.loss = (new[n] for n in (g.input, g.labels, g.logits, g.loss))
    g.kept = tuple(new[n] for n in g.kept if n in new)
    return g, new
