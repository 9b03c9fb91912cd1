import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp

from odl_kit.data import datasets, dictionary


def seed(number=0):
    return torch.Generator().manual_seed(number)


def world(atoms, width, examples=20, number=0):
    """(examples, dictionary): of normal numbers, atoms of length 1."""
    d = torch.randn(atoms, width, generator=seed(number))
    return torch.randn(examples, width, generator=seed(number + 1)), d / d.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize(("atoms", "width"), [(16, 12), (30, 12), (10, 40)])
def test_codes_are_those_of_scikit_learn_with_so_many_atoms(atoms, width, count):
    x, d = world(atoms, width)
    ours = dictionary.pursue(x, d, count=count).dense()
    theirs = orthogonal_mp(d.T.double().numpy(), x.T.double().numpy(), n_nonzero_coefs=count).T.reshape(len(x), -1)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-5)


@pytest.mark.parametrize("error", [0.9, 0.5, 0.2])
def test_codes_are_those_of_scikit_learn_for_an_error_threshold(error):
    x, d = world(40, 16)
    codes = dictionary.pursue(x, d, count=16, error=error)
    for row, code in zip(x.double(), codes.dense(), strict=True):
        theirs = orthogonal_mp(d.T.double().numpy(), row.numpy(), tol=error ** 2 * float(row @ row))
        np.testing.assert_allclose(code.numpy(), theirs, atol=2e-5)
    left = (x - dictionary.restore(codes, d)).norm(dim=1) / x.norm(dim=1)
    assert left.max() <= error + 1e-5
    assert (codes.blocks[:, -1] < 0).any()          # the threshold ended it, not the count


@pytest.mark.parametrize("block", [2, 3])
def test_blocks_are_those_of_a_plain_loop_over_examples(block):
    x, d = world(18, 14)
    codes = dictionary.pursue(x, d, count=3, block=block)
    groups = d.double().view(-1, block, d.shape[1])
    for n, row in enumerate(x.double()):
        chosen, left = [], row
        for _ in range(3):
            strength = [-1 if b in chosen else (groups[b] @ left).norm().item() for b in range(len(groups))]
            chosen.append(int(np.argmax(strength)))
            basis = groups[chosen].flatten(0, 1).T
            fit = torch.linalg.lstsq(basis, row[:, None]).solution[:, 0]
            left = row - basis @ fit
        assert codes.blocks[n].tolist() == chosen
        torch.testing.assert_close(codes.values[n].flatten(), fit.float(), atol=1e-5, rtol=1e-4)


@given(count=st.integers(1, 6), block=st.sampled_from([1, 2, 4]), number=st.integers(0, 50))
def test_what_is_left_is_at_right_angles_to_the_atoms_taken_and_shrinks_with_more(count, block, number):
    x, d = world(24, 10, number=number)
    left = x - dictionary.restore(codes := dictionary.pursue(x, d, count=count, block=block), d)
    taken = codes.dense() != 0
    assert ((left @ d.T).abs() * taken).max() < 1e-4
    fewer = x - dictionary.restore(dictionary.pursue(x, d, count=max(1, count - 1), block=block), d)
    assert (left.norm(dim=1) <= fewer.norm(dim=1) + 1e-5).all()


def test_atoms_that_depend_on_one_another_do_no_harm():
    x, d = world(6, 8)
    codes = dictionary.pursue(x, d[[0, 0, 1, 1, 2, 3]], count=3, block=2)
    apart = dictionary.restore(codes, d[[0, 0, 1, 1, 2, 3]])
    best = torch.linalg.lstsq(d[:4].T.double(), x.T.double()).solution.T @ d[:4].double()
    torch.testing.assert_close(apart, best.float(), atol=1e-5, rtol=1e-4)


def test_an_example_of_zeros_and_one_that_is_an_atom_need_0_and_1_atoms():
    _, d = world(5, 7)
    codes = dictionary.pursue(torch.stack([torch.zeros(7), 3 * d[2]]), d, count=4)
    assert codes.blocks.tolist() == [[-1] * 4, [2, -1, -1, -1]]
    assert codes.values[1, 0, 0].item() == pytest.approx(3, rel=1e-6)


def test_the_bytes_are_those_of_a_bit_string_that_can_be_read_back():
    x, d = world(16, 9)
    codes = dictionary.pursue(x, d, count=6, error=0.4, block=2)
    used = codes.blocks >= 0
    text = ""
    for n in range(len(x)):
        text += f"{int(used[n].sum()):03b}"                             # 0 to 6 blocks
        text += "".join(f"{int(b):03b}" + "0" * 5 * 2 for b in codes.blocks[n][used[n]])      # 8 blocks; two values of 5 bits
    assert codes.num_bytes(5) == -(-len(text) // 8) + 4


def test_rounded_values_are_off_by_half_a_step_and_unused_places_stay_0():
    x, d = world(16, 9)
    codes = dictionary.pursue(x, d, count=6, error=0.4)
    most, kept = codes.values.abs().max(), codes.rounded(6)
    assert (kept.values - codes.values).abs().max() <= most / 63 + 1e-6
    assert (kept.values[codes.blocks < 0] == 0).all() and torch.equal(kept.blocks, codes.blocks)


def test_columns_are_examples_of_length_1_and_come_from_rng():
    x = torch.cat([torch.zeros(3, 5), torch.randn(20, 5, generator=seed())])
    atoms = dictionary.columns(x, 20, rng=seed(1))
    assert atoms.norm(dim=1).sub(1).abs().max() < 1e-6
    assert (atoms @ x[3:].T / x[3:].norm(dim=1)).amax(1).sub(1).abs().max() < 1e-5
    assert torch.equal(atoms, dictionary.columns(x, 20, rng=seed(1))) and not torch.equal(atoms, dictionary.columns(x, 20, rng=seed(2)))


def test_worst_first_takes_the_example_farthest_from_the_span_as_least_squares_finds_it():
    x = datasets.load("digits").x[:80].flatten(1)
    atoms = dictionary.worst_first(x, 6)
    for k in range(1, 6):
        basis = atoms[:k].T.double()
        left = x.T.double() - basis @ torch.linalg.lstsq(basis, x.T.double()).solution
        farthest = x[left.norm(dim=0).argmax()]
        torch.testing.assert_close(atoms[k], farthest / farthest.norm())


def test_worst_first_ends_once_every_example_is_in_the_span():
    low_rank = torch.randn(30, 4, generator=seed()) @ torch.randn(4, 12, generator=seed(1))
    assert len(dictionary.worst_first(low_rank, 20)) == 4


def test_what_does_not_fit_is_refused_with_the_way_out():
    x, d = world(12, 8)
    for options, says in (({"count": 0}, "take 1 to 12"), ({"count": 7, "block": 2}, "take 1 to 6"),
                          ({"count": 1, "block": 5}, "blocks of 5"), ({"count": 1, "error": 1.0}, "error = 1.0")):
        with pytest.raises(ValueError, match=says):
            dictionary.pursue(x, d, **options)
    with pytest.raises(ValueError, match=r"give atoms \(K, 8\)"):
        dictionary.pursue(x, d[:, :7], count=1)
    with pytest.raises(ValueError, match="take 1 to 20"):
        dictionary.columns(torch.cat([x, torch.zeros(2, 8)]), 21, rng=seed())
