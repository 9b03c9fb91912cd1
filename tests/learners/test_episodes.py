import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid
from torch.nn import functional as F

from odl_kit.learners import episodes, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def blobs(classes=8, each=10, size=6, spread=0.3):
    """Classes around points of their own, called 3, 6, 9, ..."""
    centres = torch.randn(classes, size, generator=seed(0))
    y = torch.arange(classes).repeat_interleave(each)
    return centres[y] + spread * torch.randn(len(y), size, generator=seed(1)), 3 * y + 3


@settings(max_examples=30, deadline=None)
@given(ways=st.integers(1, 8), shots=st.integers(1, 5), queries=st.integers(0, 5), s=st.integers(0, 10))
def test_an_episode_has_so_many_of_each_of_its_classes_and_no_example_twice(ways, shots, queries, s):
    x, y = blobs()
    task = episodes.draw(x, y, ways=ways, shots=shots, queries=queries, rng=seed(s))
    assert task.support_y.tolist() == [c for c in range(ways) for _ in range(shots)]
    assert task.query_y.tolist() == [c for c in range(ways) for _ in range(queries)]
    assert len(set(task.classes.tolist())) == ways
    both = torch.cat([task.support_x, task.query_x])
    assert len(torch.unique(both, dim=0)) == len(both)
    where = {tuple(row.tolist()): int(label) for row, label in zip(x, y, strict=True)}
    for row, label in zip(both, torch.cat([task.support_y, task.query_y]), strict=True):
        assert where[tuple(row.tolist())] == int(task.classes[label])


def test_classes_are_dealt_without_overlap():
    _, y = blobs()
    a, b = episodes.split_classes(y, (5, 2), rng=seed(0))
    assert (len(a), len(b)) == (5, 2) and len(set(a.tolist()) | set(b.tolist())) == 7 and set(a.tolist()) < set(y.tolist())
    assert torch.equal(a, episodes.split_classes(y, (5, 2), rng=seed(0))[0])
    assert not torch.equal(a, episodes.split_classes(y, (5, 2), rng=seed(1))[0])


@settings(max_examples=20, deadline=None)
@given(s=st.integers(0, 100))
def test_the_head_made_of_prototypes_is_the_nearest_centroid_of_scikit_learn(s):
    features, y = torch.randn(40, 5, generator=seed(s)).double(), torch.arange(40) % 4
    centroid = NearestCentroid().fit(features.numpy(), y.numpy())
    centres = episodes.prototypes(features, y)
    assert torch.allclose(centres, torch.tensor(centroid.centroids_))
    asked = torch.randn(200, 5, generator=seed(s + 1)).double()
    answers = F.linear(asked, *episodes.linear_head(centres)).argmax(1)
    assert answers.tolist() == centroid.predict(asked.numpy()).tolist()


def test_set_head_classifies_without_training_and_touches_the_head_alone():
    net = nets.tiny_cnn(1, 4, rng=seed(0)).train()
    x, y = torch.rand(20, 1, 8, 8, generator=seed(1)), torch.arange(20) % 4
    before = flat.ravel(net)
    assert episodes.set_head(net, x, y) is net and net.training
    after = flat.ravel(net)
    own = 4 * 16 + 4
    assert torch.equal(before[:-own], after[:-own]) and not torch.equal(before[-own:], after[-own:])
    with torch.no_grad():
        made = net[:-1](x)
        nearest = torch.stack([(made - made[y == c].mean(0)).square().sum(1) for c in range(4)], 1).argmin(1)
        assert torch.equal(net(x).argmax(1), nearest)
    assert train.evaluate(net, x, y)["accuracy"] == int((nearest == y).sum()) / 20


def test_the_loss_is_the_softmax_over_distances():
    x, y = blobs()
    task = episodes.draw(x, y, ways=5, shots=3, queries=4, rng=seed(2))
    total = 0.0
    for a, label in zip(task.query_x, task.query_y, strict=True):
        distance = torch.stack([(a - task.support_x[task.support_y == c].mean(0)).square().sum() for c in range(5)])
        total += distance[label] + torch.logsumexp(-distance, 0)
    assert torch.allclose(episodes.loss(lambda x: x, task), total / len(task.query_y), atol=1e-5)


def test_episodes_teach_features_that_serve_classes_never_seen():
    # the class is told by two of twelve values, the others are loud
    centres = torch.randn(40, 2, generator=seed(0))
    y = torch.arange(40).repeat_interleave(20)
    x = torch.cat([centres[y] + 0.2 * torch.randn(800, 2, generator=seed(1)), 2 * torch.randn(800, 10, generator=seed(2))], 1)
    seen, new = y < 30, y >= 30

    def accuracy(features):
        tasks = [episodes.draw(x[new], y[new], ways=5, shots=5, queries=15, rng=seed(s)) for s in range(20)]
        with torch.no_grad():
            heads = [episodes.linear_head(episodes.prototypes(features(task.support_x), task.support_y)) for task in tasks]
            right = [F.linear(features(task.query_x), *head).argmax(1) == task.query_y for task, head in zip(tasks, heads, strict=True)]
        return torch.cat(right).float().mean().item()
    features = nets.mlp(12, 16, 4, rng=seed(3))
    before = accuracy(features)
    losses = episodes.meta_train(features, x[seen], y[seen], steps=200, ways=5, shots=5, queries=5, lr=0.01, rng=seed(4), progress=False)
    assert sum(losses[-20:]) < sum(losses[:20]) / 1.5 and len(losses) == 200
    assert accuracy(features) > before + 0.15


@pytest.mark.parametrize("run, words", [
    (lambda x, y: episodes.draw(x, y, ways=9, shots=1, queries=1, rng=seed(0)), "ways=9, and y has 8 classes"),
    (lambda x, y: episodes.draw(x, y, ways=2, shots=6, queries=5, rng=seed(0)), "shots=6 and queries=5, and class .* has 10 examples"),
    (lambda x, y: episodes.draw(x, y, ways=2, shots=0, queries=5, rng=seed(0)), "ask for at least 1 shot"),
    (lambda x, y: episodes.split_classes(y, (5, 4), rng=seed(0)), r"sizes \(5, 4\) ask for 9 classes, y has 8"),
    (lambda x, y: episodes.prototypes(x, y), "class 0 has no example"),
    (lambda x, y: episodes.set_head(nets.mlp(6, 4, 5, rng=seed(0)), x, y // 3 - 1), "the head is for 5 classes, y has 8"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(*blobs())
