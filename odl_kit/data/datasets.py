"""Data sets by name, split before any partition; and a class's own data, from arrays, a CSV file or a folder of images."""
import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from odl_kit.data import cards


@dataclass(frozen=True, eq=False)
class Dataset:
    """x (N, ...) float32, or int64 tokens; y (N,) int64 classes, or float32.

    user (N,) int64, time (N,) int64 or float32: None where nobody recorded them. classes: the name of each class, () where y is no class.
    units: of x. source: where the data come from. groups: name -> range of users, as the card has them; a user may be in several.
    Raises ValueError when shapes or dtypes do not fit.
    """
    name: str
    x: torch.Tensor
    y: torch.Tensor
    user: torch.Tensor | None
    time: torch.Tensor | None
    classes: tuple
    units: str
    source: str
    groups: dict = field(default_factory=dict)

    def __post_init__(self):
        for key, value in self.tensors().items():
            if len(value) != len(self.x) or (key != "x" and value.dim() != 1):
                raise ValueError(f"{self.name}: {key} is {tuple(value.shape)}, x is {tuple(self.x.shape)}: {key} needs one an example")
            if value.dtype not in (torch.int64, torch.float32):
                raise ValueError(f"{self.name}: {key} is {value.dtype}: float32 for measurements, int64 for tokens, classes and users")
            bad = (~torch.isfinite(value).reshape(len(value), -1).all(1)).nonzero()
            if len(bad):
                raise ValueError(f"{self.name}: {key} of example {int(bad[0])} is nan or infinite: leave such out, {len(bad)} in all")
        if self.classes and (self.y.dtype != torch.int64 or not ((0 <= self.y) & (self.y < len(self.classes))).all()):
            raise ValueError(f"{self.name}: y is {self.y.dtype} from {self.y.min()} to {self.y.max()}: it must number the "
                             f"{len(self.classes)} classes from 0, as int64")

    def __len__(self):
        return len(self.x)

    def tensors(self):
        """{"x": ..., "y": ...} and "user", "time" where they exist."""
        return {key: getattr(self, key) for key in ("x", "y", "user", "time") if getattr(self, key) is not None}

    def subset(self, index):
        """The examples at `index`, (n,) int64 or (N,) bool, as a Dataset. Example: data.subset(data.user == 3)."""
        return replace(self, **{key: value[index] for key, value in self.tensors().items()})

    def group(self, name):
        """The examples of the users in one of `groups`, as a Dataset. Raises ValueError that lists the groups."""
        if name not in self.groups:
            raise ValueError(f"{self.name} has no group {name!r}: known are {', '.join(self.groups) or 'none'}")
        return self.subset(torch.isin(self.user, torch.tensor(self.groups[name])))

    def __repr__(self):
        shapes = ", ".join(f"{key} {tuple(value.shape)} {str(value.dtype)[6:]}" for key, value in self.tensors().items())
        absent = "".join(f", no {key}" for key in ("user", "time") if getattr(self, key) is None)
        return f"Dataset {self.name}: {shapes}{absent}; {len(self.classes) or 'no'} classes"


def names():
    """The data sets that `load` knows: tuple of str."""
    return cards.names()


def load(name):
    """Data set `name` -> Dataset. Offline; the file is checked against the sha256 of its card.

    Integers become int64, or float32 where the card gives a scale (x = stored * scale). `cards.read(name)["notes"]` says what is known.
    Raises ValueError for an unknown name (it lists the known ones) and for a damaged file (it says which, and how to rebuild it).
    """
    card, stored = cards.read(name), cards.arrays(name)

    def tensor(key):
        if key not in stored:
            return None
        if key in card.get("scale", {}):
            return torch.from_numpy(stored[key] * np.float32(card["scale"][key])).float()
        return torch.from_numpy(stored[key]).to(torch.float32 if stored[key].dtype.kind == "f" else torch.int64)
    groups = {group: range(*users) for group, users in card.get("groups", {}).items()}
    return Dataset(name, *map(tensor, ("x", "y", "user", "time")), tuple(card["classes"]), card["units"], card["source"], groups)


def split(data, *, by="random", test=0.2, rng=None):
    """(train, test): two Datasets that share no example; do this before any partition.

    by="random": each example is drawn alone. by="user": whole people are held out, so the test asks about strangers.
    by="time": the test is the latest part of the whole set, nothing in train is as late; no rng needed.
    test: the share held out, of examples or of users; 0 < test < 1. Raises ValueError when a side would be empty, or user or time is None.
    """
    if by not in ("random", "user", "time"):
        raise ValueError(f"by = {by!r}: known are 'random', 'user' and 'time'")
    key = torch.arange(len(data)) if by == "random" else getattr(data, by)
    if key is None:
        raise ValueError(f"{data.name} does not record {by}: split it by another of 'random', 'user', 'time'")
    if rng is None and by != "time":
        raise ValueError(f"splitting by {by} draws at random: pass rng=torch.Generator()")
    groups = key.sort().values if by == "time" else torch.unique(key)
    held = round(test * len(groups)) if 0 < test < 1 else 0
    if by == "time":
        mask = key >= groups[len(groups) - held] if held else key < key
    else:
        mask = torch.isin(key, groups[torch.randperm(len(groups), generator=rng)[:held]])
    if not 0 < mask.sum() < len(data):
        unit = "users" if by == "user" else "examples"
        raise ValueError(f"test = {test} of {len(groups)} {unit} leaves one side empty: take a share between 0 and 1 that does not")
    return data.subset(~mask), data.subset(mask)


def from_arrays(x, y, *, user=None, time=None, classes=(), name="mine", units="", source="own data"):
    """Your own arrays (NumPy, lists or tensors) as a Dataset. Floats become float32, int32 and int64 become int64.

    Raises ValueError for other integers in x: bytes of an image want dividing by 255, tokens want int64, and only you know which they are.
    """
    def tensor(key, value):
        value = torch.as_tensor(value)
        if value.is_floating_point():
            return value.to(torch.float32)
        if key == "x" and value.dtype not in (torch.int32, torch.int64):
            raise ValueError(f"x is {value.dtype}: divide an image by 255 (float), or turn tokens into int64")
        return value.to(torch.int64)
    columns = {"x": x, "y": y, "user": user, "time": time}
    return Dataset(name, *(None if value is None else tensor(key, value) for key, value in columns.items()), tuple(classes), units, source)


def from_csv(path, *, target, features=None, user=None, time=None):
    """A CSV file with a header line as a Dataset: x (N, F) float32, a column for each of `features` (default: all other columns).

    target: text becomes int64 classes in sorted order, whole numbers int64, other numbers float32. user: a column of names, numbered in
    sorted order. time: a column of numbers. Raises ValueError that names the missing column, or the line with what is not a number.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        rows = [(reader.line_num, row) for row in reader]
    if features is None:
        features = [column for column in header if column not in (target, user, time)]
    for column in (*features, *filter(None, (target, user, time))):
        if column not in header:
            raise ValueError(f"{path} has no column {column!r}: it has {', '.join(header) or 'no header line'}")
    if not rows or not features:
        raise ValueError(f"{path} has {len(rows)} lines of data and {len(features)} feature columns: at least one of each is needed")
    for line, row in rows:
        if None in row or None in row.values():
            raise ValueError(f"{path}, line {line}: not as many columns as the header, which has {len(header)}")

    def numbers(column):
        for line, row in rows:
            if not _is_number(row[column]):
                raise ValueError(f"{path}, line {line}, column {column}: {row[column]!r} is not a number")
        return np.array([float(row[column]) for _, row in rows], dtype=np.float64)
    classes, y = (), np.array([row[target] for _, row in rows])
    if any(map(_is_number, y)):
        y = numbers(target)
        y = y.astype(np.int64) if (y == y.round()).all() else y
    else:
        classes, y = np.unique(y, return_inverse=True)
    who = None if user is None else np.unique([row[user] for _, row in rows], return_inverse=True)[1]
    x = np.stack([numbers(column) for column in features], axis=1)
    return from_arrays(x, y, user=who, time=None if time is None else numbers(time), classes=map(str, classes), name=Path(path).stem,
                       units="columns: " + ", ".join(features), source=str(path))


def from_image_folder(path, *, size=None, grey=False):
    """A folder with one folder a class, images inside, as a Dataset: x (N, 3, H, W) float32 in [0, 1], classes = folder names, sorted.

    size: (height, width) to scale to; without it all images must have the same size. grey: one channel. Needs Pillow.
    Raises ValueError that names the file at fault.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError("from_image_folder reads images with Pillow: pip install pillow") from None
    folders = sorted(folder for folder in Path(path).iterdir() if folder.is_dir() and not folder.name.startswith("."))
    files = [(file, label) for label, folder in enumerate(folders) for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    if not files:
        raise ValueError(f"{path} holds no folder with images: put the images of each class into a folder named after the class")
    images = []
    for file, _ in files:
        try:
            with Image.open(file) as image:
                image = image.convert("L" if grey else "RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{file} cannot be read as an image ({error}): take it out of the folder") from None
        pixels = np.asarray(image if size is None else image.resize(size[::-1]), dtype=np.float32) / 255
        images.append(pixels[None] if grey else pixels.transpose(2, 0, 1))
        if images[-1].shape != images[0].shape:
            raise ValueError(f"{file} is {image.height}x{image.width}, the first image is not: pass size=(height, width)")
    return from_arrays(np.stack(images), [label for _, label in files], classes=[folder.name for folder in folders],
                       name=Path(path).name, units="brightness, 0 (black) to 1", source=str(path))


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
