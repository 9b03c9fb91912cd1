import math

import numpy as np
import pytest
import torch

from odl_kit.lab import claim, show


def test_a_claim_that_holds_says_nothing_and_one_that_fails_warns_in_class_and_raises_in_builds(capsys, monkeypatch):
    monkeypatch.delenv("ODL_TEST", raising=False)
    claim(True, "one is one")
    assert capsys.readouterr().out == ""
    claim(1 > 2, "one is more than two")
    assert "one is more than two" in capsys.readouterr().out
    monkeypatch.setenv("ODL_TEST", "1")
    claim(True, "one is one")
    with pytest.raises(AssertionError, match="one is more than two"):
        claim(1 > 2, "one is more than two")


def test_outside_a_notebook_a_card_is_text(capsys):
    show.note("good", "It works.", "a line", "", word="Well:")
    assert capsys.readouterr().out == "Well: It works.\n  a line\n"
    assert show.shell() is None and not show.has_widgets()


def test_a_card_escapes_its_words_and_marks_code():
    content = show.card("bad", "a < b", ["use `x<y`", ""], "<b>")
    assert "a &lt; b" in content and "<code>x&lt;y</code>" in content and "<b>" not in content and content.count("<p>") == 1
    assert "<table>" in show.card("plain", "t", "<table></table>")          # a body that is a string is HTML already


@pytest.mark.parametrize(("value", "number"), [(3, 3), (2.5, 2.5), (np.int64(4), 4), (torch.tensor(1.5), 1.5), (None, math.inf)])
def test_numbers_of_any_kind_become_plain_ones(value, number):
    assert show.as_number(value) == number and type(show.as_number(value)) in (int, float)


@pytest.mark.parametrize("value", ["3", True, np.bool_(True), [1], 1j])
def test_what_is_no_number_raises(value):
    with pytest.raises(TypeError, match="expected a number"):
        show.as_number(value)


@pytest.mark.parametrize(("test", "reveal", "said"), [("", "", (False, False, False)), ("1", "", (True, False, True)),
                                                      ("", "1", (False, True, True)), ("0", "0", (False, False, False))])
def test_what_the_environment_asks_for(monkeypatch, test, reveal, said):
    monkeypatch.setenv("ODL_TEST", test)
    monkeypatch.setenv("ODL_REVEAL", reveal)
    assert (show.strict(), show.static(), show.revealed()) == said


@pytest.mark.parametrize("text, shown", [
    ("take `x[0]`, not *all* of it", "take <code>x[0]</code>, not <em>all</em> of it"),
    ("one way is `4 * n`, the whole `2 * n`", "one way is <code>4 * n</code>, the whole <code>2 * n</code>"),
    ("1 < 2 * 3 * 4", "1 &lt; 2 * 3 * 4"),
])
def test_prose_knows_code_and_stress_and_nothing_else(text, shown):
    assert show.prose(text) == shown
