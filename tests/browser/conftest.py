"""Lets the tests of this folder import the walker's modules, as `python tests/browser/walk.py` does."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
