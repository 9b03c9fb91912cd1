"""UpdatePlan says what learns: which biases, and how many input channels of which layers' weights.

Makers: full, head_only, last_layers, bias_only, from_scheme. Users see `plan.mask(net)` (federation) or `plan.chosen(net)` (trainer, meter,
engine).
"""
from dataclasses import dataclass, field

import torch
from torch import nn

ORDERS = ("largest", "smallest", "random")
WEIGHED = (nn.Conv2d, nn.Linear, nn.Embedding)      # what last_layers counts: a norm goes with the layer before it
KNOWN = (*WEIGHED, nn.GroupNorm, nn.BatchNorm2d)


@dataclass(frozen=True)
class UpdatePlan:
    """Which biases learn, and how many input channels of which weights. UpdatePlan() learns nothing.

    biases:   names of layers (module names of the net) whose bias learns.
    channels: {layer name: count}: of this layer's weights, those that read `count` of its input channels learn. A depthwise convolution
              has one input channel per filter, a norm counts its features, an embedding the rows of its table.
    order:    which channels these are: "largest" or "smallest" L2 norm of a channel's weights, or "random"; or {layer name: its channels,
              the first to learn first}, for a choice made elsewhere (learners.tinytrain). A layer that learns whole needs no entry.
    Source: Lin et al. 2022 (MCUNetV3), sec. 3.2.
    """
    biases: frozenset = frozenset()
    channels: dict = field(default_factory=dict)
    order: str | dict = "largest"

    def __post_init__(self):
        if isinstance(self.order, dict):
            object.__setattr__(self, "order", {name: tuple(map(int, ranked)) for name, ranked in self.order.items()})
        elif self.order not in ORDERS:
            raise ValueError(f"order {self.order!r} is unknown: use one of {', '.join(ORDERS)}, or a dict of channels")
        object.__setattr__(self, "biases", frozenset(self.biases))
        object.__setattr__(self, "channels", dict(self.channels))

    def chosen(self, net, rng=None):
        """{layer name: (count,) int64, ascending}: the input channels whose weights learn, in the order of the net's layers.

        They depend on the weights that `net` has now. rng: torch.Generator, for order="random" only.
        Raises ValueError for a layer that net has not, a bias that is not there, a count out of range, or a missing rng.
        """
        layers = _layers(net)
        _known({*self.biases, *self.channels}, layers)
        for name in self.biases:
            if getattr(layers[name], "bias", None) is None:
                raise ValueError(f"layer {name!r} has no bias: take it out of plan.biases")
        for name, count in self.channels.items():
            limit = num_channels(layers[name])
            if not 0 <= count <= limit:
                raise ValueError(f"plan wants {count} input channels of {name!r}, which has {limit}: give 0 to {limit}")
        if self.order == "random" and rng is None:
            raise ValueError('order="random" draws channels: pass rng, a torch.Generator')
        return {name: self._pick(name, layer, self.channels[name], rng) for name, layer in layers.items() if self.channels.get(name)}

    def _pick(self, name, layer, count, rng):
        limit = num_channels(layer)
        if isinstance(self.order, dict):
            ranked = self.order.get(name, range(limit) if count == limit else ())
            if len(ranked) < count or len(set(ranked)) < len(ranked) or not set(ranked) <= set(range(limit)):
                raise ValueError(f"order[{name!r}] must name {count} or more of the channels 0 to {limit - 1}, none twice: it is {ranked}")
            ranked = torch.tensor(ranked)
        elif self.order == "random":
            ranked = torch.randperm(limit, generator=rng)
        else:
            ranked = by_channel(layer).norm(dim=1).argsort(descending=self.order == "largest", stable=True)
        return ranked[:count].sort().values

    def mask(self, net, rng=None):
        """(P,) bool in the order of flat.ravel(net): True where a weight learns. Arguments and errors as for `chosen`."""
        chosen, layers, pieces = self.chosen(net, rng), _layers(net), []
        for name, p in net.named_parameters():
            layer, _, kind = name.rpartition(".")
            if kind == "weight" and layer in chosen:
                pieces.append(weight_mask(layers[layer], chosen[layer]).reshape(-1))
            else:
                pieces.append(torch.full((p.numel(),), kind == "bias" and layer in self.biases))
        return torch.cat(pieces)


def full(net):
    """Everything learns. Raises ValueError if net holds weights that no plan can name."""
    layers = _layers(net)
    named = {id(p) for layer in layers.values() for p in layer.parameters(recurse=False)}
    for name, p in net.named_parameters():
        if id(p) not in named:
            raise ValueError(f"no plan can name {name!r}: plans know the weights of {', '.join(k.__name__ for k in KNOWN)}; use plan=None")
    return _whole(layers, layers)


def head_only(net):
    """Only the head learns: weight and bias of the last layer with weights (in the order in which net registers its layers)."""
    return last_layers(net, 1)


def last_layers(net, k):
    """The last k convolutions, linear layers and embeddings learn, with the norms that follow them.

    Raises ValueError unless 1 <= k <= the number of such layers.
    """
    layers = _layers(net)
    names = list(layers)
    weighed = [i for i, layer in enumerate(layers.values()) if isinstance(layer, WEIGHED)]
    if not 1 <= k <= len(weighed):
        raise ValueError(f"k={k} layers wanted, net has {len(weighed)} layers with weights: give 1 to {len(weighed)}")
    return _whole(layers, names[weighed[-k]:])


def bias_only(net):
    """Every bias learns (a norm's too), and the whole head: a new task needs new classes.

    This is the published meaning: Cai et al. 2020 (TinyTL), sec. 3.2, fine-tune "the bias + the last layer".
    """
    layers, head = _layers(net), head_only(net)
    return UpdatePlan(_whole(layers, layers).biases | head.biases, head.channels)


def from_scheme(layers, *, num_bias, indices=(), ratios=(), order="largest"):
    """A sparse plan in the notation of Lin et al. 2022: the head, the biases of the last `num_bias` convolutions, parts of some weights.

    layers: as layers.trace gives them; convolutions are counted in this order from 0, the head (the last linear layer) is not one of them.
    indices, ratios: of the weight of convolution indices[j], int(c_in * ratios[j]) input channels learn; of a depthwise convolution so
    many of its channels. order: as in UpdatePlan. Raises ValueError for a net without a linear layer, a number out of range, and a weight
    whose bias does not learn: such a scheme has no place for it.
    """
    convs = [layer for layer in layers if layer.kind == "conv"]
    head = next((layer for layer in reversed(layers) if layer.kind == "linear"), None)
    if head is None or not 0 <= num_bias <= len(convs):
        raise ValueError("a scheme needs a head, a linear layer: there is none" if head is None else
                         f"num_bias={num_bias}: the net has {len(convs)} convolutions, give 0 to {len(convs)}")
    first = len(convs) - num_bias
    wrong = [i for i in indices if not first <= i < len(convs)] + [i for i in set(indices) if list(indices).count(i) > 1]
    if wrong or len(indices) != len(ratios) or not all(0 < r <= 1 for r in ratios):
        raise ValueError(f"indices {list(indices)} and ratios {list(ratios)}: give one ratio above 0 and up to 1 for each index, and each "
                         f"index once, from {first} (the first of the last {num_bias}) to {len(convs) - 1}")
    counts = {convs[i].name: int(convs[i].c_in * r) for i, r in zip(indices, ratios, strict=True)}
    biases = {layer.name for layer in (*convs[first:], head) if layer.bias}
    return UpdatePlan(biases, {name: count for name, count in counts.items() if count} | {head.name: head.c_in}, order)


def num_channels(layer):
    """How many input channels the weights of `layer` (a torch module) can be cut into: see UpdatePlan.channels."""
    return layer.weight.shape[1] * getattr(layer, "groups", 1) if isinstance(layer, (nn.Conv2d, nn.Linear)) else layer.weight.shape[0]


def by_channel(layer):
    """The weights of `layer` (a torch module), one row an input channel: (channels, weights per channel), detached."""
    w = layer.weight.detach()
    if not isinstance(layer, (nn.Conv2d, nn.Linear)):
        return w.reshape(len(w), -1)
    w = w.unflatten(0, (getattr(layer, "groups", 1), -1))         # (groups, c_out/groups, c_in/groups, ...)
    return w.transpose(1, 2).flatten(0, 1).flatten(1)             # (c_in, c_out/groups * kernel)


def weight_mask(layer, channels):
    """Bool mask, shaped like layer.weight: True for the weights that read one of `channels` (int64 indices)."""
    learns = torch.zeros(num_channels(layer), dtype=torch.bool)
    learns[channels] = True
    w = layer.weight
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        groups = getattr(layer, "groups", 1)
        learns = learns.view(groups, 1, -1).expand(-1, w.shape[0] // groups, -1).flatten(0, 1)      # (c_out, c_in/groups)
    return learns.view(*learns.shape, *[1] * (w.dim() - learns.dim())).expand_as(w)


def _layers(net):
    """{module name: module} of the layers a plan can name, in the order of net.named_modules(). Raises ValueError if two share a weight."""
    layers, owner = {}, {}
    for name, m in net.named_modules():
        if isinstance(m, KNOWN) and m.weight is not None:
            if id(m.weight) in owner:
                raise ValueError(f"layers {owner[id(m.weight)]!r} and {name!r} share a weight: a plan cannot tell them apart")
            layers[name], owner[id(m.weight)] = m, name
    return layers


def _known(names, layers):
    unknown = sorted(set(names) - set(layers))
    if unknown:
        raise ValueError(f"net has no layer {unknown[0]!r} with weights: it has {', '.join(layers) or 'none'}")


def _whole(layers, names):
    biases = frozenset(name for name in names if getattr(layers[name], "bias", None) is not None)
    return UpdatePlan(biases, {name: num_channels(layers[name]) for name in names})
