import datetime
import json
import os
import zipfile

import pytest

from odl_kit.grading import collect

LABS = ["02_what_limits_it", "11_fedavg"]


def book(lab="11_fedavg"):
    return json.dumps({"cells": [], "metadata": {"odl": {"lab": lab}} if lab else {}}).encode()


def put(folder, files):
    """Write {path: bytes} below `folder`; returns it."""
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


def who(place):
    return [(s.student, s.lab, s.problem) for s in collect.collect(place, LABS)]


LAYOUTS = {
    "folders": (["ada/11_fedavg.ipynb", "bob/11_fedavg.ipynb"], ["ada", "bob"]),
    "folders in a folder": (["hand in/ada/11_fedavg.ipynb", "hand in/bob/work/11_fedavg.ipynb"], ["ada", "bob"]),
    "one student's folder": (["ada/11_fedavg.ipynb", "ada/02_what_limits_it.ipynb"], ["ada", "ada"]),
    "flat, id last": (["11_fedavg_ada.ipynb", "11_fedavg-bob (1).ipynb"], ["ada", "bob"]),
    "flat, id first": (["ada_11_fedavg.ipynb", "bob.smith_11_fedavg-Copy1.ipynb"], ["ada", "bob.smith"]),
    "flat in a folder": (["all/ada_11_fedavg.ipynb", "all/bob_11_fedavg.ipynb"], ["ada", "bob"]),
    "named by the student only": (["ada.ipynb", "bob.ipynb"], ["ada", "bob"]),
    "Canvas": (["lovelaceada_4711_99_11_fedavg.ipynb", "smithbob_LATE_4712_98_11_fedavg-1.ipynb"], ["4711", "4712"]),
    "Moodle, folders": (["Ada Lovelace_4711_assignsubmission_file_/11_fedavg.ipynb", "Bob Smith_4712_assignsubmission_file_/x.ipynb"],
                        ["4711", "4712"]),
    "Moodle, flat": (["Ada Lovelace_4711_assignsubmission_file_11_fedavg.ipynb", "Bob_4712_assignsubmission_file_a.ipynb"],
                     ["4711", "4712"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_the_student_is_read_from_every_layout(tmp_path, layout, packed):
    names, students = LAYOUTS[layout]
    files = {name: book("02_what_limits_it" if "02_" in name else "11_fedavg") for name in names}
    place = zipped(tmp_path / "class.zip", files) if packed else put(tmp_path / "class", files)
    assert sorted(student for student, _, problem in who(place) if not problem) == students


def test_a_zip_a_student_is_a_folder_a_student(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("ada", "bob"):
        zipped(tmp_path / "in" / f"{name}.zip", {"deep/down/11_fedavg.ipynb": book()})
    assert who(tmp_path / "in") == [("ada", "11_fedavg", ""), ("bob", "11_fedavg", "")]
    zipped(tmp_path / "class.zip", {f"{name}.zip": (tmp_path / "in" / f"{name}.zip").read_bytes() for name in ("ada", "bob")})
    assert who(tmp_path / "class.zip") == [("ada", "11_fedavg", ""), ("bob", "11_fedavg", "")]


def test_one_students_zip_is_named_by_the_zip(tmp_path):
    assert who(zipped(tmp_path / "ada.zip", {"11_fedavg.ipynb": book()})) == [("ada", "11_fedavg", "")]
    (tmp_path / "bob.zip").write_bytes(b"PK\x03\x04")
    assert who(tmp_path / "bob.zip")[0][:2] == ("bob", "")


def test_canvas_says_who_is_late_and_which_file_is_the_last(tmp_path):
    names = ("ada_LATE_4711_99_11_fedavg-2.ipynb", "ada_4711_98_11_fedavg.ipynb", "ada_LATE_4711_97_11_fedavg-10.ipynb")
    found = collect.collect(put(tmp_path, {name: book() for name in names}), LABS)
    assert [(s.path[-9:], s.late) for s in found] == [("avg.ipynb", False), ("g-2.ipynb", True), ("-10.ipynb", True)]
    assert {s.name for s in found} == {"ada"}


def test_gradescope_says_who_and_when(tmp_path):
    metadata = b"submission_99:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '4711'\n  :created_at: 2027-03-01 10:00:00.5 Z\n"
    put(tmp_path, {"assignment_1_export/submission_metadata.yml": metadata, "assignment_1_export/submission_99/11_fedavg.ipynb": book(),
                   "assignment_1_export/submission_99/submission_metadata.yml": b"submission_99: {}"})      # a student's own is not asked
    found, = collect.collect(tmp_path, LABS)
    assert (found.student, found.name) == ("4711", "Ada Lovelace") and found.when == datetime.datetime(2027, 3, 1, 10, 0, 0, 500_000,
                                                                                                       datetime.UTC)


def test_the_notebook_says_which_lab_it_is_else_its_name_does(tmp_path):
    put(tmp_path, {"ada/homework.ipynb": book(), "bob/11_fedavg.ipynb": book(None), "eve/x.ipynb": book(None),
                   "kim/11_fedavg.ipynb": book("99_no")})
    assert who(tmp_path) == [("ada", "11_fedavg", ""), ("bob", "11_fedavg", ""),
                             ("eve", "", "neither the notebook nor its name says which lab it is"), ("kim", "11_fedavg", "")]


def test_what_is_wrong_with_a_file_is_its_problem_and_stops_no_other(tmp_path):
    put(tmp_path, {"ada/11_fedavg.ipynb": b"cut of", "bob/11_fedavg.ipynb": book(), "kim/report.pdf": b"%PDF", "bob/notes.txt": b"x"})
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "11_fedavg.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "lin").symlink_to(tmp_path / "bob")
    (tmp_path / "max").mkdir()
    os.mkfifo(tmp_path / "max" / "11_fedavg.ipynb")
    found = {student: problem for student, _, problem in who(tmp_path)}
    assert found.pop("bob") == "" and "no JSON" in found.pop("ada") and "report.pdf is no notebook" in found.pop("kim")
    assert "symbolic link" in found.pop("eve") and "symbolic link" in found.pop("lin")
    assert "no ordinary file" in found.pop("max") and not found


def test_what_systems_leave_in_folders_is_skipped(tmp_path):
    put(tmp_path, {"ada/11_fedavg.ipynb": book(), "ada/.ipynb_checkpoints/11_fedavg-checkpoint.ipynb": book(),
                   "__MACOSX/ada/._11_fedavg.ipynb": b"",
                   ".DS_Store": b""})
    assert who(tmp_path) == [("ada", "11_fedavg", "")]


def test_two_files_of_one_name_in_a_zip_stay_two(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for _ in range(2):
            archive.writestr("ada/11_fedavg.ipynb", book())
    assert len({s.path for s in collect.collect(tmp_path / "c.zip", LABS)}) == 2


def test_no_place_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no"):
        collect.collect(tmp_path / "nowhere", LABS)


def test_running_a_notebook_again_makes_it_no_other_submission(tmp_path):
    files = [json.dumps({"cells": [{"cell_type": "code", "source": "x", "outputs": outputs, "metadata": {}}],
                         "metadata": {"odl": {"lab": "11_fedavg"}}}).encode() for outputs in ([], [{"text": "y" * 1000}])]
    found = collect.collect(put(tmp_path, {"ada/11_fedavg.ipynb": files[0], "bob/11_fedavg.ipynb": files[1]}), LABS)
    assert found[0].raw == found[1].raw
