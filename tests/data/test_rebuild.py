"""Every data set whose make.py needs no extra tool is made again and compared with its card."""
import importlib.util

import numpy as np
import pytest

from odl_kit import home
from odl_kit.data import cards


def make_of(name):
    spec = importlib.util.spec_from_file_location(f"make_{name}", home() / "datasets" / name / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make


SLOW = {"glyphs"}       # ten seconds and more
NAMES = [name for name in cards.names() if not cards.read(name)["needs"]]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES])
def test_make_py_rebuilds_the_stored_arrays(name):
    made, stored = make_of(name)(), cards.arrays(name)
    differ = {key: int((np.asarray(made[key]) != stored[key]).sum()) for key in stored if made[key].shape == stored[key].shape}
    assert made.keys() == stored.keys() and cards.digest(made) == cards.read(name)["data"]["sha256"], f"entries that differ: {differ}"
