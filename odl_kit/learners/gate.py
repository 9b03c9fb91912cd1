"""Before a shadow replaces the net that serves: both answer the same labelled clips, and only the answers that differ count."""
from dataclasses import dataclass
from math import comb

from odl_kit.learners import distil


@dataclass(frozen=True)
class Duel:
    """won: examples that the shadow alone has right; lost: that the old net alone has right; of: how many were asked."""
    won: int
    lost: int
    of: int

    @property
    def gain(self):
        """Accuracy of the shadow minus that of the old net, -1 to 1."""
        return (self.won - self.lost) / self.of

    @property
    def chance(self):
        """How often two equally good nets would differ at least as much in the shadow's favour (exact one-sided test, McNemar 1947)."""
        n = self.won + self.lost
        return sum(comb(n, k) for k in range(self.won, n + 1)) / 2 ** n

    def __str__(self):
        return f"{self.gain:+.1%} ({self.won} won, {self.lost} lost of {self.of})"


def duel(old, shadow, x, y):
    """Both nets, in evaluation mode, on x (N, ...), y (N,) int64 -> Duel."""
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"{len(x)} examples and {len(y)} labels: a gate needs labelled examples that neither net has learned from")
    before, after = (distil.ask(net, x).argmax(1) == y for net in (old, shadow))
    return Duel(int((after & ~before).sum()), int((before & ~after).sum()), len(x))


def passes(own, others, *, chance=0.1, most_lost=0.05):
    """(True or False, why): may the shadow serve? own, others: Duels on the user's own clips, and on clips of those before.

    It must be better for the user by more than luck (own.chance up to `chance`), and not worse for the others by more than most_lost, a
    share. Else the old weights stay: nothing has to be undone, since the shadow was a copy.
    """
    if own.chance > chance:
        return False, f"no sure gain for the user: {own}, chance does that in {own.chance:.0%}"
    if -others.gain > most_lost:
        return False, f"too much forgotten: {others} on old clips, {most_lost:.0%} allowed"
    return True, f"gain {own}, old clips {others}"
