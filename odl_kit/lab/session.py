"""What this kernel knows beyond the ledger: which lab runs, what its cells have asked, which reveals wait for an answer."""
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Session:
    """One per kernel. asked: {id: Question}; waiting: {id: what opens the reveal}; handed_out: {check id: objects of the kit}."""
    lab: str = ""
    asked: dict = field(default_factory=dict)
    waiting: dict[str, Callable] = field(default_factory=dict)
    handed_out: dict[str, list] = field(default_factory=dict)


_now = Session()


def begin(lab):
    """Forget the last lab of this kernel and begin `lab`."""
    global _now
    _now = Session(lab)
    return _now


def current():
    """The running Session. Raises RuntimeError if no lab has been started."""
    if not _now.lab:
        raise RuntimeError("no lab is running: run the lab's first cells, they end with `rng = lab.start(...)`")
    return _now
