from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odl_kit.federation import aggregators, local, rounds, selection, servers
from odl_kit.learners import cohort
from odl_kit.models import flat

NET = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
SIZES = torch.tensor([6, 2, 5, 3])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def data():
    rng = seeded()
    return SimpleNamespace(x=torch.randn(4, 6, 4, generator=rng), y=torch.randint(3, (4, 6), generator=rng), num_examples=SIZES)


W = 0.3 * torch.randn(len(flat.ravel(NET)), generator=seeded(1))
TRAIN = partial(local.train_cohort, NET, data(), epochs=2, batch_size=2, lr=0.1)
run = partial(rounds.run, W, train=TRAIN, select=selection.uniform(4, 3), rounds=4, progress=False)


def loss(w):
    return {"loss": float(flat.flat_loss(NET)(w, data().x[0], data().y[0]))}


def test_a_run_is_select_train_and_average_by_hand():
    history, rng, w, clients = run(rng=seeded(3), evaluate=loss), seeded(3), W, data()
    for number in range(4):
        chosen = torch.randperm(4, generator=rng)[:3].sort().values
        order, total = cohort.batch_order(SIZES[chosen], 2, rng=rng), torch.zeros_like(w)
        for row, c in enumerate(chosen.tolist()):
            n = int(SIZES[c])
            total += n * local.client_update(NET, w, clients.x[c, :n], clients.y[c, :n], order=order[row, :, :n], batch_size=2, lr=0.1)
        w = w + total / SIZES[chosen].sum()
        assert torch.equal(history.chosen[number], chosen)
        assert history.metrics[number]["loss"] == pytest.approx(loss(w)["loss"], abs=1e-6)
    torch.testing.assert_close(history.w, w, atol=1e-6, rtol=0)
    assert len(history) == 4 and history.before == loss(W)


def test_one_full_batch_on_every_client_is_gradient_descent_on_all_the_data():
    train = partial(local.train_cohort, NET, data(), epochs=1, batch_size=None, lr=0.3)
    history = run(train=train, select=selection.uniform(4, 4), rng=seeded(), rounds=5)
    x, y = (torch.cat([part[c, :n] for c, n in enumerate(SIZES.tolist())]) for part in (data().x, data().y))
    flat.assign(NET, W)
    optimizer = torch.optim.SGD(NET.parameters(), lr=0.3)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(NET(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(history.w, flat.ravel(NET), atol=1e-6, rtol=0)


def test_bytes_are_those_of_the_weights_down_and_of_the_uplink_up():
    halve = lambda uplink, state, rng: (replace(uplink, nbytes=uplink.nbytes // 2), state)               # noqa: E731
    history = run(rng=seeded(), uplink=[halve])
    assert history.bytes_down == (3 * 4 * len(W),) * 4 and history.bytes_up == (3 * 2 * len(W),) * 4


def test_stages_run_in_order_with_a_state_each():
    seen = []

    def count(name, uplink, state, rng):
        seen.append((name, state))
        return uplink, (state or 0) + 1
    run(rng=seeded(), rounds=2, uplink=[partial(count, "first"), partial(count, "second")])
    assert seen == [("first", None), ("second", None), ("first", 1), ("second", 1)]


def test_stage_lifts_a_function_on_updates():
    doubled, plain = run(rng=seeded(), rounds=1, uplink=[rounds.stage(lambda updates: 2 * updates)]), run(rng=seeded(), rounds=1)
    torch.testing.assert_close(doubled.w - W, 2 * (plain.w - W))


def break_client(client, uplink, state, rng):
    updates = uplink.updates.clone()
    updates[uplink.ids == client] = torch.nan
    return replace(uplink, updates=updates), state


def test_an_update_with_nan_is_set_aside_by_client_id_and_counts_for_nothing():
    everyone = selection.uniform(4, 4)
    history = run(rng=seeded(), rounds=1, select=everyone, uplink=[partial(break_client, 2)])
    assert history.set_aside == (((2, "the update holds NaN or Inf"),),)
    updates = TRAIN(W, everyone(1, rng := seeded()), rng=rng).updates
    expected = W + aggregators.mean(updates[[0, 1, 3]], SIZES[[0, 1, 3]])
    torch.testing.assert_close(history.w, expected)


def test_a_client_that_never_answered_is_recorded_with_its_reason():
    train = lambda w, chosen, rng: replace(TRAIN(w, chosen[:-1], rng=rng), failed=((int(chosen[-1]), "battery empty"),))       # noqa: E731
    history = run(rng=seeded(), train=train, rounds=2)
    assert history.set_aside == tuple(((int(chosen[-1]), "battery empty"),) for chosen in history.chosen)


def test_a_round_without_any_update_left_is_an_error_that_says_which():
    late = lambda uplink, state, rng: (uplink, 1) if state is None else (replace(uplink, updates=uplink.updates / 0), 1)       # noqa: E731
    with pytest.raises(ValueError, match="round 2: no update is left .client .*NaN or Inf"):
        run(rng=seeded(), uplink=[late])


def noisy(uplink, state, rng):
    """A stage with chance and memory: adds noise and what was left over last time."""
    left = 0 if state is None else state
    noise = 0.01 * torch.randn(uplink.updates.shape, generator=rng)
    return replace(uplink, updates=uplink.updates + noise + left), noise.mean(0)


CHANGING = {"uplink": [noisy], "server": servers.adam(0.03), "evaluate": loss}


def assert_same(a, b):
    assert torch.equal(a.w, b.w) and a.metrics == b.metrics and a.before == b.before and a.note == b.note
    assert all(map(torch.equal, a.chosen, b.chosen)) and a.bytes_up == b.bytes_up and torch.equal(a.rng, b.rng)


def test_a_checkpoint_resumes_bit_for_bit_from_a_file(tmp_path):
    whole = run(rng=seeded(9), rounds=6, **CHANGING)
    run(rng=seeded(9), rounds=3, **CHANGING).save(tmp_path / "history.pt")
    history = rounds.History.load(tmp_path / "history.pt")
    assert len(history) == 3
    assert_same(run(rng=seeded(0), rounds=6, resume=history, **CHANGING), whole)


def test_an_interrupt_leaves_the_complete_rounds_and_they_resume_bit_for_bit(capsys):
    whole, calls = run(rng=seeded(9), rounds=6, **CHANGING), []

    def train(w, chosen, *, rng):
        calls.append(1)
        if len(calls) == 4:
            torch.rand(5, generator=rng)                                     # half a round has drawn already
            raise KeyboardInterrupt
        return TRAIN(w, chosen, rng=rng)
    history = run(train=train, rng=(rng := seeded(9)), rounds=6, **CHANGING)
    assert len(history) == 3 and "stopped after round 3 of 6" in capsys.readouterr().out
    assert_same(run(rng=rng, rounds=6, resume=history, **CHANGING), whole)


def test_only_the_generator_that_is_given_moves():
    state, rng = torch.get_rng_state(), seeded(5)
    run(rng=rng)
    assert torch.equal(torch.get_rng_state(), state) and not torch.equal(rng.get_state(), seeded(5).get_state())


def test_rounds_are_counted_from_one():
    history = replace(run(rng=seeded(), rounds=3), metrics=({"accuracy": 0.2}, {"accuracy": 0.9}, {"accuracy": 0.95}))
    assert history.curve("accuracy") == [0.2, 0.9, 0.95]
    assert history.first_round_above("accuracy", 0.9) == 2 and history.first_round_above("accuracy", 0.99) is None
    with pytest.raises(KeyError, match="accuracy"):
        history.curve("loss")


def test_no_rounds_leave_the_weights_as_they_were():
    history = run(rng=seeded(), rounds=0, evaluate=loss)
    assert torch.equal(history.w, W) and len(history) == 0 and history.curve("loss") == [] and "nothing trained" in repr(history)


def test_the_history_prints_what_matters():
    text = repr(run(rng=seeded(), evaluate=loss, uplink=[partial(break_client, 2)]))
    assert text.startswith("4 rounds: loss ") and f"{3 * 4 * 4 * len(W):,} B up" in text and "batched: " in text
