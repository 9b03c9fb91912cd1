"""The layers of a QuantNet one by one; whole nets are in test_quantize."""
import numpy as np
import pytest
import torch

from odl_kit.models import nets, quant, quantize, quantnet

seed = torch.Generator().manual_seed


def int8(*shape, number=0):
    return torch.randint(-128, 128, shape, generator=seed(number)).float()


def test_a_layer_computes_like_its_op_and_its_multiplier_is_the_float32_next_to_the_quotient():
    s_w = torch.rand(6, generator=seed(0)) * 0.01
    layer = quantnet.QConv2d(4, 6, 3, stride=2, padding=1, groups=2).scaled("c", s_w, (0.02, 5.0), (0.03, -7.0))
    layer.weight.data, layer.bias.data = int8(6, 2, 3, 3).clamp(-127, 127), int8(6, number=1)
    x = int8(2, 4, 5, 5, number=2)
    expected = quant.conv2d_int8(x, layer.weight, layer.bias, m=layer.m, z_x=5.0, z_y=-7.0, stride=2, padding=1, groups=2)
    assert torch.equal(layer(x), expected)
    for m, s in zip(layer.m.numpy(), layer.s_w.numpy(), strict=True):
        assert m == np.float32(np.float64(s) * 0.02 / 0.03)


def test_quantize_and_dequantize_are_the_affine_map_and_its_inverse():
    q = quantnet.Quantize(None, (0.5, 3.0))(torch.tensor([-100.0, -0.25, 0.0, 0.25, 0.75, 100.0]))
    assert q.tolist() == [-128, 3, 3, 3, 5, 127]        # 0.5 and 1.5 steps go to even: 0 and 2
    assert quantnet.Dequantize((0.5, 3.0))(q).tolist() == [-65.5, 0, 0, 0, 1.0, 62.0]


def test_a_relu_of_its_own_is_a_clamp_at_zero_in_a_new_scale():
    q = torch.tensor([-10.0, 4.0, 5.0, 7.0])
    assert quantnet.QReLU((0.2, 4.0), (0.1, -128.0))(q).tolist() == [-128, -128, -126, -122]


@pytest.mark.parametrize("padding", [0, 1])
def test_pooling_is_numpys_mean_rounded_half_to_even_with_real_zeros_around(padding):
    q, z = int8(2, 3, 6, 6), 9
    padded = np.pad(q.numpy() - z, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    rows = (6 + 2 * padding - 2) // 2 + 1
    sums = padded[:, :, :2 * rows, :2 * rows].reshape(2, 3, rows, 2, rows, 2).sum((3, 5))
    expected = np.rint(sums * np.float32(0.25)) + z
    assert np.array_equal(quantnet.QAvgPool((0.1, 9.0), (2, 2), (2, 2), (padding, padding))(q).numpy(), expected)
    mean = np.rint((q.numpy() - z).sum((2, 3)) * np.float32(1 / 36)) + z
    assert np.array_equal(quantnet.QGlobalPool((0.1, 9.0), False)(q).numpy(), mean)
    assert quantnet.QGlobalPool((0.1, 9.0), True)(q).shape == (2, 3, 1, 1)


def test_a_quantnet_says_its_bytes_and_its_scales():
    net, x = nets.tiny_cnn(1, 10, rng=seed(0)), torch.rand(8, 1, 8, 8, generator=seed(1))
    made = quantize.quantize_model(net, x)
    weights, channels = 72 + 1152 + 2304, 8 + 16 + 16
    assert made.nbytes == weights + 4 * channels + 4 * channels + 4 * 170        # int8, int32, multipliers, the float head
    assert quantize.quantize_model(net, x, bits=4).nbytes == weights // 2 + 8 * channels + 4 * 170
    said = made.scales()
    assert list(said) == ["conv1", "conv2", "conv3"] and said["conv2"]["s_x"] == said["conv1"]["s_y"]
    assert said["conv1"]["z_y"] == -128 and len(said["conv3"]["m"]) == 16
    real = said["conv1"]["s_w"].view(-1, 1, 1, 1) * made.conv1.weight
    assert (real - net.conv1.weight).abs().max() <= said["conv1"]["s_w"].max() / 2 * 1.001
