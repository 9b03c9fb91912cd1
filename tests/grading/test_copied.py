import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from odl_kit.grading import copied

numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers()
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
dtypes = st.sampled_from(["f4", "f8", "i1", "u8", "c16", "?", "<U3", "f2"])
array = dtypes.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_dims=4)))
plain = st.recursive(numbers | array, lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
                     max_leaves=8)


def same(a, b):
    """Equal in type and value, NaN equal to itself: asked of NumPy and repr, not of the code under test."""
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) in (list, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict:
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and repr(a) == repr(b)


@given(plain)
def test_every_plain_value_comes_back_as_it_was(value):
    assert same(value, copied.decode(copied.encode(value)))


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1, 2}, b"x", np.float32(1), [lambda: 0]])
def test_nothing_else_is_written(value):
    with pytest.raises(TypeError):
        copied.encode(value)


@pytest.mark.parametrize("text", [
    "", "no", "[" * 100 + "]" * 100, "[" * 100_000, '{"pickle": "gASV"}', '{"tuple": [], "dict": []}', "{}",
    '{"array": ["<f4", [1000000000], ""]}', '{"array": ["<f4", [-1], ""]}', '{"array": ["O", [1], "AAAAAAAAAAA="]}',
    '{"array": ["<f4", [2], "AAAA"]}',
    '{"array": ["<f4", [1], "!!!!"]}', '{"array": "x"}', '{"array": ["<f4", "ab", ""]}', '{"dict": [[[1], 2]]}', '{"dict": 5}',
    '{"complex": [1, 2, 3]}', '{"tuple": 7}', '{"array": [[["a", "O"]], [1], "AAAAAAAAAAA="]}'])
def test_a_text_that_encode_cannot_have_written_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError):
        copied.decode(text)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["array", "tuple", "dict", "complex", "x"]), inner)))
def test_no_json_at_all_raises_anything_but_value_error(found):
    try:
        copied.decode(json.dumps(found))
    except ValueError:
        pass
