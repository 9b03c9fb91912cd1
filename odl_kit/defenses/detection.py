"""Who sends updates unlike everybody else's? Scores of clients, high is suspect. A score says "unlike the others", never "hostile".

rounds: a sequence of (ids (m,) int64, updates (m, D)), one entry a round, whoever took part. D may be all weights or some of them.
K clients took part in all; ids (K,) are sorted. What the scores cannot see: attackers who are a majority, and who stay inside the spread.
"""
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from torch.nn import functional as F


def mean_updates(rounds):
    """(ids (K,), means (K, D)): each client's mean over the rounds in which it took part. One round is noise, what stays is the data."""
    ids, rows = torch.cat([ids for ids, _ in rounds]), torch.cat([updates for _, updates in rounds])
    ids, place = ids.unique(return_inverse=True)
    sums = rows.new_zeros(len(ids), rows.shape[1]).index_add_(0, place, rows)
    return ids, sums / torch.bincount(place)[:, None]


def cosine_to_median(means):
    """(K,): 1 - cosine of each row of means (K, D) with the coordinate-wise median of all: 0 the same way, 1 across, 2 against it."""
    middle = means.quantile(0.5, dim=0, interpolation="midpoint")
    return 1 - F.cosine_similarity(means, middle[None])


def pca_distance(rounds, *, components=2):
    """(ids (K,), scores (K,)): how far a client's updates lie from the middle one in the plane of the largest variance.

    All rows of all rounds are standardised coordinate by coordinate, projected on the first principal components, and averaged by client;
    the score is the distance to the coordinate-wise median of the clients. Source: Tolpegin et al. 2020, sec. 5, who look at the weights of
    one output (`output_of`) and leave the reading of the picture to a person; mean and distance are ours.
    Raises ValueError when there are fewer rows or columns than components.
    """
    rows = torch.cat([updates for _, updates in rounds])
    if components > min(rows.shape):
        raise ValueError(f"components={components} of {tuple(rows.shape)} numbers: ask for {min(rows.shape)} at most")
    rows = (rows - rows.mean(0)) / rows.std(0).clamp(min=torch.finfo(rows.dtype).tiny)
    axes = torch.linalg.svd(rows, full_matrices=False).Vh[:components]                # rows are centred: these are the principal axes
    projected = iter((rows @ axes.T).split([len(ids) for ids, _ in rounds]))
    ids, places = mean_updates([(ids, next(projected)) for ids, _ in rounds])
    return ids, (places - places.quantile(0.5, dim=0, interpolation="midpoint")).norm(dim=1)


def output_of(net, label=None):
    """The places in w (P,) of the last layer's weights that feed the output `label`, or all outputs: (D,) int64, without the biases.

    Raises ValueError for a label that the layer does not have.
    """
    names, first = [name for name, p in net.named_parameters() if p.dim() == 2], 0
    for name, p in net.named_parameters():
        if name == names[-1]:
            if label is not None and not 0 <= label < len(p):
                raise ValueError(f"label={label}, the last layer has outputs 0 to {len(p) - 1}")
            places = torch.arange(first, first + p.numel()).view(p.shape)
            return (places if label is None else places[label]).flatten()
        first += p.numel()


def two_clusters(means):
    """(suspects (K,) bool, silhouette): k-means with k = 2 on rows of means (K, D) brought to length 1; the smaller cluster is suspect.

    silhouette in [-1, 1] says how far apart the two are; k-means finds two clusters also where there is one: set a limit for it.
    Of clusters of equal size none is suspect. Source: the clustering of Shen et al. 2016 (Auror), on directions.
    Raises ValueError for fewer than three rows.
    """
    if len(means) < 3:
        raise ValueError(f"{len(means)} clients: two clusters and a silhouette need three at least")
    rows = F.normalize(means, dim=1).double().numpy()
    if (rows == rows[0]).all():
        return torch.zeros(len(means), dtype=torch.bool), 0.0
    cluster = torch.from_numpy(KMeans(2, n_init=10, random_state=0).fit(rows).labels_)
    sizes = torch.bincount(cluster, minlength=2)
    smaller = sizes.argmin() if sizes[0] != sizes[1] else -1
    return cluster == smaller, float(silhouette_score(rows, cluster.numpy()))


def robust_z(scores):
    """(K,): (score - median) / (1.4826 * MAD), in deviations of a normal distribution; MAD is the median distance to the median.

    A few outliers move neither. Where more than half of the scores are the same, MAD is 0, and larger ones get infinity.
    Source: Iglewicz and Hoaglin 1993, who call 3.5 the limit.
    """
    away = scores - scores.quantile(0.5, interpolation="midpoint")
    spread = 1.4826 * away.abs().quantile(0.5, interpolation="midpoint")
    return torch.where(away == 0, 0.0, away / spread)
