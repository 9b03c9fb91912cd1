"""The backward ops against torch, and bit for bit against a scalar loop; the updates against their formula."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from odl_kit.engine import gradients, graph, kernels

FLOAT, HALF = np.float32, gradients.Rule(0.5)


@st.composite
def convolutions(draw):
    """(op fields, x, w, g): random arrays of a convolution that fits, channels last."""
    groups = draw(st.integers(1, 3))
    c, o = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel, stride, padding = (tuple(draw(st.integers(low, high)) for _ in "hw") for low, high in ((1, 3), (1, 2), (0, 2)))
    h, w = (draw(st.integers(max(1, k - 2 * p), 5)) for k, p in zip(kernel, padding, strict=True))
    out = [(size + 2 * p - k) // s + 1 for size, k, s, p in zip((h, w), kernel, stride, padding, strict=True)]
    rng, n = np.random.default_rng(draw(st.integers(0, 99))), draw(st.integers(1, 2))
    arrays = [rng.standard_normal(dims, FLOAT) for dims in ((n, h, w, c), (o, *kernel, c // groups), (n, *out, o))]
    return {"kernel": kernel, "stride": stride, "padding": padding, "groups": groups}, *arrays


def call(kernel, kind, fields, arrays, rule=None, **tensors):
    t = {role: tensors.get(role, graph.Tensor(role, "f32", np.shape(a))) for role, a in arrays.items()}
    op = graph.make_op(kind, **dict.fromkeys(arrays, 7), **fields)
    kernel(op, t, arrays, *([rule] if rule else []))
    return arrays


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, 3, 1)))


def torchs(fields):
    return {"stride": fields["stride"], "padding": fields["padding"], "groups": fields["groups"]}


@given(convolutions())
def test_the_input_gradient_is_torchs(case):
    fields, x, w, g = case
    a = call(gradients.conv_dx, "CONV_DX", fields, {"g": g, "w": w, "dx": np.full(x.shape, np.nan, FLOAT)})
    ref = conv2d_input(nchw(x).shape, nchw(w), nchw(g), **torchs(fields))
    assert torch.allclose(nchw(a["dx"]), ref, rtol=1e-5, atol=1e-5)


@given(convolutions())
def test_the_weight_gradient_is_torchs_depthwise_and_grouped_included(case):
    fields, x, w, g = case
    ref = conv2d_weight(nchw(x), nchw(w).shape, nchw(g), **torchs(fields))
    a = call(gradients.conv_dw, "CONV_DW", fields, {"g": g, "x": x, "dw": np.full(w.shape, np.nan, FLOAT)})
    assert torch.allclose(nchw(a["dw"]), ref, rtol=1e-5, atol=1e-5)


@given(convolutions(), st.data())
def test_the_weight_gradient_of_some_channels_has_the_bits_of_the_whole_one(case, data):
    fields, x, w, g = case
    channels = sorted(data.draw(st.sets(st.integers(0, x.shape[3] - 1), min_size=1)))
    whole = call(gradients.conv_dw, "CONV_DW", fields, {"g": g, "x": x, "dw": np.zeros(w.shape, FLOAT)})["dw"]
    dims = graph.gradient_dims(w.shape, fields["groups"], len(channels))
    a = call(gradients.conv_dw, "CONV_DW", fields | {"hi": w.shape[3]},
             {"g": g, "x": x[..., channels], "channels": np.array(channels, np.uint16), "dw": np.zeros(dims, FLOAT)})
    assert np.array_equal(a["dw"], whole.reshape(-1)[graph.weight_index(w.shape, fields["groups"], channels)])


@given(convolutions())
def test_of_integers_the_gradients_are_those_of_the_numbers_that_they_carry(case):
    fields, x, w, g = case
    x8, w8 = np.clip(x * 40, -128, 127).astype(np.int8), np.clip(w * 40, -127, 127).astype(np.int8)
    s8 = {"x": graph.Tensor("x", "s8", x.shape, zero=-5)}
    a = call(gradients.conv_dw, "CONV_DW", fields, {"g": g, "x": x8, "dw": np.zeros(w.shape, FLOAT)}, **s8)
    b = call(gradients.conv_dw, "CONV_DW", fields, {"g": g, "x": x8.astype(FLOAT) + 5, "dw": np.zeros(w.shape, FLOAT)})
    assert np.array_equal(a["dw"], b["dw"])
    a = call(gradients.conv_dx, "CONV_DX", fields, {"g": g, "w": w8, "dx": np.zeros(x.shape, FLOAT)})
    b = call(gradients.conv_dx, "CONV_DX", fields, {"g": g, "w": w8.astype(FLOAT), "dx": np.zeros(x.shape, FLOAT)})
    assert np.array_equal(a["dx"], b["dx"])


@settings(max_examples=25)
@given(convolutions())
def test_the_gradients_sum_in_the_order_of_the_contract(case):
    fields, x, w, g = case
    (ph, pw), (sh, sw) = fields["padding"], fields["stride"]
    per, each = w.shape[3], w.shape[0] // fields["groups"]
    a = call(gradients.conv_dx, "CONV_DX", fields, {"g": g, "w": w, "dx": np.zeros(x.shape, FLOAT)})
    b = call(gradients.conv_dw, "CONV_DW", fields, {"g": g, "x": x, "dw": np.zeros(w.shape, FLOAT)})
    c = call(gradients.conv_db, "CONV_DB", {}, {"g": g, "db": np.zeros((g.shape[3], 1, 1, 1), FLOAT)})
    dx, dw, db = np.zeros(x.shape, FLOAT), np.zeros(w.shape, FLOAT), np.zeros(g.shape[3], FLOAT)
    for n, h, v, q in np.ndindex(*x.shape):             # kernel positions ascending, inside o ascending
        for r, s in np.ndindex(*fields["kernel"]):
            i, j = h + ph - r, v + pw - s
            if i % sh == 0 and j % sw == 0 and 0 <= i // sh < g.shape[1] and 0 <= j // sw < g.shape[2]:
                for o in range(q // per * each, q // per * each + each):
                    dx[n, h, v, q] += FLOAT(g[n, i // sh, j // sw, o] * w[o, r, s, q % per])
    framed = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    for n, i, j in np.ndindex(*g.shape[:3]):            # positions (n, ho, wo) ascending
        db += g[n, i, j]
        for o, r, s, q in np.ndindex(*w.shape):
            dw[o, r, s, q] += FLOAT(g[n, i, j, o] * framed[n, i * sh + r, j * sw + s, o // each * per + q])
    assert np.array_equal(a["dx"], dx) and np.array_equal(b["dw"], dw) and np.array_equal(c["db"].reshape(-1), db)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)])
def test_pooling_gradients_are_torchs_and_sum_in_the_order_of_the_outputs(kernel, stride, padding):
    rng = np.random.default_rng(kernel)
    x = rng.standard_normal((2, 6, 5, 3)).astype(FLOAT)
    fields = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": (padding, padding)}
    free = nchw(x).requires_grad_()
    pooled = F.avg_pool2d(free, kernel, stride, padding)
    g = rng.standard_normal(np.moveaxis(pooled.detach().numpy(), 1, 3).shape).astype(FLOAT)
    pooled.backward(nchw(g))
    a = call(gradients.avg_pool_dx, "AVG_POOL_DX", fields, {"g": g, "dx": np.zeros(x.shape, FLOAT)})
    assert torch.allclose(nchw(a["dx"]), free.grad, atol=1e-6)
    by_outputs = np.zeros(x.shape, FLOAT)
    for n, i, j, c in np.ndindex(*g.shape):
        for r, s in np.ndindex(kernel, kernel):
            h, w = i * stride + r - padding, j * stride + s - padding
            if 0 <= h < 6 and 0 <= w < 5:
                by_outputs[n, h, w, c] += FLOAT(g[n, i, j, c] * FLOAT(1 / kernel**2))
    assert np.array_equal(a["dx"], by_outputs)

    free = nchw(x).requires_grad_()
    F.max_pool2d(free, kernel, stride, padding).backward(nchw(g))
    op = graph.make_op("MAX_POOL", x=0, y=0, place=0, **fields)
    seen = {"x": x, "y": np.zeros(g.shape, FLOAT), "place": np.zeros(g.shape, np.uint8)}
    kernels.max_pool(op, dict.fromkeys(seen, graph.Tensor("", "f32", ())), seen)
    a = call(gradients.max_pool_dx, "MAX_POOL_DX", fields, {"g": g, "place": seen["place"], "dx": np.zeros(x.shape, FLOAT)})
    assert torch.allclose(nchw(a["dx"]), free.grad, atol=1e-6)


def test_a_gradient_is_scaled_by_channel_where_the_mask_has_a_one_and_is_plus_zero_elsewhere():
    gy, m = FLOAT([[1, -2], [3, -4]]).reshape(1, 2, 1, 2), FLOAT([10, 0.5]).reshape(2, 1, 1, 1)
    mask = kernels.to_bits(np.array([1, 1, 0, 0], bool))
    a = call(gradients.scale_grad, "SCALE_GRAD", {}, {"gy": gy, "mask": mask, "m": m, "g": np.zeros_like(gy)})
    assert a["g"].reshape(-1).tolist() == [10, -1, 0, 0] and not np.signbit(a["g"][0, 1]).any()
    a = call(gradients.scale_grad, "SCALE_GRAD", {"lo": 2.0}, {"gy": gy, "g": gy})        # in place
    assert a["g"].reshape(-1).tolist() == [2, -4, 6, -8]


def updated(w, grad, dtype="f32", rule=HALF, lo=0.0, **more):
    stored = np.array(w, graph.DTYPES[dtype]).reshape(-1, 1, 1, 1)
    a = {"w": stored, "grad": FLOAT(grad).reshape(-1, 1, 1, 1)} | {k: FLOAT(v).reshape(-1, 1, 1, 1) for k, v in more.items()}
    call(gradients.update, "UPDATE", {"lo": lo}, a, rule, w=graph.Tensor("w", dtype, stored.shape, "state"))
    return a


def test_an_update_rounds_half_to_even_and_saturates():
    a = updated([5, 6, 120, -120, 0], [1, 1, -100, 100, np.nan], "s8")
    assert a["w"].reshape(-1).tolist() == [4, 6, 127, -127, 0]          # 4.5 -> 4, 5.5 -> 6
    assert updated([2**22], [-2.0**25], "s32")["w"].item() == 2**23
    assert updated([1.5], [0.25])["w"].item() == 1.375


def test_r_scales_each_output_channel_and_momentum_keeps_a_fading_sum():
    a = updated([0.0, 0.0], [1, 1], r=[2, 4], velocity=[1, 0], lo=0.5)
    assert a["velocity"].reshape(-1).tolist() == [2.5, 4] and a["w"].reshape(-1).tolist() == [-1.25, -2]


def test_stochastic_rounding_is_right_on_average_and_each_step_draws_anew():
    rules = [gradients.Rule(1.0, "stochastic", seed=1, step=s) for s in (0, 1)]
    first, second = (updated([3] * 4000, [0.3] * 4000, "s8", rule)["w"].reshape(-1) for rule in rules)
    assert set(first) == {2, 3} and abs(first.mean() - 2.7) < 0.03      # 4 sigma: 0.029
    assert not np.array_equal(first, second)


@given(convolutions(), st.booleans(), st.data())
def test_gradient_and_update_in_one_have_the_bits_of_one_after_the_other(case, momentum, data):
    fields, x, w, g = case
    channels = sorted(data.draw(st.sets(st.integers(0, x.shape[3] - 1), min_size=1)))
    named, part = np.array(channels, np.uint16), x[..., channels]
    dims, rule = graph.gradient_dims(w.shape, fields["groups"], len(channels)), gradients.Rule(0.1, "stochastic", 5, 2)
    w8, r = np.clip(w * 40, -127, 127).astype(np.int8), np.linspace(10, 90, len(w)).astype(FLOAT).reshape(-1, 1, 1, 1)
    tensor = {"w": graph.Tensor("w", "s8", w8.shape, "state")}
    extra = {"velocity": np.ones(dims, FLOAT)} if momentum else {}
    dw = np.zeros(dims, FLOAT)
    call(gradients.conv_dw, "CONV_DW", fields | {"hi": w.shape[3]}, {"g": g, "x": part, "channels": named, "dw": dw})
    one = call(gradients.update, "UPDATE", {"groups": fields["groups"], "lo": 0.9},
               {"w": w8.copy(), "grad": dw, "r": r, "channels": named} | {k: v.copy() for k, v in extra.items()}, rule, **tensor)
    two = call(gradients.conv_dw_update, "CONV_DW_UPDATE", fields | {"lo": 0.9},
               {"g": g, "x": part, "channels": named, "w": w8.copy(), "r": r} | {k: v.copy() for k, v in extra.items()}, rule, **tensor)
    assert np.array_equal(one["w"], two["w"]) and np.array_equal(one.get("velocity", 0), two.get("velocity", 0))
    frozen = np.ones(w8.size, bool)
    frozen[graph.weight_index(w.shape, fields["groups"], channels).reshape(-1)] = False
    assert np.array_equal(one["w"].reshape(-1)[frozen], w8.reshape(-1)[frozen])
