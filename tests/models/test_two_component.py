import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from odl_kit.learners import train
from odl_kit.models import flat, nets, two_component


def seed(number=0):
    return torch.Generator().manual_seed(number)


def world(words=7, context=2, number=0, examples=60):
    """(net, x, y): a small table and windows by chance."""
    net = two_component.word_table(words, context=context, embedding=5, hidden=6, rng=seed(number))
    tokens = torch.randint(words, (examples, context + 1), generator=seed(number + 1))
    return net, tokens[:, :-1], tokens[:, -1]


@settings(max_examples=40)
@given(words=st.integers(2, 60), number=st.integers(0, 20))
def test_every_word_has_a_place_of_its_own_in_the_smallest_square(words, number):
    net = two_component.word_table(words, context=1, embedding=2, hidden=2, rng=seed(number))
    assert (net.side - 1) ** 2 < words <= net.side ** 2
    assert len(net.cell.unique()) == words and 0 <= net.cell.min() and net.cell.max() < net.side ** 2


def test_probabilities_are_those_of_a_plain_loop():
    net, x, _ = world()
    net.requires_grad_(False)
    out = net(x[:4])
    for n in range(4):
        vectors = [net.rows.weight[net.cell[w] // 3] + net.columns.weight[net.cell[w] % 3] for w in x[n]]
        before = net.hidden(torch.cat(vectors))
        row = F.softmax(net.row_head(before.relu()), -1)
        for word in range(7):
            i, j = divmod(int(net.cell[word]), 3)
            column = F.softmax(net.column_head((before + net.row_given(net.rows.weight[i])).relu()), -1)
            assert out[n, word].item() == pytest.approx(math.log(row[i] * column[j]), abs=1e-5)


def test_a_full_table_gives_probabilities_that_sum_to_1_and_places_to_spare_leave_less():
    assert world(words=9)[0](world(words=9)[1]).exp().sum(1).sub(1).abs().max() < 1e-5
    net, x, _ = world(words=7)
    assert (net(x).exp().sum(1) < 1).all()


def test_weights_come_from_rng_alone_and_the_table_is_not_part_of_w():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    a, b, c = (two_component.word_table(50, context=2, rng=seed(n)) for n in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(flat.ravel(a), flat.ravel(b)) and torch.equal(a.cell, b.cell) and not torch.equal(flat.ravel(a), flat.ravel(c))
    assert a.num_bytes() == 4 * len(flat.ravel(a)) + 2 * 50


def test_348_words_take_38_vectors_in_and_38_scores_out():
    net, plain = two_component.word_table(348, context=4, rng=seed()), nets.word_model(348, context=4, rng=seed())
    assert net.rows.weight.numel() + net.columns.weight.numel() == 2 * 19 * 16
    assert plain.embedding.weight.numel() == 348 * 16
    # vectors, hidden layer, from row to hidden, two heads of 19
    assert len(flat.ravel(net)) == 2 * 19 * 16 + 4 * 16 * 32 + 32 + 16 * 32 + 2 * (19 * 32 + 19)


def test_the_cost_of_the_places_as_they_are_is_the_loss_that_the_net_has():
    net, x, y = world(words=9)
    cost = two_component.costs(net, x, y, batch_size=7)
    with torch.no_grad():
        loss = F.cross_entropy(net(x), y, reduction="sum")      # the table is full: log-probabilities sum to 1
    assert cost.shape == (9, 9) and cost.gather(1, net.cell[:, None]).sum().item() == pytest.approx(loss.item(), rel=1e-5)


def test_reallocation_finds_the_least_sum_that_trying_all_orders_finds():
    net, x, y = world(words=4)
    cost = two_component.costs(net, x, y)
    least = min(sum(cost[w, place].item() for w, place in enumerate(order)) for order in permutations(range(4)))
    start = _cost_at(cost, net.cell)
    before, after = two_component.reallocate(net, x, y)
    assert before == pytest.approx(start)
    assert after == pytest.approx(least) and _cost_at(cost, net.cell) == pytest.approx(least) and after <= before
    assert sorted(net.cell.tolist()) == [0, 1, 2, 3]


def _cost_at(cost, cell):
    return sum(cost[word, place].item() for word, place in enumerate(cell.tolist()))


def test_a_word_that_does_not_occur_costs_nothing_anywhere():
    net, x, y = world(words=7)
    kept = y != 3
    assert (two_component.costs(net, x[kept], y[kept])[3] == 0).all()


def test_it_learns_what_follows_what():
    net = two_component.word_table(9, context=1, rng=seed())
    x = torch.randint(9, (400, 1), generator=seed(1))
    y = (x[:, 0] * 2) % 9
    train.fit(net, x, y, epochs=40, batch_size=16, lr=0.2, rng=seed(), progress=False)
    assert train.evaluate(net, x, y)["accuracy"] == 1.0


def test_a_vocabulary_of_one_is_refused():
    with pytest.raises(ValueError, match="at least 2 words"):
        two_component.word_table(1, context=2, rng=seed())
