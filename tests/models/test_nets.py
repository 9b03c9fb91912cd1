import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed
MAKERS = {
    "softmax": lambda rng: nets.softmax(64, 10, rng=rng),
    "mlp": lambda rng: nets.mlp(64, (32, 16), 10, rng=rng),
    "tiny_cnn": lambda rng: nets.tiny_cnn(1, 10, rng=rng),
    "ds_cnn group": lambda rng: nets.ds_cnn(1, 10, rng=rng),
    "ds_cnn batch": lambda rng: nets.ds_cnn(1, 10, norm="batch", rng=rng),
    "ds_cnn none": lambda rng: nets.ds_cnn(1, 10, norm=None, rng=rng),
    "mobile_net batch": lambda rng: nets.mobile_net(1, 10, rng=rng),
    "mobile_net none": lambda rng: nets.mobile_net(1, 10, features=64, norm=None, rng=rng),
    "glyph_net": lambda rng: nets.glyph_net(10, rng=rng),
    "word_model": lambda rng: nets.word_model(20, context=3, rng=rng),
}


@pytest.mark.parametrize("name", MAKERS)
def test_making_a_net_leaves_every_global_random_state_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    MAKERS[name](seed(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1] and np.array_equal(np.random.get_state()[1], before[2])


@pytest.mark.parametrize("name", MAKERS)
def test_weights_come_from_rng_alone(name):
    w = []
    for global_seed, own_seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(global_seed)
        w.append(flat.ravel(MAKERS[name](seed(own_seed))))
    assert torch.equal(w[0], w[1]) and not torch.equal(w[0], w[2])
    assert torch.isfinite(w[0]).all()


def test_weights_have_the_spread_of_he_et_al_and_biases_are_0():
    net = nets.mlp(400, 300, 10, rng=seed(0))
    assert net.hidden1.weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert net.hidden1.bias.abs().max() == 0


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (49, 10), (1, 1)])
@pytest.mark.parametrize("norm", ["group", "batch", None])
def test_ds_cnn_takes_images_of_any_size_with_the_same_weights(norm, shape):
    net = nets.ds_cnn(2, 12, width=8, blocks=3, norm=norm, rng=seed(0)).eval()
    assert net(torch.rand(3, 2, *shape)).shape == (3, 12)


@pytest.mark.parametrize("width", [1, 6, 7, 16])
def test_ds_cnn_finds_groups_for_every_width(width):
    assert nets.ds_cnn(1, 2, width=width, rng=seed(0))(torch.rand(2, 1, 8, 8)).shape == (2, 2)


def test_a_depthwise_separable_block_has_the_weights_of_the_paper():
    net = nets.ds_cnn(1, 10, width=16, blocks=1, norm=None, rng=seed(0))
    block = sum(p.numel() for name, p in net.named_parameters() if name in ("depthwise1.weight", "pointwise1.weight"))
    assert block == 3 * 3 * 16 + 16 * 16        # k k c + c c, instead of k k c c (Howard et al. 2017, sec. 3.1)


def test_the_net_of_the_keywords_has_the_stem_and_the_weights_of_hello_edge():
    net = nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm="batch", rng=seed(0)).eval()
    assert sum(p.numel() for p in net.parameters()) == 40 * 48 + 3 * (9 * 48 + 48 ** 2) + 7 * 2 * 48 + 48 * 12 + 12 == 11_388
    assert net.stem(torch.rand(1, 1, 49, 10)).shape == (1, 48, 25, 6)      # half of 49 and 10, and one column for the even kernel


def test_every_batch_norm_can_be_folded_into_the_convolution_before_it():
    net = nets.ds_cnn(1, 10, norm="batch", rng=seed(0))
    x = torch.rand(16, 1, 8, 8, generator=seed(1))
    for _ in range(3):
        net(x)      # give the statistics some values
    net.eval()
    folded, previous = [], None
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            folded[-1] = fuse_conv_bn_eval(previous, layer)
        else:
            folded.append(layer)
        previous = layer
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded)
    assert torch.allclose(nn.Sequential(*folded)(x), net(x), atol=1e-5)


@pytest.mark.parametrize("hidden, sizes", [(32, [64, 32, 10]), ((32,), [64, 32, 10]), ((20, 30), [64, 20, 30, 10]), ((), [64, 10])])
def test_mlp_has_the_weights_of_its_widths_and_takes_any_shape(hidden, sizes):
    net = nets.mlp(64, hidden, 10, rng=seed(0))
    assert len(flat.ravel(net)) == sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(net(x), net(x.reshape(5, 64)))


def test_tiny_cnn_for_digits_has_between_two_and_five_thousand_weights_and_takes_larger_images():
    net = nets.tiny_cnn(1, 10, rng=seed(0))
    assert len(flat.ravel(net)) == 80 + 1168 + 2320 + 170
    assert net(torch.rand(2, 1, 49, 10)).shape == (2, 10)


def test_word_model_reads_the_tokens_in_their_order():
    net = nets.word_model(30, context=3, rng=seed(0))
    x = torch.tensor([[1, 2, 3], [3, 2, 1], [1, 2, 3]])
    out = net(x)
    assert out.shape == (3, 30) and torch.equal(out[0], out[2]) and not torch.allclose(out[0], out[1])


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'layer' is unknown"):
        nets.ds_cnn(1, 10, norm="layer", rng=seed(0))


def test_mobile_net_has_the_layers_and_weights_that_its_docstring_tells():
    net = nets.mobile_net(1, 10, norm=None, rng=seed(0))
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 13 and flat.ravel(net).shape == (13_482,)
    assert [isinstance(getattr(net, f"block{i}"), nets.Residual) for i in (1, 2, 3, 4)] == [True, False, True, False]


def test_glyph_net_has_the_layers_and_weights_that_its_docstring_tells():
    net = nets.glyph_net(10, rng=seed(0))
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 14 and net[-1].in_features == 64
    assert flat.ravel(net[:-1]).shape == (21_104,) and net(torch.rand(3, 1, 16, 16)).shape == (3, 10)


@pytest.mark.parametrize("norm", ["batch", None])
def test_a_block_that_keeps_its_shape_adds_its_input(norm):
    net = nets.mobile_net(1, 10, norm=norm, rng=seed(0)).eval()
    x = torch.rand(2, 24, 4, 4, generator=seed(1))
    inside = x
    for layer in net.block3:
        inside = layer(inside)
    torch.testing.assert_close(net.block3(x), x + inside)
    torch.testing.assert_close(net.block2(x[:, :16])[0].shape, torch.Size([24, 2, 2]))


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (49, 10), (1, 1)])
def test_mobile_net_takes_images_of_any_size(shape):
    net = nets.mobile_net(2, 12, stem_stride=1, features=64, rng=seed(0)).eval()
    assert net(torch.rand(3, 2, *shape)).shape == (3, 12)


def test_mobile_net_refuses_a_norm_it_does_not_know():
    with pytest.raises(ValueError, match="norm 'group' is unknown"):
        nets.mobile_net(1, 10, norm="group", rng=seed(0))
