import pytest

from odl_kit.grading import alike

ONE = '''def f(updates, counts):
    """Mean."""
    total = counts.sum()          # all of them
    share = counts / total
    out = 0
    for weight, update in zip(share, updates):
        out = out + weight * update
    return out
'''
RENAMED = ONE.replace("share", "part").replace("total", "summe").replace("weight", "w").replace("out", "result").replace("# all of them",
                                                                                                                         "")
OTHER = '''def f(updates, counts):
    weights = counts.double()
    weights = weights / weights.sum()
    stacked = updates * weights[:, None]
    return stacked.sum(dim=0).to(updates.dtype)
'''


def found(answers, solutions=()):
    return [(p.students, p.share) for p in alike.pairs({s: ("98", "f", source) for s, source in answers.items()}, solutions)]


def test_renaming_comments_and_spacing_hide_nothing():
    spaced = ONE.replace(" / ", "/").replace("\n    return", "\n\n\n    return").replace('"""Mean."""',
                                                                                         '"""\n    The mean,\n    weighted.\n    """')
    assert alike.tokens(ONE) == alike.tokens(RENAMED) == alike.tokens(spaced)
    assert found({"ada": ONE, "bob": RENAMED, "eve": OTHER}) == [(("ada", "bob"), 1.0)]


def test_what_is_used_and_not_bound_keeps_its_name():
    assert alike.tokens("y = torch.sin(x)") != alike.tokens("y = torch.cos(x)")
    assert alike.tokens("a.b = 1") != alike.tokens("a.c = 1")


def test_a_small_change_is_near_and_a_different_way_is_not():
    near, = found({"ada": ONE, "bob": RENAMED.replace("result = 0", "result = 0.0"), "eve": OTHER})
    assert near[0] == ("ada", "bob") and alike.NEAR <= near[1] < 1


def test_the_solution_what_many_wrote_and_what_is_short_is_left_out():
    assert found({"ada": ONE, "bob": RENAMED}, [ONE]) == []
    assert found({f"s{i}": ONE for i in range(4)}) == [] and len(found({f"s{i}": ONE for i in range(3)})) == 3
    assert found({"ada": "def f(x):\n    return 2 * x", "bob": "def f(y):\n    return 2 * y"}) == []


@pytest.mark.parametrize("source", ["def f(:\n  '", "", "'''", "\x00", "  x\n y"])
def test_what_is_no_python_is_like_nothing(source):
    assert found({"ada": source, "bob": source}) == []
