from functools import partial
from types import SimpleNamespace

import pytest
import torch

from odl_kit.federation import fleet, local, rounds, selection
from odl_kit.learners import cohort
from odl_kit.models import flat, nets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


THREE = fleet.Fleet(seconds_per_example=torch.tensor([0.1, 1.0, 0.5]), bytes_per_s=torch.tensor([100.0, 1000.0, 10.0]),
                    mJ_per_example=torch.tensor([1.0, 2.0, 3.0]), mJ_per_byte=torch.tensor([0.5, 0.0, 1.0]),
                    reachable=torch.tensor([1.0, 1.0, 0.0]))
NET = nets.mlp(4, (), 3, rng=seeded())
CLIENTS = SimpleNamespace(x=torch.randn(3, 5, 4, generator=seeded()), y=torch.randint(3, (3, 5), generator=seeded()),
                          num_examples=torch.tensor([5, 5, 5]))
TRAIN = partial(local.train_cohort, NET, CLIENTS, epochs=1, batch_size=None, lr=0.1)


def test_time_and_energy_are_work_and_bytes_each_at_its_price():
    examples = torch.tensor([10, 20, 30])
    assert THREE.time_s(examples, 200).tolist() == pytest.approx([0.1 * 10 + 2, 20 + 0.2, 15 + 20])
    assert THREE.energy_mJ(examples, 200).tolist() == pytest.approx([10 + 100, 40, 90 + 200])


def test_who_is_out_of_reach_or_late_is_named_and_sends_nothing():
    train = fleet.attend(TRAIN, THREE, examples=10, nbytes=100, deadline_s=5)
    received = train(flat.ravel(NET), torch.arange(3), rng=seeded())
    assert received.ids.tolist() == [0] and received.nbytes == 4 * len(flat.ravel(NET))
    assert dict(received.failed) == {1: "needs 10 s of 5 s", 2: "could not be reached"}
    history = rounds.run(flat.ravel(NET), train=train, select=selection.uniform(3, 3), rounds=2, rng=seeded(), progress=False)
    assert history.set_aside[0] == received.failed and history.bytes_down[0] == 3 * 4 * len(history.w)      # they were sent the model


def test_a_device_answers_as_often_as_reachable_says():
    half = fleet.draw(1, reachable=0.3, rng=seeded())
    many = fleet.Fleet(**{name: value.expand(3000) for name, value in vars(half).items()})

    def train(w, chosen, *, rng):
        return cohort.Uplink(torch.zeros(len(chosen), 1), torch.ones(len(chosen)), chosen, 0)
    received = fleet.attend(train, many, examples=0, nbytes=0)(torch.zeros(1), torch.arange(3000), rng=seeded())
    assert abs(len(received.ids) - 900) < 5 * (3000 * 0.3 * 0.7) ** 0.5
    assert len(received.failed) + len(received.ids) == 3000


def test_devices_are_drawn_about_their_middle_and_differ_as_spread_says():
    many = fleet.draw(4000, spread=0.5, rng=seeded())
    assert many.seconds_per_example.log().std() == pytest.approx(0.5, abs=0.03)
    assert many.bytes_per_s.median() == pytest.approx(10_000, rel=0.05)
    assert fleet.draw(3, spread=0, rng=seeded()).mJ_per_example.tolist() == [1, 1, 1]


def test_nobody_left_and_devices_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="none of 1 chosen devices delivers .client 2: could not be reached"):
        fleet.attend(TRAIN, THREE, examples=1, nbytes=1)(flat.ravel(NET), torch.tensor([2]), rng=seeded())
    with pytest.raises(ValueError, match="one number a device"):
        fleet.Fleet(torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="dead link"):
        fleet.Fleet(torch.ones(1), torch.zeros(1), torch.ones(1), torch.ones(1), torch.ones(1))
