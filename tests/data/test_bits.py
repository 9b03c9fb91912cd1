import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.data import bits


@given(bits_=st.integers(1, 16), count=st.integers(0, 70), seed=st.integers(0, 99))
def test_what_is_packed_comes_back_and_takes_the_bytes_that_are_promised(bits_, count, seed):
    levels = torch.randint(2 ** bits_, (count,), generator=torch.Generator().manual_seed(seed))
    packed = bits.pack(levels, bits_)
    assert packed.dtype == torch.uint8 and len(packed) == bits.num_bytes(count, bits_)
    assert torch.equal(bits.unpack(packed, bits_, (count,)), levels)


def test_levels_stand_one_after_the_other_most_significant_bit_first():
    levels = torch.tensor([[5, 0, 3], [7, 1, 2]])
    text = "".join(f"{level:03b}" for level in levels.flatten().tolist()).ljust(24, "0")
    assert bits.pack(levels, 3).tolist() == [int(text[k:k + 8], 2) for k in (0, 8, 16)]
    assert torch.equal(bits.unpack(bits.pack(levels, 3), 3, (2, 3)), levels)


@given(bits_=st.integers(1, 12), low=st.floats(-9, 0), width=st.floats(0.1, 9), seed=st.integers(0, 99))
def test_rounding_is_off_by_at_most_half_a_step(bits_, low, width, seed):
    x = low + width * torch.rand(50, generator=torch.Generator().manual_seed(seed))
    step = width / (2 ** bits_ - 1)
    assert (bits.rounded(x, bits_, low=low, high=low + width) - x).abs().max() <= step / 2 + 1e-5


def test_the_ends_are_kept_and_what_is_beyond_them_is_cut_off():
    x = torch.tensor([-3.0, 0.0, 1.0, 4.0])
    assert bits.rounded(x, 4).tolist() == [0, 0, 1, 1]


def test_the_digits_of_the_course_lose_nothing_in_5_bits_and_a_little_in_4():
    x = torch.arange(17) / 16
    assert bits.num_bytes(64, 5) == 40
    assert (bits.rounded(x, 4) - x).abs().max() < 1 / 30 + 1e-6


@pytest.mark.parametrize("wrong", [0, 17, 2.0])
def test_so_many_bits_are_refused(wrong):
    with pytest.raises(ValueError, match="a whole number from 1 to 16"):
        bits.quantise(torch.zeros(3), wrong)


def test_an_empty_range_a_level_too_large_and_a_wrong_length_are_refused():
    with pytest.raises(ValueError, match="low must be below high"):
        bits.quantise(torch.zeros(3), 4, low=1.0, high=1.0)
    with pytest.raises(ValueError, match="do not fit into 2 bits: 0 to 3 do"):
        bits.pack(torch.tensor([1, 4]), 2)
    with pytest.raises(ValueError, match="10 levels of 3 bits take 4 bytes, not 5"):
        bits.unpack(torch.zeros(5, dtype=torch.uint8), 3, (10,))
