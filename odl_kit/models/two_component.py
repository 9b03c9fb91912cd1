"""A word model whose vocabulary is a table: a word is a row and a column, and V words share 2 sqrt(V) vectors instead of having V.

Words in one row share the row's vector, words in one column the column's. That fits only if such words are alike, so the table is filled
anew, now and then, where the model itself would expect the words: `reallocate`.
Source: Li et al. 2016 (LightRNN). Theirs is recurrent and reads column and row as two steps; ours has a fixed window, as `nets.word_model`,
and adds the two vectors.
"""
import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.nn import functional as F


class WordTable(nn.Module):
    """The next word: x (N, context) int64 words -> (N, vocabulary) log-probabilities, which cross-entropy takes as logits.

    cell: (vocabulary,) int64 buffer, the place of each word in a square table of `side` rows, counted row by row. It is not part of w.
    With places to spare, what falls on empty places is shared out again by the cross-entropy's softmax.
    """

    def __init__(self, vocabulary, context, embedding, hidden):
        super().__init__()
        self.side = side = math.isqrt(vocabulary - 1) + 1
        self.rows, self.columns = nn.Embedding(side, embedding), nn.Embedding(side, embedding)
        self.hidden = nn.Linear(context * embedding, hidden)
        self.row_given = nn.Linear(embedding, hidden, bias=False)
        self.row_head, self.column_head = nn.Linear(hidden, side), nn.Linear(hidden, side)
        self.register_buffer("cell", torch.zeros(vocabulary, dtype=torch.int64))

    def by_row_and_column(self, x):
        """log P(row) (N, side), and log P(column | row) (N, side, side), rows first."""
        row, column = self.cell[x] // self.side, self.cell[x] % self.side
        before = self.hidden((self.rows(row) + self.columns(column)).flatten(1))        # vector of a word = row vector + column vector
        # the column is guessed with each row given in turn, by the same row vectors that the input uses
        given = F.relu(before[:, None] + self.row_given(self.rows.weight))
        return F.log_softmax(self.row_head(F.relu(before)), -1), F.log_softmax(self.column_head(given), -1)

    def forward(self, x):
        # P(word) = P(row of the word) P(column of the word | row of the word)
        row, column = self.by_row_and_column(x)
        return (row[:, :, None] + column).flatten(1)[:, self.cell]

    def num_bytes(self):
        """Bytes of all float32 weights, and of the table: two numbers a word, of one byte each up to 256 rows, else of two."""
        return 4 * sum(p.numel() for p in self.parameters()) + 2 * len(self.cell) * (1 if self.side <= 256 else 2)


def word_table(vocabulary, *, context, embedding=16, hidden=32, rng):
    """A WordTable with weights and places drawn from rng alone. Weights as in `nets`: He et al. 2015 (uniform), biases 0; vectors so that
    the sum of two has variance 1. Raises ValueError for fewer than 2 words."""
    if vocabulary < 2:
        raise ValueError(f"a vocabulary of {vocabulary}: at least 2 words are wanted")
    with torch.device("meta"):                  # no draw from the global generator
        net = WordTable(vocabulary, context, embedding, hidden)
    net.to_empty(device="cpu")
    for layer in net.children():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=0.5 ** 0.5, generator=rng)
        else:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    net.cell.copy_(torch.randperm(net.side ** 2, generator=rng)[:vocabulary])
    return net


@torch.no_grad()
def costs(net, x, y, *, batch_size=1024):
    """What it costs to have a word in a place: (vocabulary, side * side) float64, in nats, summed over where the word occurs in y (N,).

    cost(w, (i, j)) = sum over t with y_t = w of  - log P(row i) - log P(column j | row of w now):  Li et al. 2016, sec. 3.2.
    """
    words, side = len(net.cell), net.side
    by_row, by_column = torch.zeros(2, words, side, dtype=torch.float64)
    for part, truth in zip(x.split(batch_size), y.split(batch_size), strict=True):
        row, column = net.by_row_and_column(part)
        by_row.index_add_(0, truth, -row.double())
        by_column.index_add_(0, truth, -column[torch.arange(len(part)), net.cell[truth] // side].double())
    return (by_row[:, :, None] + by_column[:, None]).flatten(1)


def reallocate(net, x, y):
    """Give each word the place in the table that makes the sum of all costs least; changes net.cell. -> (cost before, cost after), in nats.

    x (N, context), y (N,) int64: what was read. An exact minimum weight perfect matching of words and places; for large
    vocabularies Li et al. use a faster, approximate one. The costs hold for the weights as they are: train on after it.
    """
    cost = costs(net, x, y)
    words, places = linear_sum_assignment(cost.numpy())
    before = float(cost.gather(1, net.cell[:, None]).sum())
    net.cell[torch.from_numpy(words)] = torch.from_numpy(places)
    return before, float(cost.gather(1, net.cell[:, None]).sum())
