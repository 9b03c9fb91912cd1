"""Half of the digits as a good sensor sees them, half as a bad one does. Run: python datasets/sensor_shift/make.py [--check]"""
import numpy as np

from odl_kit.data import cards


def make():
    """x (1797, 1, 16, 16) uint8, 255 = bright; y (1797,) int8; user (1797,) int8: 0 = source (clean), 1 = target (the bad sensor)."""
    rng = np.random.RandomState(1)      # the old generator: its numbers are the same in every version of NumPy
    digits = cards.arrays("digits")
    order = rng.permutation(len(digits["y"]))
    x, y = enlarge(digits["x"][order, 0] / 16), digits["y"][order]
    user = (np.arange(len(y)) >= len(y) // 2).astype(np.int8)
    x[user == 1] = bad_sensor(x[user == 1], rng)
    return {"x": np.round(x[:, None] * 255).astype(np.uint8), "y": y, "user": user}


def enlarge(images):
    """(N, H, W) -> (N, 2H, 2W), bilinear: each new pixel is 3/4 its nearest old one and 1/4 the next."""
    for axis in (1, 2):
        images = np.moveaxis(images, axis, 0)
        edged = np.concatenate([images[:1], images, images[-1:]])
        images = np.stack([0.75 * images + 0.25 * edged[:-2], 0.75 * images + 0.25 * edged[2:]], axis=1).reshape(-1, *images.shape[1:])
        images = np.moveaxis(images, 0, axis)
    return images


def bad_sensor(images, rng):
    """(N, 16, 16) in [0, 1] -> the same: mounted sideways, inverted, dark in the corners (vignette), noisy (standard deviation 0.25)."""
    turned = np.rot90(1 - images, axes=(1, 2))
    r = np.linspace(-1, 1, images.shape[1])
    vignette = 0.35 + 0.65 * np.exp(-(r[:, None] ** 2 + r ** 2))
    return np.clip(turned * vignette + 0.25 * rng.standard_normal(images.shape), 0, 1)


if __name__ == "__main__":
    cards.build(__file__, make)
