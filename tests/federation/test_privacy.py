import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from scipy import stats
from torch import nn

from odl_kit.federation import accounting, local, privacy, rounds, servers
from odl_kit.learners import cohort
from odl_kit.models import flat

NET = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def uplink(rows):
    rows = torch.as_tensor(rows)
    return cohort.Uplink(rows, torch.full((len(rows),), 7), torch.arange(len(rows)), rows.numel() * 4)


def rows_of_norm(*norms, size=6):
    rows = torch.randn(len(norms), size, generator=seeded(1), dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True) * torch.tensor(norms, dtype=torch.float64)[:, None]


def test_clip_shortens_long_rows_to_the_norm_and_leaves_the_rest():
    rows = rows_of_norm(0.5, 1.0, 3.0, 1e30)
    got = privacy.clip(rows, norm=1.0)
    torch.testing.assert_close(got[0], rows[0])
    torch.testing.assert_close(got.norm(dim=1), torch.tensor([0.5, 1.0, 1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(torch.cosine_similarity(got, rows), torch.ones(4, dtype=torch.float64))
    assert privacy.clip(rows.float(), norm=1.0)[3].norm() == pytest.approx(1, rel=1e-5)       # (1e30)^2 does not fit into a float32


def test_a_zero_update_stays_zero_and_divides_by_nothing():
    assert torch.equal(privacy.clip(torch.zeros(2, 3), norm=1.0), torch.zeros(2, 3))
    for stage in (privacy.noised_mean(clip_norm=1.0, noise_multiplier=0.0, expected_clients=2),
                  privacy.adaptive_clip(noise_multiplier=0.0, expected_clients=2),
                  privacy.tree_noise(clip_norm=1.0, noise_multiplier=0.0, expected_clients=2)):
        got, _ = stage(uplink(torch.zeros(2, 3)), None, seeded())
        assert torch.equal(got.updates, torch.zeros(1, 3))


def fits(sample, distribution):
    """Kolmogorov-Smirnov with a fixed seed; a right sampler would fail for one seed in 10,000."""
    return stats.kstest(sample.numpy(), distribution.cdf).pvalue > 1e-4


def test_the_mechanisms_add_the_noise_they_are_named_for():
    zeros = torch.full((20_000,), 2.0, dtype=torch.float64)
    assert fits(privacy.gaussian(zeros, sigma=3.0, rng=seeded()), stats.norm(2, 3))
    assert fits(privacy.laplace(zeros, epsilon=0.5, sensitivity=2.0, rng=seeded()), stats.laplace(2, 4))
    assert not fits(privacy.laplace(zeros, epsilon=0.5, sensitivity=2.0, rng=seeded()), stats.laplace(2, 4.4))      # the test can tell


def test_laplace_noise_keeps_its_epsilon_on_every_outcome():
    drawn = [privacy.laplace(torch.full((100_000,), value), epsilon=1.0, sensitivity=1.0, rng=seeded(7)) for value in (0.0, 1.0)]
    counts = [torch.histogram(values, torch.arange(-3, 4, 0.5)).hist for values in drawn]
    ratio = (counts[0] / counts[1]).log().abs()
    assert 0.95 < float(ratio.max()) < 1.1                                  # e^1 but for chance: some 3,000 draws in the thinnest bin


def test_dp_fedavg_is_the_noised_sum_of_clipped_rows_over_the_expected_number():
    rows, stage = rows_of_norm(0.5, 2.0, 4.0), privacy.noised_mean(clip_norm=1.0, noise_multiplier=0.7, expected_clients=5)
    got, state = stage(uplink(rows), None, seeded(3))
    noise = 0.7 * torch.randn(6, generator=seeded(3), dtype=torch.float64)
    expected = (rows[0] + rows[1] / 2 + rows[2] / 4 + noise) / 5           # by 5, the number expected, though 3 came
    torch.testing.assert_close(got.updates, expected[None])
    assert state == 1 and got.num_examples.tolist() == [1] and got.ids.tolist() == [-1]


def test_one_client_moves_the_released_sum_by_the_clip_at_most_however_large_or_broken_it_is():
    rows = rows_of_norm(0.5, 2.0, 4.0, 1.0)
    stage = privacy.noised_mean(clip_norm=1.0, noise_multiplier=1.0, expected_clients=1)
    without = stage(uplink(rows[:3]), None, seeded(3))[0].updates
    for last in (rows[3], 1e12 * rows[3], torch.full((6,), math.nan, dtype=torch.float64), torch.full((6,), math.inf, dtype=torch.float64)):
        got, _ = stage(uplink(torch.cat([rows[:3], last[None]])), None, seeded(3))
        assert (got.updates - without).norm() <= 1 + 1e-9
        assert [client for client, why in got.failed] == ([] if last.isfinite().all() else [3])


def test_noise_may_fall_from_round_to_round_and_ends_with_the_schedule():
    schedule = privacy.falling(4.0, 1.0, 3)
    assert schedule == pytest.approx((4.0, 2.0, 1.0)) and privacy.falling(2.0, 1.0, 1) == (2.0,)
    stage, state, sizes = privacy.noised_mean(clip_norm=1.0, noise_multiplier=schedule, expected_clients=1), None, []
    for _ in schedule:
        got, state = stage(uplink(torch.zeros(1, 20_000)), state, seeded(state or 0))
        sizes.append(float(got.updates.std()))
    assert sizes == pytest.approx(schedule, rel=0.03)
    with pytest.raises(ValueError, match="round 4 has no noise"):
        stage(uplink(torch.zeros(1, 3)), state, seeded())


@pytest.mark.parametrize("start", [0.01, 300.0])
def test_the_adaptive_clip_finds_the_quantile_from_far_below_and_far_above(start):
    norms = torch.linspace(1, 5, 101).tolist()
    stage, state = privacy.adaptive_clip(noise_multiplier=0.5, expected_clients=101, start=start, quantile=0.8, eta=0.5), None
    rng = seeded(2)
    for _ in range(60):
        _, state = stage(uplink(rows_of_norm(*norms)), state, rng)
    assert state == pytest.approx(4.2, abs=0.6)                             # the 0.8 quantile; a reversed sign runs to 0 or infinity


def test_one_step_of_the_adaptive_clip_is_the_papers_formula():
    stage = privacy.adaptive_clip(noise_multiplier=0.0, expected_clients=4, start=2.0, quantile=0.5, eta=0.2)
    got, state = stage(uplink(rows_of_norm(0.5, 1.0, 1.9, 8.0)), None, seeded())
    assert state == pytest.approx(2.0 * math.exp(-0.2 * (0.75 - 0.5)))
    torch.testing.assert_close(got.updates[0], privacy.clip(rows_of_norm(0.5, 1.0, 1.9, 8.0), norm=2.0).sum(0) / 4)


def test_update_and_count_together_cost_what_one_release_with_the_asked_noise_costs():
    z, sigma_b, expected = 1.2, 3.0, 60
    stage = privacy.adaptive_clip(noise_multiplier=z, expected_clients=expected, start=2.0)
    got, _ = stage(uplink(torch.zeros(60, 200_000, dtype=torch.float32)), None, seeded(5))
    z_update = float(got.updates.std()) * expected / 2.0
    # two Gaussian releases compose like one: 1/z^2 = 1/z_update^2 + 1/z_count^2, and the count moves by 1/2 under noise sigma_b
    assert (z_update ** -2 + (2 * sigma_b) ** -2) ** -0.5 == pytest.approx(z, rel=0.01)
    with pytest.raises(ValueError, match="count_noise=0.5"):
        privacy.adaptive_clip(noise_multiplier=1.2, expected_clients=10)


def test_tree_noise_on_prefix_sums_has_a_node_for_each_one_in_the_round_number():
    stage, state, rng = privacy.tree_noise(clip_norm=2.0, noise_multiplier=1.5, expected_clients=1), None, seeded(4)
    prefix, released = torch.zeros(4000), []
    for t in range(1, 17):
        got, state = stage(uplink(torch.zeros(1, 4000)), state, rng)
        prefix = prefix + got.updates[0]
        released.append(prefix)
        assert float(prefix.var()) == pytest.approx(9 * t.bit_count(), rel=0.15)          # sd of a variance of 4,000: 2 %
    correlation = torch.corrcoef(torch.stack([released[7], released[8], released[15]]))
    assert correlation[0, 1] == pytest.approx(math.sqrt(1 / 2), abs=0.06)                 # rounds 8 and 9 share the node of rounds 1 to 8
    assert abs(correlation[0, 2]) < 0.08                                                  # round 16 has one node of its own


def test_a_tree_without_noise_releases_the_clipped_sums():
    stage, rows = privacy.tree_noise(clip_norm=1.0, noise_multiplier=0.0, expected_clients=2, restart_every=2), rows_of_norm(0.5, 4.0)
    state = None
    for _ in range(5):
        got, state = stage(uplink(rows), state, seeded())
        torch.testing.assert_close(got.updates[0], (rows[0] + rows[1] / 4) / 2)


def test_a_restarted_tree_keeps_the_noise_released_and_begins_anew():
    stage, state = privacy.tree_noise(clip_norm=1.0, noise_multiplier=1.0, expected_clients=1, restart_every=3), None
    prefix, rng = torch.zeros(4000), seeded(4)
    for t in range(1, 10):
        got, state = stage(uplink(torch.zeros(1, 4000)), state, rng)
        prefix = prefix + got.updates[0]
        finished, running = divmod(t, 3)
        # every finished tree of 3 rounds left two nodes (3 = 11 in binary)
        assert float(prefix.var()) == pytest.approx(2 * finished + running.bit_count(), rel=0.2)


def test_poisson_takes_each_client_with_its_probability_and_any_number_of_them():
    select, rng = privacy.poisson(40, 0.25), seeded(6)
    chosen = [select(number, rng) for number in range(1, 1001)]
    often = torch.bincount(torch.cat(chosen), minlength=40)
    assert often.min() > 185 and often.max() < 315 and len({len(c) for c in chosen}) > 8         # sd 13.7
    assert torch.equal(privacy.poisson(3, 1.0)(1, rng), torch.arange(3))


def test_in_turns_nobody_comes_twice_in_a_turn_and_each_turn_is_another_order():
    select = privacy.in_turns(20, 6, seed=3)
    turns = [torch.cat([select(3 * turn + place, None) for place in (1, 2, 3)]) for turn in range(4)]
    assert all(len(set(turn.tolist())) == 18 for turn in turns) and not torch.equal(turns[0], turns[1])
    with pytest.raises(ValueError, match="m=21"):
        privacy.in_turns(20, 21)


def test_the_gradient_of_each_example_is_that_of_autograd_one_by_one():
    x, y, w = torch.randn(7, 4, generator=seeded(1)), torch.tensor([0, 1, 2, 0, 1, 2, 0]), flat.ravel(NET)
    expected = torch.stack([local.gradient(NET, w, x[i:i + 1], y[i:i + 1]) for i in range(7)])
    torch.testing.assert_close(privacy.example_gradients(NET, w, x, y), expected)
    torch.testing.assert_close(privacy.example_gradients(NET, w, x, y, micro=3), expected)


def test_dp_sgd_without_noise_and_with_a_wide_clip_is_gradient_descent():
    x, y, w = torch.randn(9, 4, generator=seeded(1)), torch.arange(9) % 3, flat.ravel(NET)
    options = {"steps": 4, "lr": 0.5, "sample_rate": 1.0, "noise_multiplier": 0.0, "rng": seeded()}
    expected = w
    for _ in range(4):
        expected = expected - 0.5 * local.gradient(NET, expected, x, y)
    torch.testing.assert_close(privacy.dp_sgd(NET, w, x, y, clip_norm=1e6, micro=4, **options), expected)
    assert (privacy.dp_sgd(NET, w, x, y, clip_norm=1e-3, **options) - w).norm() <= 4 * 0.5 * 1e-3 + 1e-6


def test_dp_sgd_divides_by_the_expected_batch_and_adds_noise_of_the_clip():
    net = nn.Linear(50, 60)
    w, x, y = flat.ravel(net), torch.randn(10, 50, generator=seeded(1)), torch.zeros(10, dtype=torch.int64)
    moved = privacy.dp_sgd(net, w, x, y, steps=1, lr=1.0, clip_norm=0.01, noise_multiplier=5.0, sample_rate=0.5, rng=seeded()) - w
    assert float(moved.std()) == pytest.approx(5.0 * 0.01 / 5, rel=0.06)          # noise z * C over q N = 5, 3,060 weights


def test_a_private_run_is_reproducible_and_resumes_bit_for_bit(tmp_path):
    rng = seeded()
    x, y = torch.randn(30, 6, 4, generator=rng), torch.randint(3, (30, 6), generator=rng)
    data = SimpleNamespace(x=x, y=y, num_examples=torch.full((30,), 6))
    train = partial(local.train_cohort, NET, data, epochs=1, batch_size=3, lr=0.1)
    w = flat.ravel(NET)
    tree = privacy.tree_noise(clip_norm=0.3, noise_multiplier=2.0, expected_clients=10, restart_every=3)
    adaptive = privacy.adaptive_clip(noise_multiplier=0.9, expected_clients=20)
    for stage, select in ((adaptive, privacy.poisson(30, 2 / 3)), (tree, privacy.in_turns(30, 10))):
        run = partial(rounds.run, w, train=train, select=select, uplink=[stage], server=servers.momentum(0.5), progress=False)
        whole = run(rounds=5, rng=seeded(8))
        run(rounds=2, rng=seeded(8)).save(tmp_path / "half.pt")
        again = run(rounds=5, rng=seeded(), resume=rounds.History.load(tmp_path / "half.pt"))
        assert torch.equal(whole.w, again.w) and not torch.equal(whole.w, w)


def test_a_client_that_diverges_is_recorded_and_the_private_run_goes_on():
    def train(w, chosen, *, rng):
        return replace(uplink(torch.tensor([[1.0, 0.0], [math.nan, 0.0]])), ids=torch.tensor([4, 9]))
    stage = privacy.noised_mean(clip_norm=1.0, noise_multiplier=0.0, expected_clients=2)
    history = rounds.run(torch.zeros(2), train=train, select=privacy.poisson(9, 1.0), rounds=1, uplink=[stage], rng=seeded(),
                         progress=False)
    assert history.set_aside[0][0][0] == 9 and history.w.tolist() == [0.5, 0.0]


@pytest.mark.parametrize("call, says", [
    (lambda: privacy.clip(torch.ones(1, 2), norm=0), "norm=0"), (lambda: privacy.poisson(5, 0), "sample_rate=0"),
    (lambda: privacy.laplace(torch.ones(2), epsilon=0, sensitivity=1, rng=seeded()), "epsilon=0"),
    (lambda: privacy.falling(0, 1, 5), "first=0")])
def test_what_would_promise_nothing_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_an_attack_on_a_release_does_no_better_than_its_epsilon_allows():
    """Tell from the released sum whether a client took part: the best test's odds stay within epsilon and delta."""
    stage, target = privacy.noised_mean(clip_norm=1.0, noise_multiplier=1.0, expected_clients=1), torch.tensor([[9.0]])
    rng, trials = seeded(11), 4000
    scores = [torch.stack([stage(uplink(rows), None, rng)[0].updates[0, 0] for _ in range(trials)]) for rows in (target, torch.zeros(1, 1))]
    for epsilon in (0.0, 0.5, 1.0):
        edge = epsilon + 0.5                                               # where the likelihood ratio is e^epsilon
        delta = float((scores[0] > edge).double().mean() - math.exp(epsilon) * (scores[1] > edge).double().mean())
        assert delta == pytest.approx(accounting.gaussian_delta(sigma=1.0, epsilon=epsilon), abs=0.08)      # sd 0.01 to 0.02
