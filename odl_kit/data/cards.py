"""What every data set has in common: a folder `datasets/<name>/` with card.toml, make.py and data.npz.

card.toml is written by hand down to the line `[data]`; what stands below it (checksum, shapes) is written by `build`. make.py has a
function `make() -> {name: array}` and ends with `cards.build(__file__, make)`, so that it runs as

    python datasets/<name>/make.py            writes data.npz and the [data] part of the card
    python datasets/<name>/make.py --check    rebuilds in memory, compares with the card, writes nothing
"""
import hashlib
import io
import sys
import tomllib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from odl_kit import home

# what a person writes: key -> type. `needs` names the tools beyond the course's Python packages; `classes` is [] where y is no class.
KEYS = {"title": str, "source": str, "licence": str, "synthetic": bool, "units": str, "classes": list, "notes": str, "needs": list}
LIMIT = 3_000_000       # bytes of a data.npz, so that a clone stays small
DATA = "\n[data]\n"     # from here on the card is written by `build`


def names():
    """The data sets that have a card, sorted: tuple of str."""
    return tuple(sorted(card.parent.name for card in (home() / "datasets").glob("*/card.toml")))


def read(name):
    """card.toml of data set `name` as a dict: KEYS, `data` (sha256, arrays), and the optional keys of that set, such as `scale`.

    Raises ValueError for an unknown name (it lists the known ones) and for a card that lacks a key or has one of the wrong type.
    """
    if name not in names():
        raise ValueError(f"no data set named {name!r}: known are {', '.join(names())}; for your own data see datasets.from_arrays")
    return _card(home() / "datasets" / name)


def arrays(name):
    """data.npz of data set `name`, checked against its card: {array name: numpy array as stored}.

    Raises ValueError when the file is missing, damaged or not what the card says; it names the file and the command that rebuilds it.
    """
    path = home() / "datasets" / name / "data.npz"
    want = read(name).get("data", {}).get("sha256")
    rebuild = f"rebuild it with `python datasets/{name}/make.py`, or take it from git again"
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: {rebuild}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): {rebuild}") from None
    if digest(stored) != want:
        raise ValueError(f"{path} is not what its card says (sha256 {digest(stored)[:12]}, the card has {str(want)[:12]}): {rebuild}")
    return stored


def digest(stored):
    """sha256 (hex) of {name: array}: over name, dtype, shape and bytes (C order, little endian) of each array, sorted by name.

    It depends on the values only, not on how they are compressed.
    """
    total = hashlib.sha256()
    for name in sorted(stored):
        array = np.asarray(stored[name])
        array = array.astype(array.dtype.newbyteorder("<"))
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def build(file, make):
    """The command line of a make.py: `build(__file__, make)`. make() -> {name: array of integers, floats or bools}; must hold x and y.

    Store integers with a `scale` in the card (x = stored * scale) rather than floats: they are small, and the last bit of sin or exp,
    which differs between machines, does not reach the checksum. Arrays other than x, y, user, time are kept; `cards.arrays` returns them.
    Exits with a message when y, user or time is not as long as x, the file is over LIMIT, or (--check) the result differs from the card.
    """
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(f"usage: python {file} [--check]")
    folder = Path(file).resolve().parent
    old = _card(folder).get("data", {}).get("sha256")       # a wrong card fails here, before a long run
    made = {name: np.ascontiguousarray(array) for name, array in make().items()}
    for name, array in made.items():
        if array.dtype.kind not in "iufb":
            sys.exit(f"{folder.name}: array {name} has dtype {array.dtype}; store integers, floats or bools")
    if not {"x", "y"} <= made.keys() or any(len(made[k]) != len(made["x"]) for k in {"y", "user", "time"} & made.keys()):
        sys.exit(f"{folder.name}: x and y (and user, time) must be there and equally long, not { {k: a.shape for k, a in made.items()} }")
    new = digest(made)
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if new == old else f"{folder.name}: rebuilt sha256 {new}, the card has {old}")
    packed = io.BytesIO()
    np.savez_compressed(packed, **made)
    size = len(packed.getvalue())
    if size > LIMIT:
        sys.exit(f"{folder.name}: data.npz has {size:,} bytes, {LIMIT:,} are allowed: store fewer examples or smaller integers")
    shapes = [f'{name} = {{dtype = "{array.dtype}", shape = {list(array.shape)}}}' for name, array in sorted(made.items())]
    text = (folder / "card.toml").read_text(encoding="utf-8").split(DATA)[0].rstrip() + "\n"
    text = "\n".join([text + DATA.rstrip(), f'sha256 = "{new}"', "", "[data.arrays]", *shapes, ""])
    (folder / "data.npz").write_bytes(packed.getvalue())
    (folder / "card.toml").write_text(text, encoding="utf-8", newline="\n")
    print(f"{folder.name}: {size:,} bytes, sha256 {new}")


def _card(folder):
    """card.toml of a folder as a dict, its hand-written keys checked."""
    try:
        card = tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{folder / 'card.toml'}: {error}") from None
    for key, kind in KEYS.items():
        if not isinstance(card.get(key), kind):
            raise ValueError(f"{folder / 'card.toml'}: {key} = {card.get(key)!r}, it must be a {kind.__name__}")
    return card
