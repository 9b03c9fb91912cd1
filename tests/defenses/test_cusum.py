import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.defenses import cusum

numbers = st.lists(st.floats(-5, 5), min_size=1, max_size=60)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(numbers, st.floats(-1, 1), st.floats(0.1, 3), st.floats(0, 1), st.floats(0.5, 6))
def test_the_sum_and_its_alarm_are_those_of_the_loop(x, mean, std, slack, limit):
    s, sums, first = 0.0, [], len(x)
    for t, value in enumerate(x):
        s = max(0.0, s + (value - mean) / std - slack)
        sums.append(s)
        if s > limit + 1e-9 and first == len(x):
            first = t
    found = cusum.upper(torch.tensor(x, dtype=torch.float64), mean=mean, std=std, slack=slack)
    assert found.tolist() == pytest.approx(sums, abs=1e-9)
    assert cusum.alarm(found, limit=limit + 1e-9) in (first, *(t for t, s in enumerate(sums) if abs(s - limit - 1e-9) < 1e-8))


def test_many_streams_at_once_are_each_alone():
    x = torch.randn(4, 50, generator=seeded())
    mean, std = cusum.calibrate(x[:, :10])
    s = cusum.upper(x, mean=mean, std=std)
    for k in range(4):
        alone = cusum.upper(x[k], mean=x[k, :10].double().mean(), std=x[k, :10].double().std())
        assert torch.allclose(s[k], alone)
    assert cusum.alarm(s, limit=2.0).tolist() == [int(cusum.alarm(row, limit=2.0)) for row in s]


@pytest.mark.slow
def test_run_lengths_are_those_of_the_published_table():
    # Montgomery, table of average run lengths, slack 1/2: two-sided 168 at h = 4 without a shift, so one-sided 336; 8.38 at a shift of 1,
    # and 10.4 at h = 5
    quiet = cusum.alarm(cusum.upper(torch.randn(3000, 4000, generator=seeded()), mean=0, std=1), limit=4) + 1
    assert quiet.double().mean() == pytest.approx(336, rel=0.06)
    shift = cusum.upper(1 + torch.randn(20_000, 200, generator=seeded(1)), mean=0, std=1)
    assert (cusum.alarm(shift, limit=4) + 1).double().mean() == pytest.approx(8.38, rel=0.02)
    assert (cusum.alarm(shift, limit=5) + 1).double().mean() == pytest.approx(10.4, rel=0.02)


def test_a_fall_is_found_by_turning_the_stream():
    x = torch.cat([torch.zeros(20), -torch.ones(20)])
    assert cusum.alarm(cusum.upper(x, mean=0.0, std=1.0), limit=3.0) == 40
    assert cusum.alarm(cusum.upper(-x, mean=-0.0, std=1.0), limit=3.0) == 26          # 0.5 a step: above 3 at the seventh


def test_an_estimated_mean_costs_false_alarms_and_a_longer_calibration_fewer():
    rates = [cusum.false_alarms(limit=8.0, length=1400, clean=clean, streams=1000, rng=seeded()) for clean in (20, 100, 1000, None)]
    assert rates == sorted(rates, reverse=True)
    assert rates[3] < 0.08 and rates[1] > 0.12 and rates[0] > 0.25


def test_bad_input_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"std=\[0.0\]: a stream that never moved"):
        cusum.upper(torch.ones(5), mean=1.0, std=0.0)
    with pytest.raises(ValueError, match="1 clean number: two at least"):
        cusum.calibrate(torch.ones(1))
