import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from odl_kit.data import datasets
from odl_kit.defenses import perceptual


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def glyphs(n):
    """n pictures (16, 16), no two of the same character."""
    data = datasets.load("glyphs")
    first = [int((data.y == k).nonzero()[0]) for k in range(n)]
    return data.x[first, 0]


@settings(max_examples=40, deadline=None)
@given(height=st.integers(9, 40), width=st.integers(9, 40), seed=st.integers(0, 99))
def test_the_hash_is_the_one_made_with_scipys_dct_and_numpys_median(height, width, seed):
    images = torch.rand(3, height, width, generator=seeded(seed))
    for image, mine in zip(images, perceptual.dct_hash(images), strict=True):
        low = dctn(image.double().numpy(), type=2)[:8, :8]
        assert (mine.numpy().reshape(8, 8) == (low > np.median(low))).all()


def test_half_of_the_bits_are_set_in_a_picture_without_equal_coefficients():
    assert (perceptual.dct_hash(torch.rand(20, 32, 32, generator=seeded())).sum(1) == 32).all()


def test_contrast_does_not_change_the_hash_and_brightness_at_most_one_pair_of_bits():
    images = glyphs(50)
    first = perceptual.dct_hash(images)
    assert torch.equal(perceptual.dct_hash(images * 0.5), first)
    assert (first != perceptual.dct_hash(images + 0.1)).sum(1).max() <= 2


def test_noisy_copies_lie_nearer_than_other_pictures():
    images = glyphs(100)
    first = perceptual.dct_hash(images)
    apart = perceptual.hamming(perceptual.dct_hash(images + 0.05 * torch.randn(images.shape, generator=seeded())), first)
    others = apart[~torch.eye(100, dtype=torch.bool)].double()
    assert (apart.argmin(1) == torch.arange(100)).double().mean() > 0.9
    assert apart.diagonal().double().quantile(0.95) < others.quantile(0.05)


def test_hamming_counts_by_a_loop():
    a, b = torch.rand(4, 64, generator=seeded()) < 0.5, torch.rand(3, 64, generator=seeded(1)) < 0.5
    assert perceptual.hamming(a, b).tolist() == [[sum(x != y for x, y in zip(p, q, strict=True)) for q in b.tolist()] for p in a.tolist()]


def test_a_full_check_finds_the_planted_copies_and_a_spot_check_those_it_looks_at():
    images, known = glyphs(100), perceptual.dct_hash(glyphs(103)[100:])
    planted = torch.cat([images, glyphs(103)[100:] * 0.8])
    looked, hit = perceptual.spot_check(planted, known, share=1, within=0, rng=seeded())
    assert looked.tolist() == list(range(103)) and hit[100:].all()
    truth = set(looked[hit].tolist())
    looked, hit = perceptual.spot_check(planted, known, share=0.3, within=0, rng=seeded())
    assert len(looked) == len(set(looked.tolist())) == 31 and looked.tolist() == sorted(looked.tolist())
    assert {*looked[hit].tolist()} == truth & {*looked.tolist()}


def test_a_spot_check_misses_a_single_picture_with_chance_1_minus_share():
    images = glyphs(20)
    known = perceptual.dct_hash(images[:1])
    seen = sum(bool((perceptual.spot_check(images, known, share=0.25, within=0, rng=seeded(s))[0] == 0).any()) for s in range(400))
    assert abs(seen / 400 - 0.25) < 4 * (0.25 * 0.75 / 400) ** 0.5


def test_a_flat_picture_and_no_picture_have_a_hash():
    assert perceptual.dct_hash(torch.zeros(1, 9, 9)).sum() == 0
    assert perceptual.dct_hash(torch.zeros(0, 9, 9)).shape == (0, 64)


def test_bad_input_is_an_error_that_names_it():
    for images in (torch.zeros(1, 8, 8), torch.zeros(9, 9), torch.zeros(1, 1, 9, 9)):
        with pytest.raises(ValueError, match="H and W above 8"):
            perceptual.dct_hash(images)
    with pytest.raises(ValueError, match="nan"):
        perceptual.dct_hash(torch.full((1, 9, 9), float("nan")))
    known = torch.zeros(1, 64, dtype=torch.bool)
    for share, hashes in ((0, known), (1.5, known), (0.5, known[:0])):
        with pytest.raises(ValueError, match="share="):
            perceptual.spot_check(torch.rand(3, 9, 9), hashes, share=share, within=4, rng=seeded())
