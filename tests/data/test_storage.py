import pytest
import torch

from odl_kit.data import bits, datasets, dictionary, storage

DIGITS = datasets.load("digits").x[:200]


@pytest.mark.parametrize("number", [1, 3, 8])
def test_in_bits_takes_the_bytes_of_the_packed_levels_and_reads_back_the_same(number):
    stored = storage.in_bits(DIGITS, number)
    packed = bits.pack(bits.quantise(DIGITS, number), number)
    assert stored.fixed + stored.each * len(DIGITS) == len(packed)
    assert torch.equal(stored.x, bits.restore(bits.unpack(packed, number, DIGITS.shape), number))


def test_half_the_resolution_is_the_mean_of_four_pixels_at_their_place():
    stored = storage.in_half(DIGITS, 8)
    means = DIGITS.view(200, 1, 4, 2, 4, 2).mean((3, 5))
    assert stored.x.shape == DIGITS.shape and stored.each == 16
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert (stored.x[..., row::2, column::2] - means).abs().max() <= 0.5 / 255 + 1e-6


def test_half_the_resolution_of_a_signal_is_the_mean_of_two_samples():
    x = torch.rand(5, 3, 10, generator=torch.Generator().manual_seed(0))
    stored = storage.in_half(x, 8)
    assert stored.each == 15 and (stored.x[..., ::2] - (x[..., ::2] + x[..., 1::2]) / 2).abs().max() < 0.003
    with pytest.raises(ValueError, match="with even sides"):
        storage.in_half(x[..., :9], 8)


def test_in_dictionary_pays_for_its_atoms_once_and_for_each_code():
    atoms = dictionary.columns(DIGITS, 32, rng=torch.Generator().manual_seed(0))
    stored = storage.in_dictionary(DIGITS, atoms, count=4, value_bits=6)
    assert stored.fixed == 32 * 64
    assert stored.each * 200 == pytest.approx(bits.num_bytes(200 * (3 + 4 * (5 + 6)), 1) + 4)     # how many, then place and value of each
    closer = storage.in_dictionary(DIGITS, atoms, count=12, value_bits=8)
    assert (closer.x - DIGITS).norm() < (stored.x - DIGITS).norm() < DIGITS.norm()


def test_a_dictionary_of_all_directions_gives_the_examples_back():
    atoms = torch.eye(64)
    stored = storage.in_dictionary(DIGITS[:20], atoms, count=64, value_bits=12)
    assert (stored.x - DIGITS[:20]).abs().max() < 1e-3


@pytest.mark.parametrize(("budget", "fit"), [(0, 0), (64, 0), (65, 1), (10 * 64 + 5, 10), (10 ** 6, 200)])
def test_so_many_examples_with_their_labels_fit(budget, fit):
    assert storage.in_bits(DIGITS, 8).room(budget, label_bits=4) == fit


def test_no_example_fits_before_the_dictionary_does():
    stored = storage.in_dictionary(DIGITS, torch.eye(64), count=2)
    assert stored.room(4000, label_bits=4) == 0 < stored.room(5000, label_bits=4)
