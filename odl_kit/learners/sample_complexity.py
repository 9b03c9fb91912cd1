"""How many examples does it take? Accuracy on sets of many sizes, the size that meets a target, and the power law through the errors."""
import math
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from odl_kit.learners import cohort, train
from odl_kit.models import flat


def accuracies(net, w, sets, x, y, *, epochs, batch_size, lr, rng):
    """Train a copy of `net`, from w (P,), on each of `sets`; -> the share of right answers of each on (x, y), a list of float.

    sets: list of (x (n, ...), y (n,) int64), of any sizes. All copies train at once, as one cohort; an epoch sees all of a set, so a
    larger set means more steps. net carries other weights afterwards. Other options as for cohort.train_cohort.
    """
    xs, ys = (pad_sequence(list(part), batch_first=True) for part in zip(*sets, strict=True))
    num_examples = torch.tensor([len(own) for _, own in sets])
    updates = cohort.train_cohort(net, w, xs, ys, num_examples, epochs=epochs, batch_size=batch_size, lr=lr, rng=rng)
    return [train.evaluate(flat.assign(net, w + update), x, y)["accuracy"] for update in updates]


def needed(sizes, accuracy, target):
    """The sample complexity: how many examples first reach `target`. A float, inf if none of the sizes does.

    sizes: ascending; accuracy: one for each. Between two sizes the curve is taken as straight over log n. A target that the smallest size
    meets already gives that size: fewer were not tried.
    """
    for k, (size, value) in enumerate(zip(sizes, accuracy, strict=True)):
        if value >= target:
            if k == 0:
                return float(size)
            part = (target - accuracy[k - 1]) / (value - accuracy[k - 1])
            return math.exp(math.log(sizes[k - 1]) + part * math.log(size / sizes[k - 1]))
    return math.inf


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = scale * n^-power."""
    scale: float
    power: float

    def error(self, n):
        """The expected error with n examples."""
        return self.scale * n ** -self.power

    def examples(self, error):
        """How many examples bring the error down to `error`, if the law goes on for so long. A float."""
        return (self.scale / error) ** (1 / self.power)


def power_law(sizes, errors):
    """The power law through (size, error), by least squares of the logarithms. -> PowerLaw

    It knows no floor: where labels are noisy or the net is too small, errors stop falling and the law promises too much.
    Raises ValueError for fewer than two sizes and for an error of 0, whose logarithm is not finite. Source: Hestness et al. 2017, sec. 2,
    whose law has a floor as a third number; few points cannot tell the three apart.
    """
    if len(sizes) < 2 or len(sizes) != len(errors) or min(errors) <= 0:
        raise ValueError(f"{len(sizes)} sizes and errors {list(errors)}: give two sizes or more, and an error above 0 for each")
    n, e = (torch.tensor(values, dtype=torch.float64).log() for values in (sizes, errors))
    power = -float(((n - n.mean()) * (e - e.mean())).sum() / (n - n.mean()).square().sum())
    return PowerLaw(math.exp(float(e.mean()) + power * float(n.mean())), power)
