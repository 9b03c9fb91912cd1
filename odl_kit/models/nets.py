"""The nets of the labs: plain torch layers with names that a plan can use. Their weights come from `rng` alone, not from global state."""
import math
from collections import OrderedDict

import torch
from torch import nn


def softmax(inputs, classes, *, rng):
    """Softmax regression: x (N, ...) float32 with `inputs` values an example -> logits (N, classes)."""
    return mlp(inputs, (), classes, rng=rng)


def mlp(inputs, hidden, classes, *, rng):
    """Dense layers with ReLU: x (N, ...) float32 with `inputs` values an example -> logits (N, classes).

    hidden: one width, or a tuple of widths.
    """
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)

    def layers():
        yield "flatten", nn.Flatten()
        for i, (a, b) in enumerate(zip((inputs, *hidden), hidden, strict=False), start=1):
            yield f"hidden{i}", nn.Linear(a, b)
            yield f"relu{i}", nn.ReLU()
        yield "head", nn.Linear((inputs, *hidden)[-1], classes)
    return _build(layers, rng)


def tiny_cnn(channels, classes, *, width=8, rng):
    """Three 3x3 convolutions and a head: x (N, channels, H, W) float32, H, W >= 4 -> logits (N, classes). 3,738 weights for digits."""
    def layers():
        for i, (a, b) in enumerate(((channels, width), (width, 2 * width), (2 * width, 2 * width)), start=1):
            yield f"conv{i}", nn.Conv2d(a, b, 3, padding=1)
            yield f"relu{i}", nn.ReLU()
            yield f"pool{i}", nn.MaxPool2d(2) if i < 3 else nn.AdaptiveAvgPool2d(1)
        yield "flatten", nn.Flatten()
        yield "head", nn.Linear(2 * width, classes)
    return _build(layers, rng)


def ds_cnn(channels, classes, *, width=16, blocks=2, stem=(3, 3), norm="group", rng):
    """Depthwise-separable net: x (N, channels, H, W) float32 of any H and W -> logits (N, classes).

    A convolution with stride 2, then `blocks` of a 3x3 depthwise and a 1x1 pointwise convolution, then the mean over all places.
    stem: kernel (height, width) of the first convolution, padded by half of it; the paper takes (10, 4) for 49 frames of 10 bands.
    norm: "group" (GroupNorm, 4 groups where width allows), "batch" (BatchNorm right behind each convolution, so that it can be folded into
    it) or None; with a norm the convolutions have no bias, since the norm has one. Raises ValueError for another norm.
    Source: Zhang et al. 2017, "Hello Edge" (DS-CNN).
    """
    norms = {"group": lambda: nn.GroupNorm(math.gcd(4, width), width), "batch": lambda: nn.BatchNorm2d(width), None: None}
    if norm not in norms:
        raise ValueError(f'norm {norm!r} is unknown: use "group", "batch" or None')

    def step(name, conv):
        yield name, conv
        if norm:
            yield f"{name}_norm", norms[norm]()
        yield f"{name}_relu", nn.ReLU()

    def layers():
        bias = norm is None
        yield from step("stem", nn.Conv2d(channels, width, stem, stride=2, padding=(stem[0] // 2, stem[1] // 2), bias=bias))
        for i in range(1, blocks + 1):
            yield from step(f"depthwise{i}", nn.Conv2d(width, width, 3, padding=1, groups=width, bias=bias))
            yield from step(f"pointwise{i}", nn.Conv2d(width, width, 1, bias=bias))
        yield "pool", nn.AdaptiveAvgPool2d(1)
        yield "flatten", nn.Flatten()
        yield "head", nn.Linear(width, classes)
    return _build(layers, rng)


SMALL = ((32, 16, 1), (48, 24, 2), (72, 24, 1), (72, 32, 1))     # (width inside, width out, stride) of each block


def mobile_net(channels, classes, *, stem=16, stem_stride=2, blocks=SMALL, features=None, norm="batch", rng):
    """Inverted residuals, as in the nets that microcontrollers train: x (N, channels, H, W) float32 of any H and W -> logits (N, classes).

    A 3x3 convolution, then `blocks` of 1x1 expand, 3x3 depthwise with the stride, and 1x1 project without ReLU; a block that keeps the
    shape adds its input (`Residual`). A 1x1 convolution to `features`, if given, then the mean over all places. Names: block1.expand ...
    norm: "batch", or None: convolutions with biases, the shape of a net whose norms were folded (models.fold). With the default blocks,
    10 classes and norm=None: 13 convolutions, 13,482 weights. Raises ValueError for another norm.
    Source: Sandler et al. 2018 (MobileNetV2), sec. 3.3.
    """
    if norm not in ("batch", None):
        raise ValueError(f'norm {norm!r} is unknown: use "batch" or None')

    def step(name, conv, relu=True):
        yield name, conv
        if norm:
            yield f"{name}_norm", nn.BatchNorm2d(conv.out_channels)
        if relu:
            yield f"{name}_relu", nn.ReLU()

    def block(inside, width, out, stride):
        yield from step("expand", nn.Conv2d(inside, width, 1, bias=norm is None))
        yield from step("depthwise", nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=norm is None))
        yield from step("project", nn.Conv2d(width, out, 1, bias=norm is None), relu=False)

    def layers():
        yield from step("stem", nn.Conv2d(channels, stem, 3, stem_stride, 1, bias=norm is None))
        inside = stem
        for i, (width, out, stride) in enumerate(blocks, start=1):
            kind = Residual if inside == out and stride == 1 else nn.Sequential
            yield f"block{i}", kind(OrderedDict(block(inside, width, out, stride)))
            inside = out
        if features:
            yield from step("last", nn.Conv2d(inside, features, 1, bias=norm is None))
        yield "pool", nn.AdaptiveAvgPool2d(1)
        yield "flatten", nn.Flatten()
        yield "head", nn.Linear(features or inside, classes)
    return _build(layers, rng)


def glyph_net(classes, *, norm=None, rng):
    """`mobile_net` for pictures of 16x16, with 64 features that serve new classes: x (N, 1, 16, 16) float32 -> logits (N, classes).

    14 convolutions; norm=None: 21,104 weights below the head. Of such a net datasets/glyphs keeps the weights, for 10 classes.
    """
    blocks = ((48, 24, 2), (72, 24, 1), (72, 32, 2), (96, 32, 1))
    return mobile_net(1, classes, stem_stride=1, blocks=blocks, features=64, norm=norm, rng=rng)


class Residual(nn.Sequential):
    """x + what the layers make of x."""

    def forward(self, x):
        return x + super().forward(x)


def word_model(vocabulary, *, context, embedding=16, hidden=32, rng):
    """The next word, or the next character: x (N, context) int64 tokens -> logits (N, vocabulary). Source: Bengio et al. 2003."""
    def layers():
        yield "embedding", nn.Embedding(vocabulary, embedding)
        yield "flatten", nn.Flatten()
        yield "hidden", nn.Linear(context * embedding, hidden)
        yield "relu", nn.ReLU()
        yield "head", nn.Linear(hidden, vocabulary)
    return _build(layers, rng)


def _build(layers, rng):
    """A Sequential of the (name, layer) pairs that `layers()` yields, its weights drawn from rng: He et al. 2015 (uniform), biases 0."""
    with torch.device("meta"):      # no memory yet, and no draw from the global generator
        net = nn.Sequential(OrderedDict(layers()))
    net.to_empty(device="cpu")
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, generator=rng)
        elif isinstance(layer, (nn.GroupNorm, nn.BatchNorm2d)):
            layer.reset_parameters()    # ones and zeros; nothing is drawn
    return net
