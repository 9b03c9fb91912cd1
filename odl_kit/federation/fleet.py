"""Simulated devices that differ: how long a round takes them, what it costs, and whether they can be reached at all."""
import math
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, eq=False)
class Fleet:
    """What a server knows of C devices, a (C,) float32 tensor each. reachable: the chance, 0 to 1, that a device answers in a round."""
    seconds_per_example: torch.Tensor
    bytes_per_s: torch.Tensor
    mJ_per_example: torch.Tensor
    mJ_per_byte: torch.Tensor
    reachable: torch.Tensor

    def __post_init__(self):
        shapes = {tuple(value.shape) for value in vars(self).values()}
        if len(shapes) != 1 or len(self.reachable.shape) != 1:
            raise ValueError(f"shapes {sorted(shapes)}: give one number a device, each tensor (C,)")
        if self.bytes_per_s.min() <= 0 or self.reachable.min() < 0 or self.reachable.max() > 1:
            raise ValueError("bytes_per_s must be above 0, and reachable between 0 and 1 (for a dead link take reachable 0)")

    def __len__(self):
        return len(self.reachable)

    def time_s(self, examples, nbytes):
        """Seconds of a round (C,). examples: seen in training, a number or (C,), num_examples * epochs. nbytes: moved, up and down."""
        return self.seconds_per_example * examples + nbytes / self.bytes_per_s

    def energy_mJ(self, examples, nbytes):
        """Millijoules of a round (C,); arguments as for time_s."""
        return self.mJ_per_example * examples + self.mJ_per_byte * nbytes


def draw(num_clients, *, spread=1.0, reachable=1.0, rng):
    """Invented devices: log-normal about 10 ms and 1 mJ an example, 10 kB/s and 0.005 mJ a byte. -> Fleet.

    spread: the standard deviation of the logarithm; with 1, the slowest of fifty is some hundred times slower than the fastest.
    """
    def around(middle):
        return middle * torch.exp(spread * torch.randn(num_clients, generator=rng))
    return Fleet(around(0.01), around(10_000), around(1.0), around(0.005), torch.full((num_clients,), float(reachable)))


def attend(train, fleet, *, examples, nbytes, deadline_s=math.inf):
    """`train` for rounds.run, on these devices: who cannot be reached, or is not done by the deadline, sends nothing and is in `failed`.

    examples, nbytes: as for Fleet.time_s. The chance of being reached is drawn for each chosen device and round.
    Raises ValueError when nobody is left.
    """
    seconds = fleet.time_s(examples, nbytes)

    def attended(w, chosen, *, rng):
        absent = torch.rand(len(chosen), generator=rng) >= fleet.reachable[chosen]
        late = seconds[chosen] > deadline_s
        failed = tuple((int(c), "could not be reached") for c in chosen[absent])
        failed += tuple((int(c), f"needs {float(seconds[c]):.0f} s of {deadline_s:.0f} s") for c in chosen[late & ~absent])
        there = chosen[~absent & ~late]
        if not len(there):
            raise ValueError(f"none of {len(chosen)} chosen devices delivers (client {failed[0][0]}: {failed[0][1]}): choose more, or wait")
        received = train(w, there, rng=rng)
        return replace(received, failed=(*received.failed, *failed))
    return attended
