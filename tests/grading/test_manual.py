import pytest

from odl_kit.grading import manual

from .classroom import row, verdict


def reflecting(student="ada", **more):
    return row(student, possible={"double": 3, "reflection": 6}, earned={"double": 3, "reflection": None}, **more)


def test_points_by_hand_go_out_are_filled_in_and_come_back(tmp_path):
    path = tmp_path / "manual.csv"
    manual.write_manual([reflecting(), reflecting("bob")], path)
    assert path.read_text() == "student,lab,numbers,why,trade_off,comment\nada,98_sample,,,,\nbob,98_sample,,,,\n"
    assert [r.total for r in manual.with_manual([reflecting(), reflecting("bob")], path)] == [None, None]
    path.write_text(path.read_text().replace("ada,98_sample,,,,", "ada,98_sample,2,1,0,Which number?"))
    ada, bob = manual.with_manual([reflecting(), reflecting("bob")], path)
    assert (ada.total, ada.comment, bob.total) == (3 + 6 * 3 / 6, "Which number?", None)
    manual.write_manual([reflecting(), reflecting("bob"), reflecting("eve")], path)
    assert path.read_text().splitlines()[1:] == ["ada,98_sample,2,1,0,Which number?", "bob,98_sample,,,,", "eve,98_sample,,,,"]


@pytest.mark.parametrize("marks", ["3,0,0", "1,,1", "a,b,c", "-1,0,0", "0.5,0,0"])
def test_marks_outside_the_rubric_are_named_by_their_line(tmp_path, marks):
    (tmp_path / "manual.csv").write_text(f"student,lab,numbers,why,trade_off\nada,98_sample,{marks}\n")
    with pytest.raises(ValueError, match="manual.csv, line 2: numbers, why, trade_off are .*; each is 0, 1 or 2"):
        manual.with_manual([reflecting()], tmp_path / "manual.csv")


def test_without_a_reflection_there_is_nothing_to_fill_in(tmp_path):
    manual.write_manual([row()], tmp_path / "manual.csv")
    manual.reflections([row()], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_students_wrote_is_shown_as_text(tmp_path):
    manual.reflections([reflecting(texts=("Because <b>42</b>.",)), reflecting("bob")], tmp_path)
    text = (tmp_path / "reflections.html").read_text()
    assert "Because &lt;b&gt;42&lt;/b&gt;." in text and "Nothing was written." in text


def test_a_regrade_request_goes_round(tmp_path):
    asked, decided = tmp_path / "asked.csv", tmp_path / "regrade.csv"
    asked.write_text("student,lab,question,request\nada,98_sample,double,Mine is right for 0 too.\n")
    rows = [row(questions={"double": verdict(False)}), row("bob")]
    same, waiting = manual.with_regrades(rows, asked)
    assert [r.total for r in same] == [0, 3] and [w["student"] for w in waiting] == ["ada"]
    manual.write_regrade(rows, decided, asked)
    line = decided.read_text().splitlines()[1]
    assert line == 'ada,98_sample,double,Mine is right for 0 too.,,,0,3,"expected 2, got 3"'
    decided.write_text(decided.read_text().replace("too.,,,0", "too.,2,You are right.,0"))
    (ada, bob), waiting = manual.with_regrades(rows, decided)
    assert (ada.total, bob.total, waiting) == (2, 3, []) and ada.decisions == {"double": "regraded from 0 to 2. You are right."}
    manual.write_regrade([ada, bob], decided, decided)
    assert manual.with_regrades(rows, decided)[0][0].total == 2             # and it can be given again and again


@pytest.mark.parametrize(("line", "says"), [("eve,98_sample,double,x,", "no question 'double' of 'eve'"),
                                            ("ada,98_sample,triple,x,", "no question 'triple'"),
                                            ("ada,98_sample,double,x,4", "points are '4', double has 0 to 3"),
                                            ("ada,98_sample,double,x,-1", "0 to 3"),
                                            ("ada,98_sample,double,x,many", "'many'")])
def test_a_request_that_does_not_fit_is_named_by_its_line(tmp_path, line, says):
    (tmp_path / "r.csv").write_text(f"student,lab,question,request,points\n{line}\n")
    with pytest.raises(ValueError, match=f"r.csv, line 2: .*{says}"):
        manual.with_regrades([row()], tmp_path / "r.csv")
