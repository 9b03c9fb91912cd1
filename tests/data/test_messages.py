import numpy as np
import pytest
import torch

from odl_kit.data import messages
from odl_kit.data.messages import CLASSES, HOBBIES, SUBJECTS, VOCABULARY


def rng(number=0):
    return torch.Generator().manual_seed(number)


@pytest.fixture(scope="module")
def corpus():
    return messages.corpus(240, 50, seed=1)


def test_every_word_of_the_vocabulary_is_written_by_somebody(corpus):
    assert VOCABULARY[:3] == ("<pad>", "<s>", "</s>") and len(set(VOCABULARY)) == len(VOCABULARY) == 348
    assert set(np.unique(corpus["x"])) == set(range(348))


def test_a_message_fits_whatever_the_grammar_puts_together():
    def longest_of(texts):
        return max(texts, key=lambda text: len(text.split()))
    longest = {"verb": "v", "noun": "n", "adjective": "a", "name": "n"}
    longest |= {"time": longest_of(messages.TIMES), "place": longest_of(messages.PLACES)}
    longest |= {slot: longest_of(dialect[slot] for dialect in messages.DIALECTS) for slot in messages.DIALECTS[0]}
    frame, tail = (max(len(text.format(**longest).split()) for text in texts) for texts in (messages.FRAMES, messages.TAILS))
    greeting, filler, pls, bye = 2, 1, 1, 1
    assert messages.LENGTH == 2 + greeting + filler + frame + tail + pls + bye


def test_a_larger_corpus_begins_with_the_same_people_and_another_seed_has_others():
    small, large, other = messages.corpus(30, 20, seed=1), messages.corpus(60, 20, seed=1), messages.corpus(30, 20, seed=2)
    assert np.array_equal(small["x"][:27 * 20], large["x"][:27 * 20])           # the last 3 of the small one have a hobby there
    assert not any(np.array_equal(small["x"][u * 20:u * 20 + 20], other["x"][u * 20:u * 20 + 20]) for u in range(30))


def test_only_hobby_users_use_hobby_words_in_about_70_of_100_messages(corpus):
    common = {word for subject in messages.TOPICS for words in SUBJECTS[subject] for word in words}
    rare = [VOCABULARY.index(word) for subject in HOBBIES for words in SUBJECTS[subject] for word in words if word not in common]
    uses = np.isin(corpus["x"], rare).any(1).reshape(240, 50).mean(1)
    assert len(rare) > 50 and not uses[:216].any() and messages.hobby_users(240) == range(216, 240)
    assert 0.6 < uses[216:].mean() < 0.8 and uses[216:].min() > 0.4


def test_the_subject_of_a_message_is_where_its_words_come_from(corpus):
    owners = {}
    for subject, parts in SUBJECTS.items():
        for word in (word for part in parts for word in part):
            owners.setdefault(word, set()).add(subject)
    for tokens, subject in zip(corpus["x"][::7], corpus["y"][::7], strict=True):
        told = [owners[VOCABULARY[token]] for token in tokens if VOCABULARY[token] in owners and VOCABULARY[token] not in messages.NAMES]
        assert told and sum(CLASSES[subject] in subjects for subjects in told) >= len(told) - 1     # "later" and "cool" may mean two things


def test_generate_is_a_dataset_that_its_rng_decides():
    data = messages.generate(20, 5, rng=rng())
    assert data.x.shape == (100, 21) and data.x.dtype == data.user.dtype == torch.int64
    assert data.groups == {"usual": range(18), "hobby": range(18, 20)} and set(data.group("hobby").user.tolist()) == {18, 19}
    assert torch.equal(data.x, messages.generate(20, 5, rng=rng()).x) and not torch.equal(data.x, messages.generate(20, 5, rng=rng(1)).x)


def test_one_user_with_one_message_is_enough_and_none_is_refused():
    assert messages.corpus(1, 1, seed=0)["x"].shape == (1, 21)
    for users, each in (0, 5), (5, 0):
        with pytest.raises(ValueError, match="both must be at least 1"):
            messages.generate(users, each, rng=rng())
