"""Contribution analysis against runs done by hand, one after the other."""
import copy

import pytest
import torch

from odl_kit.learners import cohort_plans, optimizers, plan, sparse, train
from odl_kit.models import layers, nets

seed = torch.Generator().manual_seed
NET = nets.mobile_net(1, 3, stem=4, blocks=((8, 4, 1),), norm=None, rng=seed(0))
Y = torch.arange(120) % 3
X = torch.rand(120, 1, 8, 8, generator=seed(1)) + 0.4 * torch.eye(3)[Y].repeat_interleave(3, 1)[:, None, :8, None]     # a bar, three places
TRAIN, VALIDATION = (X[:60], Y[:60]), (X[60:], Y[60:])
TRACED = layers.trace(NET, X[:1])
OPTIONS = {"epochs": 4, "batch_size": 10, "lr": 0.1}


@pytest.fixture(autouse=True)
def a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ODL_CACHE", str(tmp_path))


def measure(rng=None, validation=VALIDATION, **changed):
    return sparse.contribution(NET, TRAIN, validation, **OPTIONS | changed, rng=rng or seed(3), progress=False)


def alone(wish):
    """Validation accuracy after training by one plan, with the batches that the analysis draws."""
    net = copy.deepcopy(NET)
    order = seed(int(torch.randint(2**62, (1,), generator=seed(3))))
    train.fit(net, *TRAIN, **OPTIONS | {"lr": optimizers.cosine(0.1)}, momentum=0.9, plan=wish, rng=order, progress=False)
    return train.evaluate(net, *VALIDATION)["accuracy"]


@pytest.mark.slow
def test_every_gain_is_the_difference_between_two_runs_on_validation_data():
    scores, convs = measure(), [layer for layer in TRACED if layer.kind == "conv"]
    head = alone(plan.from_scheme(TRACED, num_bias=0))
    assert scores.head == head and scores.biases[0] == 0 and list(scores.weights) == [conv.name for conv in convs]
    for k in range(1, len(convs) + 1):
        biases, index = alone(plan.from_scheme(TRACED, num_bias=k)), len(convs) - k
        assert scores.biases[k] == pytest.approx(biases - head)
        for ratio in sparse.RATIOS:
            if count := int(convs[index].c_in * ratio):
                both = alone(plan.from_scheme(TRACED, num_bias=k, indices=[index], ratios=[ratio]))
                assert scores.weights[convs[index].name][count] == pytest.approx(both - biases)
    assert list(scores.weights["stem"]) == [1] and list(scores.weights["block1.depthwise"]) == [1, 2, 4, 8]
    assert len({gain for gains in scores.weights.values() for gain in gains.values()} | set(scores.biases)) > 5     # not all alike


def test_the_prediction_adds_the_gains_up():
    scores = sparse.Contribution(0.3, (0.0, 0.1, 0.05), {"a": {1: 0.2, 2: 0.25}, "b": {4: -0.1}})
    assert scores.predicted(plan.UpdatePlan({"head"}, {"head": 5})) == 0.3
    assert scores.predicted(plan.UpdatePlan({"head", "b"}, {"head": 5, "b": 4})) == pytest.approx(0.3)
    assert scores.predicted(plan.UpdatePlan({"head", "a", "b"}, {"head": 5, "a": 2})) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="3 channels of 'a' were not tried: tried are 1, 2"):
        scores.predicted(plan.UpdatePlan({"head", "a", "b"}, {"a": 3}))


def test_a_second_time_nothing_is_trained_and_rng_moves_on_the_same(monkeypatch):
    first, again = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    scores = measure(first)

    def trained(*args, **options):
        raise RuntimeError("trained again")
    monkeypatch.setattr(cohort_plans, "train", trained)
    assert measure(again) == scores and torch.equal(first.get_state(), again.get_state())
    for changed in ({"lr": 0.2}, {"rng": seed(4)}, {"validation": TRAIN}, {"ratios": (1,)}):
        with pytest.raises(RuntimeError, match="trained again"):
            measure(**changed)


def test_an_interrupted_analysis_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(cohort_plans, "train", lambda *args, **options: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        measure()
    assert list(tmp_path.iterdir()) == []
