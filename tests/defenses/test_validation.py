import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.data import datasets
from odl_kit.defenses import validation
from odl_kit.defenses.validation import Contract

PIXELS = Contract((1, 2, 2), torch.float32, 0, 1)


def test_clean_data_keep_the_contract_learned_from_them_and_of_new_data_what_lies_inside():
    x = datasets.load("digits").x
    learned = validation.contract(x[:1000])
    assert (learned.shape, learned.dtype) == ((1, 8, 8), torch.float32)
    assert validation.check(x[:1000], learned).ok.all()
    inside = [bool(((row >= learned.low) & (row <= learned.high)).all()) for row in x[1000:]]
    assert validation.check(x[1000:], learned).ok.tolist() == inside


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.lists(st.floats(width=32), min_size=4, max_size=4), min_size=1, max_size=6))
def test_a_row_is_refused_exactly_when_a_loop_over_its_entries_finds_one_outside(values):
    checked = validation.check(torch.tensor(values).reshape(-1, 1, 2, 2), PIXELS)
    wrong = [any(math.isnan(v) or not 0 <= v <= 1 for v in row) for row in values]
    assert checked.ok.tolist() == [not w for w in wrong]
    assert sorted(checked.reasons) == [row for row, w in enumerate(wrong) if w]


def test_the_reason_names_what_was_found_and_the_limit():
    x = torch.zeros(4, 1, 2, 2)
    x[1, 0, 0, 0], x[1, 0, 1, 1], x[2, 0, 0, 1] = -2, 3, float("nan")
    checked = validation.check(x, PIXELS)
    assert checked.reasons == {1: "2 of 4 entries, from -2 to 3, lie outside [0, 1]", 2: "1 of 4 entries are nan or infinite"}
    assert repr(checked).splitlines()[0] == "2 of 4 examples keep the contract"


def test_both_ends_of_the_range_are_inside():
    assert validation.check(torch.tensor([0.0, 1, 0, 1]).reshape(1, 1, 2, 2), PIXELS).ok.all()


@pytest.mark.parametrize("x, says", [
    (torch.zeros(3, 1, 2, 2, dtype=torch.float64), "dtype torch.float64, the contract says torch.float32"),
    (torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "dtype torch.uint8"),
    (torch.zeros(3, 2, 2), r"shape (2, 2), the contract says (1, 2, 2)"), (torch.zeros(3, 4), "shape (4,)")])
def test_another_dtype_or_shape_refuses_every_row_even_where_the_number_of_entries_fits(x, says):
    checked = validation.check(x, PIXELS)
    assert not checked.ok.any() and len(checked.reasons) == 3 and all(why.startswith(says) for why in checked.reasons.values())


def test_tokens_have_a_contract_too_and_an_empty_batch_keeps_any():
    tokens = Contract((3,), torch.int64, 0, 9)
    assert validation.check(torch.tensor([[0, 5, 9], [0, 10, 1], [-1, 0, 0]]), tokens).ok.tolist() == [True, False, False]
    assert len(validation.check(torch.zeros(0, 3, dtype=torch.int64), tokens).ok) == 0


def test_what_is_no_batch_of_tensors_is_an_error():
    for x in ([[0.0]], "x", None, torch.tensor(1.0)):
        with pytest.raises(TypeError, match="torch.Tensor"):
            validation.check(x, PIXELS)


def test_a_range_that_lets_everything_in_and_data_that_are_not_clean_make_no_contract():
    for low, high in ((1, 0), (0, float("inf")), (float("-inf"), 0), (float("nan"), 1)):
        with pytest.raises(ValueError, match="two finite numbers"):
            Contract((1,), torch.float32, low, high)
    for x in (torch.zeros(0, 3), torch.tensor([[1.0, float("nan")]])):
        with pytest.raises(ValueError, match="at least one"):
            validation.contract(x)
