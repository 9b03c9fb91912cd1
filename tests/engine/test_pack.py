"""Lifetimes and the arena against a simulation that knows nothing of intervals, and against every order of packing."""
import json
import random
import runpy
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odl_kit import home
from odl_kit.engine import pack, program

NETS = ("mlp", "tiny_cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ds_cnn", "mobile_net")))
PLANS = ("full", "head_only", "bias_only", "sparse")


def simulated(p):
    """[{tensors that must hold their values at op i}]: the host writes first and reads last; in between a value is there from the op that
    first writes it until nobody reads it any more."""
    def touches(i, n):
        return n in map(p.root, (*p.ops[i].reads(), *p.ops[i].writes()))

    def wanted(i, n):
        return n in p.kept or any(touches(j, n) for j in range(i, len(p.ops)))
    there, moments = {p.root(p.input), p.labels}, []
    for i, op in enumerate(p.ops):
        there |= {p.root(n) for n in op.writes() if p.tensors[n].place == "arena"}
        moments.append(set(there))
        there = {n for n in there if wanted(i + 1, n)}
    return moments


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NETS)
def test_the_bound_is_what_a_simulation_finds_alive_and_the_arena_is_within_5_percent_of_it(world, plan_of, name, plan, precision):
    net, x, _ = world(name, precision)
    made = program.compile(net, x, plan_of(plan, net), precision=precision, batch=1)
    moments = simulated(made)
    size = [sum(-(-made.tensors[n].nbytes // 4) * 4 for n in moment) for moment in moments]
    assert size == pack.alive(made) and max(size) == pack.bound(made) == made.passes[-1].bound
    assert max(size) <= made.arena_bytes <= 1.05 * max(size)


@pytest.mark.parametrize("name", NETS)
def test_no_two_tensors_that_hold_values_at_once_overlap(world, plan_of, name):
    net, x, _ = world(name, "int8")
    made = program.compile(net, x, plan_of("sparse", net), batch=2)
    for p in [made, *(stage.program for stage in made.passes[1:])]:
        for moment in simulated(p):
            spans = sorted((p.tensors[n].offset, p.tensors[n].offset + p.tensors[n].nbytes) for n in moment)
            assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
            assert spans[-1][1] <= p.arena_bytes and all(start % 4 == 0 for start, _ in spans)


def test_views_lie_where_their_base_lies(world, plan_of):
    net, x, _ = world("mlp", "float32")
    made = program.compile(net, x, plan_of("full", net), precision="float32")
    views = [t for t in made.tensors if t.base is not None]
    assert views and all(t.offset == made.tensors[t.base].offset for t in views)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=5))
def test_first_fit_never_overlaps_and_its_best_order_is_found(tensors):
    sizes = {n: 4 * size for n, (size, _, _) in enumerate(tensors)}
    spans = {n: (first, first + length) for n, (_, first, length) in enumerate(tensors)}
    least = max(sum(sizes[n] for n in spans if spans[n][0] <= i <= spans[n][1]) for i in range(9))
    for order in permutations(sizes):
        at, total = pack.first_fit(sizes, spans, order)
        assert total >= least
        for a, b in permutations(sizes, 2):
            if spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]:
                assert at[a] + sizes[a] <= at[b] or at[b] + sizes[b] <= at[a]
    best = min(pack.first_fit(sizes, spans, order)[1] for order in permutations(sizes))
    assert pack.best_fit(sizes, spans, least, seed=0)[1] == best


def test_the_same_seed_packs_the_same_way(world, plan_of):
    net, x, _ = world("tiny_cnn", "int8")
    first, second = (program.compile(net, x, plan_of("full", net), seed=3) for _ in range(2))
    assert [t.offset for t in first.tensors] == [t.offset for t in second.tensors]


def test_a_better_order_saves_bytes_over_the_order_of_birth():
    draw, saved = random.Random(0), 0
    for _ in range(20):
        spans = {n: (first := draw.randrange(20), first + draw.randrange(8)) for n in range(25)}
        sizes = {n: 4 * draw.randrange(1, 200) for n in spans}
        least = max(sum(sizes[n] for n in spans if spans[n][0] <= i <= spans[n][1]) for i in range(28))
        simple = pack.first_fit(sizes, spans, sorted(spans, key=lambda n: spans[n]))[1]
        better = pack.best_fit(sizes, spans, least, seed=0)[1]
        assert least <= better <= simple
        saved += simple - better
    assert saved > 0


@pytest.mark.slow
def test_no_standard_net_has_grown_by_3_percent_since_it_was_recorded():
    bench = runpy.run_path(str(home() / "benchmarks" / "engine.py"))
    recorded = json.loads((home() / "benchmarks" / "results" / "engine.json").read_text(encoding="utf-8"))["nets"]
    for name, precision, plan, make in bench["cases"]():
        now, then = bench["figures"](make(0)), recorded[name][precision][plan]
        for key in ("constants", "state", "bytes", "pushed_sram", "flash_sram"):
            assert now[key] <= 1.03 * then[key], (name, precision, plan, key)
        assert now["passes"]["pack"]["arena"] <= 1.03 * then["passes"]["pack"]["arena"], (name, precision, plan)
        assert max(then["arena_by_seed"]) <= 1.05 * then["passes"]["pack"]["bound"]
