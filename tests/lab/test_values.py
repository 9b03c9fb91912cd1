import dataclasses
import re

import numpy as np
import pytest
import torch

from odl_kit.lab import values
from odl_kit.lab.values import close, plain


class Liar:
    def __eq__(self, other):
        return True

    def __array__(self, *_, **__):
        return np.ones(3)


class SubTensor(torch.Tensor):
    pass


class SubInt(int):
    pass


def test_a_plain_copy_has_the_same_numbers_and_shares_no_memory():
    tensor, array = torch.arange(6.0).reshape(2, 3), np.arange(3)
    copied = plain({"a": [tensor, (array, 1, 2.5, True, None, "x")]})
    assert type(copied["a"][0]) is np.ndarray and np.array_equal(copied["a"][0], tensor.numpy())
    tensor.zero_()
    array[:] = 9
    assert copied["a"][0].sum() == 15 and copied["a"][1][0].tolist() == [0, 1, 2] and copied["a"][1][1:] == (1, 2.5, True, None, "x")


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), np.bool_(True)])
def test_a_numpy_scalar_becomes_a_python_number(value):
    assert type(plain(value)) in (float, int, bool) and plain(value) == value


def test_tensors_that_numpy_does_not_know_are_widened_and_gradients_dropped():
    assert plain(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert plain(torch.ones(2, requires_grad=True) * 2).tolist() == [2, 2]
    assert plain(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]


@pytest.mark.parametrize("value", [Liar(), [1, Liar()], {"a": Liar()}, torch.ones(2).as_subclass(SubTensor),
                                   torch.nn.Parameter(torch.ones(2)), SubInt(3), np.ma.array([1.0]),
                                   np.array([Liar()], dtype=object), torch.ones(2).to_sparse(),
                                   torch.empty(2, device="meta"), lambda: 1, (n for n in "ab"), {1, 2}])
def test_any_other_object_raises_a_sentence(value):
    with pytest.raises(TypeError, match="return"):
        plain(value)


def test_a_list_that_holds_itself_raises_and_does_not_hang():
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested more than 20 deep"):
        plain(endless)


def test_a_tensor_with_its_own_detach_is_read_all_the_same():
    tensor = torch.zeros(2)
    tensor.detach = lambda: Liar()
    assert plain(tensor).tolist() == [0, 0]


def test_inputs_of_a_check_may_be_nets_records_generators_and_functions():
    @dataclasses.dataclass(frozen=True)
    class Record:
        w: torch.Tensor

    net = torch.nn.Linear(2, 1)
    given = values.plain_input((net, Record(torch.ones(2)), torch.Generator().manual_seed(1), max))
    assert np.array_equal(given[0]["weight"], net.weight.detach().numpy()) and given[1]["w"].tolist() == [1, 1]
    assert torch.Generator().manual_seed(1).get_state().tolist() == given[2].tolist() and given[3] == "max"


def test_copies_of_a_case_do_not_touch_each_other():
    case = (torch.ones(2), [1, 2])
    arguments, given = values.copies(case)
    arguments[0].zero_()
    arguments[1].append(3)
    assert given[0].tolist() == [1, 1] and given[1] == [1, 2] and case[0].sum() == 2
    with pytest.raises(TypeError, match="yield tuples"):
        values.copies(torch.ones(2))


@pytest.mark.parametrize(("output", "expected"), [(1, 1.0), (np.float32(0.1).item(), 0.1), (np.array(3), 3), (np.array(True), True),
                                                  (np.array([1.0, np.nan, np.inf]), np.array([1, np.nan, np.inf], np.float32)),
                                                  ([1, (2.0, "x")], (1, [2.0, "x"])), ({"a": None}, {"a": None}),
                                                  (np.zeros((0, 3)), np.zeros((0, 3))), (1.00005, 1.0)])
def test_close_accepts_what_is_equal_within_the_tolerance(output, expected):
    assert close(output, expected) is None


@pytest.mark.parametrize(("output", "expected", "said"), [
    (np.zeros((3, 1)), np.zeros(3), r"expected shape \(3,\), got \(3, 1\)"),
    (np.zeros(3, np.int64), np.zeros(3), "expected float numbers .float64., got integer numbers .int64."),
    (np.array([1.0, np.nan]), np.array([1.0, 2.0]), r"1 of 2 values are off, most at \[1\]: expected 2, got nan"),
    (np.array([[1.0, 2.0], [3.0, 9.0]]), np.array([[1.0, 2.5], [3.0, 4.0]]), r"2 of 4 values are off, most at \[1, 1\]: expected 4, got 9"),
    (float("inf"), 1.0, "expected 1, got inf"),
    (float("nan"), 0.0, "expected 0, got nan"),
    (1.0002, 1.0, "expected 1, got 1.0002"),
    (20001, 20000, "expected 20000, got 20001"),
    (None, 2.0, "return"),
    ([1.0, 2.0], np.array([1.0, 2.0]), "got a list of 2"),
    (True, 1.0, "got the value True"),
    (1.0, True, "expected the value True, got the number 1.0"),
    ("yes", 1.0, "got the text 'yes'"),
    ([1, 2, 3], [1, 2], "expected 2 items, got 3"),
    ([1, 3], [1, 2], "item 1: expected 2, got 3"),
    ({"a": 1}, {"b": 1}, "expected the keys .'b'., got .'a'."),
    (np.array([True, False]), np.array([True, True]), r"most at \[1\]: expected True, got False"),
])
def test_close_says_in_one_sentence_what_differs_most_and_where(output, expected, said):
    assert re.search(said, close(output, expected))


def test_the_tolerance_is_the_callers():
    assert close(1.05, 1.0, rtol=0.1) is None and close(1.05, 1.0, rtol=0.01)
    assert close(np.array([0.01]), np.array([0.0]), atol=0.1) is None


def test_words_for_values_name_type_and_shape():
    assert values.describe(np.zeros((2, 3), np.float32)) == "float32 values of shape (2, 3)"
    assert values.describe(np.array([1, 2])) == "int64 values of shape (2,) [1 2]"
    assert values.describe([1, 2]) == "a list of 2" and values.describe("x" * 99).endswith("...")
    assert values.article("int") == "an int" and values.article("list") == "a list"


def test_holds_looks_inside_lists_and_dicts_and_takes_types_exactly():
    assert values.holds([1, {"a": (torch.ones(1),)}], torch.Tensor) and not values.holds([True], int)
