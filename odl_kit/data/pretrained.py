"""Weights of nets that were trained before the lab begins, so that it starts in seconds: datasets/<name>/pretrained.npz.

datasets/<name>/pretrain.py makes them: a function `make(seed) -> w (P,)`, and at its end `pretrained.build(__file__, make, seeds=...)`.
They are stored as float16, half the bytes. Unlike data, training does not repeat to the last
bit on another processor, so the checksum says that the file is whole, not that it was rebuilt.
"""
import io
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odl_kit import home
from odl_kit.data import cards

LIMIT = 200_000     # bytes of a pretrained.npz


def load(name, *, seed=0):
    """w (P,) float32 of the net that was trained on data set `name` from `seed`. `python datasets/<name>/pretrain.py --help`: which net.

    Raises ValueError for a data set without such a net, a seed that was not kept (it lists those that were), and a damaged file.
    """
    path = home() / "datasets" / name / "pretrained.npz"
    if not path.exists():
        known = ", ".join(sorted(p.parent.name for p in (home() / "datasets").glob("*/pretrained.npz")))
        raise ValueError(f"no net was trained for {name!r}: there are nets for {known or 'none'}")
    rebuild = f"rebuild it with `python datasets/{name}/pretrain.py`, or take it from git again"
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): {rebuild}") from None
    checksum = stored.pop("sha256", np.zeros(0, np.uint8)).tobytes().hex()
    if checksum != cards.digest(stored):
        raise ValueError(f"{path} is damaged (its checksum does not fit): {rebuild}")
    if f"seed{seed}" not in stored:
        raise ValueError(f"{name}: no net was kept for seed {seed}: there are {', '.join(key[4:] for key in sorted(stored))}")
    return torch.from_numpy(stored[f"seed{seed}"]).float()


def build(file, make, *, seeds):
    """The command line of a pretrain.py: trains one net a seed, make(seed) -> w (P,), and writes pretrained.npz beside it."""
    if sys.argv[1:]:
        print(sys.modules["__main__"].__doc__)
        sys.exit(0 if sys.argv[1:] in (["--help"], ["-h"]) else f"usage: python {file}")
    torch.set_num_threads(1)
    stored = {f"seed{seed}": make(seed).numpy().astype(np.float16) for seed in tqdm(seeds, unit="net")}
    packed = io.BytesIO()
    np.savez_compressed(packed, sha256=np.frombuffer(bytes.fromhex(cards.digest(stored)), np.uint8), **stored)
    size = len(packed.getvalue())
    if size > LIMIT:
        sys.exit(f"{file}: {size:,} bytes, {LIMIT:,} are allowed: keep fewer seeds, or a smaller net")
    (Path(file).resolve().parent / "pretrained.npz").write_bytes(packed.getvalue())
    print(f"{len(stored)} nets, {size:,} bytes")
