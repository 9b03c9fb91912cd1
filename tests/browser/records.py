"""What the walk speaks of: a look, a finding, a report."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """One way of looking at a lab: theme is "light" or "dark", width that of the window in pixels."""

    theme: str
    width: int

    def __str__(self):
        return f"{self.theme}-{self.width}"


@dataclass(frozen=True)
class Finding:
    """Something wrong. kind: error, stderr, kernel, unrun, widget, warning (a lab's own), action (without effect), alt, image (not shown),
    overflow, contrast, network (asked for something outside), or walk (could not go on). look: where it is seen, if not everywhere."""

    kind: str
    text: str
    look: str = ""

    def __str__(self):
        return f"{self.kind}{f' ({self.look})' if self.look else ''}: {self.text}"


@dataclass(frozen=True)
class Report:
    """One lab: cells counts all of them, run_s is "run all", actions what was done with the widgets, shots the screenshots."""

    lab: str
    cells: int
    run_s: float
    actions: tuple
    findings: tuple
    shots: tuple

    def __str__(self):
        verdict = f"{len(self.findings)} findings" if self.findings else "ok"
        counts = f"{self.cells:3} cells  run {self.run_s:5.1f} s  {len(self.shots):2} shots"
        head = f"{self.lab:<24} {counts}  {verdict:<12} {', '.join(self.actions)}"
        return "\n".join([head.rstrip(), *(f"    {finding}" for finding in self.findings)])
