"""Feature transfer without training a net: PCA, alignment of two subspaces, and CCA, which learns from pairs seen by both sides."""
import torch


def pca(x, k):
    """(mean (D,), basis (D, k)) of x (N, D): the k directions of most variance, orthonormal, the first has most.

    Project with (x - mean) @ basis. Raises ValueError unless 1 <= k <= min(N - 1, D). Source: Pearson 1901.
    """
    if x.dim() != 2 or not 1 <= k <= min(len(x) - 1, x.shape[1]):
        raise ValueError(f"k={k} directions of x {tuple(x.shape)}: give x (N, D) and k from 1 to min(N - 1, D)")
    mean = x.mean(0)
    _, _, rows = torch.linalg.svd(x - mean, full_matrices=False)
    return mean, rows[:k].T.contiguous()


def align(source, target, k):
    """Source (N, D) and target (M, D) in one space of k dimensions: ((N, k), (M, k)). Labels are not needed.

    Each side has its own PCA; the source's basis is turned onto the target's by M = P_S^T P_T, the best map in the sense of
    |P_S M - P_T|_F. A classifier trained on the first result may be asked about the second. Raises ValueError as `pca` does.
    Source: Fernando et al. 2013, eq. 2 and algorithm 1 (their data have zero mean on each side; here each mean is taken off).
    """
    (mean_s, basis_s), (mean_t, basis_t) = pca(source, k), pca(target, k)
    return (source - mean_s) @ basis_s @ (basis_s.T @ basis_t), (target - mean_t) @ basis_t


def cca(x, y, k, *, ridge=0.0):
    """Directions of x (N, D) and y (N, E) that go together most: (a (D, k), b (E, k), correlations (k,)), the highest first.

    Row n of both shows the same thing, seen in two ways, say by two cameras. Columns of (x - mean) @ a and (y - mean) @ b have unit
    variance, are uncorrelated among themselves, and column i of both correlates by correlations[i].
    ridge: added to both variances, times their mean; needed where N is not far above D or E, or values depend on each other.
    Raises ValueError for unequal N, and unless 1 <= k <= min(D, E, N - 1). Source: Hotelling 1936.
    """
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not 1 <= k <= min(x.shape[1], y.shape[1], len(x) - 1):
        raise ValueError(f"k={k}, x {tuple(x.shape)}, y {tuple(y.shape)}: give (N, D) and (N, E) of the same N examples, and k from 1 to "
                         "min(D, E, N - 1)")
    x, y = x - x.mean(0), y - y.mean(0)
    white_x, white_y = (_whitening(part, ridge) for part in (x, y))
    # C_xx^(-1/2) C_xy C_yy^(-1/2) = U S V^T;  a = C_xx^(-1/2) U,  b = C_yy^(-1/2) V
    u, s, v = torch.linalg.svd(white_x @ (x.T @ y / (len(x) - 1)) @ white_y, full_matrices=False)
    return white_x @ u[:, :k], white_y @ v[:k].T, s[:k]


def _whitening(x, ridge):
    """C^(-1/2) of x (N, D) without a mean."""
    covariance = x.T @ x / (len(x) - 1)
    covariance.diagonal().add_(ridge * covariance.diagonal().mean())
    values, vectors = torch.linalg.eigh(covariance)
    if values[0] <= 1e-6 * values[-1]:
        raise ValueError(f"variances reach from {values[0]:.1e} to {values[-1]:.1e}, some values depend on others: give ridge=0.01")
    return vectors * values.rsqrt() @ vectors.T
