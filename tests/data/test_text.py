import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.data import messages, text
from odl_kit.models import nets


@pytest.fixture(scope="module")
def data():
    return messages.generate(6, 10, rng=torch.Generator().manual_seed(0))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=4), st.integers(1, 8))
def test_windows_are_what_a_plain_loop_cuts(rows, context):
    tokens = torch.zeros((len(rows), 7), dtype=torch.int64)
    for row, values in enumerate(rows):
        tokens[row, :len(values)] = torch.tensor(values)
    expected = [(([0] * context + values[:at])[-context:], values[at], row)
                for row, values in enumerate(rows) for at in range(1, len(values))]
    x, y, row = text.windows(tokens, context=context)
    assert x.shape == (len(expected), context)
    assert list(zip(x.tolist(), y.tolist(), row.tolist(), strict=True)) == expected


def test_the_words_to_predict_are_the_messages_and_their_end(data):
    words = text.next_word(data, context=3)
    assert words.classes == messages.VOCABULARY and words.x.shape == (len(words), 3)
    for user in range(6):
        for time in range(10):
            mine = (words.user == user) & (words.time == time)
            message = data.x[(data.user == user) & (data.time == time)][0]
            spoken = [messages.VOCABULARY[token] for token in words.y[mine]]
            assert " ".join(spoken) == text.text(message) + " </s>"


def test_the_letters_to_predict_spell_the_messages(data):
    letters = text.next_letter(data, context=8)
    first = (letters.user == 0) & (letters.time == 0)
    assert "".join(text.LETTERS[letter] for letter in letters.y[first]) == text.text(data.x[0]) + "</s>"
    assert letters.x[0].tolist() == [0] * 7 + [1] and letters.classes == text.LETTERS and len(letters.user.unique()) == 6


@pytest.mark.parametrize("windows", [text.next_word, text.next_letter])
def test_a_word_model_takes_the_windows(data, windows):
    task = windows(data, context=5)
    net = nets.word_model(len(task.classes), context=5, rng=torch.Generator().manual_seed(0))
    assert net(task.x).shape == (len(task), len(task.classes))


def test_a_context_of_nothing_is_refused(data):
    with pytest.raises(ValueError, match="context = 0: at least one token"):
        text.next_word(data, context=0)
