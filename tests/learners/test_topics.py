"""Topics of texts that were written from known topics, against a bag of words by hand and scikit-learn's own bound."""
import collections

import pytest
import torch

from odl_kit.learners import clusters, topics

seed = torch.Generator().manual_seed


def written(n, s, *, topics=3, each=5, length=8):
    """n messages (n, length + 2) of tokens, each about one topic, which has `each` words of its own from token 3 on, in an own order."""
    rng = seed(s)
    about = torch.randint(topics, (n,), generator=rng)
    said = 3 + about[:, None] * each + torch.randint(each, (n, length), generator=rng)
    return torch.cat([torch.ones(n, 1), said, torch.full((n, 1), 2)], 1).long(), about


def test_counts_are_a_bag_of_words_without_what_is_no_word():
    tokens = torch.tensor([[1, 5, 3, 5, 2, 0], [1, 4, 2, 0, 0, 0]])
    for row, found in zip(tokens.tolist(), topics.counts(tokens, 7).tolist(), strict=True):
        bag = collections.Counter(token for token in row if token > 2)
        assert found == [bag[token] for token in range(7)]


def test_words_of_all_messages_tell_nothing_and_words_of_none_neither():
    counts = torch.tensor([[0.0, 2, 1, 1], [0, 1, 0, 1], [0, 1, 0, 0], [0, 3, 0, 0]])
    assert topics.telling(counts, most=0.5).tolist() == [False, False, True, True]


def test_topics_that_texts_were_written_from_are_found_and_serve_texts_never_seen():
    tokens, _ = written(300, 0)
    model = topics.learn(topics.counts(tokens, 18), 3, rng=seed(1))
    new, about = written(100, 2)
    shares = topics.mixture(model, topics.counts(new, 18))
    assert shares.shape == (100, 3) and torch.allclose(shares.sum(1), torch.ones(100), atol=1e-5)
    assert clusters.named(shares.argmax(1), about) == 1
    found = topics.words(model, [str(k) for k in range(18)], most=5)
    assert sorted(sorted(map(int, row)) for row in found) == [[3, 4, 5, 6, 7], [8, 9, 10, 11, 12], [13, 14, 15, 16, 17]]


def test_true_topics_bound_the_text_better_than_one_topic_for_all():
    counts = topics.counts(written(300, 0)[0], 18)
    three, one = (topics.learn(counts, k, rng=seed(0)) for k in (3, 1))
    assert three.score(counts.numpy()) > one.score(counts.numpy())


def test_the_same_seed_finds_the_same_topics():
    counts = topics.counts(written(60, 0)[0], 18)
    a, b, c = (topics.learn(counts, 3, passes=2, rng=seed(s)).components_ for s in (4, 4, 5))
    assert (a == b).all() and (a != c).any()


@pytest.mark.parametrize("counts, k", [(torch.zeros(0, 4), 2), (torch.ones(3, 4), 0), (-torch.ones(3, 4), 2)])
def test_what_is_no_text_is_refused(counts, k):
    with pytest.raises(ValueError, match="at least one message and one topic"):
        topics.learn(counts, k, rng=seed(0))
