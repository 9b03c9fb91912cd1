import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.defenses import provenance


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 4))
def test_the_first_of_each_source_stay_and_the_rest_do_not(source, most):
    seen, want = {}, []
    for name in source:
        seen[name] = seen.get(name, 0) + 1
        want.append(seen[name] <= most)
    assert provenance.capped(torch.tensor(source), most=most).tolist() == want


def test_a_fingerprint_is_sha256_over_type_shape_label_and_bytes():
    x = torch.tensor([[0.5, 1.0]])
    want = hashlib.sha256(b"torch.float32 (2,) 7 " + bytes.fromhex("0000003f0000803f")).hexdigest()
    assert provenance.fingerprints(x, torch.tensor([7])) == [want]


def test_any_changed_bit_and_any_changed_label_is_seen_and_nothing_else():
    x, y = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    recorded = provenance.fingerprints(x, y)
    assert provenance.unchanged(x, y, recorded).all()
    changed, labels = x.clone(), y.clone()
    changed[1, 0, 3, 3] = torch.nextafter(changed[1, 0, 3, 3], torch.tensor(1.0))
    labels[4] = 0
    assert provenance.unchanged(changed, labels, recorded).tolist() == [True, False, True, True, False, True]
    assert provenance.unchanged(x.permute(0, 1, 3, 2), y, recorded).sum() == 0       # the same numbers elsewhere are another picture


def test_what_was_poisoned_before_the_list_was_made_passes():
    x, y = torch.rand(3, 4), torch.tensor([9, 9, 9])
    assert provenance.unchanged(x, y, provenance.fingerprints(x, y)).all()


def test_bad_input_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="most=0"):
        provenance.capped(torch.tensor([1]), most=0)
    with pytest.raises(ValueError, match="2 examples, 1 fingerprints"):
        provenance.unchanged(torch.rand(2, 3), torch.tensor([0, 1]), ["x"])
