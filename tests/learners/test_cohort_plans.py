"""Copies with plans of their own against train.fit, one plan after the other."""
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.learners import cohort_plans, optimizers, plan, train
from odl_kit.models import flat, layers, nets

seed = torch.Generator().manual_seed
NET = nets.mobile_net(1, 3, stem=4, blocks=((8, 4, 1), (8, 6, 2)), norm=None, rng=seed(0))      # block1 is a residual
X, Y = torch.rand(11, 1, 8, 8, generator=seed(1)), torch.randint(3, (11,), generator=seed(2))
TRACED = layers.trace(NET, X[:1])
NAMES = [name for name, _ in NET.named_parameters()]


def scheme(k, indices=(), ratios=()):
    return plan.from_scheme(TRACED, num_bias=k, indices=indices, ratios=ratios)


COHORTS = {"the weight of one layer, three ratios": [scheme(4), scheme(4, [3], [0.5]), scheme(4, [3], [1])],
           "a depthwise convolution": [scheme(5, [2], [0.25]), scheme(5, [2], [1])],
           "plans that begin at different layers": [scheme(0), scheme(7, [0, 6], [1, 0.5]), plan.bias_only(NET)],
           "one alone": [plan.full(NET)]}


@pytest.mark.parametrize("plans", COHORTS.values(), ids=COHORTS.keys())
def test_each_copy_ends_where_fit_ends_with_its_plan_alone(plans):
    options = {"epochs": 3, "batch_size": 4, "lr": optimizers.cosine(0.2), "momentum": 0.9}       # the last batch has 3
    w = cohort_plans.train(NET, plans, X, Y, **options, rng=seed(5))
    assert w.shape == (len(plans), len(flat.ravel(NET)))
    for row, wish in zip(w, plans, strict=True):
        alone = copy.deepcopy(NET)
        train.fit(alone, X, Y, **options, plan=wish, rng=seed(5), progress=False)
        assert torch.allclose(row, flat.ravel(alone), atol=2e-5)
        assert torch.equal(row[~wish.mask(NET)], flat.ravel(NET)[~wish.mask(NET)])
        assert not torch.allclose(row, flat.ravel(NET), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(learning=st.sets(st.sampled_from(NAMES), min_size=1))
def test_what_learns_and_what_flows_into_it_give_what_the_net_gives(learning):
    net = copy.deepcopy(NET).eval()
    rest, values = cohort_plans.split(net, learning, X)
    assert torch.allclose(rest(*values), net(X), atol=1e-6)
    batch = torch.tensor([7, 0, 3])
    assert torch.allclose(rest(*(v[batch] for v in values)), net(X[batch]), atol=1e-6)
    assert learning <= {name for name, _ in rest.named_parameters()} <= set(NAMES)


@pytest.mark.parametrize("first, inputs", [("head.weight", 1), ("block2.expand.bias", 1), ("block1.depthwise.bias", 2), ("stem.bias", 1)])
def test_only_what_the_learning_part_reads_is_kept(first, inputs):
    """Inside the residual block two values are needed: the layer's input, and what is carried past it."""
    _, values = cohort_plans.split(copy.deepcopy(NET).eval(), {first}, X)
    assert len(values) == inputs and all(len(v) == len(X) for v in values)


def test_the_net_is_left_as_it_was():
    net = copy.deepcopy(NET).train()
    before = flat.ravel(net)
    cohort_plans.train(net, [scheme(0)], X, Y, epochs=1, batch_size=4, lr=0.1, rng=seed(0))
    assert torch.equal(flat.ravel(net), before) and all(m.training for m in net.modules())


@pytest.mark.parametrize("learning, words", [({"tail.weight"}, "no parameter 'tail.weight'"), ((), "nothing learns")])
def test_what_cannot_learn_is_refused(learning, words):
    with pytest.raises(ValueError, match=words):
        cohort_plans.split(NET, learning, X)
