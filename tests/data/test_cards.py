import subprocess
import sys

import numpy as np
import pytest

from odl_kit import home
from odl_kit.data import cards

CARD = """title = "t"
source = "s"
licence = "l"
synthetic = true
units = "u"
classes = ["a", "b"]
notes = "n"
needs = []
"""
MAKE = """import numpy as np
from odl_kit.data import cards


def make():
    return {"x": np.arange(6, dtype=np.int8).reshape(3, 2), "y": np.array([0, 1, 1], np.int8)}


if __name__ == "__main__":
    cards.build(__file__, make)
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A checkout with one data set, `tiny`, not built yet."""
    folder = tmp_path / "datasets" / "tiny"
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text(CARD)
    (folder / "make.py").write_text(MAKE)
    monkeypatch.setattr(cards, "home", lambda: tmp_path)
    return folder


def run(folder, *words):
    return subprocess.run([sys.executable, folder / "make.py", *words], capture_output=True, text=True)


def test_the_digest_sees_names_dtypes_shapes_and_values_but_not_order_or_byte_order():
    x, y = np.arange(6, dtype=np.int16), np.arange(3.0)
    same = cards.digest({"x": x, "y": y})
    assert cards.digest({"y": y, "x": x.astype(">i2")}) == same
    for change in ({"x": x.astype(np.int32)}, {"x": x.reshape(2, 3)}, {"x": x + (x == 5)}, {"z": y}):
        assert cards.digest({"x": x, "y": y, **change}) != same
    assert cards.digest({"x": x}) != same != cards.digest({"x": x, "z": y})


def test_the_digest_reads_values_not_memory_layout():
    x = np.arange(6).reshape(2, 3)
    assert cards.digest({"x": x}) == cards.digest({"x": np.asfortranarray(x)})


def test_build_writes_the_file_and_its_card_and_check_agrees_until_something_changes(course):
    assert run(course).returncode == 0
    card = cards.read("tiny")
    assert card["data"]["arrays"]["x"] == {"dtype": "int8", "shape": [3, 2]}
    assert cards.arrays("tiny")["x"].tolist() == [[0, 1], [2, 3], [4, 5]]
    written = (course / "card.toml").read_text()
    assert run(course, "--check").returncode == 0
    assert run(course).returncode == 0 and (course / "card.toml").read_text() == written
    (course / "make.py").write_text(MAKE.replace("0, 1, 1", "1, 1, 1"))
    changed = run(course, "--check")
    assert changed.returncode != 0 and "the card has" in changed.stderr
    assert (course / "card.toml").read_text() == written


@pytest.mark.parametrize(("old", "new", "words"), [("[0, 1, 1]", "[0, 1]", "equally long"), ("np.int8)}", "object)}", "dtype object"),
                                                   ('"y":', '"z":', "must be there")])
def test_build_refuses_what_a_data_set_cannot_be(course, old, new, words):
    (course / "make.py").write_text(MAKE.replace(old, new))
    done = run(course)
    assert done.returncode != 0 and words in done.stderr and not (course / "data.npz").exists()


def test_build_refuses_a_large_file(course):
    large = MAKE.replace("np.arange(6, dtype=np.int8)", "np.random.default_rng(0).integers(256, size=3_300_000, dtype=np.uint8)")
    (course / "make.py").write_text(large.replace("reshape(3, 2)", "reshape(3, -1)"))
    done = run(course)
    assert done.returncode != 0 and "3,000,000 are allowed" in done.stderr and not (course / "data.npz").exists()


def test_an_unknown_name_lists_the_known_ones(course):
    with pytest.raises(ValueError, match="no data set named 'huge': known are tiny"):
        cards.read("huge")


def test_a_card_without_a_licence_is_refused(course):
    (course / "card.toml").write_text(CARD.replace("licence", "license"))
    with pytest.raises(ValueError, match="licence = None, it must be a str"):
        cards.read("tiny")


def test_a_missing_file_says_how_to_make_it(course):
    with pytest.raises(ValueError, match=r"data.npz is missing: rebuild it with `python datasets/tiny/make.py`"):
        cards.arrays("tiny")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "text"])
def test_a_damaged_file_is_named_with_the_command_that_rebuilds_it(course, damage):
    assert run(course).returncode == 0
    path = course / "data.npz"
    raw = bytearray(path.read_bytes())
    if damage == "other":
        np.savez_compressed(path, x=np.zeros((3, 2), np.int8), y=np.zeros(3, np.int8))
    else:
        raw[60] ^= 0xFF
        path.write_bytes({"cut": raw[:100], "flip": raw, "empty": b"", "text": b"version https://git-lfs\n"}[damage])
    with pytest.raises(ValueError, match=r"datasets.tiny.data.npz .*rebuild it with `python datasets/tiny/make.py`"):
        cards.arrays("tiny")


def test_every_card_in_the_repository_is_complete_and_its_file_small():
    assert cards.names()
    for name in cards.names():
        card = cards.read(name)
        assert card["title"] and card["source"] and card["licence"] and card["notes"].strip()
        written = {key: (one["dtype"], one["shape"]) for key, one in card["data"]["arrays"].items()}
        assert {key: (str(array.dtype), list(array.shape)) for key, array in cards.arrays(name).items()} == written
        assert (home() / "datasets" / name / "data.npz").stat().st_size <= cards.LIMIT
