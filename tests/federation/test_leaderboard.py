import json
import math
from dataclasses import asdict, replace

import pytest

from odl_kit.budget import Budget
from odl_kit.federation import leaderboard, scorecard
from odl_kit.federation.design import Design

SMALL = Design(hidden=6, rounds=6, per_round=20, lr=0.3)
GOOD = replace(SMALL, personal_epochs=10)


def edited(path, change, *, hashed=True):
    """Change the entry in a file by hand; with a new hash, as a clever cheat would make it."""
    entry = json.loads(path.read_text())
    change(entry)
    if hashed:
        entry["sha256"] = leaderboard.digest(entry)
    path.write_text(json.dumps(entry))
    return path


def test_an_entry_comes_back_as_it_was_written_and_its_score_is_computed_again(brief, tmp_path):
    written = leaderboard.write(tmp_path / "a.json", "team a", GOOD, brief, seed=4)
    read = leaderboard.read(tmp_path / "a.json")
    assert {**written, "sha256": read["sha256"]} == read and read["design"] == asdict(GOOD)
    row = leaderboard.judge(tmp_path / "a.json", brief, seeds=(7, 8))
    expected = sum(scorecard.score(GOOD, brief, seed=seed).points for seed in (7, 8)) / 2
    assert (row.problem, row.design, row.name) == ("", GOOD, "team a") and row.points == pytest.approx(expected)
    assert row.claimed == pytest.approx(scorecard.score(GOOD, brief, seed=4).points)


def test_the_best_stand_first_and_those_with_a_problem_last(brief, tmp_path):
    for name, design in (("weak", SMALL), ("good", GOOD), ("cheat", GOOD)):
        leaderboard.write(tmp_path / f"{name}.json", name, design, brief)
    edited(tmp_path / "cheat.json", lambda entry: entry["card"].update(points=99.0))
    rows = leaderboard.table(tmp_path.glob("*.json"), brief, seeds=(5,))
    assert [row.name for row in rows] == ["good", "weak", "cheat"] and [bool(row.problem) for row in rows] == [False, False, True]


def test_an_edited_file_is_seen_by_its_hash(brief, tmp_path):
    leaderboard.write(tmp_path / "a.json", "a", SMALL, brief)
    edited(tmp_path / "a.json", lambda entry: entry["card"].update(accuracy=1.0), hashed=False)
    assert "the hash does not fit" in leaderboard.judge(tmp_path / "a.json", brief, seeds=(0,)).problem


@pytest.mark.parametrize(("change", "says"), [
    (lambda e: e["card"].update(accuracy=1.0), "accuracy = 1.0"), (lambda e: e["card"].update(flash=10), "flash = 10"),
    (lambda e: e["card"].update(points=99.0), "99.0 points"), (lambda e: e["card"].update(epsilon=0.5), "epsilon = 0.5"),
    (lambda e: e["design"].update(hidden=2), "the design gives"), (lambda e: e["design"].update(magic=1), "magic"),
    (lambda e: e["design"].update(hidden="wide"), "not supported"), (lambda e: e["design"].update(clip=-1.0), "cannot be built"),
    (lambda e: e["card"].clear(), "points"), (lambda e: e.update(brief="0" * 12), "scored by brief")])
def test_a_new_hash_does_not_help_a_number_that_does_not_follow_from_the_design(brief, tmp_path, change, says):
    leaderboard.write(tmp_path / "a.json", "a", SMALL, brief)
    row = leaderboard.judge(edited(tmp_path / "a.json", change), brief, seeds=(0,))
    assert says in row.problem


def test_a_broken_limit_cannot_be_hidden(brief, tmp_path):
    tight = replace(brief, budget=Budget(flash=10))
    leaderboard.write(tmp_path / "a.json", "a", SMALL, tight)
    row = leaderboard.judge(edited(tmp_path / "a.json", lambda e: e["card"].update(broken=[], points=80.0)), tight, seeds=(0,))
    assert "80.0 points, the design gives 0.0" in row.problem


@pytest.mark.parametrize(("text", "says"), [("no json", "no JSON"), ("[1]", "an entry holds"), ('{"name": 1}', "an entry holds"),
                                            ("x" * 10_001, "at most 10000")])
def test_what_is_no_entry_gets_a_line_that_says_so(brief, tmp_path, text, says):
    (tmp_path / "odd.json").write_text(text)
    row = leaderboard.judge(tmp_path / "odd.json", brief, seeds=(0,))
    assert row.name == "odd" and row.points == 0 and math.isnan(row.claimed) and says in row.problem
