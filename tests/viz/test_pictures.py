import base64
import functools
import inspect
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from odl_kit import viz
from odl_kit.models import flat


def test_label_histograms_count_what_each_client_owns():
    owner, y = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([3, 3, 0, 1, 3, 0])
    figure = viz.label_histograms(owner, y, title="Three clients")
    assert "3 clients own 1 to 3 examples of 1 to 3 classes each; there are 4 classes" in figure.alt
    rows = [line.split() for line in figure.table.splitlines()]
    expected = [[str(((owner == c) & (y == k)).sum().item()) for k in range(4)] for c in range(3)]
    assert [row[1:] for row in rows[1:]] == expected and rows[0] == ["client", "0", "1", "2", "3"]


def test_label_histograms_of_fifty_clients_and_named_classes_are_drawn():
    rng = np.random.default_rng(0)
    figure = viz.label_histograms(rng.integers(50, size=600), rng.integers(3, size=600), title="Fifty", classes=("one", "two", "three"))
    assert "50 clients" in figure.alt and figure.html.count("<img") == 2
    assert figure.table.splitlines()[0].split() == ["client", "one", "two", "three"]


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 1, 8, 8), (12, 3, 4, 6)])
def test_images_of_one_or_three_channels_are_drawn(shape):
    figure = viz.images(torch.rand(shape), title="Some", titles=range(shape[0]))
    assert f"{shape[0]} pictures of {shape[-2]} by {shape[-1]} pixels: 0, 1, 2" in figure.alt


@pytest.mark.parametrize("shape", [(8, 8), (3, 2, 8, 8), (0, 8, 8)])
def test_what_is_no_row_of_images_is_refused(shape):
    with pytest.raises(ValueError, match="N, H, W"):
        viz.images(torch.zeros(shape), title="None")


def test_ink_is_dark_on_light_pages_and_light_on_dark_ones():
    figure = viz.images(torch.ones(1, 8, 8), title="All ink")
    pngs = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', figure.html)]
    light, dark = (np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")) for png in pngs)
    assert light[light[..., 3] > 240][:, :3].mean() < 20 and dark[dark[..., 3] > 240][:, :3].mean() > 235


def test_source_shows_the_lines_as_they_stand_in_the_file():
    figure = viz.source(flat.assign)
    lines, first = inspect.getsourcelines(flat.assign)
    assert figure.alt == "".join(lines) and figure.title == f"odl_kit/models/flat.py, lines {first} to {first + len(lines) - 1}"
    assert f'<i class="odl-no">{first}</i>' in figure.html and f'<i class="odl-no">{first + len(lines)}</i>' not in figure.html


def test_source_escapes_and_takes_partials_wrapped_functions_and_classes():
    def shows(a):
        return "<b>" if a < 1 else "&"

    for fn in (shows, functools.partial(shows, a=1), functools.wraps(shows)(lambda a: shows(a))):
        figure = viz.source(fn)
        assert "def shows" in figure.alt and "<b>" not in figure.html and "&lt;b&gt;" in figure.html and "in this notebook" in figure.title
    assert "class Figure" in viz.source(viz.Figure).alt and viz.source(shows, title="Mine").title == "Mine"


def test_source_of_a_builtin_is_refused():
    with pytest.raises((TypeError, OSError)):
        viz.source(max)
