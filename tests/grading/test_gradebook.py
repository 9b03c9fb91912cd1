import csv

from odl_kit.grading import gradebook

from .classroom import row, verdict


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


ROWS = [row(name="Ada King Lovelace", late_days=1, penalty=0.5), row("bob", questions={"double": verdict(False)}),
        row("eve", blame="ours", problem="no jail"), row("kim", blame="file", problem="the file is empty"),
        row("ada", "99_other", questions={"half": verdict()}, possible={"half": 2}, earned={"half": 2})]


def test_grades_have_a_line_a_student_and_lab_and_a_column_a_question(tmp_path):
    gradebook.write(ROWS, tmp_path)
    head, *lines = read(tmp_path / "grades.csv")
    assert head == ["student", "name", "lab", "total", "max", "late_days", "penalty_percent", "attempts", "blame", "problem", "file",
                    "98 double",
                    "99 half"]
    assert [(line[0], line[2], line[3], line[8], line[11], line[12]) for line in lines] == [
        ("ada", "98_sample", "1.5", "graded", "3", ""), ("bob", "98_sample", "0", "graded", "0", ""),
                                                                                            ("eve", "98_sample", "", "ours", "0", ""),
        ("kim", "98_sample", "0", "file", "0", ""), ("ada", "99_other", "2", "graded", "", "2")]


def test_platforms_get_their_columns_and_an_open_grade_is_empty(tmp_path):
    gradebook.write(ROWS, tmp_path)
    assert read(tmp_path / "lms" / "canvas.csv")[:3] == [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "98_sample",
                                                          "99_other"],
                                                         ["    Points Possible", "", "", "", "", "3", "2"],
                                                         ["Ada King Lovelace", "ada", "", "", "", "1.5", "2"]]
    moodle = read(tmp_path / "lms" / "moodle_98_sample.csv")
    assert moodle[0] == ["Identifier", "Full name", "Grade", "Maximum grade", "Feedback comments"]
    assert moodle[1][:4] == ["Participant ada", "Ada King Lovelace", "1.5", "3"] and "1 day(s) late, 50 % off" in moodle[1][4]
    assert moodle[3][2] == "" and moodle[4][4] == "the file is empty"
    assert read(tmp_path / "lms" / "gradescope_98_sample.csv")[1] == ["Ada King", "Lovelace", "ada", "1.5", "3"]
    assert read(tmp_path / "lms" / "plain_98_sample.csv")[2] == ["bob", "0", "3", "not yet: double"]
