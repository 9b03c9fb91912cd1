"""Rebuild `glyphs`: 240 characters x 40 distorted copies, 16x16 pixels in 16 grey levels, from the fonts that ship with matplotlib.

The outlines are read by fontTools, which comes with matplotlib, and filled here, so that no version of a rasteriser matters. About 20 s.
"""
from pathlib import Path

import matplotlib
import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from matplotlib import path as polygon
from scipy import ndimage
from tqdm import tqdm

from odl_kit.data import cards

CLASSES, COPIES, SIDE, CANVAS, INK, LEVELS = 240, 40, 16, 64, 44, 15     # drawn on 64x64 pixels with 44 of ink, kept as 16x16
GRID = np.stack(np.meshgrid(np.arange(CANVAS), np.arange(CANVAS), indexing="ij")) - CANVAS / 2      # (2, 64, 64) row, column
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
         "DejaVuSansMono", "STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol")
REFERENCE = (0, 3, 7)           # the fonts in which look-alikes are searched
LOOK_ALIKE = 0.90               # correlation of two blurred 16x16 images above which the later candidate is dropped
DIGITS = "0123456789"           # nothing here may look like the digits of data set `digits`
POOL = (        # (order, code points from first to last): letters are entered before signs, since they look alike most
    (0.0, (0x41, 0x5A), (0x61, 0x7A), (0xDE, 0xDF), (0xE6, 0xE6), (0xF0, 0xF0), (0x14A, 0x14A), (0x18F, 0x18F)),        # Latin
    (0.0, (0x391, 0x3A9), (0x3B1, 0x3C9), (0x3D1, 0x3D1), (0x3D5, 0x3D5)),                                              # Greek
    (0.0, (0x402, 0x402), (0x404, 0x404), (0x409, 0x40A), (0x410, 0x44F), (0x452, 0x452), (0x454, 0x454)),              # Cyrillic
    (0.0, (0x531, 0x556), (0x561, 0x587), (0x10D0, 0x10F0)),                                                            # Armenian, Georgian
    (1.0, (0x210F, 0x210F), (0x2113, 0x2113), (0x2118, 0x2118), (0x2127, 0x2127), (0x2135, 0x2135), (0x2200, 0x22FF)),  # mathematics
    (1.2, (0x25A0, 0x25FF), (0x2660, 0x266F)),                                                                          # shapes
    (1.3, (0x2190, 0x21FF)),                                                                                            # arrows
)


class Outline(BasePen):
    """The contours of a glyph as polygons in font units; a curve becomes 4 lines."""

    def __init__(self, glyphs):
        super().__init__(glyphs)
        self.contours = []

    def _moveTo(self, point):
        self.contours.append([point])

    def _lineTo(self, point):
        self.contours[-1].append(point)

    def _qCurveToOne(self, control, end):
        t, start = np.arange(1, 5)[:, None] / 4, np.array(self.contours[-1][-1])
        self.contours[-1].extend((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t ** 2 * np.array(end))


class Typeface:
    """One font file: which characters it has, and a picture of each."""

    def __init__(self, name):
        font = TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")
        self.has, self.glyphs = font.getBestCmap(), font.getGlyphSet()

    def draw(self, code):
        """(64, 64) of 0 and 1: the character scaled so that its longer side is 44 pixels, centred; None where it has no ink."""
        outline = Outline(self.glyphs)
        self.glyphs[self.has[code]].draw(outline)
        if not outline.contours:
            return None
        points = np.concatenate(outline.contours)
        low, high = points.min(0), points.max(0)
        scale = INK / max(high - low)
        row, column = GRID.reshape(2, -1) + 0.5003                              # not 0.5: none lies on an edge, where the last bit decides
        place = np.stack([column, -row], 1) / scale + (low + high) / 2          # rows go down, y in a font goes up
        turns = sum(np.sign(area(contour)) * polygon.Path(contour).contains_points(place) for contour in map(np.array, outline.contours))
        return (turns != 0).reshape(CANVAS, CANVAS).astype(float)               # a hole turns against the stroke around it


def area(contour):
    """Signed area of a polygon (n, 2), above 0 where it runs anticlockwise."""
    x, y = contour.T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def shrink(picture):
    """(64, 64) -> (16, 16): mean of each 4x4 block."""
    step = CANVAS // SIDE
    return picture.reshape(SIDE, step, SIDE, step).mean((1, 3))


def appearance(picture):
    """What two characters are compared by: the blurred 16x16 picture as a vector of mean 0 and length 1."""
    blurred = ndimage.gaussian_filter(shrink(picture), 0.8).ravel()
    centred = blurred - blurred.mean()
    return centred / np.linalg.norm(centred)


def choose(typefaces, rng):
    """CLASSES code points, none of which looks like another or like a digit in a reference font."""
    candidates = [(order + rng.random(), code) for order, *ranges in POOL for first, last in ranges for code in range(first, last + 1)
                  if sum(code in face.has for face in typefaces) >= 3]

    def look(code):
        pictures = [typefaces[i].draw(code) for i in REFERENCE if code in typefaces[i].has]
        return np.array([appearance(picture) for picture in pictures if picture is not None]).reshape(-1, SIDE * SIDE)

    kept, seen = [], np.concatenate([look(ord(digit)) for digit in DIGITS])
    for _, code in sorted(candidates):
        new = look(code)
        if len(new) and (new @ seen.T).max() <= LOOK_ALIKE:
            kept, seen = [*kept, code], np.concatenate([seen, new])
    return sorted(kept[:CLASSES])


def warp(picture, rng):
    """Turn (9 degrees), shear and stretch (12 %), shift, and bend along a smooth random field. The figures are standard deviations."""
    angle, shear, stretch = np.deg2rad(rng.normal(0, 9)), rng.normal(0, 0.12), np.exp(rng.normal(0, 0.12, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(stretch)
    shift, bend = rng.normal(0, 2.5, (2, 1, 1)), ndimage.gaussian_filter(rng.normal(0, 1, GRID.shape), (0, 7, 7), truncate=3)
    bend *= rng.uniform(0.8, 2.6) / bend.std()
    return ndimage.map_coordinates(picture, np.tensordot(matrix, GRID, 1) + CANVAS / 2 + shift + bend, order=1)


def thicken(picture, rng):
    """Strokes made thinner or thicker by up to 1.8 pixels: the outline is moved along the distance to it."""
    ink = picture > 0.5
    distance = ndimage.distance_transform_edt(ink) - ndimage.distance_transform_edt(~ink) + rng.uniform(-1.6, 1.8)
    return np.clip(distance + 0.5, 0, 1) if (distance > 0).sum() > 60 else picture


def copy(picture, rng):
    """One distorted copy: (16, 16) uint8, 0..15."""
    soft = ndimage.gaussian_filter(thicken(warp(picture, rng), rng), rng.uniform(0.5, 2.2))
    grey = shrink(soft) * rng.uniform(0.6, 1.0) + rng.uniform(0, 0.12)
    grey += rng.normal(0, rng.uniform(0.02, 0.12), grey.shape)
    return np.rint(np.clip(grey, 0, 1) * LEVELS).astype(np.uint8)


def make():
    rng, typefaces = np.random.default_rng(7), [Typeface(name) for name in FONTS]
    codes = choose(typefaces, rng)
    x, font = np.zeros((len(codes) * COPIES, 1, SIDE, SIDE), np.uint8), np.zeros(len(codes) * COPIES, np.uint8)
    for i, code in enumerate(tqdm(codes, "characters")):
        pictures = {f: picture for f, face in enumerate(typefaces) if code in face.has and (picture := face.draw(code)) is not None}
        for row in range(i * COPIES, (i + 1) * COPIES):
            font[row] = rng.choice(list(pictures))
            x[row, 0] = copy(pictures[font[row]], rng)
    return {"x": x, "y": np.repeat(np.arange(len(codes), dtype=np.uint8), COPIES), "user": font, "code": np.array(codes, np.int32)}


if __name__ == "__main__":
    cards.build(__file__, make)
