"""Rebuild `keywords`: 12 spoken words by 56 synthetic speakers, 1 s clips as 49 frames x 10 log-mel bands, and a few WAV files to play.

A speaker is an espeak-ng voice with a timbre variant, a base pitch and speed, the length of the vocal tract and the tilt of a
microphone. A take varies pitch, speed and intonation, then adds shift, noise and gain. Every draw depends on SEED and on what it is for,
never on the order of work.
Needs espeak-ng (the set was made with 1.51: apt-get install espeak-ng) and SciPy; 1 to 4 minutes on 2 cores.
"""
import hashlib
import os
import subprocess
import wave
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import signal
from tqdm import tqdm

from odl_kit.data import cards

SEED, RATE, FRAME, HOP, BANDS = 12, 16_000, 640, 320, 10        # 40 ms frames every 20 ms
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "marvin", "(other)")
OTHER = "bed bird cat dog house tree wow happy seven martin marble garden note stock gold light".split()
TAKES, OUTLIER_TAKES = 7, 16                                    # of each word, by an ordinary and by an outlier speaker
ENDINGS = ("", "!", "?", ",")                                   # espeak-ng changes the intonation with them
NOISES = {"white": 0.0, "pink": -0.5, "brown": -1.0, "babble": None}    # exponent of the amplitude over frequency
ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-us-nyc")
TIMBRES = ("m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 Alex Andy Annie Denis Gene Mike adam anika aunty belinda benjamin caleb david ed edward "
           "grandma john linda max michel pablo paul quincy rob robert victor Diogo Hugo antonio sandro").split()
WAVS = {"ordinary_0": 0, "ordinary_1": 1, "scotland": 42, "german": 44, "whisper": 50, "travis": 52}       # file name: user


class Speaker(NamedTuple):
    name: str
    voice: str          # espeak-ng's -v
    pitch: int          # espeak-ng's -p, 0 to 99
    speed: int          # words a minute
    tract: float = 1.0  # above 1 a shorter vocal tract: formants and pitch rise
    tilt: float = 0.0   # of the microphone: above 0 it favours high frequencies


# Voices of other languages read the English spelling. Chosen from 24 candidates because a net trained on ordinary ones fails on them.
OUTLIERS = (
    Speaker("scotland", "en-gb-scotland+m3", 45, 150), Speaker("caribbean", "en-029+m2", 50, 150), Speaker("german", "de+m4", 45, 140),
    Speaker("spanish", "es+m5", 45, 140), Speaker("polish", "pl+f3", 45, 140), Speaker("swedish", "sv+m6", 45, 140),
    Speaker("turkish", "tr+f4", 45, 140), Speaker("finnish", "fi+f1", 45, 140),
    Speaker("whisper", "en-us+whisper", 50, 150), Speaker("zac", "en-gb-x-rp+zac", 50, 150), Speaker("travis", "en-us+travis", 50, 150),
    Speaker("shelby", "en-us+shelby", 50, 150), Speaker("marco", "en-us+Marco", 50, 150), Speaker("fast", "en-us+f2", 60, 300),
)


def draws(*key):
    """A random generator of its own for `key`."""
    return np.random.default_rng(list(hashlib.sha256(repr((SEED, *key)).encode()).digest()))


def ordinary_speakers():
    """42 speakers, one per timbre, over the four accents in turn."""
    rng, speakers = draws("ordinary"), []
    for i, timbre in enumerate(rng.permutation(TIMBRES)):
        voice = f"{ACCENTS[i % 4]}+{timbre}"
        pitch, speed = int(rng.integers(30, 66)), int(rng.integers(130, 190))
        speakers.append(Speaker(voice, voice, pitch, speed, tract=float(rng.uniform(0.92, 1.09)), tilt=float(rng.uniform(-0.25, 0.25))))
    return speakers


def say(text, voice, pitch, speed, tract):
    """`text` by espeak-ng -> samples at RATE, silence trimmed. The vocal tract is scaled by resampling."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    start, rate = sound.index(b"data") + 8, int.from_bytes(sound[24:28], "little")
    samples = np.frombuffer(sound[start:len(sound) - (len(sound) - start) % 2], "<i2") / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.02 * max(np.abs(samples).max(), 1e-9))
    if not len(loud):
        raise ValueError(f"espeak-ng voice {voice} says nothing for {text!r}: is espeak-ng-data complete?")
    samples = samples[loud[0]:loud[-1] + 1]
    return signal.resample(samples, max(64, round(len(samples) * RATE / (rate * tract))))


def take(speaker, word, number):
    """One clean take of one word through the speaker's microphone, float32, RMS 0.1."""
    rng = draws(speaker.name, word, number)
    text = OTHER[int(rng.integers(len(OTHER)))] if word == "(other)" else word
    pitch = int(np.clip(speaker.pitch + rng.integers(-9, 10), 0, 99))
    speed = int(speaker.speed * rng.uniform(0.85, 1.18))
    ending = ENDINGS[int(rng.integers(len(ENDINGS)))]
    samples = say(text + ending, speaker.voice, pitch, speed, speaker.tract * rng.uniform(0.98, 1.02))
    return level(signal.lfilter([1, -speaker.tilt], [1], samples)).astype(np.float32)


def level(samples):
    """Scaled to RMS 0.1."""
    return samples / np.sqrt(np.mean(samples ** 2) + 1e-12) * 0.1


def noise(rng, babble):
    """1 s of white, pink or brown noise, or of four other voices at once; RMS 0.1."""
    kind = str(rng.choice(list(NOISES)))
    if kind == "babble":
        return level(sum(np.roll(np.resize(babble[int(rng.integers(len(babble)))], RATE), int(rng.integers(RATE))) for _ in range(4)))
    frequency = np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 40)
    return level(np.fft.irfft(np.fft.rfft(rng.standard_normal(RATE)) * frequency ** NOISES[kind], RATE))


def place(samples, rng, babble):
    """A 1 s clip: the word up to 0.1 s off the middle, noise 9 to 31 dB below it, gain -12 to 6 dB."""
    samples = samples[:RATE]
    start = (RATE - len(samples)) // 2 + int(rng.uniform(-0.1, 0.1) * RATE)
    clip, start = np.zeros(RATE), int(np.clip(start, 0, RATE - len(samples)))
    clip[start:start + len(samples)] = samples
    snr = rng.uniform(3, 25) + 20 * np.log10(2)
    clip += noise(rng, babble) * 10 ** (-snr / 20)
    return clip * 10 ** (rng.uniform(-12, 6) / 20)


def mel_bank():
    """(10, 513): triangles over the FFT's frequencies, their corners equally spaced in mel from 60 to 7600 Hz."""
    mel = np.linspace(*(2595 * np.log10(1 + np.array([60, 7600]) / 700)), BANDS + 2)
    corner, frequency = 700 * (10 ** (mel / 2595) - 1), np.fft.rfftfreq(1024, 1 / RATE)
    low, middle, high = corner[:-2, None], corner[1:-1, None], corner[2:, None]
    return np.maximum(0, np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)))


def log_mel(clip, bank):
    """(16000,) samples -> (49, 10): the log of the energy in each band, frame by frame."""
    frames = np.lib.stride_tricks.sliding_window_view(clip, FRAME)[::HOP] * np.hanning(FRAME)
    return np.log(np.abs(np.fft.rfft(frames, 1024)) ** 2 @ bank.T + 1e-5)


def record(job):
    """All clean takes of one speaker: [(word, take, samples)]."""
    speaker, takes = job
    return [(w, k, take(speaker, word, k)) for w, word in enumerate(WORDS) for k in range(takes)]


def make():
    ordinary = ordinary_speakers()
    speakers, takes = [*ordinary, *OUTLIERS], [TAKES] * len(ordinary) + [OUTLIER_TAKES] * len(OUTLIERS)
    with Pool(2, initializer=os.nice, initargs=(10,)) as pool:
        clips = list(tqdm(pool.imap(record, zip(speakers, takes, strict=True)), "speakers", len(speakers)))
    babble = [samples for rows in clips[:12] for _, _, samples in rows[::9]]
    bank, features, y, user, number = mel_bank(), [], [], [], []
    for u, rows in enumerate(clips):
        rng = draws(speakers[u].name, "place")
        for word, k, samples in rows:
            features.append(log_mel(place(samples, rng, babble), bank))
            y.append(word)
            user.append(u)
            number.append(k)
    features, user = np.array(features, np.float32), np.array(user, np.uint8)
    reference = features[user < len(ordinary)]
    mean, step = reference.mean((0, 1)), reference.std((0, 1)) * 4 / 127            # of each band over ordinary speakers: 4 sd = 127
    x = np.clip(np.rint((features - mean) / step), -127, 127).astype(np.int8)[:, None]
    return {"x": x, "y": np.array(y, np.uint8), "user": user, "time": np.array(number, np.uint8), "band_mean": mean, "band_step": step}


def write_wavs():
    """The word "no", clean, by a few speakers: 16 kHz, 16 bits. "no" is made of formants alone (see the card)."""
    folder, speakers = Path(__file__).parent / "wav", [*ordinary_speakers(), *OUTLIERS]
    folder.mkdir(exist_ok=True)
    for name, user in WAVS.items():
        samples = take(speakers[user], "no", 0)
        with wave.open(str(folder / f"no_{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((samples / np.abs(samples).max() * 20_000).astype("<i2").tobytes())


if __name__ == "__main__":
    cards.build(__file__, make)
    write_wavs()
