"""Simulates wrist gestures as a 3-axis accelerometer feels them, 2 s at 50 Hz. Run: python datasets/motion/make.py [--check]

A hand moves along a path p(t) and turns by R(t); the sensor feels  f = R^T (p'' + g).  A person has a style (size, speed, posture, tremor,
which hand, which way round); a device has its own gain, bias and noise, 12 bits and a range of +-4 g.
"""
import numpy as np

from odl_kit.data import cards

USERS, REPEATS, RATE, SAMPLES, G = 24, 15, 50, 100, 9.81
GESTURES = ("still", "swipe left", "swipe right", "raise", "circle", "shake", "twist", "knock")


def make():
    """x (N, 3, 100) int16 in steps of 1/512 g, y (N,) int8, user (N,) int8, time (N,) int8: the repeat, 0 to 14, in order of recording."""
    rng = np.random.RandomState(11)     # the old generator: its numbers are the same in every version of NumPy
    x, y, user, time = [], [], [], []
    for person in range(USERS):
        style, device, strap = person_style(rng), person_device(rng), np.zeros(3)
        for repeat in range(REPEATS):
            strap = strap + np.radians(2) * rng.standard_normal(3)      # the strap slips a little from one repeat to the next
            for label, gesture in enumerate(GESTURES):
                x.append(measure(felt(gesture, style, strap, rng), device, rng))
                y.append(label)
                user.append(person)
                time.append(repeat)
    return {"x": np.stack(x), "y": np.array(y, np.int8), "user": np.array(user, np.int8), "time": np.array(time, np.int8)}


def person_style(rng):
    """How somebody moves: sizes and speeds relative to the average, angles in radians."""
    return {"size": np.exp(0.3 * rng.standard_normal()), "speed": np.exp(0.2 * rng.standard_normal()),
            "posture": np.radians([20, 15, 25]) * rng.standard_normal(3), "left_handed": rng.random_sample() < 0.25,
            "way_round": rng.choice([-1, 1]), "shakes": rng.uniform(2.5, 5), "knock_gap": rng.uniform(0.2, 0.4),
            "slant": 0.3 * rng.standard_normal(3), "tremor": rng.uniform(0.02, 0.1), "tremor_hz": rng.uniform(5, 9)}


def person_device(rng):
    """gain (3, 1), bias (3, 1) in g, noise (standard deviation in g)."""
    return 1 + 0.04 * rng.standard_normal((3, 1)), 0.05 * rng.standard_normal((3, 1)), rng.uniform(0.01, 0.04)


def felt(gesture, style, strap, rng):
    """Specific force (3, 100) in g, in the axes of the device: x to the right, y away from the body, z up when the hand lies flat."""
    t = np.arange(-1, SAMPLES + 1) / RATE               # one sample more at each end, for the second difference
    size = style["size"] * np.exp(0.15 * rng.standard_normal())
    speed = style["speed"] * np.exp(0.1 * rng.standard_normal())
    path, turn = motion(gesture, (t - 1 - 0.12 * rng.standard_normal()) * speed, style)
    path = size * (path + style["slant"][:, None] * path.sum(0))       # nobody moves along the axes of a drawing
    shiver = style["tremor"] * np.sin(2 * np.pi * (style["tremor_hz"] * t + rng.random_sample((3, 1))))[:, 1:-1]
    force = np.diff(path, 2) * RATE ** 2 + shiver + np.array([[0], [0], [G]])
    angles = style["posture"] + strap + np.radians(4) * rng.standard_normal(3)
    turned = np.einsum("ijt,it->jt", rotation(angles[:, None] + turn[:, 1:-1]), force) / G
    return turned * [[-1], [-1], [1]] if style["left_handed"] else turned      # on the other wrist it points backwards


def motion(gesture, t, style):
    """(path (3, T) in metres, turn (3, T) in radians about x, y, z) of a gesture of average size; t = 0 is the middle, in own seconds."""
    path, turn = np.zeros((3, len(t))), np.zeros((3, len(t)))
    if gesture in ("swipe left", "swipe right"):
        path[0] = 0.35 * (1 if gesture == "swipe right" else -1) * smooth_step(t / 0.7)
    elif gesture == "raise":
        path[2], turn[0] = 0.3 * smooth_step(t / 0.9), np.radians(40) * smooth_step(t / 0.9)
    elif gesture == "circle":
        angle = 2 * np.pi * smooth_step(t / 1.4)
        path[0], path[2] = 0.12 * style["way_round"] * np.sin(angle), 0.12 * (1 - np.cos(angle))
    elif gesture == "shake":
        path[0] = 0.03 * np.sin(2 * np.pi * style["shakes"] * t) * np.exp(-(t / 0.4) ** 2)
    elif gesture == "twist":
        turn[1] = np.radians(60) * style["way_round"] * np.exp(-(t / 0.3) ** 2)
    elif gesture == "knock":
        for hit in (-style["knock_gap"] / 2, style["knock_gap"] / 2):
            path[1] = path[1] + 0.012 * np.exp(-((t - hit) / 0.04) ** 2)
    return path, turn


def smooth_step(t):
    """0 before t = -1/2, 1 after t = 1/2, the path of least jerk between them (Flash and Hogan 1985)."""
    s = np.clip(t + 0.5, 0, 1)
    return s ** 3 * (10 - 15 * s + 6 * s ** 2)


def rotation(angles):
    """angles (3, T) about x, then y, then z -> rotation matrices (3, 3, T)."""
    (a, b, c), (u, v, w) = np.cos(angles), np.sin(angles)
    return np.array([[c * b, c * v * u - w * a, c * v * a + w * u], [w * b, w * v * u + c * a, w * v * a - c * u], [-v, b * u, b * a]])


def measure(force, device, rng):
    """What the device writes down: int16 in steps of 1/512 g, within +-4 g."""
    gain, bias, noise = device
    return np.clip(np.round(512 * (gain * force + bias + noise * rng.standard_normal(force.shape))), -2048, 2047).astype(np.int16)


if __name__ == "__main__":
    cards.build(__file__, make)
