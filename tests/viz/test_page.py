import base64
import html
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from odl_kit import viz
from odl_kit.viz import page


def pictures(figure):
    """The light and the dark picture of a figure, (H, W, 4) uint8."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', figure.html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")) for data in found]


def colours(picture):
    """The colours of the pixels that are nearly opaque, as a set of #RRGGBB."""
    return {"#" + "".join(f"{c:02X}" for c in pixel[:3]) for pixel in np.unique(picture.reshape(-1, 4), axis=0) if pixel[3] > 240}


def contrast(one, other):
    """WCAG 2.2 contrast of two #RRGGBB."""
    def luminance(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def near(colour, found, most=12):
    """True if one of the colours found is this one, but for the rounding of a palette of 256."""
    wanted = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
    return any(abs(np.array([int(c[i:i + 2], 16) for i in (1, 3, 5)]) - wanted).max() <= most for c in found)


def test_a_figure_is_drawn_once_for_light_and_once_for_dark_pages_and_says_the_same_in_words():
    figure = viz.curve({"FedAvg": [0.1, 0.5, 0.9]}, x="round", y="accuracy", title="It learns")
    alt = html.escape(figure.alt)
    assert re.findall(r'<img class="(odl-\w)" alt="([^"]+)"', figure.html) == [("odl-l", alt), ("odl-d", alt)]
    assert 'class="odl-d" ' in figure.html and figure.html.count('style="display:none"') == 1      # without the style sheet one is hidden
    light, dark = pictures(figure)
    assert light.shape == dark.shape and near("#0072B2", colours(light)) and near("#56B4E9", colours(dark))
    assert not near("#0072B2", colours(dark)) and near(page.PAGES["dark"].ink, colours(dark), most=30)


def test_the_background_is_transparent_and_a_picture_is_small():
    lines = {f"method {k}": (k + np.random.default_rng(k).random(100)).tolist() for k in range(9)}
    figure = viz.curve(lines, x="x", y="y", title="Nine")
    for picture, data in zip(pictures(figure), re.findall(r"base64,([^\"]+)\"", figure.html), strict=True):
        assert picture[0, 0, 3] == 0 and (picture[..., 3] == 0).mean() > 0.4
        assert len(base64.b64decode(data)) <= 60_000


def test_nothing_stays_open():
    import matplotlib.pyplot as plt
    plt.close("all")
    before = dict(plt.rcParams)
    viz.bars({"a": 1, "b": 2}, y="bytes", title="Two")
    assert plt.get_fignums() == [] and dict(plt.rcParams) == before


def test_the_same_method_looks_the_same_in_every_figure_whatever_its_place():
    assert page.slots(["FedAvg"])["FedAvg"] == page.slots(["x", "FedSGD", "fed-avg", "y"])["fed-avg"] == 0
    assert page.slots(["FedSGD", "FedAvg"]) == {"FedSGD": 1, "FedAvg": 0}
    assert page.slots(["mine", "FedAvg"]) == {"mine": 1, "FedAvg": 0}           # a free slot, not FedAvg's


def test_names_never_share_a_slot_and_beyond_eight_the_marker_differs():
    names = ["FedAvg", "mean", "full", *(f"m{k}" for k in range(14))]           # three with the same fixed slot
    found = page.slots(names)
    assert len(set(found.values())) == len(names)
    looks = [tuple(page.PAGES["light"].look(slot).values()) for slot in range(16)]
    assert len(set(looks)) == 16


@pytest.mark.parametrize(("theme", "background"), [("light", "#FFFFFF"), ("dark", "#111111"), ("dark", "#1E1E1E")])
def test_lines_and_text_stand_out_from_the_page(theme, background):
    pen = page.PAGES[theme]
    assert contrast(pen.ink, background) > 7 and contrast(pen.mute, background) > 4.5
    ratios = [contrast(pen.look(slot)["color"], background) for slot in range(8)]
    assert min(ratios[:4]) >= 3 and min(ratios) >= 2


@pytest.mark.parametrize(("value", "text"), [
    (1437, "1,437"), (0.8532, "0.853"), (95.26, "95.3"), (1234.5, "1,234"), (1e-7, "1e-07"), (0, "0"), (-2.5, "-2.5"), (3.0, "3"),
    (None, "none"), (math.nan, "none"), (math.inf, "infinite"), (-math.inf, "-infinite")])
def test_numbers_are_written_for_readers(value, text):
    assert page.number(value) == text


def test_a_table_is_aligned_and_a_long_one_thinned_with_its_last_row():
    assert page.table(["x", "long name"], [["a", 1], ["bb", 1234]]) == "x   long name\na           1\nbb      1,234"
    lines = page.table(["x"], [[k] for k in range(1000)]).splitlines()
    assert len(lines) <= 64 and lines[-2] == "999" and "1000 rows, 1 in 17" in lines[-1]


def test_words_in_a_frame_are_escaped_and_its_numbers_one_click_away():
    figure = page.frame("a < b", "<i>body</i>", "alt", "1 < 2")
    assert "a &lt; b" in figure.html and "<i>body</i>" in figure.html and "<summary>" in figure.html and "1 &lt; 2" in figure.html
    assert "<details>" not in page.frame("t", "", "alt").html
    assert repr(figure) == "a < b\nalt" and figure._repr_html_() == figure.html


def test_text_with_a_dollar_sign_is_drawn_as_it_stands():
    assert pictures(viz.bars({"$5": 1, "a_b^c": 2}, y="$ per day", title="Costs $"))


def test_the_style_sheet_knows_the_dark_pages():
    for selector in ('[data-jp-theme-light="false"]', "body.vscode-dark", "html[theme=dark]", "prefers-color-scheme: dark"):
        assert selector in viz.STYLE
    assert viz.STYLE.count("{") == viz.STYLE.count("}")
