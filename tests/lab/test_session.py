import pytest

from odl_kit.lab import session


def test_a_new_lab_forgets_the_last_one():
    first = session.begin("98_sample")
    first.waiting["p"] = print
    assert session.current() is first
    assert session.begin("99_other").waiting == {} and session.current().lab == "99_other"


def test_without_a_lab_the_way_in_is_said():
    session.begin("")
    with pytest.raises(RuntimeError, match=r"rng = lab.start"):
        session.current()
