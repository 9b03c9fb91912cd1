"""Simulates 24 households and the set-point each chooses, hour by hour. Run: python datasets/thermostat/make.py [--check]

One weather for all, 8 weeks of a heating season. A household has a routine (when somebody is at home and awake) and tastes (how warm,
how cold at night, what an evening is for).
"""
import numpy as np

from odl_kit.data import cards

HOUSEHOLDS, WEEKS = 24, 8
COLDEST, WARMEST = 14, 24       # the dial, in whole degrees C


def make():
    """x (N, 8) int16 in hundredths, y (N,) int8: set-point - COLDEST; user (N,) int8: household; time (N,) int16: hours since a Monday."""
    rng = np.random.RandomState(7)      # the old generator: its numbers are the same in every version of NumPy
    hours = np.arange(WEEKS * 7 * 24)
    outdoor = weather(hours, rng)
    homes = [household(hours, outdoor, rng) for _ in range(HOUSEHOLDS)]
    x, y = (np.concatenate(columns) for columns in zip(*homes, strict=True))
    return {"x": np.round(100 * x).astype(np.int16), "y": y.astype(np.int8),
            "user": np.repeat(np.arange(HOUSEHOLDS), len(hours)).astype(np.int8), "time": np.tile(hours, HOUSEHOLDS).astype(np.int16)}


def weather(hours, rng):
    """Outdoor temperature (H,) in degrees C: a daily wave, warm and cold spells of a few days, and a winter that warms up by 3 degrees."""
    spell = np.zeros(len(hours))
    for day in range(1, len(hours) // 24):
        spell[24 * day:] = 0.75 * spell[24 * day - 1] + 2.5 * rng.standard_normal()
    smooth = np.convolve(np.pad(spell, 12, mode="edge"), np.ones(25) / 25, mode="valid")
    return 3 + 3 * hours / hours[-1] + smooth + 3 * np.sin(2 * np.pi * (hours % 24 - 9) / 24)


def household(hours, outdoor, rng):
    """One household: x (H, 8) as in the card, set-point - COLDEST (H,)."""
    at_home, awake = routine(hours, rng)
    outdoor = outdoor + 1.5 * rng.standard_normal()                                 # its own corner of the town
    wanted = taste(hours, outdoor, at_home, awake, rng)
    moved = awake & (rng.random_sample(len(hours)) < 0.95)                          # the motion sensor misses some hours
    still = hours - np.maximum.accumulate(np.where(moved, hours, 0))
    angle, weekend = 2 * np.pi * hours / 24, hours // 24 % 7 >= 5
    x = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle), weekend, outdoor / 10, moved, np.minimum(still, 12) / 12]
    return np.stack(x, axis=1), np.clip(np.floor(wanted + 0.5), COLDEST, WARMEST) - COLDEST


def routine(hours, rng):
    """(somebody is at home, somebody is at home and awake): two (H,) bool. Office, home office, late shift or retired; days vary."""
    kind = rng.choice(["office", "home", "late", "retired"], p=[0.5, 0.2, 0.15, 0.15])
    wake, bed = rng.uniform(5.5, 7.5), rng.uniform(21.5, 23.5)
    leave, back = {"office": (wake + 1.5, rng.uniform(16, 19)), "late": (13, 22), "home": (12, 13), "retired": (10, 11.5)}[kind]
    late = 2.5 if kind == "late" else 0
    days = len(hours) // 24
    weekend = np.arange(days) % 7 >= 5
    wake = wake + late + weekend * rng.uniform(0.5, 2.5) + 0.4 * rng.standard_normal(days)
    bed = bed + late + weekend * rng.uniform(0, 1) + 0.5 * rng.standard_normal(days)
    leave, back = leave + 0.5 * rng.standard_normal(days), back + 0.7 * rng.standard_normal(days)
    trip = np.where(weekend, rng.random_sample(days) < 0.5, rng.random_sample(days) < 0.95)     # whether they go out at all
    clock, day = hours % 24, hours // 24
    out = trip[day] & (clock >= leave[day]) & (clock < back[day])
    up = (clock >= wake[day]) & (clock < bed[day]) | (clock + 24 < bed[np.maximum(day - 1, 0)])     # the night may begin after midnight
    return ~out, up & ~out


def taste(hours, outdoor, at_home, awake, rng):
    """The temperature (H,) in degrees C that the household turns the dial to, before rounding to whole degrees."""
    comfort = 20.5 + 1.0 * rng.standard_normal()
    away = comfort - rng.choice([0, 2, 4], p=[0.2, 0.4, 0.4])          # some never turn it down
    night = comfort - rng.choice([0, 2, 3, 4], p=[0.1, 0.3, 0.4, 0.2])
    evening, morning = rng.choice([0, 1, 2], size=2, p=[0.4, 0.4, 0.2])
    cold = rng.uniform(0, 0.15)                                     # degrees more for each degree that it is colder than 8 outside
    relaxed = rng.choice([0, 0, 1])                                     # warmer at the weekend
    mood = np.zeros(len(hours) // 24)
    for day in range(1, len(mood)):
        mood[day] = 0.6 * mood[day - 1] + 0.15 * rng.standard_normal()
    clock, day = hours % 24, hours // 24
    cosy = evening * (clock >= 18) + morning * (clock < 9) + relaxed * (day % 7 >= 5) + cold * np.maximum(8 - outdoor, 0)
    wanted = np.where(at_home, np.where(awake, comfort + cosy, night), away)
    return wanted + mood[day] + 0.2 * rng.standard_normal(len(hours))


if __name__ == "__main__":
    cards.build(__file__, make)
