"""What messages are about, without labels: a topic model, latent Dirichlet allocation. The learning is scikit-learn's.

A topic is a distribution over words; a message mixes a few. Learned at a source, it can be asked about messages that it has never seen.
"""
import torch
from sklearn.decomposition import LatentDirichletAllocation


def counts(tokens, vocabulary):
    """How often each word stands in each message: tokens (N, L) int64 below `vocabulary` -> (N, vocabulary) float32.

    <pad>, <s> and </s>, tokens 0 to 2 of data set `typing`, are no words and stay 0.
    """
    found = torch.zeros(len(tokens), vocabulary).scatter_add_(1, tokens, torch.ones(tokens.shape))
    found[:, :3] = 0
    return found


def telling(counts, most=0.04):
    """(V,) bool: words of counts (N, V) that occur, but in at most the share `most` of all messages. What stands in all tells nothing."""
    share = (counts > 0).float().mean(0)
    return (share > 0) & (share <= most)


def learn(counts, topics, *, passes=10, rng):
    """A model of `topics` topics from counts (N, V), of any texts, without labels: online variational Bayes, batches of 256.

    Priors are set for short messages: 0.1 (a message has few topics), 0.01 (a topic has few words). rng: torch.Generator, draws the start.
    Cost O(passes * words * topics). Raises ValueError for no message, fewer than one topic, and negative counts.
    Sources: Blei et al. 2003 (the model), Hoffman et al. 2010, algorithm 2 (the learning).
    """
    if len(counts) == 0 or topics < 1 or (counts < 0).any():
        raise ValueError(f"{len(counts)} messages, topics={topics}: give counts (N, V) from 0 up, at least one message and one topic")
    start = int(torch.randint(2 ** 31 - 1, (1,), generator=rng))
    model = LatentDirichletAllocation(topics, learning_method="online", batch_size=256, max_iter=passes, total_samples=len(counts),
                                      doc_topic_prior=0.1, topic_word_prior=0.01, random_state=start)
    return model.fit(counts.numpy())


def mixture(model, counts):
    """How much of each topic is in each message: counts (N, V) -> (N, topics) float32, rows of sum 1. The topics stay as they are."""
    return torch.from_numpy(model.transform(counts.numpy())).float()


def words(model, names, most=6):
    """The `most` likeliest words of each topic: a list of lists of str. names: (V,) what the columns of counts are called."""
    return [[names[i] for i in row.argsort()[::-1][:most]] for row in model.components_]
