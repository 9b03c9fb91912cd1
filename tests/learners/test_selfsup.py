"""Learning without labels: the loss against a loop from the paper, the autoencoder against PCA, and that the body learns something."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from odl_kit.learners import selfsup, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def test_turned_pictures_are_rot90_and_the_labels_say_how_often():
    x = torch.rand(3, 2, 4, 4, generator=seed(0))
    seen, y = selfsup.turns(x)
    assert seen.shape == (12, 2, 4, 4) and y.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for picture, k, original in zip(seen, y.tolist(), x.repeat(4, 1, 1, 1), strict=True):
        assert torch.equal(picture.rot90(-k, (-2, -1)), original)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 6), d=st.integers(1, 5), s=st.integers(0, 99), temperature=st.floats(0.1, 3))
def test_the_contrastive_loss_is_the_double_loop_of_the_paper(n, d, s, temperature):
    a, b = (torch.randn(n, d, generator=seed(s + k)).double() for k in (0, 1))
    rows = torch.cat([a, b]).tolist()

    def cosine(u, v):
        return sum(p * q for p, q in zip(u, v, strict=True)) / math.sqrt(sum(p * p for p in u) * sum(q * q for q in v))
    total = 0.0
    for i in range(2 * n):
        others = sum(math.exp(cosine(rows[i], rows[k]) / temperature) for k in range(2 * n) if k != i)
        total -= math.log(math.exp(cosine(rows[i], rows[(i + n) % (2 * n)]) / temperature) / others)
    assert selfsup.nt_xent(a, b, temperature=temperature).item() == pytest.approx(total / (2 * n), rel=1e-6)


def test_the_loss_is_that_of_guessing_when_all_look_alike_and_falls_when_pairs_agree():
    alike, apart = torch.ones(5, 3), torch.eye(5)
    assert selfsup.nt_xent(alike, alike).item() == pytest.approx(math.log(9), rel=1e-5)
    assert selfsup.nt_xent(apart, apart, temperature=0.05) < 1e-6 < selfsup.nt_xent(apart, apart.roll(1, 0), temperature=0.05)


def test_a_linear_autoencoder_ends_at_the_error_of_pca():
    x = torch.randn(200, 6, generator=seed(0)) @ torch.randn(6, 6, generator=seed(1))
    x = x - x.mean(0)
    body = nets.softmax(6, 2, rng=seed(2))
    history = selfsup.learn_pixels(body, x, epochs=400, batch_size=None, lr=0.03, rng=seed(3), progress=False)
    left = torch.linalg.svdvals(x)[2:].square().sum().item() / x.numel()      # what two directions cannot say
    assert history.losses[-1] == pytest.approx(left, rel=0.01)


def stripes(n, s):
    """Pictures (n, 1, 8, 8) of stripes across, some bright at the top: it can be seen how they were turned."""
    x = torch.rand(n, 1, 8, 8, generator=seed(s)) * 0.2
    x[:, :, :3] += torch.linspace(0.5, 1, n).view(-1, 1, 1, 1)
    return x


def test_turns_are_learned_where_there_is_an_up():
    x, body = stripes(64, 0), nets.tiny_cnn(1, 4, rng=seed(1))[:-1]
    history = selfsup.learn_turns(body, x, epochs=8, batch_size=32, lr=0.01, rng=seed(2), progress=False)
    assert history.losses[-1] < 0.5 * history.losses[0] and history.losses[0] < 2
    seen, y = selfsup.turns(x)
    features = body(seen).detach()
    head = nets.softmax(features.shape[1], 4, rng=seed(3))
    train.fit(head, features, y, epochs=100, batch_size=None, lr=1.0, rng=seed(4), progress=False)
    assert train.evaluate(head, features, y)["accuracy"] > 0.9


def test_views_of_a_picture_come_together_and_pictures_go_apart():
    x, body = torch.rand(40, 1, 8, 8, generator=seed(0)), nets.tiny_cnn(1, 4, rng=seed(1))[:-1]

    def noisy(x, *, rng):
        return x + 0.02 * torch.randn(x.shape, generator=rng)
    history = selfsup.learn_views(body, x, noisy, epochs=25, batch_size=20, lr=0.01, rng=seed(2), progress=False)
    assert history.losses[0] > 0.6 * math.log(39) and history.losses[-1] < history.losses[0] - 0.5


def test_the_body_of_a_net_learns_in_place_its_head_does_not_and_seeds_repeat():
    x, found = stripes(12, 0), {}
    for name, learn in {"turns": selfsup.learn_turns, "pixels": selfsup.learn_pixels}.items():
        runs = []
        for s in (0, 0, 1):
            net = nets.ds_cnn(1, 5, norm="batch", rng=seed(9))
            head = flat.ravel(net[-1])
            learn(net[:-1], x, epochs=1, batch_size=8, lr=0.01, rng=seed(s), progress=False)
            assert torch.equal(flat.ravel(net[-1]), head)
            runs.append(flat.ravel(net))
        assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
        found[name] = runs[0]
    assert not torch.equal(found["turns"], found["pixels"])


def test_a_last_batch_of_one_picture_is_left_out():
    history = selfsup.learn_views(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.rand(5, 1, 2, 2, generator=seed(0)),
                                  lambda x, *, rng: x, epochs=2, batch_size=4, lr=0.01, rng=seed(0), progress=False)
    assert len(history.losses) == 2 and all(map(math.isfinite, history.losses))


@pytest.mark.parametrize("run, words", [
    (lambda: selfsup.turns(torch.zeros(2, 1, 4, 5)), r"\(2, 1, 4, 5\): quarter turns need square"),
    (lambda: selfsup.nt_xent(torch.zeros(2, 3), torch.zeros(3, 3)), r"a is \(2, 3\), b is \(3, 3\)"),
    (lambda: selfsup.nt_xent(torch.zeros(1, 3), torch.zeros(1, 3)), "N >= 2"),
    (lambda: selfsup.nt_xent(torch.zeros(2, 3), torch.zeros(2, 3), temperature=0), "temperature=0"),
    (lambda: selfsup.learn_views(nn.Flatten(), torch.zeros(4, 3), lambda x, *, rng: x, epochs=1, batch_size=1, lr=0.1, rng=seed(0)),
     "batch_size=1: a picture needs another"),
])
def test_what_cannot_be_learned_from_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()
