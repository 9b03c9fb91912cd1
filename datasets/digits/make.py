"""Takes the 1,797 digits out of scikit-learn's own copy. Run: python datasets/digits/make.py [--check]"""
import numpy as np
from sklearn.datasets import load_digits

from odl_kit.data import cards


def make():
    """x (1797, 1, 8, 8) uint8, 0 to 16 set pixels per block; y (1797,) int8."""
    bundle = load_digits()
    return {"x": bundle.images[:, None].astype(np.uint8), "y": bundle.target.astype(np.int8)}


if __name__ == "__main__":
    cards.build(__file__, make)
