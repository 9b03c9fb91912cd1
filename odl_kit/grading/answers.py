"""Judge the answers in a notebook from its import cell and exercise cells alone. For notebooks one trusts: they run in this process."""
import copy

import torch

from odl_kit.grading import convert
from odl_kit.lab import judging


def verdicts(notebook, *, seed):
    """Verdicts on all checks of the lab that `notebook` belongs to: {exercise id: judging.Verdict}. seed: of the cases.

    All exercise cells run in one namespace, in order, after the import cell; no other cell does. A cell that raises, or does not define its
    function, gives a failed verdict with error "raised" or "missing".
    """
    lab = notebook.metadata.odl["lab"]
    namespace, failed = {"__name__": f"answers_{lab}"}, {}
    for cell in notebook.cells:
        name = convert.role(cell, "exercise")
        if name or convert.role(cell, "imports"):
            try:
                judging.define(cell.source, namespace, name or "imports")
            except Exception as error:
                if not name:
                    raise
                failed[name] = judging.Verdict(False, message=f"{type(error).__name__}: {error}", error="raised")
    return {name: failed.get(name) or _judged(check, namespace, name, seed) for name, check in judging.load(lab).checks.items()}


def _judged(check, namespace, name, seed):
    if name not in namespace:
        return judging.Verdict(False, message=f"{name} is not defined", error="missing")
    return judging.run(check, namespace[name], rng=torch.Generator().manual_seed(seed))


def points(notebook, *, seed):
    """What the answers in `notebook` earn: {exercise id: points}, 0 for an answer that is refused."""
    full = judging.load(notebook.metadata.odl["lab"]).checks
    return {name: full[name].points if verdict.passed else 0 for name, verdict in verdicts(notebook, seed=seed).items()}


def replaced(notebook, name, answer):
    """A copy of `notebook` with the source text `answer` in the cell of exercise `name`. Raises KeyError if there is no such cell."""
    changed = copy.deepcopy(notebook)
    cells = [cell for cell in changed.cells if convert.role(cell, "exercise") == name]
    if not cells:
        raise KeyError(f"no exercise {name!r} in {notebook.metadata.odl['lab']}")
    for cell in cells:
        cell.source = answer.strip("\n")
    return changed
