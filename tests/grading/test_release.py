import hashlib
import json
import zipfile

import nbformat
import pytest

from odl_kit.grading import build, convert, release
from odl_kit.grading import course as courses


@pytest.fixture
def built(course):
    """The course with its student notebook built, outputs apart."""
    source = course()
    build.write(build.products(source)["student"], nbformat.writes(convert.student(source)))
    return course


def test_students_get_notebooks_a_manifest_that_fits_and_a_zip_of_both(built, tmp_path):
    about = courses.Course(title="Spring", seed="s", labs={"98_sample": {"points": {"double": 5}, "reflection": 6}})
    path = release.release(["98_sample"], tmp_path / "out", about)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["98_sample.ipynb", "README.txt", "manifest.json", "release.zip"]
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.suffix != ".zip"}
    entry = json.loads(files["manifest.json"])["labs"]["98_sample"]
    assert entry["sha256"] == hashlib.sha256(files["98_sample.ipynb"]).hexdigest() and entry["points"] == {"double": 5, "reflection": 6}
    assert nbformat.reads(files["98_sample.ipynb"].decode(), as_version=4).metadata.odl.exercises == {"double": 5}
    assert b"98_sample.ipynb" in files["README.txt"] and b"11 points" in files["README.txt"]


def test_neither_seed_nor_private_check_nor_solution_nor_answer_is_in_it(built, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "98_sample.py").write_text(built.checks.replace("Add x to x.", "HIDDEN HINT"))
    about = courses.Course(seed="THE SEED", private=tmp_path / "private", seeds={"ada": "HER SEED"})
    release.release(["98_sample"], tmp_path / "out", about)
    for path in (tmp_path / "out").iterdir():
        text = path.read_bytes()
        for secret in (b"THE SEED", b"HER SEED", b"HIDDEN HINT", b"(private)", b"return x + x", b"It is so.", b"def judge"):
            assert secret not in text, (path.name, secret)


def test_the_same_release_is_the_same_bytes(built, tmp_path):
    first, second = (release.release(["98_sample"], tmp_path / name, courses.Course()).read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_notebook_that_is_not_current_or_shows_a_solution_is_not_released(built, tmp_path):
    source = built(built.source.replace("Double.", "Double it."))
    with pytest.raises(ValueError, match="98_sample: cell .*; run `odl build 98_sample`"):
        release.release(["98_sample"], tmp_path / "out", courses.Course())
    source = built(built.source + "\n# %%\ndef double(x):\n    return x + x\n")
    build.write(build.products(source)["student"], nbformat.writes(convert.student(source)))
    with pytest.raises(ValueError, match="shows the solution of double"):
        release.release(["98_sample"], tmp_path / "out", courses.Course())


def test_the_command_says_what_it_wrote_or_what_is_wrong(built, tmp_path, capsys):
    assert release.main(["98", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "release.zip: 98_sample" in said and "No seed in a course.toml" in said
    assert release.main(["77", "--out", str(tmp_path / "out")]) == 2 and "no lab '77'" in capsys.readouterr().err
    assert release.main(["98", "--out", str(tmp_path / "out"), "--course", str(tmp_path / "no.toml")]) == 2
    assert "no.toml" in capsys.readouterr().err
