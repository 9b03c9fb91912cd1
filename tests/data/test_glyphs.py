from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFont
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestCentroid

from odl_kit import home
from odl_kit.data import cards, datasets


@pytest.fixture(scope="module")
def data():
    return datasets.load("glyphs")


def looks(characters, font):
    """(n, 256): what the card compares characters by, drawn by Pillow: cut to the ink, 16x16, blurred, mean 0, length 1; 0 where none."""
    face = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf", 160)
    absent, rows = bytes(face.getmask("\uffff")), []
    for character in characters:
        mask = face.getmask(character)
        ink = Image.frombytes("L", mask.size, bytes(mask))
        ink = ink.crop(ink.point(lambda grey: 255 * (grey > 127)).getbbox())
        side = round(max(ink.size) * 16 / 11)                               # the ink fills 11 of 16 pixels
        image = Image.new("L", (side, side))
        image.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
        small = np.asarray(image.resize((16, 16), Image.Resampling.BOX), float)
        row = ndimage.gaussian_filter(small, 0.8).ravel()
        rows.append(np.zeros(256) if bytes(mask) == absent else (row - row.mean()) / (row.std() * 16))
    return np.array(rows)


def test_each_of_240_characters_has_40_copies_in_16_grey_levels(data):
    assert data.x.shape == (9600, 1, 16, 16) and len(data.classes) == 240 and (data.y.bincount() == 40).all()
    assert np.array_equal(np.unique(np.rint(data.x.numpy() * 15)), np.arange(16)) and data.x.max() == 1 and data.x.min() == 0
    assert np.allclose(data.x * 15, (data.x * 15).round(), atol=1e-5)


def test_classes_are_distinct_characters_and_no_digits(data):
    assert "".join(map(chr, cards.arrays("glyphs")["code"])) == "".join(data.classes)
    assert len(set(data.classes)) == 240 and not any(character.isnumeric() for character in data.classes)


def test_users_are_the_ten_fonts_in_two_families(data):
    assert sorted(data.user.unique().tolist()) == [*data.groups["dejavu"], *data.groups["stix"]] == list(range(10))
    assert [name.startswith("DejaVu") for name in cards.read("glyphs")["users"]] == [True] * 7 + [False] * 3
    for character in range(240):
        assert len(data.user[data.y == character].unique()) >= 3


def test_no_copy_occurs_twice(data):
    assert len(np.unique(data.x.flatten(1).numpy(), axis=0)) == len(data)


@pytest.mark.parametrize("font", ["DejaVuSans", "DejaVuSerif", "STIXGeneral"])
def test_no_class_looks_like_another_or_like_a_digit(data, font):
    control = looks("AΑсc", font)               # Latin A and Greek Alpha, Cyrillic es and Latin c: the measure sees homoglyphs
    assert min(control[0] @ control[1], control[2] @ control[3]) > 0.99
    classes, digits = looks(data.classes, font), looks("0123456789", font)
    alike = np.triu(classes @ classes.T, 1)
    assert classes.any(1).sum() > 100
    assert alike.max() < 0.93, [data.classes[i] for i in np.unravel_index(alike.argmax(), alike.shape)]
    assert (classes @ digits.T).max() < 0.93


def test_the_mean_of_a_class_finds_its_other_copies_far_above_chance(data):
    x, y = data.x.flatten(1).numpy(), data.y.numpy()
    assert NearestCentroid().fit(x[::2], y[::2]).score(x[1::2], y[1::2]) > 0.25         # measured 0.37; chance is 0.004


def test_copies_differ_more_than_a_printer_would(data):
    x, y = data.x.flatten(1).numpy(), data.y.numpy()
    between = np.stack([x[y == c].mean(0) for c in range(240)]).std(0).mean()
    within = np.stack([x[y == c].std(0) for c in range(240)]).mean()
    assert within > between         # measured 0.19 and 0.13: shapes vary more by copy than by class, pixel by pixel


def test_digits_of_the_digits_set_are_not_among_the_copies(data):
    digits = load_digits().images.reshape(-1, 64)
    small = data.x.reshape(-1, 8, 2, 8, 2).mean((2, 4)).reshape(-1, 64).numpy()
    assert not {row.tobytes() for row in np.rint(digits)} & {row.tobytes() for row in np.rint(small * 16).astype(digits.dtype)}


def test_the_licences_of_both_font_families_travel_with_the_set():
    dejavu, stix = ((home() / "datasets" / "glyphs" / "licences" / name).read_text() for name in ("LICENSE_DEJAVU", "LICENSE_STIX"))
    assert "Bitstream Vera" in dejavu and "Arev" in dejavu and "SIL OPEN FONT LICENSE" in stix
