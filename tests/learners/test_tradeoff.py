"""The best schedules against brute force over all of them, against closed forms from the papers, and against the memory meter."""
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.learners import memory, schedules, tradeoff
from odl_kit.learners.tradeoff import Cost
from odl_kit.models import chain, nets

seed = torch.Generator().manual_seed


def every_schedule(units):
    """All nested schedules in which a segment is never the last thing of its level and never wraps a lone segment; brute force."""
    if len(units) == 1:
        yield units
        return
    for rest in every_schedule(units[1:]):
        yield units[0], *rest
    for k in range(1, len(units)):
        for segment in every_schedule(units[:k]):
            for rest in every_schedule(units[k:]):
                yield segment, *rest


def simulated(costs, schedule):
    """(most bytes, MACs): an independent walk that acts step by step on a set of named tensors."""
    held, worst, macs = {"x": costs[0].in_bytes}, costs[0].in_bytes, 0

    def go(level):
        nonlocal worst, macs
        made = []
        for place, item in enumerate(level):
            last = place == len(level) - 1
            if isinstance(item, int):
                macs += costs[item].macs
                size = costs[item].last_bytes if last else costs[item].kept_bytes
            else:
                inside = schedules.flat(item)
                macs += sum(costs[i].macs for i in inside)
                size = 0 if last else costs[inside[-1]].out_bytes
            key = object()
            held[key] = size
            made.append((key, item))
            worst = max(worst, sum(held.values()))
        for key, item in reversed(made):
            if isinstance(item, tuple):
                del held[key]
                go(item)
            else:
                del held[key]
    go(schedule)
    assert held == {"x": costs[0].in_bytes}
    return worst, macs


sizes = st.integers(0, 9)
units = st.lists(st.tuples(sizes, st.integers(1, 9), st.booleans(), st.integers(1, 9)), min_size=1, max_size=6)


def chain_of(drawn):
    """Costs whose inputs are the outputs before them."""
    found, size = [], 3
    for own, out, output_is_saved, macs in drawn:
        found.append(Cost(size, own + out, own + out * output_is_saved, out, macs))
        size = out
    return tuple(found)


@given(units)
@settings(max_examples=60)
def test_the_frontier_is_that_of_brute_force_over_all_schedules(drawn):
    costs = chain_of(drawn)
    every = [simulated(costs, schedule) for schedule in every_schedule(tuple(range(len(costs))))]
    best = sorted({one for one in every if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in every)})
    found = tradeoff.frontier(costs)
    assert [(choice.held_bytes, choice.macs) for choice in found] == best
    for choice in found:
        assert simulated(costs, choice.schedule) == (choice.held_bytes, choice.macs)


@given(units)
@settings(max_examples=30)
def test_bytes_and_macs_of_any_schedule_are_those_of_a_walk_step_by_step(drawn):
    costs = chain_of(drawn[:4])
    for schedule in every_schedule(tuple(range(len(costs)))):
        for one in (schedule, (schedule,), ((schedule,),)):       # a segment at the end of its level too
            assert (tradeoff.held_bytes(costs, one), tradeoff.macs(costs, one)) == simulated(costs, one)


def equal(n, own=0, out=1, saved=True):
    return (Cost(1, own + out, own + out * saved, out, 1),) * n


@pytest.mark.parametrize("n, slots", [(n, slots) for n in (2, 3, 7, 10, 16) for slots in (1, 2, 3, 5)])
def test_with_room_for_one_unit_and_equal_steps_it_is_the_binomial_optimum(n, slots):
    """Griewank and Walther 2000 (revolve), eq. 3: least forward steps besides those of the unit at work, t = r n - C(slots + r, r - 1)."""
    big = 1000                                  # only one unit at a time can be kept
    choice = tradeoff.within(tradeoff.frontier(equal(n, own=big, saved=False)), 1 + big + slots)
    r = next(r for r in range(n + 1) if comb(slots + r, slots) >= n)
    assert choice.macs - n == r * n - comb(slots + r, r - 1) if r else choice.macs == n


@pytest.mark.parametrize("n", [1, 2, 3, 9, 10, 36, 100])
def test_sqrt_holds_two_roots_and_needs_less_than_one_more_pass(n):
    costs, schedule = equal(n), schedules.sqrt(n)
    assert tradeoff.held_bytes(costs, schedule) <= 2 * n ** 0.5 + 2
    assert tradeoff.macs(costs, schedule) <= 2 * n - 1
    assert schedules.flat(schedule) == list(range(n))


@pytest.mark.parametrize("slots", [2, 3, 5, 8])
def test_with_one_more_pass_the_longest_chain_in_so_many_slots_is_the_triangle(slots):
    n = slots * (slots - 1) // 2
    for length, fits in ((n, True), (n + 1, False)):
        choices = tradeoff.frontier(equal(length))
        once = [choice.held_bytes for choice in choices if not nested_twice(choice.schedule)]
        assert (min(once) <= slots) == fits
    assert schedules.shrinking(n) == schedules.in_segments(range(slots - 1, 0, -1))
    for length in range(n - slots + 2, n + 1):
        assert tradeoff.held_bytes(equal(length), schedules.shrinking(length)) == slots


def nested_twice(schedule):
    return any(isinstance(inner, tuple) for item in schedule if isinstance(item, tuple) for inner in item)


def test_plain_holds_what_the_meter_says_and_costs_one_pass():
    for net, x in ((nets.mobile_net(1, 10, norm=None, rng=seed(0)), torch.zeros(3, 1, 16, 16)), (nets.tiny_cnn(1, 10, rng=seed(0)),
                   torch.zeros(2, 1, 8, 8)), (nets.mlp(64, (8, 9), 10, rng=seed(0)), torch.zeros(4, 1, 8, 8))):
        units = list(chain.units(net).values())
        for rule in memory.RULES:
            costs = tradeoff.costs(units, x, rule=rule)
            assert tradeoff.held_bytes(costs, schedules.plain(len(units))) == memory.memory_report(net, x, rule=rule).saved_activations


def test_macs_of_mobile_net_are_those_counted_by_hand():
    net = nets.mobile_net(1, 10, norm=None, rng=seed(0))
    costs = tradeoff.costs(list(chain.units(net).values()), torch.zeros(1, 1, 16, 16))
    assert costs[0].macs == 9 * 16 * 64 and costs[-1].macs == 320
    assert costs[2].macs == 16 * 48 * 64 and costs[3].macs == 9 * 48 * 16


def test_a_budget_gets_the_cheapest_schedule_and_below_the_least_an_error_that_names_it():
    choices = tradeoff.frontier(equal(10))
    for budget in range(choices[0].held_bytes, 14):
        choice = tradeoff.within(choices, budget)
        assert choice.held_bytes <= budget and not any(c.macs < choice.macs for c in choices if c.held_bytes <= budget)
    assert tradeoff.within(choices, 10 ** 9).schedule == schedules.plain(10)
    with pytest.raises(ValueError, match=f"no schedule of this net and batch holds less than {choices[0].held_bytes} B"):
        tradeoff.within(choices, choices[0].held_bytes - 1)


def test_costs_leave_the_net_as_it_is():
    net = nets.mobile_net(1, 10, rng=seed(0)).train()
    before = [b.clone() for b in net.buffers()]
    tradeoff.costs(list(chain.units(net).values()), torch.rand(4, 1, 16, 16))
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True)) and net.training
