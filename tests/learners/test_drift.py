import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from odl_kit.learners import drift

seed = torch.Generator().manual_seed


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), m=st.integers(1, 60), steps=st.sampled_from([3, 10, 1000]), s=st.integers(0, 1000))
def test_the_distance_is_that_of_scipy_also_with_many_equal_values(n, m, steps, s):
    rng = seed(s)
    a, b = ((steps * torch.rand(k, generator=rng)).floor() / steps for k in (n, m))
    assert drift.distance(a, b) == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_limit_is_where_the_large_sample_test_of_scipy_rejects(alpha):
    n, m = 800, 1200
    p = stats.kstwobign.sf(drift.limit(n, m, alpha=alpha) * (n * m / (n + m)) ** 0.5)
    assert p == pytest.approx(alpha, rel=0.05)       # Smirnov's first term; the rest of his series is small


def test_without_a_change_an_alarm_is_as_rare_as_promised_and_a_small_change_is_found():
    rng, false, found = seed(0), 0, 0
    for _ in range(400):
        reference, now = torch.randn(200, 5, generator=rng), torch.randn(60, 5, generator=rng)
        false += drift.alarm(reference, now, alpha=0.05) > 1
        now[:, 3] += 0.8
        found += drift.alarm(reference, now, alpha=0.05) > 1
    assert false / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5 and found / 400 > 0.9


def test_the_shares_of_the_labels_are_found_through_a_net_that_confuses_them():
    rng = seed(0)
    calls = torch.tensor([[0.8, 0.1, 0.2], [0.1, 0.7, 0.2], [0.1, 0.2, 0.6]])      # column j: how a true j is called
    before, now = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.2, 0.7])
    exact = drift.label_shares(calls * before, calls @ now)
    assert torch.allclose(exact, now, atol=1e-5)
    truth = torch.multinomial(now, 20_000, replacement=True, generator=rng)
    said = torch.multinomial(calls.T[truth], 1, generator=rng)[:, 0]
    assert torch.allclose(drift.label_shares(calls * before, torch.bincount(said, minlength=3) / 20_000), now, atol=0.02)


def test_a_reference_with_new_shares_holds_each_class_that_often():
    y = torch.tensor([0] * 50 + [1] * 10 + [2] * 5)
    index = drift.reweighed(y, torch.tensor([0.1, 0.6, 0.3]), count=20_000, rng=seed(0))
    assert torch.allclose(torch.bincount(y[index]) / 20_000, torch.tensor([0.1, 0.6, 0.3]), atol=0.015)
    assert torch.bincount(index, minlength=65)[50:60].min() > 900       # of a class every example alike


@pytest.mark.parametrize("run, words", [
    (lambda: drift.distance(torch.zeros(0), torch.zeros(2)), "0 and 2 values"),
    (lambda: drift.limit(10, 10, alpha=0.0), "alpha=0.0"),
    (lambda: drift.alarm(torch.zeros(3, 2), torch.zeros(3, 4)), r"reference is \(3, 2\), now \(3, 4\)"),
    (lambda: drift.label_shares(torch.ones(2, 2) / 4, torch.tensor([0.5, 0.5])), "confusion has rank 1 of 2"),
    (lambda: drift.reweighed(torch.tensor([0, 0]), torch.tensor([0.5, 0.5]), count=5, rng=seed(0)), "class 1 has no example"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()


def test_other_shares_explain_an_alarm_and_another_sound_does_not():
    rng, centres = seed(0), 4 * torch.eye(3)

    def outputs(y, blur):
        return (centres[y] + blur * torch.randn(len(y), 3, generator=rng)).softmax(1)
    reference = outputs(torch.arange(600) % 3, 1.0)
    shares = outputs(torch.multinomial(torch.tensor([0.7, 0.3, 0.0]), 200, replacement=True, generator=rng), 1.0)
    sound = outputs(torch.arange(200) % 3, 3.0)
    assert drift.alarm(reference, shares) > 1 and drift.alarm(reference, sound) > 1
    assert drift.alarm(drift.explained(reference, shares, rng=rng), shares) < 1
    assert drift.alarm(drift.explained(reference, sound, rng=rng), sound) > 1


def test_answers_that_the_reference_never_gave_explain_nothing():
    with pytest.raises(ValueError, match="the reference never heard"):
        drift.explained(torch.eye(3)[[0, 0, 1]], torch.eye(3)[[2, 2]], rng=seed(0))
