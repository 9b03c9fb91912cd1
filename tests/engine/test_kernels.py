"""The forward ops: floats against torch and, bit for bit, against a scalar loop; integers exactly against models.quant."""
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from odl_kit.engine import graph, kernels
from odl_kit.models import quant

FLOAT = np.float32


@st.composite
def shapes(draw):
    """(op fields, (n, h, w, c), o) of a convolution that fits."""
    groups = draw(st.integers(1, 3))
    c, o = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel, stride, padding = (tuple(draw(st.integers(low, high)) for _ in "hw") for low, high in ((1, 3), (1, 2), (0, 2)))
    h, w = (draw(st.integers(max(1, k - 2 * p), 6)) for k, p in zip(kernel, padding, strict=True))
    return {"kernel": kernel, "stride": stride, "padding": padding, "groups": groups}, (draw(st.integers(1, 2)), h, w, c), o


def places(x, fields):
    """(Ho, Wo)."""
    return [(x[1 + k] + 2 * fields["padding"][k] - fields["kernel"][k]) // fields["stride"][k] + 1 for k in (0, 1)]


def draws(seed):
    return np.random.default_rng(seed)


def call(kernel, kind, fields, arrays, **tensors):
    """Run a kernel on arrays by role; a mask gets its bytes. tensors: {role: (dtype, zero, scale)} where they are not float32."""
    t = {}
    for role, a in arrays.items():
        dtype, zero, scale = tensors.get(role, ("f32", 0, 0.0))
        t[role] = graph.Tensor(role, dtype, np.shape(a), zero=zero, scale=scale)
    op = graph.make_op(kind, **dict.fromkeys(arrays, 0), **fields)
    kernel(op, t, arrays)
    return arrays


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, 3, 1)))


def oihw(w):
    return torch.from_numpy(np.ascontiguousarray(w.transpose(0, 3, 1, 2)))


def bits(y):
    return np.zeros(-(-y.size // 8), np.uint8)


@given(shapes(), st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 0.6)]))
def test_a_float_convolution_is_torchs_and_its_mask_says_where_the_clamp_let_pass(shape, clamp):
    fields, x, o = shape
    rng = draws(o)
    a = {"x": rng.standard_normal(x, FLOAT), "w": rng.standard_normal((o, *fields["kernel"], x[3] // fields["groups"]), FLOAT),
         "b": rng.standard_normal((o, 1, 1, 1), FLOAT), "y": np.zeros((x[0], *places(x, fields), o), FLOAT)}
    a["mask"] = bits(a["y"])
    call(kernels.conv, "CONV", fields | dict(zip(("lo", "hi"), clamp, strict=True)), a)
    v = F.conv2d(nchw(a["x"]), oihw(a["w"]), torch.from_numpy(a["b"].reshape(-1)), fields["stride"], fields["padding"],
                 groups=fields["groups"])
    assert torch.allclose(nchw(a["y"]), v.clamp(*clamp), rtol=1e-5, atol=1e-5)
    mask = kernels.from_bits(a["mask"], a["y"].shape)
    assert np.array_equal(mask, (a["y"] > clamp[0]) & (a["y"] < clamp[1]))


@settings(max_examples=25)
@given(shapes())
def test_a_float_convolution_sums_kernel_rows_columns_then_channels_one_after_the_other(shape):
    fields, x, o = shape
    rng = draws(x[1])
    a = {"x": rng.standard_normal(x, FLOAT), "w": rng.standard_normal((o, *fields["kernel"], x[3] // fields["groups"]), FLOAT),
         "b": rng.standard_normal((o, 1, 1, 1), FLOAT), "y": np.zeros((x[0], *places(x, fields), o), FLOAT)}
    call(kernels.conv, "CONV", fields | {"lo": -np.inf, "hi": np.inf}, a)
    (ph, pw), (sh, sw) = fields["padding"], fields["stride"]
    framed, per, each = np.pad(a["x"], ((0, 0), (ph, ph), (pw, pw), (0, 0))), x[3] // fields["groups"], o // fields["groups"]
    for n, i, j, k in np.ndindex(*a["y"].shape):
        acc = a["b"][k, 0, 0, 0]
        for r, s, c in np.ndindex(*fields["kernel"], per):
            acc = FLOAT(acc + FLOAT(framed[n, i * sh + r, j * sw + s, k // each * per + c] * a["w"][k, r, s, c]))
        assert acc == a["y"][n, i, j, k]


@given(shapes(), st.integers(-128, 127), st.integers(-128, 127))
def test_an_integer_convolution_is_that_of_models_quant_to_the_last_bit(shape, zx, zy):
    fields, x, o = shape
    rng = draws(zx + 200)
    a = {"x": rng.integers(-128, 128, x).astype(np.int8), "b": rng.integers(-3000, 3000, (o, 1, 1, 1)).astype(np.int32),
         "w": rng.integers(-127, 128, (o, *fields["kernel"], x[3] // fields["groups"])).astype(np.int8),
         "m": (0.02 * rng.random((o, 1, 1, 1))).astype(FLOAT), "y": np.zeros((x[0], *places(x, fields), o), np.int8)}
    a["mask"] = bits(a["y"])
    call(kernels.conv, "CONV", fields, a, x=("s8", zx, 1.0), y=("s8", zy, 1.0))
    seen = torch.nn.Parameter(nchw(a["x"]).float())
    b, m = (torch.from_numpy(a[role].reshape(-1).astype(FLOAT)) for role in "bm")
    ref = quant.conv2d_int8(seen, oihw(a["w"]).float(), b, m=m,
                            z_x=float(zx), z_y=float(zy), stride=fields["stride"], padding=fields["padding"], groups=fields["groups"])
    assert torch.equal(nchw(a["y"]).float(), ref)
    kept = ref.grad_fn.saved_tensors[0].numpy()           # the bits that torch's clamp keeps, of (N, C, H, W), the first bit high
    packed = np.packbits(np.moveaxis(kernels.from_bits(a["mask"], a["y"].shape), 3, 1).reshape(-1))
    assert np.array_equal(packed, kept)


def test_a_sum_that_leaves_int32_wraps_as_a_processor_does():
    assert kernels.wrapped(np.array([2.0**31, -2.0**31 - 1, 5.0])).tolist() == [FLOAT(-2.0**31), FLOAT(2.0**31), 5.0]


def test_an_integer_sum_is_that_of_models_quant_to_the_last_bit():
    rng = draws(0)
    a = {role: rng.integers(-128, 128, (2, 3, 3, 5)).astype(np.int8) for role in "aby"}
    a["mask"] = bits(a["y"])
    ma, mb = quant.float32(0.7341), quant.float32(1.311)
    call(kernels.add, "ADD", {"lo": ma, "hi": mb}, a, a=("s8", -3, 1.0), b=("s8", 12, 1.0), y=("s8", -128, 1.0))
    left, right = (torch.from_numpy(a[role].astype(FLOAT)) for role in "ab")
    assert torch.equal(torch.from_numpy(a["y"].astype(FLOAT)), quant.add_int8(left, right, m_a=ma, m_b=mb, z_a=-3., z_b=12., z_y=-128.))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(0, 3))
def test_pooling_is_torchs_with_ties_to_the_first(kernel, stride, padding, seed):
    padding = min(padding, kernel // 2)
    fields = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": (padding, padding)}
    x = draws(seed).integers(-4, 4, (2, 5, 6, 3)).astype(FLOAT)               # few values: many ties
    y = np.zeros((2, *places(x.shape, fields), 3), FLOAT)
    a = call(kernels.max_pool, "MAX_POOL", fields, {"x": x, "y": y.copy(), "place": np.zeros(y.shape, np.uint8)})
    ref, index = F.max_pool2d(nchw(x), kernel, stride, padding, return_indices=True)
    row, column = np.indices(y.shape[1:3])
    place = a["place"].astype(int)
    flat = (row[..., None] * stride - padding + place // kernel) * 6 + column[..., None] * stride - padding + place % kernel
    assert torch.equal(nchw(a["y"]), ref) and np.array_equal(np.moveaxis(flat, 3, 1), index.numpy())
    a = call(kernels.avg_pool, "AVG_POOL", fields, {"x": x, "y": y.copy()})
    assert torch.allclose(nchw(a["y"]), F.avg_pool2d(nchw(x), kernel, stride, padding), atol=1e-6)


def test_the_mean_of_integers_is_that_of_models_quant_and_padding_is_a_real_zero():
    x = draws(1).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    fields = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    a = call(kernels.avg_pool, "AVG_POOL", fields, {"x": x, "y": np.zeros((1, 4, 4, 2), np.int8)}, x=("s8", 5, 1.0), y=("s8", 5, 1.0))
    sums = F.avg_pool2d(nchw(x).float() - 5, 3, 1, 1, divisor_override=1)
    assert torch.equal(nchw(a["y"]).float(), quant.mean_int8(sums, 9, 5.0))


def test_the_largest_integer_of_a_padded_window_is_never_the_padding():
    a = call(kernels.max_pool, "MAX_POOL", {"kernel": (2, 2), "stride": (2, 2), "padding": (1, 1)},
             {"x": np.full((1, 2, 2, 1), -128, np.int8), "y": np.zeros((1, 2, 2, 1), np.int8), "place": np.zeros((1, 2, 2, 1), np.uint8)},
             x=("s8", 7, 1.0))
    assert (a["y"] == -128).all() and a["place"].reshape(-1).tolist() == [3, 2, 1, 0]


def lost(logits, labels):
    """(loss, d logits (N, C)) of logits (N, C)."""
    logits = FLOAT(logits)[:, None, None]
    a = {"logits": logits, "labels": np.array(labels, np.int32).reshape(-1, 1, 1, 1), "dlogits": np.zeros_like(logits),
         "loss": np.zeros((1, 1, 1, 1), FLOAT)}
    with np.errstate(over="ignore"):
        call(kernels.loss, "LOSS", {}, a, labels=("s32", 0, 0.0))
    return a["loss"].item(), a["dlogits"][:, 0, 0]


def test_the_loss_is_torchs_cross_entropy_and_its_gradient():
    free = torch.tensor(4 * draws(2).standard_normal((5, 7), FLOAT), requires_grad=True)
    loss = F.cross_entropy(free, torch.tensor([0, 6, 3, 3, 2]))
    loss.backward()
    found, gradient = lost(free.detach().numpy(), [0, 6, 3, 3, 2])
    assert abs(found - loss.item()) < 1e-6 and np.abs(gradient - free.grad.numpy()).max() < 1e-7


def test_far_logits_do_not_overflow_the_gradient():
    assert lost([[3e38, -3e38, 0]], [1])[1].tolist() == [[1.0, -1.0, 0.0]]


def test_a_clamp_lets_no_number_and_minus_zero_pass_as_c_does():
    y = np.zeros((1, 1, 1, 3), FLOAT)
    call(kernels.relu, "RELU", {"lo": 0.0, "hi": 6.0}, {"x": FLOAT([np.nan, -0.0, 7]).reshape(1, 1, 1, 3), "y": y})
    assert np.isnan(y[0, 0, 0, 0]) and np.signbit(y[0, 0, 0, 1]) and y[0, 0, 0, 2] == 6


def test_gather_copies_the_named_channels():
    x = np.arange(24, dtype=FLOAT).reshape(1, 2, 3, 4)
    named, y = np.array([1, 3], np.uint16).reshape(2, 1, 1, 1), np.zeros((1, 2, 3, 2), FLOAT)
    a = call(kernels.gather, "GATHER", {}, {"x": x, "channels": named, "y": y})
    assert np.array_equal(a["y"], x[..., [1, 3]])
