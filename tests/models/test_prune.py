"""Masks against a sort, zeros that stay under training, bytes against formats that are really packed (SciPy, NumPy, a loop)."""
import copy
from functools import partial

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from odl_kit.learners import plan, train
from odl_kit.models import flat, nets, prune

seed = torch.Generator().manual_seed


def small_task(classes=3):
    x = torch.randn(60, 6, generator=seed(1))
    return x, x[:, :classes].argmax(1)


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.9])
def test_global_pruning_drops_the_smallest_of_all_weights_and_no_bias(amount):
    net = nets.ds_cnn(1, 10, norm=None, rng=seed(0))
    masks = prune.magnitude(net, amount)
    weights = {name: p.detach() for name, p in net.named_parameters() if name.endswith("weight")}
    assert list(masks) == list(weights)
    sizes = np.sort(np.concatenate([w.abs().numpy().ravel() for w in weights.values()]))
    dropped = np.concatenate([weights[name].abs()[~mask].numpy() for name, mask in masks.items()])
    assert len(dropped) == round(amount * len(sizes))
    assert np.array_equal(np.sort(dropped), sizes[:len(dropped)])


def test_layer_pruning_drops_the_same_share_of_each_layer():
    net = nets.tiny_cnn(1, 10, rng=seed(0))
    for name, mask in prune.magnitude(net, 0.75, scope="layer").items():
        w = net.get_parameter(name).detach().abs()
        assert int((~mask).sum()) == round(0.75 * w.numel()) and w[mask].min() >= w[~mask].max()


def test_norms_are_not_pruned():
    assert not any("norm" in name for name in prune.magnitude(nets.ds_cnn(1, 10, rng=seed(0)), 0.5))


@pytest.mark.parametrize("how", [{}, {"momentum": 0.9}, {"plan": plan.last_layers}])
def test_zeros_stay_exactly_zero_while_the_other_weights_learn(how):
    x, y = small_task()
    net = nets.mlp(6, (8, 8), 3, rng=seed(0))
    how = {key: make(net, 2) if key == "plan" else make for key, make in how.items()}
    masks = prune.magnitude(net, 0.5)
    with prune.held(net, masks):
        before = copy.deepcopy(net)
        train.fit(net, x, y, epochs=3, batch_size=10, lr=0.1, rng=seed(0), progress=False, **how)
    for name, mask in masks.items():
        assert (net.get_parameter(name)[~mask] == 0).all()
    head = net.head.weight != before.head.weight
    assert torch.equal(head, masks["head.weight"] & head) and head.any()


def test_after_the_block_the_zeros_may_learn_again():
    x, y = small_task()
    net = nets.mlp(6, 8, 3, rng=seed(0))
    masks = prune.magnitude(net, 0.5)
    with prune.held(net, masks):
        pass
    train.fit(net, x, y, epochs=1, batch_size=10, lr=0.1, rng=seed(0), progress=False)
    assert (net.head.weight[~masks["head.weight"]] != 0).any()


def test_iterative_pruning_never_brings_a_weight_back_and_leaves_the_first_net_alone():
    x, y = small_task()
    net, seen = nets.mlp(6, (16, 16), 3, rng=seed(0)), []
    start = flat.ravel(net)

    def tune(pruned):
        train.fit(pruned, x, y, epochs=2, batch_size=10, lr=0.1, rng=seed(0), progress=False)
        seen.append(pruned.hidden2.weight.detach() != 0)
    pruned, masks = prune.iterative(net, (0.3, 0.6, 0.8), tune, progress=False)
    assert len(seen) == 3 and all((later <= earlier).all() for earlier, later in zip(seen, seen[1:], strict=False))
    dropped = sum(int((~mask).sum()) for mask in masks.values())
    assert dropped == round(0.8 * sum(mask.numel() for mask in masks.values()))
    assert torch.equal(flat.ravel(net), start)


@given(rows=st.integers(1, 12), columns=st.integers(1, 300), density=st.sampled_from([0.0, 0.03, 0.2, 0.5, 1.0]), number=st.integers(0, 99))
def test_the_bytes_are_those_of_formats_that_are_really_packed(rows, columns, density, number):
    w = torch.randn(rows, columns, generator=seed(number)) * (torch.rand(rows, columns, generator=seed(number + 1)) < density)
    found = prune.sparse_bytes(w)
    csr = scipy.sparse.csr_array(w.numpy())
    indices = csr.indices.astype(np.uint8 if columns <= 256 else np.uint16)
    assert np.array_equal(indices, csr.indices)                       # one or two bytes do hold every column
    assert found["list"] == csr.data.nbytes + indices.nbytes + csr.indptr.astype(np.uint16).nbytes
    assert found["bitmap"] == np.packbits(w.numpy() != 0).nbytes + csr.data.nbytes
    assert found["dense"] == w.numpy().nbytes
    assert found["runs"] == runs_by_hand(w.flatten().tolist())


def runs_by_hand(values):
    """Write (run of zeros, value) pairs one by one, runs up to 15, as Han et al. do, and count them; trailing zeros need no pair."""
    pairs, run = 0, 0
    for value in values:
        if value != 0:
            pairs, run = pairs + 1, 0
        elif run == 15:                 # a sixteenth zero: store it as a value of its own
            pairs, run = pairs + 1, 0
        else:
            run += 1
    trailing = 0
    for value in reversed(values):
        if value != 0:
            break
        trailing += 1
    pairs -= trailing // 16             # fillers behind the last value are not needed
    return 4 * pairs + -(-pairs // 2)


@pytest.mark.parametrize("value_bytes", [1, 4])
def test_a_net_stores_its_weights_sparsely_and_its_biases_and_norms_as_they_are(value_bytes):
    net = nets.ds_cnn(1, 10, rng=seed(0))
    with prune.held(net, prune.magnitude(net, 0.8)):
        pass
    found, parameters = prune.nbytes(net, value_bytes=value_bytes), list(net.parameters())
    assert found["dense"] == value_bytes * sum(p.numel() for p in parameters)
    kept = sum(int((p != 0).sum()) for p in parameters if p.dim() > 1) + sum(p.numel() for p in parameters if p.dim() == 1)
    assert found["bitmap"] == value_bytes * kept + sum(-(-p.numel() // 8) for p in parameters if p.dim() > 1)


def test_a_sparse_format_loses_at_half_zeros_and_wins_at_nine_tenths():
    w = torch.ones(100, 100)
    w[:, ::2] = 0
    assert prune.sparse_bytes(w)["list"] > 0.6 * prune.sparse_bytes(w)["dense"]
    assert prune.sparse_bytes(w, value_bytes=1)["list"] > prune.sparse_bytes(w, value_bytes=1)["dense"]
    w = torch.zeros(100, 100)
    w[:, ::10] = 1
    assert all(size < 0.2 * 40_000 for name, size in prune.sparse_bytes(w).items() if name != "dense")


def test_errors_name_the_value_and_the_limit():
    net = nets.mlp(4, 4, 2, rng=seed(0))
    with pytest.raises(ValueError, match="amount is 1"):
        prune.magnitude(net, 1)
    with pytest.raises(ValueError, match="scope 'row'"):
        prune.magnitude(net, 0.5, scope="row")
    with pytest.raises(ValueError, match="no weights to prune"):
        prune.magnitude(nn.ReLU(), 0.5)
    with pytest.raises(ValueError, match="let them rise"):
        prune.iterative(net, (0.9, 0.5), partial(lambda net: None), progress=False)
