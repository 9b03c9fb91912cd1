import csv

import pytest

from odl_kit.grading import tables


def test_what_is_written_is_read_again(tmp_path):
    lines = [["ada", 'says "so", twice', 2], ["böb", "two\nlines", 0.5]]
    tables.write(tmp_path / "a" / "x.csv", ["who", "what", "n"], lines)
    found = tables.read(tmp_path / "a" / "x.csv", ("who",))
    assert [list(entry.values()) for _, entry in found] == [[str(v) for v in line] for line in lines]
    assert [number for number, _ in found] == [2, 4]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "=HYPERLINK(1)"])
def test_a_text_is_no_formula_and_a_number_stays_one(tmp_path, text):
    tables.write(tmp_path / "x.csv", ["a", "b"], [[text, -1]])
    with open(tmp_path / "x.csv", newline="") as file:
        assert list(csv.reader(file))[1] == ["'" + text.replace("\r", " "), "-1"]


def test_a_table_from_a_spreadsheet_with_a_mark_before_it_is_read(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfwho,what\r\nada,x\r\n")
    assert tables.read(tmp_path / "x.csv", ("who",)) == [(2, {"who": "ada", "what": "x"})]


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("who\nada\n")
    with pytest.raises(ValueError, match="x.csv: no column what; it has who"):
        tables.read(tmp_path / "x.csv", ("who", "what"))
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(ValueError, match="it has nothing"):
        tables.read(tmp_path / "x.csv", ("who",))
