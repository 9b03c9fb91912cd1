"""What happens to a picture on its way into a device: bad_sensor (another camera) and jitter (the same thing held a little differently)."""
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
