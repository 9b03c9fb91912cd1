"""What happens to a picture on its way into a device: camera and bad_sensor (another camera), jitter (held a little differently)."""
import math

import torch
from torch.nn import functional as F


def bad_sensor(x, *, rng):
    """x (N, C, H, W) float32 in [0, 1] -> the same shape, as a second camera sees it: mounted sideways, inverted, dark corners, some noise.

    A quarter turn, 1 - x, times 1 - 0.225 r^2 (r: distance from the middle, 1 at the edge), noise of standard deviation 0.06. It needs
    H = W. The data set `sensor_shift` holds digits of a worse one. Raises ValueError for pictures that are not square.
    """
    if x.dim() != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"pictures are (N, C, H, H) for a camera mounted sideways, these are {tuple(x.shape)}")
    r = torch.linspace(-1, 1, x.shape[-1])
    vignette = 1 - 0.225 * (r[:, None] ** 2 + r ** 2)
    noise = torch.randn(x.shape, generator=rng)
    return ((1 - x.rot90(1, (-2, -1))) * vignette + 0.06 * noise).clamp(0, 1)


def camera(x, *, turn=0.0, contrast=1.0, noise=0.0, rng=None):
    """x (N, C, H, W) float32 in [0, 1] -> the same shape, as a camera that differs by three knobs sees it; 0, 1, 0 is the same camera.

    turn: degrees, to the left on the screen, bilinear, the edge repeated outwards. contrast: 0.5 + contrast (x - 0.5), so 0 is grey and -1
    is the negative. noise: its standard deviation, cut to 0..1 after. rng: torch.Generator, for the noise alone.
    Raises ValueError for pictures that are not square (they would be stretched), noise below 0, and noise without rng.
    """
    if x.dim() != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"pictures are (N, C, H, H) for a camera that is turned, these are {tuple(x.shape)}")
    if noise < 0 or (noise and rng is None):
        raise ValueError(f"noise={noise}, rng={rng}: give 0 or more, and a torch.Generator to draw it from")
    if turn:
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        rows = torch.tensor([[cos, -sin, 0], [sin, cos, 0]]).expand(len(x), 2, 3)
        x = F.grid_sample(x, F.affine_grid(rows, x.shape, align_corners=False), padding_mode="border", align_corners=False)
    x = 0.5 + contrast * (x - 0.5)
    return (x + noise * torch.randn(x.shape, generator=rng) if noise else x).clamp(0, 1)


def jitter(x, *, rng, turn=10.0, shift=0.0625, scale=0.05):
    """x (N, C, H, W) float32 -> the same shape: each picture turned, shifted and scaled at random, bilinear, its edge repeated outwards.

    turn: degrees at most, either way. shift: of the width, at most. scale: of the size, at most. Each is drawn uniformly from rng.
    """
    def draw(most):
        return most * (2 * torch.rand(len(x), generator=rng) - 1)
    angle, factor = torch.deg2rad(draw(turn)), 1 + draw(scale)
    across, down = 2 * draw(shift), 2 * draw(shift)      # affine_grid measures the width as 2
    cos, sin = factor * angle.cos(), factor * angle.sin()
    rows = torch.stack([cos, -sin, across, sin, cos, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, x.shape, align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
