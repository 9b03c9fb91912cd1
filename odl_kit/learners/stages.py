"""Select, fine-tune, validate, deploy: the steps a maker takes before a device is sold, and the device takes again for its user.

Deployed is a file of numbers (safetensors), which a device can load without running anything that stands in it. A signed package around
it is defenses.updates.
"""
import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors

from odl_kit.learners import train, transfer


@dataclass(frozen=True)
class Stage:
    """How it went. suits: {candidate: transfer.leave_one_out}; chosen: the best of them. before, after: what `validate` said.

    deployed: did it pass? nbytes: of the file that was written, 0 if none was.
    """
    suits: dict
    chosen: str
    before: float
    after: float
    deployed: bool
    nbytes: int

    def __str__(self):
        gate = f"deployed, {self.nbytes:,} B" if self.deployed else "not deployed: the device keeps what it has"
        return f"{self.chosen}: {self.before:.3f} -> {self.after:.3f}, {gate}"


def run(candidates, x, y, *, validate, at_least, path, **fit):
    """Select, fine-tune, validate and, if it passes, deploy: (net, Stage). The candidates stay as they are.

    candidates: {name: net with a head for the classes of y}. x (N, ...), y (N,) int64: what is learned from; the choice is made by
    transfer.leave_one_out on it. validate(net) -> float: on examples that are not in x. at_least: what it must say, and not less than
    before. path: the file. fit: options of train.fit; plan is a maker, such as plan.head_only, since the net is chosen here.
    Raises ValueError for no candidate, and as train.fit and transfer.leave_one_out do.
    """
    if not candidates:
        raise ValueError("no candidate: give {name: net}, one at least")
    suits = {name: transfer.leave_one_out(transfer.features(net, x), y) for name, net in candidates.items()}
    chosen = max(suits, key=suits.get)
    net, plan = copy.deepcopy(candidates[chosen]), fit.pop("plan", None)
    before = validate(net)
    train.fit(net, x, y, plan=plan and plan(net), **fit)
    after = validate(net)
    deployed = after >= max(at_least, before)
    return net, Stage(suits, chosen, before, after, deployed, write(net, path) if deployed else 0)


def write(net, path):
    """Write the weights and statistics of `net` to a safetensors file, whole or not at all; returns its bytes. Never a pickle.

    Raises ValueError for weights that are nan or infinite: a device would take them.
    """
    tensors = {name: value.detach().contiguous().clone() for name, value in net.state_dict().items()}
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise ValueError(f"{bad[0]!r} has nan or infinite entries: this net is not fit to be deployed")
    path = Path(path)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(safetensors.save(tensors))
    draft.replace(path)
    return path.stat().st_size


def read(net, path):
    """Load what `write` wrote into `net`, in place; returns it. Raises ValueError, and leaves `net` alone, if the file is not its own."""
    try:
        tensors = safetensors.load(Path(path).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
    have, need = ({name: tuple(value.shape) for name, value in each.items()} for each in (tensors, net.state_dict()))
    if have != need:
        wrong = sorted(name for name in {*have, *need} if have.get(name) != need.get(name))[0]
        raise ValueError(f"{path} is of another net: {wrong} is {have.get(wrong)} there, {need.get(wrong)} here")
    net.load_state_dict(tensors)
    return net
