"""The input contract: what an example must be before anything learns from it. Type, shape, finite, range; one reason for each refusal."""
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Contract:
    """shape: of one example, without the batch. dtype: of torch. low, high: the range of every entry, both ends included.

    Raises ValueError unless low <= high and both are finite: a range that lets everything in is no range.
    """
    shape: tuple
    dtype: torch.dtype
    low: float
    high: float

    def __post_init__(self):
        if not (-float("inf") < self.low <= self.high < float("inf")):
            raise ValueError(f"range [{self.low}, {self.high}]: give two finite numbers, the lower one first")


@dataclass(frozen=True, eq=False)
class Checked:
    """ok: (N,) bool. reasons: {row: sentence}, one for each row that is not ok."""
    ok: torch.Tensor
    reasons: dict

    def __repr__(self):
        lines = [f"{int(self.ok.sum())} of {len(self.ok)} examples keep the contract"]
        return "\n".join(lines + [f"  {row}: {why}" for row, why in self.reasons.items()])


def contract(x):
    """The narrowest Contract that clean examples x (N, ...) keep: their own shape, dtype, smallest and largest entry.

    Raises ValueError for no example, and for one with nan or infinite entries. Where a sensor's range is known, as 0 to 1 for pixels, write
    Contract(...) by hand: the largest value of a small sample is not the largest that may come.
    """
    if x.numel() == 0 or not torch.isfinite(x).all():
        raise ValueError(f"clean examples {tuple(x.shape)}: give at least one, without nan and infinite entries, to learn a contract from")
    return Contract(tuple(x.shape[1:]), x.dtype, x.min().item(), x.max().item())


def check(x, contract):
    """Hold a batch x (N, ...) against a Contract -> Checked. Nothing is converted, cut or filled in.

    A wrong dtype or shape refuses the whole batch, since every row has it; nan, infinity and range refuse single rows.
    Raises TypeError when x is no torch.Tensor or has no dimension of examples.
    """
    if not isinstance(x, torch.Tensor) or x.dim() == 0:
        raise TypeError(f"x is {type(x).__name__}: the contract is for a torch.Tensor (N, ...); convert it where the data are read")
    whole = _batch(x, contract)
    if whole:
        return Checked(torch.zeros(len(x), dtype=torch.bool), dict.fromkeys(range(len(x)), whole))
    rows = x.reshape(len(x), torch.Size(contract.shape).numel())
    finite = torch.isfinite(rows)
    inside = (rows >= contract.low) & (rows <= contract.high)      # nan is on neither side, so it is never inside
    ok = (finite & inside).all(1)
    return Checked(ok, {row: _why(rows[row], finite[row], inside[row], contract) for row in (~ok).nonzero().flatten().tolist()})


def _batch(x, contract):
    """Why the whole batch is refused, or None."""
    if x.dtype != contract.dtype:
        return f"dtype {x.dtype}, the contract says {contract.dtype}"
    if tuple(x.shape[1:]) != tuple(contract.shape):
        return f"shape {tuple(x.shape[1:])}, the contract says {tuple(contract.shape)}"
    return None


def _why(row, finite, inside, contract):
    if not finite.all():
        return f"{int((~finite).sum())} of {len(row)} entries are nan or infinite"
    worst = row[~inside]
    span = f"{worst.min().item():.4g} to {worst.max().item():.4g}"
    return f"{len(worst)} of {len(row)} entries, from {span}, lie outside [{contract.low:.4g}, {contract.high:.4g}]"
