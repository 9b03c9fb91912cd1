"""A chain's units against the net that they were cut from."""
import pytest
import torch
from torch import nn

from odl_kit.models import chain, nets

seed = torch.Generator().manual_seed
NETS = {"mlp": (lambda: nets.mlp(64, (32, 16), 10, rng=seed(0)), (1, 8, 8)),
        "softmax": (lambda: nets.softmax(64, 10, rng=seed(0)), (1, 8, 8)),
        "tiny_cnn": (lambda: nets.tiny_cnn(1, 10, rng=seed(0)), (1, 8, 8)), "ds_cnn": (lambda: nets.ds_cnn(1, 10, rng=seed(0)), (1, 8, 8)),
        "mobile_net": (lambda: nets.mobile_net(1, 10, rng=seed(0)), (1, 16, 16)),
        "word_model": (lambda: nets.word_model(30, context=4, rng=seed(0)), None)}


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_units_one_after_the_other_are_the_net_and_share_its_weights(name, blocks):
    make, shape = NETS[name]
    net = make().eval()
    units = chain.units(net, blocks=blocks).values()
    x = torch.randint(30, (3, 4), generator=seed(1)) if shape is None else torch.rand(3, *shape, generator=seed(1))
    y = x
    for unit in units:
        y = unit(y)
    assert torch.equal(y, net(x))
    assert [id(p) for unit in units for p in unit.parameters()] == [id(p) for p in net.parameters()]


def test_a_unit_is_a_layer_with_weights_and_what_follows_it():
    assert {name: len(unit) for name, unit in chain.units(nets.tiny_cnn(1, 10, rng=seed(0))).items()} == {
        "conv1": 3, "conv2": 3, "conv3": 4, "head": 1}      # conv3: conv, ReLU, pool, flatten
    assert list(chain.units(nets.mlp(64, 8, 10, rng=seed(0)))) == ["hidden1", "head"]


def test_blocks_are_taken_apart_unless_told_otherwise_and_residuals_never():
    net = nets.mobile_net(1, 10, norm=None, rng=seed(0))
    assert list(chain.units(net)) == ["stem", "block1", "block2.expand", "block2.depthwise", "block2.project", "block3", "block4.expand",
                                      "block4.depthwise", "block4.project", "head"]
    assert list(chain.units(net, blocks=True)) == ["stem", "block1", "block2", "block3", "block4", "head"]


@pytest.mark.parametrize("net, words", [
    (nets.Residual(nn.Linear(4, 4)), "Residual is no chain"),
    (nn.Linear(4, 4), "Linear is no chain"),
    (nn.Sequential(nn.Flatten()), "no layer with weights"),
    (nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), "'0' stands before all layers with weights"),
])
def test_what_is_no_chain_is_refused(net, words):
    with pytest.raises(ValueError, match=words):
        chain.units(net)
