"""Online model compression (Yang et al. 2023): a client keeps the model compressed and unpacks one layer at a time, also while it trains.

Weight matrices are kept as whole numbers of a few bits, corrected by the scale and the offset that fit the weights best (least squares);
biases and norms stay floats. Ours differs from the paper in the numbers (its are short floats) and leaves out the random tenth of the
variables that it does not compress.
"""
import math
from dataclasses import dataclass, replace

import torch
from torch.func import functional_call
from torch.nn import functional as F

from odl_kit.models import flat


@dataclass(frozen=True)
class Packed:
    """One weight tensor as scale * codes + offset. codes: int32 with values of `bits` bits (kept so here, packed on the wire).

    bits = 32: not compressed, codes are the floats themselves. nbytes: on the wire and in the client's memory.
    """
    codes: torch.Tensor
    scale: float = 1.0
    offset: float = 0.0
    bits: int = 32

    @property
    def nbytes(self):
        """ceil(n * bits / 8), and 8 bytes for scale and offset where it is compressed."""
        return math.ceil(self.codes.numel() * self.bits / 8) + (0 if self.bits == 32 else 8)

    def unpack(self):
        """The weights, float32, in the shape of the tensor."""
        return self.codes if self.bits == 32 else self.codes.float() * self.scale + self.offset


def pack(values, bits, *, rng=None):
    """A weight tensor in `bits` (2 to 16) -> Packed. rng: rounds by chance, so that steps below a level are not lost; None: to the nearest.

    Codes count levels from the least to the largest value; then scale and offset are fitted: min over s, b of |values - (s codes + b)|^2.
    """
    low, high = values.min(), values.max()
    place = (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny) * (2 ** bits - 1)
    chance = 0.5 if rng is None else torch.rand(place.shape, generator=rng).to(place.device)
    codes = (place + chance).floor().clamp(max=2 ** bits - 1)
    centred = codes - codes.mean()
    scale = float((centred * values).sum() / centred.square().sum().clamp(min=1e-12))       # s = cov(codes, values) / var(codes)
    return Packed(codes.to(torch.int32), scale, float(values.mean() - scale * codes.mean()), bits)


def compress(net, w, *, bits, rng=None):
    """w (P,) -> tuple of Packed, one for each tensor of net.named_parameters(). Raises ValueError unless 2 <= bits <= 16."""
    if not 2 <= bits <= 16:
        raise ValueError(f"bits={bits}: give 2 to 16")
    return tuple(pack(value, bits, rng=rng) if value.dim() > 1 else Packed(value) for value in flat.unravel(net, w).values())


def decompress(packed):
    """A tuple of Packed -> w (P,) float32."""
    return torch.cat([tensor.unpack().reshape(-1) for tensor in packed])


def nbytes(packed):
    """Bytes of a compressed model on the wire."""
    return sum(tensor.nbytes for tensor in packed)


def downlink(train, net, *, bits):
    """`train` for rounds.run, with a compressed model on the way down: clients start from what arrived, the server keeps its own w.

    The update is what a client changed since it started, so that the server adds it to the uncompressed w.
    """
    def trained(w, chosen, *, rng):
        packed = compress(net, w, bits=bits)
        return replace(train(decompress(packed), chosen, rng=rng), bytes_down=len(chosen) * nbytes(packed))
    return trained


def client_update(net, packed, x, y, *, order, batch_size, lr, rng):
    """One client's SGD on a model that stays compressed -> (tuple of Packed, most bytes of weights held at any time).

    net: a Sequential. packed: from `compress`. x (n, ...), y (n,) int64; order (epochs, n), as for local.client_update, which this follows
    but for the rounding. Each layer is unpacked for its forward pass, and again for its backward pass, takes its step and is packed anew,
    by chance. A layer's gradient is not counted in the bytes.
    """
    names = [name for name, _ in net.named_parameters()]
    layers = [(layer, [i for i, name in enumerate(names) if name.partition(".")[0] == key]) for key, layer in net.named_children()]
    model, most = list(packed), 0
    for epoch in order:
        for batch in epoch.split(batch_size or len(epoch)):
            most = max(most, _step(layers, names, model, x[batch], y[batch], lr, rng))
    return tuple(model), most


def _step(layers, names, model, x, y, lr, rng):
    inputs, most = [], 0
    with torch.no_grad():
        for layer, mine in layers:                                         # forward, a layer at a time; what it saw is kept
            inputs.append(x)
            weights = _unpacked(model, names, mine)
            x = functional_call(layer, weights, (x,))
            most = max(most, nbytes(model) + sum(4 * value.numel() for value in weights.values()))
    gradient = (F.softmax(x, dim=1) - F.one_hot(y, x.shape[1])) / len(x)   # of the mean cross-entropy
    for layer, mine in reversed(layers):
        x, weights = inputs.pop(), _unpacked(model, names, mine)
        asked = [value.requires_grad_() for value in weights.values()]
        asked += [x.requires_grad_()] if inputs else []
        gradients = torch.autograd.grad(functional_call(layer, weights, (x,)), asked, gradient) if asked else ()
        for i, value, slope in zip(mine, asked, gradients, strict=False):
            moved = (value - lr * slope).detach()
            model[i] = Packed(moved) if model[i].bits == 32 else pack(moved, model[i].bits, rng=rng)
        gradient = gradients[-1] if inputs else None
    return most


def _unpacked(model, names, mine):
    return {names[i].partition(".")[2]: model[i].unpack().detach() for i in mine}
