import pytest
import torch

from odl_kit.defenses import detection, watch
from odl_kit.federation import rounds
from odl_kit.learners.cohort import Uplink
from odl_kit.threats import model_poisoning

WAY = torch.randn(30, generator=torch.Generator().manual_seed(9))


def train(w, chosen, *, rng):
    """Clients that all walk the same way, with noise of their own."""
    updates = WAY + 0.5 * torch.randn(len(chosen), 30, generator=rng)
    return Uplink(updates, torch.full((len(chosen),), 10), chosen, 0)


def run(*stages, number=10, per_round=12, **more):
    return rounds.run(torch.zeros(30), train=train, select=lambda _, rng: torch.randperm(12, generator=rng)[:per_round],
                      rounds=number, uplink=stages, rng=torch.Generator().manual_seed(0), progress=False, **more)


def turned(updates, bad):
    return model_poisoning.scaled(updates, bad, factor=-1)


def test_who_turns_its_updates_is_set_aside_from_the_round_after_patience_on_and_nobody_else():
    history = run(model_poisoning.stage([2, 5], attack=turned), watch.watch(patience=3))
    log = watch.audit_log(history.set_aside)
    assert {client: numbers for client, (numbers, _) in log.items()} == {2: tuple(range(4, 11)), 5: tuple(range(4, 11))}
    assert "1 - cosine to the median 1." in log[2][1] and "over 10 rounds" in log[2][1] and "the limit is 3.5" in log[2][1]


def test_what_reaches_the_model_is_what_honest_clients_alone_would_send():
    def rest(uplink, state, rng):
        return uplink, uplink.ids
    history = run(model_poisoning.stage([2, 5], attack=turned), watch.watch(patience=0), rest)
    assert sorted(history.states[2].tolist()) == [0, 1, 3, 4, 6, 7, 8, 9, 10, 11]


def test_scores_are_those_of_all_rounds_so_far_whoever_took_part():
    kept = []

    def keep(uplink, state, rng):
        kept.append((uplink.ids, uplink.updates))
        return uplink, state
    history = run(keep, watch.watch(limit=1e9), per_round=5)
    ids, sums, times, number = history.states[1]
    want_ids, want = detection.mean_updates(kept)
    assert torch.equal(ids, want_ids) and torch.allclose(sums / times[:, None], want, atol=1e-5) and number == 10


def test_a_score_of_some_weights_looks_at_no_other():
    places = torch.arange(10)
    history = run(watch.watch(places=places, limit=1e9))
    assert history.states[0][1].shape == (12, 10)


def test_a_run_that_is_stopped_and_saved_goes_on_with_what_was_remembered(tmp_path):
    stages = model_poisoning.stage([2], attack=turned), watch.watch()
    whole, half = run(*stages), run(*stages, number=5)
    half.save(tmp_path / "half")
    resumed = run(*stages, resume=rounds.History.load(tmp_path / "half"))
    assert torch.equal(resumed.w, whole.w) and resumed.set_aside == whole.set_aside


def test_a_row_of_nan_is_left_to_the_quarantine_and_spoils_no_score():
    def nan(uplink, state, rng):
        uplink.updates[uplink.ids == 4] = float("nan")
        return uplink, state
    history = run(nan, model_poisoning.stage([2], attack=turned), watch.watch())
    log = watch.audit_log(history.set_aside)
    assert list(log) == [4, 2] and log[4] == (tuple(range(1, 11)), "the update holds NaN or Inf") and log[2][0] == tuple(range(4, 11))


def test_the_log_has_the_most_frequent_first_and_nothing_for_a_quiet_run():
    set_aside = (((3, "a"),), (), ((1, "b"), (3, "c")), ((0, "d"),))
    assert watch.audit_log(set_aside) == {3: ((1, 3), "c"), 0: ((4,), "d"), 1: ((3,), "b")}
    assert list(watch.audit_log(set_aside)) == [3, 0, 1]
    assert watch.audit_log(run(watch.watch(limit=50)).set_aside) == {}


def test_a_limit_that_half_of_all_exceed_is_refused():
    with pytest.raises(ValueError, match="limit=0: at 0 half"):
        watch.watch(limit=0)
