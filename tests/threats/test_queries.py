import pytest
import torch

from odl_kit.models import nets
from odl_kit.threats import queries


def test_success_within_a_budget_counts_what_succeeded_by_then():
    found = queries.Found(torch.zeros(5, 1), torch.tensor([True, True, False, True, False]), torch.tensor([1, 40, 10, 41, 500]))
    assert [found.within(budget) for budget in (0, 1, 40, 41, 10**6)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.6])


def test_scores_are_probabilities_without_gradients_in_evaluation_mode():
    net = nets.ds_cnn(1, 3, width=4, norm="batch", rng=torch.Generator().manual_seed(0)).train()
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    told = queries.scores(net)(x)
    assert net.training and not told.requires_grad
    net.eval()
    logits = net(x).detach()
    torch.testing.assert_close(told, logits.exp() / logits.exp().sum(1, keepdim=True))
    assert torch.equal(queries.decisions(queries.scores(net))(x), logits.argmax(1))
