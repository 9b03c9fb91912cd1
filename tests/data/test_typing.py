import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from odl_kit.data import cards, datasets, messages, text


@pytest.fixture(scope="module")
def data():
    return datasets.load("typing")


def test_a_hundred_users_wrote_a_hundred_messages_each_in_order(data):
    assert data.x.shape == (10_000, 21) and (data.user.bincount() == 100).all() and len(data.user.unique()) == 100
    assert (data.time.reshape(100, 100) == np.arange(100)).all()
    assert [*data.groups["usual"], *data.groups["hobby"]] == list(range(100)) and data.groups["hobby"] == messages.hobby_users(100)


def test_a_message_starts_ends_once_and_is_filled_up_behind(data):
    x = data.x.numpy()
    assert (x[:, 0] == messages.START).all() and ((x == messages.START).sum(1) == 1).all() and ((x == messages.END).sum(1) == 1).all()
    end = (x == messages.END).argmax(1)
    assert ((x == messages.PAD) == (np.arange(21) > end[:, None])).all() and x.max() == len(messages.VOCABULARY) - 1


def test_the_card_says_what_is_there(data):
    card = cards.read("typing")
    assert data.classes == messages.CLASSES and (data.y.bincount(minlength=14) > 0).all()
    assert card["synthetic"] and f"{len(messages.VOCABULARY) - 3} words" in card["source"] and card["licence"] == "Apache-2.0"
    assert 0.98 < len(np.unique(data.x.numpy(), axis=0)) / len(data) < 1        # "About 1 % of the messages occur twice"


def test_the_words_tell_the_subject(data):
    words = np.stack([np.bincount(row, minlength=348)[3:] for row in data.x.numpy()])
    early, y = (data.time < 80).numpy(), data.y.numpy()
    assert MultinomialNB().fit(words[early], y[early]).score(words[~early], y[~early]) > 0.9        # measured 0.99; chance is 0.15


def test_a_users_own_bigrams_beat_everybodys_on_messages_written_later(data):
    train, test = datasets.split(text.next_word(data, context=1), by="time", test=0.2)
    assert set(test.time.tolist()) == set(range(80, 100))
    counts = np.zeros((100, 348, 348))
    np.add.at(counts, (train.user, train.x[:, 0], train.y), 1)
    generic = counts.sum(0).argmax(1)
    own = counts.argmax(2)
    right = {"generic": generic[test.x[:, 0]] == test.y.numpy(), "own": own[test.user, test.x[:, 0]] == test.y.numpy()}
    by_user = {name: np.bincount(test.user, hits) / np.bincount(test.user) for name, hits in right.items()}
    assert by_user["own"].mean() - by_user["generic"].mean() > 0.06         # measured 0.48 and 0.35
    assert (by_user["own"] > by_user["generic"]).mean() > 0.9               # measured 0.99
