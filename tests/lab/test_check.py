import pytest
import torch

from odl_kit.lab import check, judging, ledger, solution

GOOD = "def mean(updates, counts):\n    return (counts[:, None] * updates).sum(0) / counts.sum()\n"
PLAIN = "def mean(updates, counts):\n    return updates.mean(0)\n"


def kept():
    return ledger.entry("98_sample", "checks", "mean")


def test_a_right_function_is_returned_and_recorded(course, written, capsys):
    mine = written(GOOD)
    assert check("mean", mine) is mine
    assert "✓ Right." in (said := capsys.readouterr().out) and "2 points" in said
    assert {key: kept()[key] for key in ("tries", "passed", "points", "of")} == {"tries": 1, "passed": True, "points": 2, "of": 2}


def test_a_miss_says_what_was_expected_what_came_and_one_hint(course, written, capsys):
    kits = check("mean", written(PLAIN))
    said = capsys.readouterr().out
    for words in ("Not yet", "values are off", "expected", "got", "Case 1: mean(float32 values of shape (3, 4)"):
        assert words in said
    assert "Shares add up to one." in said and "Divide by the sum" not in said and "lab.solution" not in said
    assert kits is judging.kit_version("98_sample", "mean") and kept()["misses"] == 1 and not kept()["passed"]


def test_the_second_miss_gives_the_stronger_hint_and_offers_the_solution_also_after_a_restart(course, written, restart, capsys):
    check("mean", written(PLAIN))
    solution("mean")
    assert "after 2 misses" in (said := capsys.readouterr().out) and "share @ updates" not in said
    restart()
    check("mean", written(PLAIN))
    assert "Divide by the sum of the counts." in (said := capsys.readouterr().out) and 'lab.solution("mean")' in said
    solution("mean")
    assert "share @ updates" in capsys.readouterr().out and kept()["solution_shown"] is True


def test_a_stub_is_no_miss_and_the_lab_goes_on(course, written, capsys):
    kits = check("mean", written("def mean(updates, counts):\n    share = ...\n    return share @ updates\n"))
    assert "not written yet" in capsys.readouterr().out and kept() == {}
    assert kits(torch.ones(2, 3), torch.tensor([1, 3])).tolist() == [1, 1, 1]


def test_checking_the_kits_version_again_earns_nothing(course, written, capsys):
    mean = check("mean", written(PLAIN))
    mean = check("mean", mean)          # the check cell runs once more, without the exercise cell
    assert "kit's version" in capsys.readouterr().out and kept()["tries"] == 1 and not kept()["passed"]
    assert check("mean", mean) is mean and not kept()["passed"]


def test_every_try_has_its_own_inputs_and_the_same_try_the_same(course, written, capsys):
    said = []
    for _ in range(2):
        check("mean", written(PLAIN))
        said.append(capsys.readouterr().out.splitlines()[1:3])
    ledger.record("98_sample", "checks", "mean", tries=0, misses=0)
    check("mean", written(PLAIN))
    assert said[0] != said[1] and capsys.readouterr().out.splitlines()[1:3] == said[0]


def test_a_pass_stays_passed(course, written):
    check("mean", written(GOOD))
    check("mean", written(PLAIN))
    assert kept()["passed"] and kept()["points"] == 2 and kept()["tries"] == 2 and kept()["misses"] == 1


@pytest.mark.parametrize(("obj", "said"), [(3, "expected a function, got an int"), ("mean", "got a str"), (torch.ones(3), "got a Tensor"),
                                           (lambda: 1, "TypeError")])
def test_what_is_no_such_function_gets_a_sentence(course, capsys, obj, said):
    kits = check("mean", obj)
    assert said.lower() in capsys.readouterr().out.lower() and callable(kits)


def test_an_unknown_check_is_refused_with_the_known_ones(course):
    with pytest.raises(KeyError, match="no check 'median'; it has mean"):
        check("median", max)
    with pytest.raises(KeyError, match="no check"):
        solution("median")


def test_builds_and_pages_show_the_solution_at_once(course, capsys, monkeypatch):
    monkeypatch.setenv("ODL_REVEAL", "1")
    solution("mean")
    assert "share @ updates" in capsys.readouterr().out


@pytest.mark.parametrize("number", [0, 1])
def test_the_wrong_answers_that_stand_with_a_check_are_refused(course, written, number):
    wrong = judging.load("98_sample").checks["mean"].wrong[number]
    check("mean", written(wrong))
    assert not kept()["passed"]
