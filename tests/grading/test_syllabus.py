"""labs/syllabus.toml says what is true of the labs, and the README shows it."""
import ast
import re

import pytest

import odl_kit
from odl_kit.grading import links, syllabus

ROOT = odl_kit.home()
ENTRY = {"title": '"T"', "part": '"P"', "section": '["12.1"]', "volume2": '"V"', "minutes": "10", "prerequisites": "[]", "modules": "[]",
         "data": "[]"}
LABS = syllabus.load()


def toml(tmp_path, **labs):
    """A syllabus.toml with these labs: name="{field: text}" changes to ENTRY; None drops a field."""
    text = ""
    for name, changes in labs.items():
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in (ENTRY | changes).items() if value is not None)
    path = tmp_path / "syllabus.toml"
    path.write_text(text, encoding="utf-8")
    return path


def source(lab):
    return (ROOT / "labs" / "src" / f"{lab.name}.py").read_text(encoding="utf-8")


def test_every_lab_with_a_source_is_listed_and_no_other():
    assert [lab.name for lab in LABS] == sorted(path.stem for path in (ROOT / "labs" / "src").glob("[0-9]*.py"))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_lab_agrees_with_its_source(lab):
    text = source(lab)
    header = text.split("# %%")[1]
    assert re.search(r"^# # \d\d · (.*)", header, re.M).group(1) == lab.title
    header = " ".join(re.sub("^# ?", "", header, flags=re.M).split())       # a line may break anywhere
    assert int(re.search(r"(\d+) minutes", header).group(1)) == lab.minutes
    assert all(section in header for section in lab.section)
    assert lab.volume2 in header


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_a_lab_imports_the_modules_and_loads_the_data_that_are_listed(lab):
    used, loaded = set(), set()
    for node in ast.walk(ast.parse(source(lab))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "odl_kit":
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("odl_kit.")
                is_module = (ROOT / "odl_kit" / f"{name.replace('.', '/')}.py").is_file()
                used.add(name if is_module else node.module.removeprefix("odl_kit."))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "datasets.load":
            loaded.add(node.args[0].value)
    assert sorted(used - {"lab", "viz", "doctor", "odl_kit"}) == sorted(lab.modules)
    assert sorted(loaded) == sorted(lab.data)


def test_the_table_of_the_readme_is_current():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert syllabus.readme(text, LABS) == text, "run `odl build`"


def test_the_table_has_a_row_a_lab_with_a_link_that_leads_somewhere():
    text = syllabus.table(LABS, folder="labs/")
    for lab in LABS:
        row = next(line for line in text.splitlines() if lab.title in line)
        assert f"(labs/{lab.name}.ipynb)" in row and f"| {lab.minutes} |" in row
    assert f"| {sum(lab.minutes for lab in LABS)} |" in text.splitlines()[-1]
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_the_table_gains_a_column_of_badges_where_there_is_an_address(monkeypatch):
    monkeypatch.setattr(links, "badges", lambda lab: f"BADGE-{lab}")
    lines = syllabus.table(LABS).splitlines()
    assert f"BADGE-{LABS[0].name} |" in "\n".join(lines) and len({line.count("|") for line in lines}) == 1


def test_the_labs_come_in_order_of_their_numbers(tmp_path):
    path = toml(tmp_path, **{"11_b": {"prerequisites": '["02_a"]'}, "02_a": {}})
    assert [lab.name for lab in syllabus.load(path)] == ["02_a", "11_b"]


@pytest.mark.parametrize("changes, says", [
    ({"minutes": "0"}, "minutes is 0"), ({"minutes": '"long"'}, "minutes is 'long'"), ({"data": None}, r"missing \['data'\]"),
    ({"colour": "1"}, r"unknown \['colour'\]"), ({"prerequisites": '["07_x"]'}, "07_x"), ({"prerequisites": '["02_a"]'}, "02_a")])
def test_a_wrong_entry_is_named(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        syllabus.load(toml(tmp_path, **{"02_a": changes}))


def test_a_readme_without_its_markers_is_refused_and_the_rest_is_kept():
    with pytest.raises(ValueError, match="must stand there once"):
        syllabus.readme("no markers", LABS)
    text = f"before\n{syllabus.START}\nold\n{syllabus.END}\nafter\n"
    new = syllabus.readme(text, LABS)
    assert new.startswith("before\n") and new.endswith("\nafter\n") and "old" not in new and LABS[0].title in new


def test_write_readme_writes_once(tmp_path, monkeypatch):
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "syllabus.toml").write_text(toml(tmp_path, **{"00_a": {}}).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\nversion = '1'\n", encoding="utf-8")
    (tmp_path / "README.md").write_text(f"{syllabus.START}\n{syllabus.END}\n", encoding="utf-8")
    for module in (syllabus, links):
        monkeypatch.setattr(module, "home", lambda: tmp_path)
    assert syllabus.write_readme() is True
    assert "00 · T" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert syllabus.write_readme() is False
