import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from odl_kit.data import cards, datasets


def seed(number=0):
    return torch.Generator().manual_seed(number)


def people(examples=60):
    """A set with user 0..5 and time 0..examples-1; x is the number of the example."""
    number = np.arange(examples)
    return datasets.from_arrays(number[:, None].astype(float), number % 3, user=number % 6, time=number, classes="abc")


def test_digits_are_scikit_learns_images_divided_by_16():
    digits, oracle = datasets.load("digits"), load_digits()
    assert digits.x.shape == (1797, 1, 8, 8) and digits.x.dtype == torch.float32 and len(digits) == 1797
    assert np.array_equal(digits.x.numpy()[:, 0], (oracle.images / 16).astype(np.float32))
    assert digits.y.dtype == torch.int64 and np.array_equal(digits.y.numpy(), oracle.target)
    assert digits.user is None and digits.time is None and digits.classes == tuple("0123456789")
    assert "writer of an image is not recorded" in cards.read("digits")["notes"]


@pytest.mark.parametrize("name", datasets.names())
def test_every_named_set_loads_and_says_what_it_is(name):
    data = datasets.load(name)
    assert len(data) > 0 and data.name == name and data.source and data.units
    assert len(data.classes) in (0, int(data.y.max()) + 1)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="no data set named 'mnist': known are .*digits"):
        datasets.load("mnist")


def test_a_subset_keeps_the_columns_together():
    part = people().subset(people().user == 4)
    assert part.x[:, 0].tolist() == part.time.tolist() == list(range(4, 60, 6))
    assert (part.y == part.x[:, 0].long() % 3).all()
    assert people().subset(torch.tensor([5, 2])).time.tolist() == [5, 2]


@pytest.mark.parametrize("by", ["random", "user", "time"])
def test_a_split_shares_nothing_loses_nothing_and_repeats(by):
    data = people()
    train, test = datasets.split(data, by=by, test=0.25, rng=seed())
    assert sorted(train.time.tolist() + test.time.tolist()) == list(range(60))
    again = datasets.split(data, by=by, test=0.25, rng=seed())[1]
    assert torch.equal(test.x, again.x)
    if by == "random":
        assert len(test) == 15 and not torch.equal(test.x, datasets.split(data, test=0.25, rng=seed(1))[1].x)
    if by == "user":
        assert not set(train.user.tolist()) & set(test.user.tolist()) and len(test.user.unique()) == 2
    if by == "time":
        assert train.time.max() < test.time.min() and len(test) == 15


def test_examples_of_one_moment_stay_on_one_side():
    data = datasets.from_arrays(np.zeros((6, 1)), np.zeros(6), time=[0, 1, 2, 2, 2, 3])
    train, test = datasets.split(data, by="time", test=0.34)
    assert train.time.tolist() == [0, 1] and test.time.tolist() == [2, 2, 2, 3]


@pytest.mark.parametrize(("options", "words"), [({"by": "label"}, "by = 'label'"), ({"rng": None}, "torch.Generator"),
                                                *(({"test": share}, "one side empty") for share in (0.0, 1.0, 0.001, -0.5))])
def test_a_split_that_cannot_be_raises(options, words):
    with pytest.raises(ValueError, match=words):
        datasets.split(people(), **{"rng": seed(), **options})


def test_a_split_by_what_nobody_recorded_raises():
    for by in ("user", "time"):
        with pytest.raises(ValueError, match=f"digits does not record {by}"):
            datasets.split(datasets.load("digits"), by=by, rng=seed())


def test_arrays_become_float32_and_int64():
    data = datasets.from_arrays([[0.5, 1.0]], np.array([2.5]), user=np.array([3], np.int32), time=torch.tensor([1.5], dtype=torch.float64))
    assert [tensor.dtype for tensor in data.tensors().values()] == [torch.float32, torch.float32, torch.int64, torch.float32]
    assert datasets.from_arrays(np.array([[1, 2]]), [0]).x.dtype == torch.int64
    assert "x (1, 2) float32" in repr(data)


@pytest.mark.parametrize(("change", "words"), [
    ({"x": np.zeros((2, 4), np.uint8)}, "divide an image by 255"), ({"y": [1]}, r"y is \(1,\)"), ({"user": [[1], [2]]}, "user is"),
    ({"x": [[0.0], [float("nan")]]}, "x of example 1 is nan"), ({"classes": ("a",)}, "must number the 1 classes"),
    ({"y": [0.5, 1.5], "classes": "ab"}, "int64")])
def test_arrays_that_do_not_fit_raise(change, words):
    with pytest.raises(ValueError, match=words):
        datasets.from_arrays(**{"x": [[0.0], [1.0]], "y": [0, 1], **change})


def csv(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_a_csv_file_is_read_column_by_column(tmp_path):
    path = csv(tmp_path, "temp,who,hour,light,kind\n20.5,bo,1,3,warm\n-1e1,al,2,4,cold\n")
    data = datasets.from_csv(path, target="kind", user="who", time="hour")
    assert data.x.tolist() == [[20.5, 3.0], [-10.0, 4.0]] and data.x.dtype == torch.float32
    assert data.classes == ("cold", "warm") and data.y.tolist() == [1, 0]
    assert data.user.tolist() == [1, 0] and data.time.tolist() == [1.0, 2.0]
    assert data.units == "columns: temp, light" and data.name == "mine"


def test_a_number_target_is_int64_if_whole_else_float32(tmp_path):
    path = csv(tmp_path, "a,b,c\n1,3,0.5\n2,4,1.0\n")
    assert datasets.from_csv(path, target="b", features=["a"]).y.dtype == torch.int64
    assert datasets.from_csv(path, target="c", features=["a"]).y.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(("text", "words"), [
    ("a,y\n1,0\n", "no column 'z': it has a, y"), ("a,z\n1,0\nx2,1\n", "line 3, column a: 'x2' is not a number"),
    ("a,z\n1,0\n,1\n", "line 3, column a: '' is not"), ("a,z\n1,0\n2,warm\n", "line 3, column z: 'warm'"),
    ("a,z\n1,0\n1\n", "line 3: not as many columns"), ("a,z\n1,0,5\n", "line 2: not as many"), ("a,z\n", "0 lines of data"),
    ("", "no header line"), ("a,z\nnan,0\n", "x of example 0 is nan")])
def test_a_csv_file_with_a_fault_names_column_or_line(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        datasets.from_csv(csv(tmp_path, text), target="z")


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(2):
            pixels = np.full((4, 6, 3), [51 * label, 0, 255], np.uint8)
            image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "dog" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("not a class")
    return tmp_path


def test_an_image_folder_is_one_class_a_folder(pictures):
    data = datasets.from_image_folder(pictures)
    assert data.x.shape == (4, 3, 4, 6) and data.classes == ("cat", "dog") and data.y.tolist() == [0, 0, 1, 1]
    assert torch.allclose(data.x[2, :, 0, 0], torch.tensor([0.2, 0.0, 1.0]))
    assert datasets.from_image_folder(pictures, grey=True, size=(2, 3)).x.shape == (4, 1, 2, 3)


def test_an_image_folder_with_a_fault_names_the_file(pictures):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (5, 5)).save(pictures / "dog" / "2.png")
    with pytest.raises(ValueError, match=r"2.png is 5x5.*size="):
        datasets.from_image_folder(pictures)
    (pictures / "cat" / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="notes.txt cannot be read as an image"):
        datasets.from_image_folder(pictures, size=(4, 6))


def test_an_empty_folder_says_how_to_lay_it_out(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(ValueError, match="folder named after the class"):
        datasets.from_image_folder(tmp_path)


def test_a_missing_pillow_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        datasets.from_image_folder(tmp_path)
