"""What happens to a sound on its way into a device, in the features of `keywords`: jitter (the same word, said again), muffled, noisy.

recordings are the WAV files that a data set holds to listen to. Elsewhere x is (N, 1, frames, bands) float32: log energy, 0 and 1 the mean
and the standard deviation of a band, as the card of the data set says.
"""
import torch

from odl_kit import home


def recordings(name):
    """{file name without its end: bytes of a WAV file} of data set `name`, in alphabetical order. ValueError if it holds none."""
    paths = sorted((home() / "datasets" / name / "wav").glob("*.wav"))
    if not paths:
        raise ValueError(f"{name} holds no recordings: `keywords` does, in datasets/keywords/wav")
    return {path.stem: path.read_bytes() for path in paths}


def jitter(x, *, rng, shift=4, noise=0.15):
    """x -> the same shape: each clip up to `shift` frames earlier or later, its first or last frame repeated, and some noise added.

    noise: its standard deviation. For training on few clips: repeat them, then jitter.
    """
    frames = x.shape[2]
    move = torch.randint(-shift, shift + 1, (len(x), 1), generator=rng)
    at = (torch.arange(frames) - move).clamp(0, frames - 1)
    return x.gather(2, at[:, None, :, None].expand_as(x)) + noise * torch.randn(x.shape, generator=rng)


def muffled(x, *, amount):
    """x as through dust or cloth over the microphone: band k of K loses amount * k / (K - 1) standard deviations, the highest most.

    amount: a number, or (N,) one a clip. Energy is lost, nothing else; a real microphone would show its own noise below some level.
    """
    bands = x.shape[3]
    loss = torch.as_tensor(amount, dtype=x.dtype).reshape(-1, 1, 1, 1) * torch.arange(bands) / (bands - 1)
    return x - loss


def noisy(x, *, level, nats=3.0):
    """x with a steady noise of log energy `level` in every band, in the units of x: energies add up, log(e^x + e^level).

    nats: how much log energy one unit of x is; about 3 (13 dB) in `keywords`, where it is a band's standard deviation.
    """
    return torch.logaddexp(nats * x, torch.as_tensor(nats * level, dtype=x.dtype)) / nats
