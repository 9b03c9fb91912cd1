import json
import os
import stat

import pytest

from odl_kit.lab import ledger


def path(course):
    return course / "ledger" / "98_sample.json"


def test_an_entry_is_readable_json_and_survives_a_restart(course, restart):
    ledger.record("98_sample", "checks", "mean", tries=1, passed=False)
    restart()
    kept = json.loads(path(course).read_text(encoding="utf-8"))
    assert kept["lab"] == "98_sample" and kept["checks"]["mean"]["tries"] == 1 and "when" in kept["checks"]["mean"]
    assert ledger.read("98_sample") == kept and ledger.entry("98_sample", "checks", "mean")["passed"] is False


def test_the_first_answer_stays_also_over_restarts(course, restart):
    assert ledger.record("98_sample", "predictions", "p", once=True, answer="few")["answer"] == "few"
    restart()
    assert ledger.record("98_sample", "predictions", "p", once=True, answer="many")["answer"] == "few"
    assert ledger.record("98_sample", "predictions", "p", measured=3)["answer"] == "few"
    assert ledger.entry("98_sample", "predictions", "p")["measured"] == 3


def test_an_unknown_kind_is_refused_and_nothing_known_is_empty(course):
    with pytest.raises(ValueError, match="predictions, quizzes, checks"):
        ledger.record("98_sample", "exams", "x", a=1)
    assert ledger.read("98_sample") == {"lab": "98_sample", "predictions": {}, "quizzes": {}, "checks": {}} and not path(course).exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"lab": "97_another"}', '{"lab": "98_sample", "checks": [1]}', "\x00\x01",
                                    '{"lab": "98_sample", "checks": {"mean": 3}}'])
def test_a_damaged_file_is_set_aside_and_said_aloud_never_lost(course, capsys, damage):
    for number in (1, 2):
        path(course).parent.mkdir(exist_ok=True)
        path(course).write_text(damage)
        ledger.record("98_sample", "checks", "mean", tries=number)
        aside = course / "ledger" / f"98_sample.damaged-{number}.json"
        assert aside.read_text() == damage and aside.name in capsys.readouterr().out
        assert ledger.entry("98_sample", "checks", "mean")["tries"] == number


def test_a_crash_while_writing_leaves_the_old_file(course, monkeypatch):
    ledger.record("98_sample", "checks", "mean", tries=1)
    before = path(course).read_text()

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        ledger.record("98_sample", "checks", "mean", tries=2)
    assert path(course).read_text() == before and [p.name for p in path(course).parent.iterdir()] == ["98_sample.json"]


def test_a_folder_that_cannot_be_written_is_said_once_and_the_lab_goes_on(course, monkeypatch, capsys):
    (course / "file").write_text("not a folder")
    monkeypatch.setenv("ODL_LEDGER", str(course / "file" / "ledger"))
    monkeypatch.setattr(ledger, "_unsaved", {})
    ledger.record("98_sample", "checks", "mean", tries=1)
    ledger.record("98_sample", "checks", "mean", tries=2)
    assert capsys.readouterr().out.count("cannot be saved") == 1
    assert ledger.entry("98_sample", "checks", "mean")["tries"] == 2


def test_export_and_restore_carry_all_labs_to_another_machine(course, monkeypatch, tmp_path):
    ledger.record("98_sample", "predictions", "p", answer="few")
    ledger.record("99_other", "checks", "mean", tries=2, passed=True, points=2)
    (course / "ledger" / "98_sample.damaged-1.json").write_text("{")
    exported = ledger.export(tmp_path / "mine.json")
    assert set(json.loads(exported.read_text())["labs"]) == {"98_sample", "99_other"}
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "elsewhere"))
    assert ledger.restore(exported) == ["98_sample", "99_other"] and ledger.restore(exported) == []
    assert ledger.entry("98_sample", "predictions", "p")["answer"] == "few" and ledger.entry("99_other", "checks", "mean")["points"] == 2


def test_an_export_can_be_read_without_being_taken_over(course, tmp_path, monkeypatch):
    ledger.record("98_sample", "predictions", "p", answer="few")
    path, everything = ledger.export(tmp_path / "mine.json"), ledger.every()
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "elsewhere"))
    assert ledger.exported(path) == everything and everything["98_sample"]["predictions"]["p"]["answer"] == "few"
    assert ledger.every() == {} and not (tmp_path / "elsewhere").exists()
    with pytest.raises(FileNotFoundError):
        ledger.exported(tmp_path / "missing.json")


def test_restore_keeps_what_is_here_but_takes_a_passed_check(course, tmp_path):
    ledger.record("98_sample", "predictions", "p", answer="theirs")
    ledger.record("98_sample", "checks", "mean", tries=5, passed=True)
    exported = ledger.export(tmp_path / "mine.json")
    path(course).unlink()
    ledger.record("98_sample", "predictions", "p", answer="mine")
    ledger.record("98_sample", "checks", "mean", tries=1, passed=False)
    ledger.record("98_sample", "quizzes", "q", answer="kept")
    assert ledger.restore(exported) == ["98_sample"]
    book = ledger.read("98_sample")
    assert book["predictions"]["p"]["answer"] == "mine" and book["checks"]["mean"]["passed"] and book["quizzes"]["q"]["answer"] == "kept"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"labs": {"98_sample": {"lab": "x"}}}', '{"labs": [1]}'])
def test_restore_refuses_a_file_that_is_no_export_and_changes_nothing(course, tmp_path, text):
    (tmp_path / "no.json").write_text(text)
    ledger.record("98_sample", "quizzes", "q", answer="kept")
    before = path(course).read_text()
    with pytest.raises(ValueError, match="not an exported ledger"):
        ledger.restore(tmp_path / "no.json")
    assert path(course).read_text() == before


def test_without_odl_ledger_the_record_lies_in_the_course(course, monkeypatch):
    monkeypatch.delenv("ODL_LEDGER")
    assert ledger.folder() == course / "labs" / "ledger"
    ledger.record("98_sample", "quizzes", "q", answer="x")
    assert (course / "labs" / "ledger" / "98_sample.json").is_file()


def test_two_writers_in_turn_lose_nothing(course):
    for name in "abc":
        ledger.record("98_sample", "quizzes", name, answer=name)
    assert list(ledger.read("98_sample")["quizzes"]) == ["a", "b", "c"]


def test_a_record_can_be_read_by_the_teacher(course):
    ledger.record("98_sample", "quizzes", "q", answer="x")
    assert path(course).stat().st_mode & stat.S_IRUSR
