"""The story of Tay (2016), in small: a bot counts which word follows which, from everybody. Who talks most decides what it says.

tokens (N, L) int64: a message a row, padded with token 0 behind its end. counts (V, V) float32: how often word b followed word a.
"""
import torch


def crowd(user, *, loud, times, rng):
    """The stream of an evening: (M,) int64, indices of messages in random order. Those of the users `loud` come `times` times each.

    user (N,) int64: who wrote message n; loud (k,) int64. Raises ValueError when times < 1.
    """
    if times < 1:
        raise ValueError(f"times={times}: a message is sent once at least")
    repeats = torch.where(torch.isin(user, torch.as_tensor(loud)), times, 1)
    stream = torch.repeat_interleave(torch.arange(len(user)), repeats)
    return stream[torch.randperm(len(stream), generator=rng)]


def learn(counts, tokens):
    """counts after the messages `tokens` (N, L): each pair of neighbours adds 1. The given counts stay as they are."""
    before, after = tokens[:, :-1].flatten(), tokens[:, 1:].flatten()
    real = after != 0
    one = torch.ones((), dtype=counts.dtype).expand(int(real.sum()))
    return counts.index_put((before[real], after[real]), one, accumulate=True)


def utter(counts, *, start=1, end=2, most=20):
    """What the bot says: list of tokens from the one after `start`, each the most frequent follower of the last; of equals the smallest.

    Stops at `end`, at a word that nothing has followed, before a word that it has said already (a bot of pairs runs in circles), or after
    `most` words.
    """
    said, word = [], start
    while len(said) < most and counts[word].max() > 0:
        word = int(counts[word].argmax())
        if word == end or word in said:
            break
        said.append(word)
    return said
