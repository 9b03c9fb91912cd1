import nbformat
import pytest

from odl_kit.grading import build, convert

# A lab that needs no machinery of labs to run, so that its kernel is up in a second.
QUICK = '''\
# %% tags=["imports"]
import math

# %% exercise="double"
def double(x):
    return ...

# %%
print("gives the prediction away")

# %% tags=["nbval-check-output"]
print(math.floor(math.pi))
'''


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def unrun(source):
    """The student notebook of a lab as a build would leave it, but for the outputs."""
    build.write(build.products(source)["student"], nbformat.writes(convert.student(source)))


def test_a_lab_becomes_four_notebooks_and_only_checked_cells_keep_their_output(course):
    paths = build.build(course(QUICK))
    student, site, key, reference = (code_cells(paths[kind]) for kind in ("student", "site", "key", "reference"))
    assert paths["student"] == course.home / "labs" / "98_sample.ipynb" and paths["key"].parent == course.home / "build" / "key"
    assert [[o.text for o in cell.outputs] for cell in student] == [[], [], [], ["3\n"]]
    assert [cell.execution_count is None for cell in student] == [True, True, True, False]
    assert [o.text for cell in site for o in cell.outputs] == ["gives the prediction away\n", "3\n"]
    assert "return x + x" in key[1].source and [cell.source for cell in reference] == [cell.source for cell in student[:2]]
    assert build.stale(course(QUICK)) == []


@pytest.mark.slow
def test_building_again_gives_the_same_bytes(course):
    first = {kind: path.read_bytes() for kind, path in build.build(course(QUICK)).items()}
    assert {kind: path.read_bytes() for kind, path in build.build(course(QUICK)).items()} == first


@pytest.mark.slow
def test_only_what_changed_is_built_again(course, capsys):
    course(QUICK)
    assert build.main([]) == 0 and "98_sample: built in" in capsys.readouterr().out
    assert build.main([]) == 0 and capsys.readouterr().out == "98_sample: nothing changed\n"
    course(QUICK, course.checks + "# a reason\n")
    assert build.changed(build.sources()[0])
    assert build.main(["98", "--force"]) == 0 and "built in" in capsys.readouterr().out
    (course.home / "build" / "key" / "98_sample.ipynb").unlink()
    assert build.changed(build.sources()[0])


@pytest.mark.slow
def test_a_cell_that_fails_fails_the_build_by_name_and_writes_nothing(course, capsys):
    course(QUICK + "\n# %%\nassert math.pi > 4, 'pi is too small'\n")
    course(QUICK, name="99_good")
    assert build.main([]) == 1
    said = capsys.readouterr().out
    assert "98_sample: FAILED, nothing written: cell 5 (`assert math.pi > 4, 'pi is too small'`): AssertionError: pi is too small" in said
    assert "99_good: built" in said
    assert [path.name for path in course.home.rglob("*.ipynb") if path.name.startswith("98")] == []


def test_check_runs_nothing_and_says_what_is_not_current(course, capsys):
    source = course(QUICK)
    assert build.main(["--check"]) == 1 and "98_sample.ipynb is not built" in capsys.readouterr().out
    unrun(source)
    assert build.main(["--check"]) == 0 and capsys.readouterr().out == "98_sample: current\n"
    course(QUICK.replace("math.floor", "math.ceil"))
    assert build.main(["--check"]) == 1
    assert "cell 3: source is 'print(math.floor(math.pi))', the source has 'print(math.ceil(math.pi))'" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["student", "site"])
def test_a_damaged_notebook_is_built_again(course, kind):
    source = course(QUICK)
    for path in build.products(source).values():
        build.write(path, nbformat.writes(convert.student(source)))
    site = build.products(source)["site"]
    build.write(site, site.read_text().replace('"lab": "98_sample"', f'"lab": "98_sample", "digest": "{build.needs.digest(source)}"'))
    assert not build.changed(source)
    build.write(build.products(source)[kind], "<<<<<<< HEAD\n{}\n")
    assert build.changed(source)


def test_labs_are_named_by_number_or_name_and_unknown_ones_are_refused(course, capsys):
    first, second = course(QUICK), course(QUICK, name="99_good")
    assert build.sources() == [first, second] and build.sources(["99"]) == [second] == build.sources(["labs/src/99_good.py"])
    assert build.main(["97"]) == 2
    assert "no lab '97' in labs/src; there are 98_sample, 99_good" in capsys.readouterr().err


def test_ctrl_c_leaves_what_was_there(course, monkeypatch, capsys):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    unrun(course(QUICK))
    before = {path: path.read_bytes() for path in course.home.rglob("*") if path.is_file()}
    monkeypatch.setattr(build, "execute", interrupted)
    assert build.main(["--force"]) == 130 and "stopped" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in course.home.rglob("*") if path.is_file()} == before


def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    build.write(path, "old\n")

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr(build.os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        build.write(path, "new\n")
    assert path.read_text() == "old\n" and list(path.parent.iterdir()) == [path]


def test_an_equal_file_is_not_touched(tmp_path):
    build.write(tmp_path / "file", "same\n")
    before = (tmp_path / "file").stat()
    build.write(tmp_path / "file", "same\n")
    after = (tmp_path / "file").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
