from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.threats import provenance

sources = st.lists(st.integers(0, 7), min_size=1, max_size=40)


@given(sources)
def test_reach_is_the_best_share_that_k_sources_can_have(source):
    counts = {name: source.count(name) for name in set(source)}
    best = [max(sum(counts[name] for name in some) for some in combinations(counts, k)) for k in range(1, len(counts) + 1)]
    assert provenance.reach(torch.tensor(source)).tolist() == pytest.approx([n / len(source) for n in best])


@given(sources, st.integers(0, 8))
def test_at_equal_prices_what_is_bought_reaches_as_far_as_can_be(source, budget):
    source = torch.tensor(source)
    bought = provenance.buy(source, budget=budget)
    assert len(bought) == min(budget, len(source.unique()))
    share = provenance.planted(source, bought).double().mean().item()
    assert share == pytest.approx(provenance.reach(source)[len(bought) - 1].item() if len(bought) else 0)


@given(sources, st.integers(0, 12))
def test_the_budget_is_kept_and_nothing_is_bought_that_is_not_for_sale(source, budget):
    price = {name: 1 + name % 3 for name in set(source) if name != 2}
    bought = provenance.buy(torch.tensor(source), budget=budget, price=price).tolist()
    assert 2 not in bought and len(set(bought)) == len(bought) and sum(price[name] for name in bought) <= budget
    left = budget - sum(price[name] for name in bought)
    assert all(cost > left for name, cost in price.items() if name not in bought)


def test_planted_marks_the_examples_of_the_bought_sources():
    assert provenance.planted(torch.tensor([3, 1, 3, 2]), torch.tensor([3, 2])).tolist() == [True, False, True, True]
    assert not provenance.planted(torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64)).any()


def test_a_price_that_is_not_above_0_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"prices \{1: 0\}"):
        provenance.buy(torch.tensor([1, 2]), budget=3, price={1: 0, 2: 1})
