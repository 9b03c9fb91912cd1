import pytest

import odl_kit
from odl_kit.grading import needs


@pytest.fixture
def kit(course):
    """A lab that imports a.one and, in a function of it, b; nothing imports a.two. Returns (source, files by name)."""
    files = {"odl_kit/__init__.py": "", "odl_kit/a/__init__.py": "", "odl_kit/a/two.py": "", "odl_kit/b.py": "x = 1\n",
             "odl_kit/a/one.py": "def f():\n    import odl_kit.b\n", "datasets/digits/card.toml": "", "benchmarks/results/seen.json": "{}",
             "benchmarks/results/unseen.json": "{}"}
    for name, text in files.items():
        (course.home / name).parent.mkdir(parents=True, exist_ok=True)
        (course.home / name).write_text(text)
    source = course("# %%\nfrom odl_kit.a import one\nimport math\nlab.recorded('seen')\n", "")
    return source, {name: course.home / name for name in files}


def test_a_lab_rests_on_what_it_imports_directly_or_not(kit):
    source, _ = kit
    assert [path.relative_to(odl_kit.home()).as_posix() for path in needs.files(source)] == [
        "benchmarks/results/seen.json", "datasets/digits/card.toml", "labs/checks/98_sample.py", "labs/src/98_sample.py",
        "labs/syllabus.toml", "odl_kit/__init__.py", "odl_kit/a/__init__.py", "odl_kit/a/one.py", "odl_kit/b.py"]


@pytest.mark.parametrize("name", ["odl_kit/b.py", "odl_kit/a/one.py", "odl_kit/a/__init__.py", "datasets/digits/card.toml",
                                  "benchmarks/results/seen.json"])
def test_the_digest_changes_with_each_of_them(kit, name):
    source, files = kit
    before = needs.digest(source)
    files[name].write_text(files[name].read_text() + "\n")
    assert needs.digest(source) != before


@pytest.mark.parametrize("name", ["odl_kit/a/two.py", "benchmarks/results/unseen.json"])
def test_the_digest_does_not_change_with_other_files(kit, name):
    source, files = kit
    before = needs.digest(source)
    files[name].write_text("y = 2\n")
    assert needs.digest(source) == before
