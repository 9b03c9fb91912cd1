import math

import numpy as np
import pytest
import torch

from odl_kit.learners import sample_complexity, train
from odl_kit.models import flat, nets


def seed(number=0):
    return torch.Generator().manual_seed(number)


def blobs(count, number=0):
    """Two classes, 4 numbers each, far apart."""
    y = torch.arange(count) % 2
    return torch.randn(count, 4, generator=seed(number)) + 2 * (2 * y[:, None] - 1), y


def test_each_set_trains_a_net_of_its_own_from_the_same_start():
    net = nets.mlp(4, 8, 2, rng=seed())
    w, (x, y) = flat.ravel(net), blobs(300, 1)
    sets = [blobs(6), (blobs(40)[0], 1 - blobs(40)[1]), blobs(17)]       # the second has every label wrong
    found = sample_complexity.accuracies(net, w, sets, x, y, epochs=30, batch_size=8, lr=0.1, rng=seed())
    assert found[0] > 0.95 and found[1] < 0.05 and found[2] > 0.95


def test_one_batch_an_epoch_is_what_plain_training_does():
    net = nets.mlp(4, 8, 2, rng=seed())
    w, (x, y), own = flat.ravel(net), blobs(100, 1), blobs(12)
    ours = sample_complexity.accuracies(net, w, [own, blobs(5)], x, y, epochs=3, batch_size=None, lr=0.05, rng=seed())
    train.fit(flat.assign(net, w), *own, epochs=3, batch_size=None, lr=0.05, rng=seed(), progress=False)
    assert ours[0] == train.evaluate(net, x, y)["accuracy"]


def test_needed_lies_on_the_straight_line_over_log_n():
    assert sample_complexity.needed([10, 100, 1000], [0.5, 0.7, 0.9], 0.8) == pytest.approx(10 ** 2.5)
    assert sample_complexity.needed([10, 100, 1000], [0.5, 0.7, 0.9], 0.7) == pytest.approx(100)


def test_needed_is_the_first_crossing_and_knows_its_edges():
    assert sample_complexity.needed([10, 20, 40, 80], [0.2, 0.8, 0.4, 0.9], 0.8) == pytest.approx(20)
    assert sample_complexity.needed([10, 20], [0.5, 0.6], 0.4) == 10
    assert sample_complexity.needed([10, 20], [0.5, 0.6], 0.7) == math.inf


def test_a_true_power_law_is_found_and_inverted():
    law = sample_complexity.power_law([20, 50, 300, 1000], [3 * n ** -0.6 for n in (20, 50, 300, 1000)])
    assert law.scale == pytest.approx(3) and law.power == pytest.approx(0.6)
    assert law.error(100) == pytest.approx(3 * 100 ** -0.6) and law.examples(law.error(777)) == pytest.approx(777)


def test_the_fit_is_the_line_of_numpy_through_the_logarithms():
    sizes, errors = [20, 40, 80, 160], [0.5, 0.31, 0.22, 0.1]
    slope, start = np.polyfit(np.log(sizes), np.log(errors), 1)
    law = sample_complexity.power_law(sizes, errors)
    assert law.power == pytest.approx(-slope) and math.log(law.scale) == pytest.approx(start)


@pytest.mark.parametrize(("sizes", "errors"), [([10], [0.5]), ([10, 20], [0.5, 0.0]), ([10, 20], [0.5])])
def test_too_few_points_and_an_error_of_0_are_refused(sizes, errors):
    with pytest.raises(ValueError, match="two sizes or more, and an error above 0"):
        sample_complexity.power_law(sizes, errors)
