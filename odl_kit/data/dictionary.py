"""Examples as sparse combinations of a few columns of the data: x ~ D c, with D a dictionary and c mostly zeros, nonzero in blocks.

The idea is that of Darvish Rouhani et al. 2017 (TinyDL), as section 12.3.3 of the chapter tells it, and of Mirhoseini et al. 2018 (RankMap)
by the same group: the dictionary consists of columns of the data themselves, the codes come from orthogonal matching pursuit, and an error
threshold trades bytes for accuracy. How they lay out bytes we do not know; the layout counted in `Codes.num_bytes` is ours.
"""
import math
from dataclasses import dataclass, replace

import torch

from odl_kit.data import bits as levels

TINY = 1e-12        # of |x|^2: what is left below it is rounding of float64, and no atom would explain it


@dataclass(frozen=True, eq=False)
class Codes:
    """What stands for N examples. blocks: (N, C) int64, which block of atoms, -1 where an example needs fewer than C.

    values: (N, C, block) float32, a number for each atom of that block (0 where blocks is -1). num_atoms: of the dictionary.
    """
    blocks: torch.Tensor
    values: torch.Tensor
    num_atoms: int

    def dense(self):
        """The codes with all their zeros: (N, num_atoms) float32."""
        (num, _, block), used = self.values.shape, self.blocks >= 0
        full = torch.zeros(num, self.num_atoms // block, block)
        rows = torch.arange(num)[:, None].expand_as(used)
        full[rows[used], self.blocks[used]] = self.values[used]
        return full.flatten(1)

    def rounded(self, bits):
        """The same codes, their values in 2^bits even levels between the largest value and its negative."""
        most = float(self.values.abs().max()) or 1.0
        kept = levels.rounded(self.values, bits, low=-most, high=most)
        return replace(self, values=torch.where(self.blocks[..., None] >= 0, kept, 0.0))

    def num_bytes(self, bits):
        """Bytes of the codes alone, with values of so many bits: for each example how many blocks, for each block its place and values;
        and one float32 for the scale of the values."""
        (num, most, block), used = self.values.shape, int((self.blocks >= 0).sum())
        place = math.ceil(math.log2(self.num_atoms // block))
        return levels.num_bytes(num * math.ceil(math.log2(most + 1)) + used * (place + block * bits), 1) + 4


def columns(x, count, *, rng):
    """A dictionary of `count` examples by chance, scaled to length 1: atoms (count, D) float32.

    x: (N, ...) float, D values an example. Raises ValueError unless 1 <= count <= the examples that are not all zeros.
    """
    x = _usable(x, count)
    return _unit(x[torch.randperm(len(x), generator=rng)[:count]])


def worst_first(x, count):
    """A dictionary in which each next atom is the example that those before it represent worst: atoms (count, D) float32, length 1.

    The largest distance to the span of the atoms comes next, so the greatest error falls fast. Arguments and errors as for `columns`; it
    ends early, with fewer atoms, once every example is in the span.
    """
    x = _usable(x, count)
    left, chosen = x.double(), []                       # what of each example is outside the span
    for _ in range(count):
        place = int(left.norm(dim=1).argmax())
        if left[place].square().sum() <= TINY * x[place].double().square().sum():
            break
        direction = _unit(left[place])
        left = left - (left @ direction)[:, None] * direction
        chosen.append(place)
    return _unit(x[chosen])


def pursue(x, atoms, *, count, error=0.0, block=1):
    """Codes of x by orthogonal matching pursuit: with each example at most `count` blocks, fewer where |x - D c| <= error |x| before.

    x: (N, ...) float, atoms: (K, D) of length 1, `block` neighbours of which are taken or left together. Each step takes the block that
    what is left of x agrees with most, and fits all values anew by least squares.
    Raises ValueError for shapes that do not fit and for block, count or error out of range.
    Source: Pati et al. 1993; in a form that needs only products of atoms, Rubinstein et al. 2008 (Batch-OMP); blocks: Eldar et al. 2010.
    """
    x = x.flatten(1).double()
    _check(x, atoms, count, error, block)
    gram, agree = atoms.double() @ atoms.double().T, x @ atoms.double().T       # D D' (K, K), D x (N, K)
    energy, code = x.square().sum(1), torch.zeros_like(agree)
    blocks = torch.full((len(x), count), -1)
    going = (energy > 0).nonzero()[:, 0]                                        # examples that are not done
    for k in range(count):
        left = (agree[going] - code[going] @ gram).unflatten(1, (-1, block)).norm(dim=2)     # |D_b (x - D c)| of each block b
        blocks[going, k] = left.scatter(1, blocks[going, :k], -1.0).argmax(1)
        own = (blocks[going, :k + 1, None] * block + torch.arange(block)).flatten(1)         # the atoms of each example
        right = agree[going].gather(1, own)
        # least squares on the chosen atoms: c = (D D')^+ D x; the pseudo-inverse, since atoms of a block may depend on one another
        fit = (torch.linalg.pinv(gram[own[:, :, None], own[:, None]], hermitian=True) @ right[..., None])[..., 0]
        code[going] = torch.zeros_like(code[going]).scatter(1, own, fit)
        # |x - D c|^2 = |x|^2 - c . D x
        going = going[energy[going] - (fit * right).sum(1) > max(error ** 2, TINY) * energy[going]]
        if not len(going):
            break
    values = code.unflatten(1, (-1, block)).gather(1, blocks.clamp(min=0)[..., None].expand(-1, -1, block))
    return Codes(blocks, torch.where(blocks[..., None] >= 0, values, 0.0).float(), len(atoms))


def restore(codes, atoms):
    """The examples that the codes stand for, x ~ D c: (N, D) float32."""
    return codes.dense() @ atoms


def _unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def _usable(x, count):
    x = x.flatten(1)
    x = x[x.abs().amax(1) > 0]
    if not 1 <= count <= len(x):
        raise ValueError(f"a dictionary of {count} atoms from {len(x)} examples that are not all zeros: take 1 to {len(x)}")
    return x


def _check(x, atoms, count, error, block):
    if atoms.dim() != 2 or x.shape[1] != atoms.shape[1]:
        raise ValueError(f"an example has {x.shape[1]} values, atoms are {tuple(atoms.shape)}: give atoms (K, {x.shape[1]})")
    if block < 1 or len(atoms) % block:
        raise ValueError(f"{len(atoms)} atoms do not divide into blocks of {block}: take another size of block")
    if not 1 <= count <= len(atoms) // block:
        raise ValueError(f"{count} blocks of {len(atoms) // block} wanted for an example: take 1 to {len(atoms) // block}")
    if not 0 <= error < 1:
        raise ValueError(f"error = {error}: it is a share of the length of x, from 0 to below 1")
