import io
import stat
import zipfile

import pytest

from odl_kit.grading import archive


def packed(entries, **options):
    """A zip in memory; entries: {name: bytes}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for name, raw in entries.items():
            book.writestr(name, raw)
    file.seek(0)
    return file


def test_notebooks_are_read_and_other_files_come_without_bytes():
    assert list(archive.read(packed({"a/x.ipynb": b"1", "y.pdf": b"22", "folder/": b""}))) == [("a/x.ipynb", b"1", ""), ("y.pdf", b"", "")]


def test_a_zip_in_a_zip_is_a_folder_and_one_in_that_is_refused():
    inner = packed({"x.ipynb": b"1", "deep.zip": packed({"y.ipynb": b"2"}).read()}).read()
    assert list(archive.read(packed({"ada.zip": inner}))) == [("ada/x.ipynb", b"1", ""),
                                                              ("ada/deep.zip", b"", "a zip in a zip in a zip is not read")]


@pytest.mark.parametrize("name", ["../x.ipynb", "/etc/x.ipynb", "a/../../x.ipynb", "..\\x.ipynb", "C:/x.ipynb", "\\\\server\\x.ipynb"])
def test_a_name_that_leaves_the_folder_is_refused_and_named_harmlessly(name):
    (inner, raw, problem), = archive.read(packed({name: b"1"}))
    assert raw == b"" and "leaves the folder" in problem and ".." not in inner.split("/") and not inner.startswith("/")


def test_a_link_is_refused():
    info = zipfile.ZipInfo("x.ipynb")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    (_, raw, problem), = archive.read(packed({info: b"/etc/passwd"}))
    assert raw == b"" and "symbolic link" in problem


def test_a_bomb_is_read_up_to_the_limit_whatever_it_says_of_its_size():
    file = packed({"x.ipynb": bytes(30 * 2**20)})
    text = file.getvalue().replace((30 * 2**20).to_bytes(4, "little"), (5).to_bytes(4, "little"))       # it claims 5 bytes
    for raw in (file.getvalue(), text):
        (_, content, problem), = archive.read(io.BytesIO(raw))
        assert content == b"" or len(content) <= 5
        assert "more than 20 MB" in problem or "damaged" in problem


def test_many_files_share_one_limit():
    found = list(archive.read(packed({f"{i}.ipynb": bytes(2**20) for i in range(8)}), total=5 * 2**20))
    assert sum(len(raw) for _, raw, _ in found) == 5 * 2**20 and [bool(problem) for _, _, problem in found] == [False] * 5 + [True] * 3


def test_a_damaged_zip_and_a_damaged_entry_are_sentences():
    good = packed({"x.ipynb": b"123456789" * 100}).getvalue()
    assert list(archive.read(io.BytesIO(good[:-30])))[0][2].startswith("the zip is damaged")
    assert list(archive.read(io.BytesIO(b"PK\x03\x04 no zip")))[0][2].startswith("the zip is damaged")
    broken = bytearray(good)
    broken[40:60] = bytes(20)
    assert "damaged" in list(archive.read(io.BytesIO(bytes(broken))))[0][2]


def test_more_files_than_any_class_has_are_refused(monkeypatch):
    monkeypatch.setattr(archive, "ENTRIES", 3)
    assert "holds 4 files, at most 3" in list(archive.read(packed({f"{i}.ipynb": b"" for i in range(4)})))[0][2]
