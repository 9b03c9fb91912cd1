"""exp and log against float64, the hash against the published constants."""
import numpy as np
import pytest

from odl_kit.engine import math32

F = np.float32


def ulps(found, exact):
    """Distance in units in the last place of the float32 next to the exact value."""
    return np.abs(found.astype(np.float64) - exact) / np.spacing(exact.astype(F)).astype(np.float64)


def test_exp_is_within_two_units_in_the_last_place_from_0_down_to_where_it_ends():
    x = np.concatenate([-np.linspace(0, 87, 200_001), -np.logspace(-9, 0, 10_001)]).astype(F)
    assert ulps(math32.exp(x), np.exp(x.astype(np.float64))).max() < 2
    assert math32.exp(F([0.0, -0.0])).tolist() == [1.0, 1.0]
    assert math32.exp(F([-87.1, -1000.0, -np.inf])).tolist() == [0.0, 0.0, 0.0]


def test_log_is_within_two_units_in_the_last_place_from_1_on():
    x = np.concatenate([np.linspace(1, 3, 100_001), np.logspace(0, 38, 100_001)]).astype(F)
    found, exact = math32.log(x), np.log(x.astype(np.float64))
    assert ulps(found[exact > 0], exact[exact > 0]).max() < 2
    assert math32.log(F([1.0, np.inf])).tolist() == [0.0, np.inf] and np.isnan(math32.log(F([np.nan]))).all()


def test_rint_is_half_to_even_and_makes_0_of_what_is_no_number():
    assert math32.rint(F([0.5, 1.5, 2.5, -0.5, -1.5, np.nan])).tolist() == [0, 2, 2, 0, -2, 0]


def test_the_hash_is_lowbias32_computed_with_whole_numbers():
    def plain(x):
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)
    values = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    assert math32.mix(np.array(values, np.uint32)).tolist() == [plain(v) for v in values]


def test_uniform_numbers_are_uniform_and_differ_by_seed_step_and_tensor():
    places = np.arange(20_000)
    u = math32.uniform(3, 5, 7, places)
    assert u.dtype == F and 0 <= u.min() and u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8       # chi-squared, 19 degrees of freedom, 0.1 %
    for other in ((4, 5, 7), (3, 6, 7), (3, 5, 8)):
        assert abs(np.corrcoef(u, math32.uniform(*other, places))[0, 1]) < 0.03
    assert np.array_equal(u[100:200], math32.uniform(3, 5, 7, places[100:200]))


def test_the_step_counter_may_pass_the_end_of_32_bits():
    with np.errstate(all="raise"):
        assert math32.uniform(2**32 - 1, 2**32 - 1, 2**16 - 1, np.array([2**20]))[0] == pytest.approx(0.5, abs=0.5)
