import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from odl_kit.learners import enrol, transfer
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


@settings(max_examples=30, deadline=None)
@given(s=st.integers(0, 1000), classes=st.integers(2, 6), size=st.integers(2, 8))
def test_the_head_answers_what_the_largest_cosine_answers(s, classes, size):
    features, asked = torch.randn(2, 30, size, generator=seed(s)).double()
    y, centre = torch.arange(30) % classes, torch.randn(size, generator=seed(s + 1)).double()
    own = enrol.directions(features, y, centre=centre)
    for k in range(classes):            # from the definition, one class at a time
        mean = torch.stack([(f - centre) / (f - centre).norm() for f in features[y == k]]).mean(0)
        assert torch.allclose(own[k], mean / mean.norm())
    cosines = torch.stack([F.cosine_similarity(asked - centre, d[None]) for d in own], 1)
    outputs = F.linear(asked, *enrol.cosine_head(own, centre=centre))
    assert torch.equal(outputs.argmax(1), cosines.argmax(1))


def test_a_mix_lies_between_and_its_ends_are_what_was_mixed():
    own, known = F.normalize(torch.randn(2, 5, 8, generator=seed(0)), dim=2)
    assert torch.allclose(enrol.mix(own, known, trust=1.0), own) and torch.allclose(enrol.mix(own, known, trust=0.0), known)
    half = enrol.mix(own, known)
    assert torch.allclose((half * own).sum(1), (half * known).sum(1), atol=1e-6) and torch.allclose(half.norm(dim=1), torch.ones(5))


def test_what_the_user_never_said_is_left_to_what_was_known():
    known = F.normalize(torch.randn(3, 4, generator=seed(0)), dim=1)
    own = enrol.directions(torch.randn(4, 4, generator=seed(1)), torch.tensor([0, 0, 2, 2]), centre=torch.zeros(4))
    assert not own[1].any() and torch.allclose(enrol.mix(own, known)[1], known[1])


def test_a_new_class_is_one_more_row_and_nothing_below_changes():
    net = nets.tiny_cnn(1, 4, rng=seed(0)).train()
    x, y = torch.rand(40, 1, 8, 8, generator=seed(1)), torch.arange(40) % 5
    features = transfer.features(net, x)
    made = enrol.enrolled(net, enrol.directions(features, y, centre=features.mean(0)), centre=features.mean(0))
    assert made[-1].weight.shape == (5, 16) and net[-1].weight.shape == (4, 16)
    assert torch.equal(flat.ravel(made[:-1]), flat.ravel(net[:-1]))
    unit = F.normalize(features - features.mean(0), dim=1)
    nearest = torch.stack([unit @ F.normalize(unit[y == k].mean(0), dim=0) for k in range(5)], 1).argmax(1)
    assert torch.equal(made(x).argmax(1), nearest)


def test_pseudo_labels_are_what_the_net_is_sure_of_and_another_confirms():
    logits, other = torch.tensor([[4.0, 0, 0], [0.1, 0, 0], [0, 5.0, 0]]), torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    net, verify = (torch.nn.Linear(3, 3, bias=False) for _ in range(2))
    flat.assign(net, logits.T.reshape(-1)), flat.assign(verify, other.T.reshape(-1))
    x = torch.eye(3)
    kept, y = enrol.pseudo_labels(net, x, threshold=0.9)
    assert y.tolist() == [0, 0, 1] and kept.tolist() == [True, False, True]
    assert enrol.pseudo_labels(net, x, threshold=0.9, verify=verify)[0].tolist() == [True, False, False]
    assert enrol.pseudo_labels(net, x, threshold=0.0)[0].all()


@pytest.mark.parametrize("run, words", [
    (lambda net: enrol.directions(torch.zeros(2, 3), torch.zeros(1, dtype=torch.int64), centre=torch.zeros(3)), "2 features and 1 labels"),
    (lambda net: enrol.mix(torch.ones(2, 3), torch.ones(3, 3)), r"own \(2, 3\), known \(3, 3\)"),
    (lambda net: enrol.mix(torch.ones(2, 3), torch.ones(2, 3), trust=2.0), "trust=2.0"),
    (lambda net: enrol.enrolled(net, torch.ones(2, 3), centre=torch.zeros(3)), r"directions are \(2, 3\)"),
    (lambda net: enrol.pseudo_labels(net, torch.rand(1, 1, 8, 8), threshold=1.0), "threshold=1.0"),
])
def test_what_does_not_fit_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run(nets.tiny_cnn(1, 4, rng=seed(0)))
