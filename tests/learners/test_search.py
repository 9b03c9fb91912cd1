"""Both searches against all plans that there are."""
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.learners import cost, plan, search, sparse
from odl_kit.models import layers, nets

seed = torch.Generator().manual_seed
NET = nets.mobile_net(1, 3, stem=4, blocks=((8, 4, 1),), norm=None, rng=seed(0))
TRACED = layers.trace(NET, torch.zeros(1, 1, 8, 8))
CONVS = [layer for layer in TRACED if layer.kind == "conv"]
COUNTS = [sorted({int(conv.c_in * ratio) for ratio in sparse.RATIOS} - {0}) for conv in CONVS]
gain = st.integers(-20, 100).map(lambda n: n / 128)      # sums of these are exact


@st.composite
def scores(draw):
    weights = {conv.name: {n: draw(gain) for n in few} for conv, few in zip(CONVS, COUNTS, strict=True)}
    return sparse.Contribution(0.25, (0.0, *(draw(gain) for _ in CONVS)), weights)


def every_plan():
    """All plans of the paper's notation with the ratios that were tried: a few thousand."""
    for k in range(len(CONVS) + 1):
        base = plan.from_scheme(TRACED, num_bias=k)
        for counts in itertools.product(*([0, *few] for few in COUNTS[len(CONVS) - k:])):
            chosen = {conv.name: n for conv, n in zip(CONVS[len(CONVS) - k:], counts, strict=True) if n}
            yield plan.UpdatePlan(base.biases, base.channels | chosen)


EVERY = [(wish, cost.extra_bits(TRACED, wish)) for wish in every_plan()]


@settings(max_examples=20, deadline=None)
@given(scores=scores(), budget=st.integers(4, 1200))
def test_the_exact_search_finds_the_best_of_all_plans_and_evolution_none_that_is_better(scores, budget):
    best = max(scores.predicted(wish) for wish, bits in EVERY if bits <= 8 * budget)
    exact = search.search_plan(scores, TRACED, budget)
    evolved = search.search_plan(scores, TRACED, budget, method="evolution", rng=seed(0))
    assert cost.extra_bits(TRACED, exact) <= 8 * budget and cost.extra_bits(TRACED, evolved) <= 8 * budget
    assert scores.predicted(exact) == pytest.approx(best)
    assert scores.predicted(evolved) <= best + 1e-9 and scores.predicted(evolved) >= scores.head


def drawn_scores(number, net_layers):
    rng = seed(number)
    convs = [layer for layer in net_layers if layer.kind == "conv"]
    weights = {conv.name: {max(1, conv.c_in * n // 4): float(torch.rand(1, generator=rng)) for n in (1, 2, 4)} for conv in convs}
    return sparse.Contribution(0.1, tuple(torch.rand(len(convs) + 1, generator=rng).sort().values.tolist()), weights)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_evolution_comes_close_to_the_optimum_on_the_net_of_the_lab(share):
    net = nets.mobile_net(1, 10, norm=None, rng=seed(0))
    traced = layers.trace(net, torch.zeros(1, 1, 16, 16))
    budget = int(share * cost.extra_bits(traced, plan.full(net))) // 8
    for number in range(3):
        scores = drawn_scores(number, traced)
        exact, evolved = (scores.predicted(search.search_plan(scores, traced, budget, method=method, rng=seed(number)))
                          for method in ("exact", "evolution"))
        assert 0.9 * exact <= evolved <= exact + 1e-9


def test_without_a_limit_every_gain_is_taken_and_no_loss():
    scores = sparse.Contribution(0.2, (0.0, 0.1, 0.3, 0.2, 0.3), {
        "stem": {1: 0.5}, "block1.expand": {1: 0.1, 4: -0.2}, "block1.depthwise": {8: -0.1}, "block1.project": {2: 0.3, 8: 0.2}})
    wish = search.search_plan(scores, TRACED, 10**9)
    assert wish == plan.UpdatePlan(["stem", "block1.expand", "block1.depthwise", "block1.project", "head"],
                                   {"head": 4, "stem": 1, "block1.expand": 1, "block1.project": 2})
    assert search.search_plan(scores, TRACED, 4) == plan.from_scheme(TRACED, num_bias=0)


def test_what_cannot_be_searched_is_refused_with_the_way_out():
    fine = drawn_scores(0, TRACED)
    for words, run in {
        "a budget of 3 B is too small: the head alone takes 4 B": lambda: search.search_plan(fine, TRACED, 3),
        "method 'magic' is unknown: use 'exact' or 'evolution'": lambda: search.search_plan(fine, TRACED, 99, method="magic"),
        "pass rng": lambda: search.search_plan(fine, TRACED, 99, method="evolution"),
        "the layers have others": lambda: search.search_plan(fine, TRACED[1:], 99),
    }.items():
        with pytest.raises(ValueError, match=words):
            run()
