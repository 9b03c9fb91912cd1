import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise, roc_curve
from torch import nn

from odl_kit.federation import rounds, selection, verification
from odl_kit.federation.metrics import equal_error_rate
from odl_kit.models import flat, nets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clients():
    return SimpleNamespace(x=torch.randn(3, 6, 4, generator=seeded()), num_examples=torch.tensor([6, 2, 5]))


def test_codes_are_signs_and_no_two_are_alike():
    codes = verification.secret_codes(8, 3, rng=seeded())
    assert sorted(codes.tolist()) == [list(signs) for signs in itertools.product((-1, 1), repeat=3)]
    with pytest.raises(ValueError, match="9 users, and 3 bits make 8 codes"):
        verification.secret_codes(9, 3, rng=seeded())


def test_match_is_the_cosine_of_scikit_learn():
    a, b = torch.randn(5, 7, generator=seeded()), torch.randn(3, 7, generator=seeded(1))
    np.testing.assert_allclose(verification.match(a, b), pairwise.cosine_similarity(a, b), atol=1e-6)


def test_code_loss_is_nought_at_the_code_and_two_at_its_opposite_at_any_length():
    code = verification.secret_codes(1, 16, rng=seeded())[0]
    for length in (0.01, 1, 50):
        assert float(verification.code_loss(length * code[None], code)) == pytest.approx(0, abs=1e-6)
        assert float(verification.code_loss(-length * code[None], code)) == pytest.approx(2)
    assert float(verification.code_loss(code[None] / 2, code, unit=False)) == 0.5
    assert float(verification.code_loss(3 * code[None], code, unit=False)) == 0


@pytest.mark.parametrize("unit", [True, False])
def test_training_on_codes_is_torchs_sgd_client_by_client(unit):
    net, data, codes = nets.mlp(4, 5, 8, rng=seeded()), clients(), verification.secret_codes(3, 8, rng=seeded(1))
    w, chosen, rng = flat.ravel(net), torch.tensor([0, 2]), seeded(5)
    got = verification.train_codes(net, data, codes, w, chosen, steps=4, batch_size=3, lr=0.3, unit=unit, rng=seeded(5))
    for row, c in enumerate(chosen.tolist()):
        flat.assign(net, w)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
        for _ in range(4):
            batch = torch.randint(int(data.num_examples[c]), (3,), generator=rng)
            optimizer.zero_grad()
            outputs = net(data.x[c, batch])
            target = nn.functional.cosine_similarity(outputs, codes[c:c + 1]) if unit else (outputs * codes[c]).mean(1)
            torch.relu(1 - target).mean().backward()
            optimizer.step()
        torch.testing.assert_close(got.updates[row], flat.ravel(net) - w, atol=1e-6, rtol=0)
    assert got.num_examples.tolist() == [6, 5] and got.ids.tolist() == [0, 2] and got.nbytes == 2 * 4 * len(w)


def test_rounds_on_secret_codes_bring_each_user_to_its_own_code():
    data, codes = clients(), verification.secret_codes(3, 8, rng=seeded(1))
    data.x += 3 * torch.eye(3, 4)[:, None]                                    # users differ
    net = nets.mlp(4, 16, 8, rng=seeded())
    def train(w, chosen, *, rng):
        return verification.train_codes(net, data, codes, w, chosen, steps=3, batch_size=6, lr=0.5, rng=rng)
    history = rounds.run(flat.ravel(net), train=train, select=selection.uniform(3, 3), rounds=60, rng=seeded(), progress=False)
    flat.assign(net, history.w)
    for c in range(3):
        scores = verification.match(net(data.x[c, :data.num_examples[c]]), codes)
        assert (scores.argmax(1) == c).float().mean() > 0.7


def test_prototypes_are_means_of_unit_vectors():
    embeddings, user = torch.tensor([[3.0, 0.0], [0.0, 0.5], [-2.0, 0.0]]), torch.tensor([7, 7, 4])
    torch.testing.assert_close(verification.prototypes(embeddings, user, [4, 7]), torch.tensor([[-1.0, 0.0], [0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"users \[9\] have no example"):
        verification.prototypes(embeddings, user, [4, 9])


def test_error_rates_lie_between_the_two_errors_of_scikit_learns_roc_and_strangers_count():
    rng = seeded(2)
    user = torch.arange(90) % 3
    scores = torch.randn(90, 2, generator=rng) + (user[:, None] == torch.tensor([0, 1]))
    rates = verification.error_rates(scores, user, [0, 1])
    for k in (0, 1):
        let_in, accepted, _ = roc_curve(user == k, scores[:, k], drop_intermediate=False)
        nearest = np.abs(1 - accepted - let_in).argmin()
        assert abs(float(rates[k]) - let_in[nearest]) <= 1 / 30
    strangers = verification.error_rates(scores, user, [0, 1], against=torch.tensor([2]))
    for k in (0, 1):
        kept = (user == k) | (user == 2)
        torch.testing.assert_close(strangers[k], equal_error_rate(scores[kept, k], (user[kept] == k).long()))
    with pytest.raises(ValueError, match="class 0 and of class 1"):
        verification.error_rates(scores[:, :1], torch.zeros(90), [0])
