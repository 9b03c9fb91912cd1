import json
import os

import pytest
import torch

from odl_kit.grading import copied, inside
from odl_kit.lab import judging

CHECK = judging.Check(points=1, cases=lambda rng: [(2,), (3,)], judge=lambda case, out: judging.close(out, 2 * case[0]), hints=("a", "b"),
                      solution="", wrong=("1", "2"))


def found(values, **more):
    return {"error": "", "message": "", "case": 0, "note": "", "outputs": [copied.encode(v) for v in values]} | more


def test_a_verdict_is_the_judges_on_the_copied_values():
    rng = torch.Generator()
    assert inside._verdict(CHECK, rng, found([4, 6]))["passed"]
    wrong = inside._verdict(CHECK, rng, found([4, 7]))
    assert not wrong["passed"] and wrong["case"] == 2 and wrong["given"] == "the number 3" and wrong["message"] == "expected 6, got 7"


@pytest.mark.parametrize("answer", [found([]), found([4]), found([4, 6], error="raised", message="no"),
                                    found([], outputs=["no json", "{}"]),
                                    found([4, 6], error="time"), found([4], case=99, error="raised")])
def test_nothing_but_all_right_outputs_and_no_error_passes(answer):
    verdict = inside._verdict(CHECK, torch.Generator(), answer)
    assert not verdict["passed"] and (verdict["message"] or verdict["error"])


def test_every_question_and_seed_has_its_own_numbers():
    drawn = [torch.rand(1, generator=inside.generator(seed, question)).item() for seed in "ab" for question in ("x", "x (private)")]
    assert len(set(drawn)) == 4 and torch.rand(1, generator=inside.generator("a", "x")).item() == drawn[0]


def test_cases_of_every_check_of_the_course_can_be_carried_over(tmp_path):
    from odl_kit.grading.build import sources
    for source in sources():
        questions = list(judging.load(source.stem).checks)
        if questions:
            inside.write_cases(tmp_path, source.stem, None, "seed", questions)
        assert [path.name for path in tmp_path.glob("cases-*")] or not questions
        for path in tmp_path.glob("cases-*"):
            path.unlink()


def test_an_answer_file_is_read_if_it_is_one(tmp_path):
    path = tmp_path / "answer-0"
    path.write_text(json.dumps({"error": "", "outputs": ["1", 2, None], "case": "3", "message": "x" * 5000, "more": 1}))
    assert inside.read_answer(path) == {"error": "", "message": "x" * 1000, "note": "", "outputs": ["1"], "case": 3}


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text("no"), lambda p: p.write_text("[1]"),
                                  lambda p: p.symlink_to("/etc/passwd"),
                                  lambda p: os.mkfifo(p), lambda p: p.mkdir(), lambda p: p.write_text('{"case": "x"}'),
                                  lambda p: p.write_text('{"outputs": 5}'), lambda p: p.write_text("[" * 100_000),
                                  lambda p: p.write_bytes(b"\xff\xfe")])
def test_anything_else_at_its_place_is_no_answer(tmp_path, make):
    make(tmp_path / "answer-0")
    assert inside.read_answer(tmp_path / "answer-0") is None


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with open(tmp_path / "answer-0", "wb") as file:
        file.truncate(2**32)
    assert inside.read_answer(tmp_path / "answer-0") is None
