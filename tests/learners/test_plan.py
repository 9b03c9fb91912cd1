import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from odl_kit.learners import plan
from odl_kit.models import flat, layers, nets

seed = torch.Generator().manual_seed
CNN = nets.ds_cnn(1, 10, width=8, rng=seed(0))
WORDS = nets.word_model(12, context=3, rng=seed(0))


def learning(net, mask):
    """{parameter name: how many of its weights the mask names}."""
    return {name: int(m.sum()) for name, m in flat.unravel(net, mask).items()}


def convolutions():
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
    return shapes.map(lambda s: nn.Conv2d(s[0] * s[1], s[0] * s[2], s[3], groups=s[0], padding=1))


@settings(max_examples=40, deadline=None)
@given(layer=st.one_of(convolutions(), st.tuples(st.integers(1, 5), st.integers(1, 5)).map(lambda s: nn.Linear(*s))), data=st.data())
def test_a_channel_is_the_weights_that_a_gradient_reaches_when_only_this_input_is_not_0(layer, data):
    c_in = plan.num_channels(layer)
    channels = torch.tensor(sorted(data.draw(st.sets(st.integers(0, c_in - 1)))), dtype=torch.int64)
    x = torch.zeros(1, c_in, 4, 4) if isinstance(layer, nn.Conv2d) else torch.zeros(1, c_in)
    x[:, channels] = 1.0
    reached, = torch.autograd.grad(layer(x).sum(), layer.weight)
    assert torch.equal(plan.weight_mask(layer, channels), reached != 0)
    for c in range(c_in):
        own = layer.weight[plan.weight_mask(layer, torch.tensor([c]))]
        assert plan.by_channel(layer)[c].sort().values.tolist() == own.sort().values.tolist()


@pytest.mark.parametrize("order, pick", [("largest", lambda norms: sorted(range(len(norms)), key=lambda i: -norms[i])),
                                         ("smallest", lambda norms: sorted(range(len(norms)), key=lambda i: norms[i]))])
@pytest.mark.parametrize("name, row", [("pointwise1", lambda w, c: w[:, c]), ("depthwise1", lambda w, c: w[c]),
                                       ("head", lambda w, c: w[:, c])])
def test_channels_are_ranked_by_the_norm_of_their_weights(name, row, order, pick):
    w = CNN.get_submodule(name).weight.detach()
    norms = [sum(float(v) ** 2 for v in row(w, c).flatten()) for c in range(8)]
    chosen = plan.UpdatePlan(channels={name: 3}, order=order).chosen(CNN)
    assert chosen[name].tolist() == sorted(pick(norms)[:3])


@pytest.mark.parametrize("name", ["pointwise1", "depthwise1", "head"])
def test_a_plan_can_say_which_channels_and_in_which_order(name):
    ranked = (5, 0, 7, 2)
    for count in range(5):
        chosen = plan.UpdatePlan(channels={name: count}, order={name: ranked}).chosen(CNN)
        assert chosen.get(name, torch.tensor([])).tolist() == sorted(ranked[:count])
    wish = plan.UpdatePlan(channels={name: 2}, order={name: torch.tensor(ranked)})
    assert torch.equal(flat.unravel(CNN, wish.mask(CNN))[f"{name}.weight"],
                       plan.weight_mask(CNN.get_submodule(name), torch.tensor([0, 5])))
    assert wish == pickle.loads(pickle.dumps(wish)) and wish.order == {name: ranked}
    assert plan.UpdatePlan(channels={name: 8}, order={}).chosen(CNN)[name].tolist() == list(range(8))     # whole: nothing to say


@pytest.mark.parametrize("ranked", [(), (1, 2), (1, 2, 1), (1, 2, 8), (-1, 1, 2)])
def test_an_order_that_does_not_name_enough_channels_is_refused(ranked):
    wish = plan.UpdatePlan(channels={"pointwise1": 3}, order={"pointwise1": ranked})
    with pytest.raises(ValueError, match=r"order\['pointwise1'\] must name 3 or more of the channels 0 to 7, none twice"):
        wish.chosen(CNN)


def test_mask_names_channels_of_an_embedding_a_norm_and_biases():
    mask = plan.UpdatePlan({"hidden"}, {"embedding": 5}).mask(WORDS)
    assert mask.dtype == torch.bool and mask.shape == flat.ravel(WORDS).shape
    assert learning(WORDS, mask) == {"embedding.weight": 5 * 16, "hidden.weight": 0, "hidden.bias": 32, "head.weight": 0, "head.bias": 0}
    table = flat.unravel(WORDS, mask)["embedding.weight"]
    assert set(table.sum(1).tolist()) == {0, 16}      # whole rows
    norm = learning(CNN, plan.UpdatePlan({"stem_norm"}, {"stem_norm": 3}).mask(CNN))
    assert (norm["stem_norm.weight"], norm["stem_norm.bias"]) == (3, 8) and sum(norm.values()) == 11


def test_mask_follows_the_weights_that_the_net_has_now():
    net = nn.Sequential(nn.Linear(3, 2))
    plan_one = plan.UpdatePlan(channels={"0": 1})
    for c in (2, 0):
        with torch.no_grad():
            net[0].weight.fill_(1.0)[:, c] = -5.0
        assert plan_one.chosen(net)["0"].tolist() == [c]


def test_random_channels_come_from_rng_and_from_it_alone():
    wish = plan.UpdatePlan(channels={"pointwise1": 4, "head": 4}, order="random")
    torch.manual_seed(0)
    state = torch.get_rng_state()
    masks = [wish.mask(CNN, seed(s)) for s in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert all(int(m.sum()) == 4 * 8 + 4 * 10 for m in masks) and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("net", [CNN, WORDS])
def test_full_names_every_weight_and_an_empty_plan_none(net):
    assert plan.full(net).mask(net).all()
    assert not plan.UpdatePlan().mask(net).any()
    assert not plan.UpdatePlan(channels={"head": 0}).mask(net).any()


def test_head_only_is_the_last_layer():
    counts = learning(CNN, plan.head_only(CNN).mask(CNN))
    assert {name for name, count in counts.items() if count} == {"head.weight", "head.bias"}
    assert counts["head.weight"] == 80 and counts["head.bias"] == 10


def test_last_layers_takes_norms_with_the_convolution_before_them():
    counts = learning(CNN, plan.last_layers(CNN, 2).mask(CNN))
    assert {name for name, count in counts.items() if count} == {
        "pointwise2.weight", "pointwise2_norm.weight", "pointwise2_norm.bias", "head.weight", "head.bias"}
    assert plan.last_layers(CNN, 6) == plan.full(CNN)


def test_bias_only_learns_every_bias_and_the_head():
    counts = learning(CNN, plan.bias_only(CNN).mask(CNN))
    parameters = dict(CNN.named_parameters())
    for name, count in counts.items():
        assert count == (parameters[name].numel() if name.endswith("bias") or name == "head.weight" else 0)


SMALL = nets.mobile_net(1, 10, norm=None, rng=seed(0))
TRACED = layers.trace(SMALL, torch.zeros(1, 1, 16, 16))


def test_a_scheme_counts_convolutions_from_the_input_and_biases_from_the_end():
    wish = plan.from_scheme(TRACED, num_bias=4, indices=[10, 12], ratios=[0.3, 1], order="smallest")
    assert wish == plan.UpdatePlan(["block3.project", "block4.expand", "block4.depthwise", "block4.project", "head"],
                                   {"block4.expand": 7, "block4.project": 72, "head": 32}, "smallest")       # int(24 * 0.3) = 7
    last_two_blocks = plan.from_scheme(TRACED, num_bias=6, indices=range(7, 13), ratios=[1] * 6)
    assert torch.equal(last_two_blocks.mask(SMALL), plan.last_layers(SMALL, 7).mask(SMALL))
    assert plan.from_scheme(TRACED, num_bias=0) == plan.head_only(SMALL)
    assert plan.from_scheme(TRACED, num_bias=13) == plan.bias_only(SMALL)
    assert plan.from_scheme(TRACED, num_bias=13, indices=range(13), ratios=[1.0] * 13) == plan.full(SMALL)


def test_a_ratio_that_leaves_no_channel_leaves_the_weight_out():
    assert "stem" not in plan.from_scheme(TRACED, num_bias=13, indices=[0], ratios=[0.5]).channels      # one input channel


def test_a_plan_is_a_value_that_can_be_compared_and_sent():
    wish = plan.UpdatePlan(["a", "b"], {"a": 1})
    assert wish == plan.UpdatePlan({"b", "a"}, {"a": 1}) != plan.UpdatePlan({"a"}, {"a": 1})
    assert pickle.loads(pickle.dumps(wish)) == wish
    counts = {"a": 1}
    kept = plan.UpdatePlan(channels=counts)
    counts["a"] = 2
    assert kept.channels == {"a": 1}


def tied():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    return net


@pytest.mark.parametrize("run, words", [
    (lambda: plan.UpdatePlan(order="best"), "order 'best' is unknown: use one of largest"),
    (lambda: plan.UpdatePlan({"tail"}).mask(CNN), "no layer 'tail' with weights: it has stem, stem_norm"),
    (lambda: plan.UpdatePlan(channels={"stem_relu": 1}).mask(CNN), "no layer 'stem_relu'"),
    (lambda: plan.UpdatePlan({"stem"}).mask(CNN), "'stem' has no bias"),
    (lambda: plan.UpdatePlan({"embedding"}).mask(WORDS), "'embedding' has no bias"),
    (lambda: plan.UpdatePlan(channels={"stem": 2}).mask(CNN), "2 input channels of 'stem', which has 1"),
    (lambda: plan.UpdatePlan(channels={"head": -1}).mask(CNN), "give 0 to 8"),
    (lambda: plan.UpdatePlan(channels={"head": 1}, order="random").mask(CNN), "pass rng"),
    (lambda: plan.last_layers(CNN, 7), "k=7 layers wanted, net has 6"),
    (lambda: plan.from_scheme(TRACED, num_bias=14), "num_bias=14: the net has 13 convolutions, give 0 to 13"),
    (lambda: plan.from_scheme(TRACED, num_bias=2, indices=[10], ratios=[1]), "each index once, from 11 .* to 12"),
    (lambda: plan.from_scheme(TRACED, num_bias=2, indices=[11, 11], ratios=[1, 1]), "each index once"),
    (lambda: plan.from_scheme(TRACED, num_bias=2, indices=[11, 12], ratios=[1]), "one ratio above 0 and up to 1 for each index"),
    (lambda: plan.from_scheme(TRACED, num_bias=2, indices=[12], ratios=[1.5]), "above 0 and up to 1"),
    (lambda: plan.from_scheme(TRACED[:3], num_bias=1), "a scheme needs a head, a linear layer"),
    (lambda: plan.head_only(nn.Sequential(nn.ReLU())), "net has 0 layers"),
    (lambda: plan.full(nn.Sequential(nn.LSTM(2, 2))), "no plan can name '0.weight_ih_l0'"),
    (lambda: plan.full(tied()), "'0' and '1' share a weight"),
])
def test_what_does_not_fit_is_refused_with_the_way_out(run, words):
    with pytest.raises(ValueError, match=words):
        run()
