import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from odl_kit.data import datasets
from odl_kit.threats import inserted, poisoning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_is_uniform_between_0_and_1():
    x = inserted.noise((100, 1, 8, 8), rng=seeded())
    assert x.shape == (100, 1, 8, 8) and x.dtype == torch.float32
    assert x.min() >= 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.02 and abs(x.var() - 1 / 12) < 0.005


@given(st.sampled_from([1, 3, 5]), st.integers(3, 9), st.integers(3, 9))
def test_a_blurred_picture_is_that_of_scipy(width, height, across):
    x = torch.rand(2, 3, height, across, generator=seeded())
    expected = scipy.ndimage.uniform_filter(x.double().numpy(), size=(1, 1, width, width), mode="nearest")
    assert torch.allclose(inserted.blurred(x, width=width).double(), torch.from_numpy(expected), atol=1e-6)


def test_foreign_pictures_take_the_size_of_ours_and_stay_in_range():
    glyphs = datasets.load("glyphs").x[:5]
    small = inserted.foreign(glyphs, like=torch.rand(7, 1, 8, 8))
    assert small.shape == (5, 1, 8, 8) and 0 <= small.min() and small.max() <= 1
    assert (small.mean((1, 2, 3)) - glyphs.mean((1, 2, 3))).abs().max() < 0.05       # as much ink as before
    assert torch.allclose(inserted.foreign(glyphs, like=glyphs), glyphs, atol=1e-6)


def test_a_stamp_changes_the_corner_of_a_copy_and_nothing_else():
    x = torch.rand(2, 3, 1, 6, 5, generator=seeded())
    kept, stamped = x.clone(), inserted.stamp(x, size=2, value=0.75)
    assert torch.equal(x, kept) and (stamped[..., 4:, 3:] == 0.75).all()
    stamped[..., 4:, 3:] = x[..., 4:, 3:]
    assert torch.equal(stamped, x)


def test_a_back_door_opens_for_its_trigger_and_stays_shut_without_it():
    data = datasets.load("digits")
    train, test = datasets.split(data, test=0.3, rng=seeded())
    some = poisoning.some(len(train), 0.1, rng=seeded(1))
    x, y = inserted.back_door(train.x[some], train.y[some], target=0)
    judge = KNeighborsClassifier(3).fit(torch.cat([train.x, x]).flatten(1), torch.cat([train.y, y]))

    def taken_for_0(x):
        return inserted.success(torch.from_numpy(judge.predict(x.flatten(1))), test.y, target=0)
    assert taken_for_0(inserted.stamp(test.x)) > 0.8 and taken_for_0(test.x) < 0.02
    assert judge.score(test.x.flatten(1), test.y) > 0.95


def test_success_counts_the_others_only():
    y, predicted = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 0, 0, 2, 0])
    assert inserted.success(predicted, y, target=0) == pytest.approx(2 / 3)
    assert inserted.success(predicted, y, target=1) == 0


def test_bad_input_is_an_error_that_names_it():
    x = torch.rand(1, 1, 4, 6)
    for size in (0, 5):
        with pytest.raises(ValueError, match=rf"size={size} on pictures of \(4, 6\): give 1 to 4"):
            inserted.stamp(x, size=size)
    for width in (0, 2):
        with pytest.raises(ValueError, match=f"width={width}: give an odd number"):
            inserted.blurred(x, width=width)
    with pytest.raises(ValueError, match="all 2 examples are of class 1"):
        inserted.success(torch.tensor([1, 1]), torch.tensor([1, 1]), target=1)
