"""Code books against a loop over clusters, against the dense net's gradients, and against bits that are really packed."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from odl_kit.learners import train
from odl_kit.models import layers, nets, prune, share

seed = torch.Generator().manual_seed


def tiny(classes=4):
    return nets.tiny_cnn(1, classes, width=4, rng=seed(0))


@given(bits=st.integers(1, 5), number=st.integers(0, 50))
def test_each_layer_has_at_most_2_to_the_bits_values_and_each_weight_took_a_nearest_mean(bits, number):
    net = nets.mlp(9, 7, 3, rng=seed(number))
    shared = share.share(net, bits)
    for name, (index, book) in share.books(shared).items():
        old, new = net.get_submodule(name).weight.detach(), shared.get_submodule(name).weight.detach()
        assert len(book) <= 2**bits and len(new.unique()) <= 2**bits
        for k, value in enumerate(book, start=1):
            members = old[index == k]
            assert len(members) and torch.allclose(members.mean(), value, atol=1e-5)       # k-means has settled: a value is a mean,
        nearest = (old[..., None] - book).abs()
        took = nearest.gather(-1, (index - 1)[..., None])[..., 0]
        assert (took <= nearest.min(-1).values + 1e-4).all()                               # and nobody is nearer to another one


def test_the_gradient_of_a_value_is_the_sum_of_the_gradients_of_its_weights():
    x, y = torch.rand(6, 1, 8, 8, generator=seed(1)), torch.arange(6) % 4
    shared = share.share(tiny(), 2)
    plain = share.unshared(shared)
    F.cross_entropy(shared(x), y).backward()
    F.cross_entropy(plain(x), y).backward()
    for name, (index, book) in share.books(shared).items():
        of_book = shared.get_submodule(name).parametrizations.weight.original.grad
        of_weights = plain.get_submodule(name).weight.grad
        for k in range(len(book)):
            by_hand = sum(float(g) for g, i in zip(of_weights.flatten(), index.flatten(), strict=True) if i == k + 1)
            assert float(of_book[k]) == pytest.approx(by_hand, rel=1e-3, abs=1e-6)


def test_a_shared_net_trains_by_fit_and_stays_shared():
    x = torch.randn(80, 6, generator=seed(1))
    y = x[:, :3].argmax(1)
    shared = share.share(nets.mlp(6, 8, 3, rng=seed(0)), 3)
    history = train.fit(shared, x, y, epochs=15, batch_size=10, lr=0.02, rng=seed(0), progress=False)
    assert history.losses[-1] < 0.8 * history.losses[0]
    assert all(len(shared.get_submodule(name).weight.unique()) <= 8 for name in share.books(shared))


def test_with_enough_values_nothing_changes_and_unshared_computes_the_same():
    net = nets.mlp(5, 4, 3, rng=seed(0))
    x = torch.rand(3, 5, generator=seed(1))
    shared = share.share(net, 8)
    assert torch.allclose(shared(x), net(x), atol=1e-6)
    coarse = share.share(net, 1)
    plain = share.unshared(coarse)
    assert torch.equal(plain(x), coarse(x)) and share.books(plain) == {} and len(share.books(coarse)) == 2
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in net.named_parameters()]
    assert [s.weights for s in layers.trace(share.unshared(coarse), x)] == [s.weights for s in layers.trace(net, x)]


def test_pruned_weights_stay_zero_and_take_no_value():
    net = tiny()
    masks = prune.magnitude(net, 0.9)
    with prune.held(net, masks):
        pass
    shared = share.share(net, 3)
    x = torch.rand(20, 1, 8, 8, generator=seed(1))
    train.fit(shared, x, torch.arange(20) % 4, epochs=2, batch_size=5, lr=0.05, rng=seed(0), progress=False)
    for name, mask in masks.items():
        assert (shared.get_parameter(name.replace(".weight", ".parametrizations.weight.original")) != 0).all()
        assert torch.equal(shared.get_submodule(name.removesuffix(".weight")).weight != 0, mask)


@pytest.mark.parametrize("amount", [0.0, 0.8])
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_bytes_are_those_of_packed_bits(bits, amount):
    net = tiny()
    with prune.held(net, prune.magnitude(net, amount)):
        pass
    shared = share.share(net, bits)
    packed = 0
    for index, book in share.books(shared).values():
        chosen = index[index > 0].numpy().astype(np.uint8) - 1
        wide = max(1, int(len(book) - 1).bit_length())
        packed += np.packbits(np.unpackbits(chosen[:, None], axis=1)[:, 8 - wide:].reshape(-1)).nbytes + 4 * len(book)
        packed += np.packbits((index > 0).numpy()).nbytes if amount else 0
    assert share.nbytes(shared) == packed + 4 * sum(len(m.bias) for m in (net.conv1, net.conv2, net.conv3, net.head))


def test_only_the_named_layers_are_shared_and_a_layer_of_zeros_is_fine():
    net = tiny()
    torch.nn.init.zeros_(net.conv2.weight)
    shared = share.share(net, 2, layers=["conv2", "head"])
    assert list(share.books(shared)) == ["conv2", "head"]
    assert (shared.conv2.weight == 0).all() and torch.equal(shared.conv1.weight, net.conv1.weight)


def test_errors_name_the_value_and_the_limit():
    with pytest.raises(ValueError, match="bits is 9"):
        share.share(tiny(), 9)
    with pytest.raises(ValueError, match="'relu1' is no convolution"):
        share.share(tiny(), 2, layers=["relu1"])
    with pytest.raises(ValueError, match="'conv1' is shared already"):
        share.share(share.share(tiny(), 2), 2)
