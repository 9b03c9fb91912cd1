import json

import pytest

from odl_kit.lab import course_map, ledger, recorded


def test_the_map_lists_all_labs_with_minutes_section_and_what_comes_first(course, capsys):
    course_map()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Samples" and lines[1].split() == "98 · A sample 25 min section 12.1, 12.5 after nothing".split()
    assert lines[2].split() == "99 · Another 40 min section 12.9 after 98".split()


def test_the_map_knows_what_the_ledger_knows(course, capsys):
    ledger.record("98_sample", "checks", "mean", passed=True)
    ledger.record("99_other", "predictions", "p", answer="few")
    course_map()
    said = capsys.readouterr().out
    assert "✓ 1 passed" in said and "begun" in said


def test_recorded_figures_come_from_the_benchmarks(course):
    folder = course / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "rounds.json").write_text(json.dumps({"rounds": {"a": [1, 2]}}))
    assert recorded("rounds") == {"rounds": {"a": [1, 2]}}
    with pytest.raises(FileNotFoundError, match=r"python benchmarks/other.py"):
        recorded("other")
