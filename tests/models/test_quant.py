"""The integer ops against plain loops over NumPy scalars, and their gradients against autograd of the formula."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from odl_kit.models import quant

seed = torch.Generator().manual_seed


def integers(low, high, *shape, rng):
    return torch.randint(low, high + 1, shape, generator=rng).float()


def requantized(acc, m, z_y):
    """One output value: float32 product, half to even, clamp; np.rint and np.float32 are the definition."""
    return float(np.clip(np.rint(np.float32(acc) * np.float32(m)) + np.float32(z_y), -128, 127))


def conv_loop(x, w, b, m, z_x, z_y, stride, padding, groups):
    """The oracle: Python integers, one output after the other; outside the image is a real 0."""
    n, c, height, width = x.shape
    o, per, kh, kw = w.shape
    rows, columns = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    y = torch.empty(n, o, rows, columns)
    for i in range(n):
        for k in range(o):
            for r in range(rows):
                for q in range(columns):
                    acc = int(b[k])
                    for j in range(per):
                        for u in range(kh):
                            for v in range(kw):
                                at, to = r * stride + u - padding, q * stride + v - padding
                                if 0 <= at < height and 0 <= to < width:
                                    acc += (int(x[i, k // (o // groups) * per + j, at, to]) - int(z_x)) * int(w[k, j, u, v])
                    y[i, k, r, q] = requantized(acc, m[k], z_y)
    return y


@st.composite
def convolutions(draw):
    """Shapes of plain, grouped and depthwise convolutions."""
    groups, per, each = draw(st.sampled_from([(1, 3, 4), (1, 1, 2), (2, 2, 3), (4, 1, 1), (3, 1, 2)]))
    return {"groups": groups, "per": per, "each": each, "kernel": draw(st.sampled_from([1, 2, 3])), "stride": draw(st.integers(1, 2)),
            "padding": draw(st.integers(0, 2)), "size": draw(st.integers(3, 6)), "z_x": draw(st.integers(-128, 127)),
            "z_y": draw(st.integers(-128, 127)), "seed": draw(st.integers(0, 99))}


@settings(max_examples=40, deadline=None)
@given(s=convolutions())
def test_an_integer_convolution_equals_the_plain_loop_value_for_value(s):
    rng = seed(s["seed"])
    x = integers(-128, 127, 2, s["groups"] * s["per"], s["size"], s["size"], rng=rng)
    w = integers(-127, 127, s["groups"] * s["each"], s["per"], s["kernel"], s["kernel"], rng=rng)
    b, m = integers(-9999, 9999, len(w), rng=rng), torch.rand(len(w), generator=rng) * 0.01
    how = {"stride": s["stride"], "padding": s["padding"], "groups": s["groups"]}
    ours = quant.conv2d_int8(x, w, b, m=m, z_x=s["z_x"], z_y=s["z_y"], **how)
    assert torch.equal(ours, conv_loop(x, w, b, m.numpy(), s["z_x"], s["z_y"], **how))


def test_halves_go_to_even_and_the_clamp_saturates_on_both_sides():
    x, w = torch.tensor([[1.0], [3.0], [5.0], [-1.0], [127.0], [-128.0]]), torch.ones(1, 1)
    half = quant.linear_int8(x, w, None, m=torch.tensor([0.5]), z_x=0, z_y=0)
    assert half.flatten().tolist() == [0, 2, 2, 0, 64, -64]
    assert quant.linear_int8(x, 9 * w, None, m=torch.ones(1), z_x=0, z_y=5).flatten().tolist() == [14, 32, 50, -4, 127, -128]


@settings(max_examples=20, deadline=None)
@given(features=st.integers(1, 64), z_x=st.integers(-128, 127), number=st.integers(0, 99))
def test_an_integer_linear_layer_equals_the_plain_loop(features, z_x, number):
    rng = seed(number)
    x, w, b = integers(-128, 127, 3, features, rng=rng), integers(-127, 127, 5, features, rng=rng), integers(-500, 500, 5, rng=rng)
    m = torch.rand(5, generator=rng) * 0.001
    ours = quant.linear_int8(x, w, b, m=m, z_x=z_x, z_y=-128)
    for i in range(3):
        for k in range(5):
            acc = int(b[k]) + sum((int(p) - z_x) * int(q) for p, q in zip(x[i], w[k], strict=True))
            assert ours[i, k] == requantized(acc, m[k].numpy(), -128)


def test_a_sum_of_two_tensors_equals_the_loop_with_every_product_rounded_to_float32():
    rng = seed(0)
    a, b = integers(-128, 127, 200, rng=rng), integers(-128, 127, 200, rng=rng)
    m_a, m_b = quant.float32(0.7312345678), quant.float32(1.1298765432)
    ours = quant.add_int8(a, b, m_a=m_a, m_b=m_b, z_a=3, z_b=-7, z_y=10)
    for p, q, y in zip(a.numpy(), b.numpy(), ours, strict=True):
        real = np.float32(p - 3) * np.float32(m_a) + np.float32(q + 7) * np.float32(m_b)
        assert y == float(np.clip(np.rint(real) + 10, -128, 127))


def test_a_mean_is_rounded_half_to_even_in_the_scale_of_its_input():
    q = torch.tensor([[1.0, 2.0], [3.0, 4.0], [-1.0, -2.0]])
    assert quant.mean_int8((q - 0).sum(1), 2, 0).tolist() == [2, 4, -2]     # 1.5, 3.5, -1.5
    assert quant.mean_int8((q + 128).sum(1), 2, -128).tolist() == [2, 4, -2]


@pytest.mark.parametrize("groups, w_shape", [(1, (4, 6, 3, 3)), (6, (6, 1, 3, 3)), (2, (4, 3, 1, 1))])
def test_gradients_are_those_of_the_formula_without_its_roundings_where_the_clamp_did_not_cut(groups, w_shape):
    rng = seed(1)
    x, w = integers(-128, 127, 2, 6, 5, 5, rng=rng), integers(-127, 127, *w_shape, rng=rng)
    b, z_x, z_y = integers(-3000, 3000, w_shape[0], rng=rng), 12, -30
    m = (50 + 100 * torch.rand(w_shape[0], generator=rng)) / F.conv2d(x - z_x, w, groups=groups).std()     # some outputs are cut
    for t in (x, w, b):
        t.requires_grad_()
    g = torch.randn(F.conv2d(x, w, groups=groups).shape, generator=rng)
    ours = torch.autograd.grad((g * quant.conv2d_int8(x, w, b, m=m, z_x=z_x, z_y=z_y, groups=groups)).sum(), (x, w, b))
    x, w, b, m, g = (t.detach().double() for t in (x, w, b, m, g))
    for t in (x, w, b):
        t.requires_grad_()
    real = F.conv2d(x - z_x, w, b, groups=groups) * m.view(-1, 1, 1)
    inside = (real.round() + z_y >= -128) & (real.round() + z_y <= 127)
    assert 0.05 < inside.double().mean() < 0.95
    expected = torch.autograd.grad((g * real * inside).sum(), (x, w, b))
    for a, e in zip(ours, expected, strict=True):
        assert torch.allclose(a.double(), e, rtol=1e-5, atol=1e-5 * e.abs().max().item())


def test_latent_weights_are_rounded_in_the_forward_pass_and_learn_all_the_same():
    x, m = integers(-128, 127, 4, 8, rng=seed(0)), torch.full((3,), 0.01)
    w = (integers(-20, 20, 3, 8, rng=seed(1)) + 0.4 * torch.rand(3, 8, generator=seed(2))).requires_grad_()
    b = torch.tensor([0.3, -7.6, 2.5])
    ours = quant.linear_int8(x, w, b, m=m, z_x=0, z_y=0)
    assert torch.equal(ours, quant.linear_int8(x, w.detach().round(), torch.tensor([0.0, -8.0, 2.0]), m=m, z_x=0, z_y=0))
    assert torch.autograd.grad(ours.sum(), w)[0].abs().sum() > 0


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple), number=st.integers(0, 99))
def test_packed_bits_come_back_in_their_shape_and_take_an_eighth(shape, number):
    mask = torch.rand(shape, generator=seed(number)) > 0.5
    bits = quant.pack(mask)
    assert bits.numel() == -(-mask.numel() // 8) and bits.dtype == torch.uint8
    assert torch.equal(quant.unpack(bits, mask.shape).bool(), mask)


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 999), lr=st.floats(1e-4, 1.0))
def test_one_qas_step_in_integer_units_is_one_sgd_step_in_real_units(number, lr):
    """dL/dq = s dL/dv, so v + s * (-lr * (s g) / s^2) = v - lr * g: weights with s_w, biases with s_w * s_x."""
    rng = seed(number)
    s_w, s_x = 10 ** (-1 - 4 * torch.rand(5, generator=rng)), 0.02
    for v, s in ((torch.randn(5, 3, 2, 2, generator=rng), s_w), (torch.randn(5, generator=rng), s_w * s_x)):
        g = torch.randn(v.shape, generator=rng)
        wide = s.view(-1, *[1] * (v.dim() - 1))
        q = v / wide - lr * quant.qas_scale(g * wide, s)
        assert torch.allclose(q * wide, v - lr * g, rtol=1e-4, atol=1e-5)


def test_a_sum_that_float32_could_not_hold_is_refused_with_the_name_of_the_layer():
    x, m = torch.zeros(1, 600), torch.ones(1)
    w = torch.full((1, 600), 127.0)
    with pytest.raises(ValueError, match="'wide': a sum can reach 19,431,000, float32 counts to 16,777,216"):
        quant.linear_int8(x, w, None, m=m, z_x=-128, z_y=0, name="wide")
    quant.linear_int8(x, w, None, m=m, z_x=0, z_y=0)        # |x| <= 128 then: 9,753,600
    with pytest.raises(ValueError, match="'conv2d_int8'"):
        quant.conv2d_int8(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.tensor([2.0**24]), m=m, z_x=0, z_y=0)


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_outside_two_to_eight_are_refused(bits):
    with pytest.raises(ValueError, match="2 to 8"):
        quant.span(bits)
    assert [quant.span(b) for b in (2, 8)] == [(-2, 1), (-128, 127)]
