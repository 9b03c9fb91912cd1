import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.models import calibrate

seed = torch.Generator().manual_seed


@settings(max_examples=50, deadline=None)
@given(a=st.floats(-100, 100), b=st.floats(-100, 100), bits=st.integers(2, 8))
def test_zero_is_exact_and_the_ends_of_the_range_come_back_within_half_a_step(a, b, bits):
    low, high = min(a, b), max(a, b) + 1e-3
    scale, zero = calibrate.affine(low, high, bits)
    assert zero == int(zero) and -2 ** (bits - 1) <= zero <= 2 ** (bits - 1) - 1
    ends = torch.tensor([low, 0.0, high])
    back = calibrate.fake(ends, scale, zero, bits)
    assert back[1] == 0 and (back - ends).abs().max() <= scale * 1.0001      # the zero point is rounded too: half a step and half a step


def test_a_range_of_positive_numbers_begins_at_the_least_integer_so_that_the_clamp_is_a_relu():
    assert calibrate.affine(0.0, 2.55) == (pytest.approx(0.01), -128)
    assert calibrate.affine(0.5, 2.55)[1] == -128
    assert calibrate.affine(0.0, 0.0)[0] > 0        # a tensor that is always 0


def test_percentile_is_numpys_and_minmax_takes_everything():
    v = torch.randn(5000, generator=seed(0))
    v[7] = 100.0
    low, high = calibrate.percentile(v, share=0.99)
    assert (low, high) == (pytest.approx(np.quantile(v, 0.01), abs=1e-5), pytest.approx(np.quantile(v, 0.99), abs=1e-5))
    assert calibrate.minmax(v) == (v.min().item(), 100.0)


@pytest.mark.parametrize("bits", [3, 8])
def test_mse_has_no_larger_error_than_the_full_range_and_cuts_an_outlier_where_bits_are_few(bits):
    v = torch.cat([torch.randn(4000, generator=seed(0)), torch.tensor([12.0])])

    def error(low, high):
        return (calibrate.fake(v, *calibrate.affine(low, high, bits), bits) - v).square().mean().item()
    best = calibrate.mse(v, bits)
    assert error(*best) <= error(*calibrate.minmax(v))
    assert best[1] < 12 if bits == 3 else best[1] > 6


def test_scales_of_weights_are_one_a_channel_and_the_largest_weight_takes_the_last_step():
    w = torch.randn(4, 3, 2, 2, generator=seed(0))
    s = calibrate.largest(w)
    for c in range(4):
        assert s[c] == pytest.approx(w[c].abs().max().item() / 127)
    assert calibrate.largest(w, 2)[0] == pytest.approx(w[0].abs().max().item())


@pytest.mark.parametrize("bits", [2, 4])
def test_least_error_finds_the_scale_that_a_search_over_each_channel_finds(bits):
    w, most = torch.randn(3, 40, generator=seed(1)), 2 ** (bits - 1) - 1
    for c, s in enumerate(calibrate.least_error(w, bits)):
        def error(step, row=w[c]):
            return sum((min(max(round(v / step), -most), most) * step - v) ** 2 for v in row.tolist())
        tried = [error(part * w[c].abs().max().item() / most) for part in np.linspace(0.2, 1, 41)]
        assert error(s.item()) == pytest.approx(min(tried), rel=1e-3)
    full = calibrate.largest(w, bits)
    assert (calibrate.least_error(w, bits) < full).any()
