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
