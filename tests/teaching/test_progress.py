"""A ledger as a page: what was said beside what was measured, and nothing that a student wrote is taken for HTML."""
import json

import pytest

from odl_kit.lab import ledger
from odl_kit.teaching import progress

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def own(lab, tmp_path, monkeypatch):
    """A ledger of the template's lab."""
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "ledger"))
    ledger.record("29_new", "predictions", "fifty", answer="below 40 %")
    ledger.record("29_new", "predictions", "fifty", measured=72.4, unit="%", holds="40 to 80 %")
    ledger.record("29_new", "checks", "error_rate", tries=3, misses=2, passed=True, points=2, of=2, solution_shown=True)
    ledger.record("29_new", "quizzes", "new_pictures", answer="Because there are more of them", right=False)
    return tmp_path


def test_a_students_page_has_questions_answers_measurements_and_points(own, capsys):
    assert progress.main(["--out", str(own / "me.html")]) == 0
    text = (own / "me.html").read_text(encoding="utf-8")
    for words in ("29 · How many &lt;pictures&gt;?", "Accuracy on new digits after 50 pictures?", "below 40 %", "72.4 %",
                  "it was:</span> 40 to 80 %", "2 of 2 points · 0 of 1 predictions came true · 0 of 1 quizzes right",
                  "Why is the error rate measured",
                  "right is: Because a net can know its own pictures by heart", "is no grade"):
        assert words in text, words
    assert f"open {own / 'me.html'}" in capsys.readouterr().out


def test_several_labs_are_added_up_above_them(own):
    ledger.record("98_elsewhere", "checks", "x", passed=False, points=0, of=4)
    text = progress.of_student(ledger.every())
    assert text.startswith("<p><b>2 labs:</b> 2 of 6 points · 0 of 1 predictions came true") and "<h2>98_elsewhere</h2>" in text


def test_an_empty_ledger_says_how_to_begin(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "nothing"))
    assert "open lab 00" in progress.of_student(ledger.every())


def test_a_class_is_a_table_with_the_unreadable_named_and_the_others_kept(own, capsys):
    ledger.export(own / "ada.json")
    (own / "bob.json").write_text("{", encoding="utf-8")
    assert progress.main([str(own / "ada.json"), str(own / "bob.json"), str(own / "missing.json"), "--out", str(own / "class.html")]) == 1
    text, said = (own / "class.html").read_text(encoding="utf-8"), capsys.readouterr().err
    assert "3 ledgers" in text and 'href="#student-1">ada</a>' in text and 'id="student-1"' in text
    assert "2&nbsp;p., 0&nbsp;of&nbsp;1" in text
    assert text.count("not read") == 2 and "bob.json" in said and "missing.json" in said
    assert "1 x below 40 %" in text


def test_nothing_that_a_student_wrote_becomes_html(lab, tmp_path):
    entry = {"answer": EVIL, "measured": EVIL, "holds": EVIL, "unit": EVIL, "points": EVIL, "of": [EVIL], "tries": {EVIL: 1}, "right": EVIL}
    book = {kind: {EVIL: entry, "fifty": entry, "new_pictures": entry} for kind in ledger.KINDS}
    labs = {"29_new": {"lab": "29_new", **book}, EVIL: {"lab": EVIL, **book}, "../../x": {"lab": "../../x", **book}}
    path = tmp_path / f"{EVIL.replace('/', '')}.json"
    path.write_text(json.dumps({"ledger": 1, "labs": labs}), encoding="utf-8")
    assert progress.main([str(path), "--out", str(tmp_path / "class.html")]) == 0
    text = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert EVIL not in text and "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_a_long_answer_is_cut(lab):
    book = {"lab": "29_new", "predictions": {"fifty": {"answer": "x" * 10_000}}, "quizzes": {}, "checks": {}}
    assert len(progress.of_student({"29_new": book})) < 3000
