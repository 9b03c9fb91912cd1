"""PCA and CCA against scikit-learn's, alignment against the least-squares solution that it claims to be."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA

from odl_kit.learners import subspace

seed = torch.Generator().manual_seed


def data(n, d, s, *, stretch=True):
    x = torch.randn(n, d, generator=seed(s)).double()
    return x * torch.arange(1, d + 1) ** 1.5 + 3 if stretch else x


@settings(max_examples=25, deadline=None)
@given(n=st.integers(6, 30), d=st.integers(2, 6), s=st.integers(0, 99), share=st.floats(0, 1))
def test_pca_is_scikit_learns_up_to_signs(n, d, s, share):
    k = 1 + int(share * (min(n - 1, d) - 1))
    x = data(n, d, s)
    mean, basis = subspace.pca(x, k)
    other = PCA(k, svd_solver="full").fit(x.numpy())
    assert np.allclose(mean, other.mean_) and np.allclose((basis.T.numpy() * other.components_).sum(1) ** 2, 1, atol=1e-6)
    assert torch.allclose(basis.T @ basis, torch.eye(k).double(), atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(s=st.integers(0, 99), k=st.integers(1, 4))
def test_alignment_is_the_map_of_least_distance_between_the_bases(s, k):
    source, target = data(20, 5, s), data(25, 5, s + 1)
    aligned, seen = subspace.align(source, target, k)
    (mean_s, basis_s), (mean_t, basis_t) = subspace.pca(source, k), subspace.pca(target, k)
    best = np.linalg.lstsq(basis_s.numpy(), basis_t.numpy(), rcond=None)[0]        # min |P_S M - P_T|
    assert np.allclose(aligned, (source - mean_s).numpy() @ basis_s.numpy() @ best, atol=1e-8)
    assert torch.allclose(seen, (target - mean_t) @ basis_t) and aligned.shape == (20, k) and seen.shape == (25, k)


def test_alignment_drops_what_the_target_does_not_use_and_keeps_the_rest():
    x = data(300, 6, 0)
    a, b = subspace.align(x, x, 3)
    assert torch.allclose(a, b)
    other = x * torch.tensor([1e-6, 1e-6, 1e-6, 1, 1, 1]).double()           # the target varies along three of the six axes
    whole, _ = subspace.align(x, other, 6)
    assert torch.allclose(whole, (x - x.mean(0)) @ subspace.pca(other, 6)[1], atol=1e-8)
    part, _ = subspace.align(x + 50 * torch.eye(6).double()[0] * torch.randn(300, 1, generator=seed(1)).double(), other, 3)
    assert part[:, 0].var() < 2 * other.var(0).max()                         # the loud first axis is not among them


@settings(max_examples=10, deadline=None)
@given(s=st.integers(0, 99))
def test_cca_finds_the_correlations_of_scikit_learn(s):
    shared = torch.randn(200, 2, generator=seed(s)).double()
    x = torch.cat([shared + 0.5 * data(200, 2, s + 1, stretch=False), data(200, 2, s + 2, stretch=False)], 1)
    x = x @ data(4, 4, s + 3, stretch=False)
    y = torch.cat([data(200, 1, s + 4, stretch=False), shared + 0.8 * data(200, 2, s + 5, stretch=False)], 1)
    a, b, correlations = subspace.cca(x, y, 3)
    u, v = (x - x.mean(0)) @ a, (y - y.mean(0)) @ b
    own = [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(3)]
    assert np.allclose(own, correlations, atol=1e-8) and sorted(own, reverse=True) == own
    assert torch.allclose(u.T @ u / 199, torch.eye(3).double(), atol=1e-7)
    p, q = CCA(3, max_iter=20_000, tol=1e-10).fit_transform(x.numpy(), y.numpy())
    other = [abs(np.corrcoef(p[:, i], q[:, i])[0, 1]) for i in range(3)]
    assert np.allclose(own[:2], other[:2], atol=1e-3)           # the third is near chance, where its iteration stops early
    assert abs(np.corrcoef(u[:, 0], p[:, 0])[0, 1]) > 0.999


def test_cca_of_a_turned_copy_is_perfect_and_of_noise_is_not():
    x = torch.randn(400, 5, generator=seed(0)).double()
    _, _, correlations = subspace.cca(x, x @ data(5, 5, 1, stretch=False), 5)
    assert torch.allclose(correlations, torch.ones(5).double(), atol=1e-6)
    assert subspace.cca(x, torch.randn(400, 5, generator=seed(1)).double(), 5)[2].max() < 0.35


def test_values_that_depend_on_each_other_need_a_ridge():
    x = torch.randn(50, 3, generator=seed(0)).double()
    twice = torch.cat([x, x[:, :1]], 1)
    with pytest.raises(ValueError, match="give ridge=0.01"):
        subspace.cca(twice, x, 2)
    assert subspace.cca(twice, x, 2, ridge=0.01)[2][0] > 0.98


@pytest.mark.parametrize("run, words", [
    (lambda x: subspace.pca(x, 4), r"k=4 directions of x \(6, 3\)"),
    (lambda x: subspace.pca(x[0], 1), "give x"),
    (lambda x: subspace.align(x, x[:2], 2), r"x \(2, 3\)"),
    (lambda x: subspace.cca(x, x[:5], 1), "the same N examples"),
    (lambda x: subspace.cca(x, x[:, :2], 3), "k=3"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(torch.randn(6, 3, generator=seed(0)))
