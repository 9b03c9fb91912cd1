"""From messages to prediction: windows of tokens, the next one as target, for `nets.word_model(len(data.classes), context=...)`."""
from dataclasses import replace

import torch
import torch.nn.functional as F

from odl_kit.data import messages

LETTERS = ("<pad>", "<s>", "</s>", " ", *"abcdefghijklmnopqrstuvwxyz")


def next_word(data, *, context=4):
    """Messages (`datasets.load("typing")`, `messages.generate`) -> Dataset of M windows: x (M, context) int64 words, y (M,) the next word.

    classes is the vocabulary; each window keeps the user and the time of its message. Early windows are filled up with <pad> on the left;
    </s>, the end of a message, is a target like any word. About 11.6 windows a message. Raises ValueError when context < 1.
    """
    return _predict_next(data, data.x, messages.VOCABULARY, context)


def next_letter(data, *, context=8):
    """The same letter by letter, over LETTERS: x (M, context), y (M,). About 51 windows a message: take a subset of users first."""
    texts = [text(tokens) for tokens in data.x]
    letters = torch.zeros((len(texts), max(map(len, texts)) + 2), dtype=torch.int64)
    for row, letter in enumerate(texts):
        tokens = [messages.START, *map(LETTERS.index, letter), messages.END]
        letters[row, :len(tokens)] = torch.tensor(tokens)
    return _predict_next(data, letters, LETTERS, context)


def text(tokens):
    """Word tokens (L,) -> the message as str."""
    return " ".join(messages.VOCABULARY[token] for token in tokens.tolist() if token > messages.END)


def windows(tokens, *, context):
    """tokens (N, L) int64, <pad> (0) behind the end of a row -> contexts (M, context), targets (M,), row (M,) that each window is from.

    Every token but the first of a row is a target once. Raises ValueError when context < 1.
    """
    if context < 1:
        raise ValueError(f"context = {context}: at least one token must stand before the one to predict")
    contexts = F.pad(tokens[:, :-1], (context - 1, 0), value=messages.PAD).unfold(1, context, 1)    # (N, L - 1, context)
    real = tokens[:, 1:] != messages.PAD
    return contexts[real], tokens[:, 1:][real], real.nonzero()[:, 0]


def _predict_next(data, tokens, classes, context):
    x, y, row = windows(tokens, context=context)
    return replace(data, x=x, y=y, user=data.user[row], time=data.time[row], classes=classes, units="tokens, an index into classes")
