"""What is kept, and what makes it new."""
import pytest
import torch

from odl_kit.learners import kept


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ODL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_time_nothing_is_computed_and_the_types_are_the_same():
    calls = []

    def compute():
        calls.append(1)
        return {"gain": (0.5, 2), 3: "x"}
    first = kept.kept("name", ["a", 1], compute)
    assert first == kept.kept("name", ["a", 1], compute) == {"gain": [0.5, 2], "3": "x"} and len(calls) == 1
    kept.kept("name", ["a", 2], compute)
    kept.kept("other", ["a", 1], compute)
    assert len(calls) == 3


def test_a_key_sees_values_shapes_dtypes_and_contents_of_files(tmp_path):
    file = tmp_path / "source.py"
    file.write_text("x = 1")
    one = torch.arange(4.0)
    keys = [[one], [one.view(2, 2)], [one.double()], [one + 1], ["1"], [1], [b"1"], [1, 1], [file]]
    found = {kept.digest(key) for key in keys}
    assert len(found) == len(keys) and kept.digest([torch.arange(8.0)[:4]]) == kept.digest([one])
    before = kept.digest([file])
    file.write_text("x = 2")
    assert kept.digest([file]) != before
    with pytest.raises(TypeError, match="is a list: a key is made of"):
        kept.digest([[1]])


def test_a_damaged_file_is_computed_again_and_mended(folder):
    kept.kept("name", [1], lambda: 5)
    path, = folder.iterdir()
    path.write_text("{")
    assert kept.kept("name", [1], lambda: 6) == 6 and kept.kept("name", [1], lambda: 7) == 6


def test_where_nothing_can_be_written_the_result_is_there_all_the_same(folder):
    folder.parent.joinpath("cache").write_text("a file, no folder")
    assert kept.kept("name", [1], lambda: 5) == 5
