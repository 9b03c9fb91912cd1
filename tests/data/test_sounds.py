import numpy as np
import pytest
import torch

from odl_kit.data import cards, datasets, sounds

seed = torch.Generator().manual_seed


def test_jitter_moves_each_clip_by_whole_frames_within_its_bounds_and_repeats_the_edge():
    x = torch.arange(20.0).view(1, 1, 20, 1).expand(300, 1, 20, 3)
    seen = sounds.jitter(x, rng=seed(0), shift=2, noise=0)
    moves = set()
    for clip in seen[:, 0, :, 0]:
        move = int((torch.arange(20.0) - clip)[10])
        moves.add(move)
        assert clip.tolist() == [min(max(t - move, 0), 19) for t in range(20)]
    assert moves == {-2, -1, 0, 1, 2} and torch.equal(seen[..., 0], seen[..., 2])


def test_jitter_adds_noise_of_the_asked_strength_and_repeats_with_its_seed():
    x = torch.zeros(50, 1, 49, 10)
    seen = sounds.jitter(x, rng=seed(0), noise=0.3)
    assert seen.std() == pytest.approx(0.3, rel=0.02) and abs(seen.mean()) < 0.01
    assert torch.equal(seen, sounds.jitter(x, rng=seed(0), noise=0.3))
    assert torch.equal(sounds.jitter(x, rng=seed(0), shift=0, noise=0), x)


def test_a_muffled_microphone_takes_nothing_from_the_lowest_band_and_most_from_the_highest():
    x = torch.randn(4, 1, 5, 10, generator=seed(0))
    assert torch.allclose(x - sounds.muffled(x, amount=1.8), 1.8 * torch.arange(10) / 9 * torch.ones_like(x), atol=1e-6)
    each = sounds.muffled(x, amount=torch.tensor([0.0, 1.0, 2.0, 3.0]))
    assert torch.equal(each[0], x[0]) and torch.allclose(each[3], sounds.muffled(x[3:], amount=3.0)[0])


def test_noise_adds_energies_as_a_sum_of_powers_does():
    x = torch.randn(3, 1, 5, 4, generator=seed(0))
    energy = np.exp(3 * x.numpy().astype(np.float64)) + np.exp(3 * -0.5)
    assert np.allclose(sounds.noisy(x, level=-0.5), np.log(energy) / 3, atol=1e-5)
    assert torch.allclose(sounds.noisy(x, level=-20.0), x, atol=1e-5)      # far below what is said, nobody hears it


def test_one_unit_of_the_keywords_is_about_three_nats_in_every_band():
    step = cards.arrays("keywords")["band_step"]
    assert np.abs(step / datasets.cards.read("keywords")["scale"]["x"] - 3.0).max() < 0.55


def test_the_recordings_are_the_files_of_the_data_set():
    found = sounds.recordings("keywords")
    assert list(found) == sorted(found) and {"no_german", "no_whisper"} <= set(found)
    assert all(data[:4] == b"RIFF" and data[8:12] == b"WAVE" for data in found.values())
    with pytest.raises(ValueError, match="digits holds no recordings"):
        sounds.recordings("digits")
