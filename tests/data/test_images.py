import numpy as np
import pytest
import torch

from odl_kit.data import images

seed = torch.Generator().manual_seed


def test_a_bad_sensor_turns_inverts_darkens_the_corners_and_adds_noise():
    x = torch.rand(50, 1, 16, 16, generator=seed(0))
    seen = images.bad_sensor(x, rng=seed(1))
    place = np.linspace(-1, 1, 16)
    light = 1 - 0.45 * (place[:, None] ** 2 + place[None] ** 2) / 2
    expected = np.rot90(1 - x.numpy(), axes=(2, 3)) * light
    inside = (expected > 0.25) & (expected < 0.75)      # where the noise is not cut
    noise = (seen.numpy() - expected)[inside]
    assert noise.std() == pytest.approx(0.06, rel=0.05) and abs(noise.mean()) < 0.005
    assert seen.shape == x.shape and seen.min() >= 0 and seen.max() <= 1
    assert torch.equal(seen, images.bad_sensor(x, rng=seed(1))) and not torch.equal(seen, images.bad_sensor(x, rng=seed(2)))


def test_no_jitter_is_the_same_picture():
    x = torch.rand(3, 2, 16, 16, generator=seed(0))
    assert torch.allclose(images.jitter(x, rng=seed(1), turn=0, shift=0, scale=0), x, atol=1e-5)


def test_jitter_moves_a_picture_within_its_bounds_each_in_its_own_way():
    x = torch.zeros(200, 1, 17, 17)
    x[:, :, 8, 8] = 1      # the middle, which neither turning nor scaling moves
    seen = images.jitter(x, rng=seed(0), turn=20, shift=2 / 17, scale=0.1)
    place = torch.arange(17.0)
    mass = seen.sum((1, 2, 3))
    across, down = (seen.sum(axis).squeeze(1) @ place / mass for axis in (2, 3))
    for centre in (across, down):
        assert (centre - 8).abs().max() < 2.6 and (centre - 8).std() > 0.8
    assert len({tuple(row.tolist()) for row in torch.stack([across, down], 1)}) > 150


def test_a_turn_of_90_degrees_is_rot90():
    x = torch.rand(1, 1, 8, 8, generator=seed(0))
    angles = [images.jitter(x, rng=seed(s), turn=90, shift=0, scale=0) for s in range(300)]
    nearest = min((angle - x.rot90(k, (-2, -1))).abs().mean().item() for angle in angles for k in (1, -1))
    assert nearest < 0.02


def test_pictures_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match=r"\(N, C, H, H\).*\(2, 1, 4, 5\)"):
        images.bad_sensor(torch.zeros(2, 1, 4, 5), rng=seed(0))


def test_the_same_camera_changes_nothing():
    x = torch.rand(3, 2, 8, 8, generator=seed(0))
    assert torch.equal(images.camera(x), x)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_camera_turned_by_quarters_is_rot90(quarters):
    x = torch.rand(2, 1, 8, 8, generator=seed(0))
    assert torch.allclose(images.camera(x, turn=90 * quarters), x.rot90(quarters, (-2, -1)), atol=1e-5)


def test_contrast_squeezes_around_grey_or_turns_into_the_negative():
    x = torch.rand(2, 1, 8, 8, generator=seed(0))
    assert torch.allclose(images.camera(x, contrast=0.2), torch.from_numpy(0.4 + 0.2 * x.numpy()), atol=1e-6)
    assert torch.allclose(images.camera(x, contrast=-1), 1 - x, atol=1e-6)
    assert torch.equal(images.camera(x, contrast=0), torch.full_like(x, 0.5))


def test_noise_has_the_deviation_one_asked_for_and_stays_within_the_picture():
    x = torch.full((100, 1, 8, 8), 0.5)
    noisy = images.camera(x, noise=0.1, rng=seed(0))
    assert (noisy - x).std().item() == pytest.approx(0.1, rel=0.03)
    assert images.camera(x, noise=9, rng=seed(0)).min() == 0 and torch.equal(noisy, images.camera(x, noise=0.1, rng=seed(0)))


@pytest.mark.parametrize("width, options, words", [(5, {}, "turned"), (4, {"noise": -1}, "noise=-1"), (4, {"noise": 0.1}, "rng=None")])
def test_a_camera_that_cannot_be_is_refused(width, options, words):
    with pytest.raises(ValueError, match=words):
        images.camera(torch.zeros(2, 1, 4, width), **options)
