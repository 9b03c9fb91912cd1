"""The thin call that rounds use. That client_update equals torch.optim.SGD and every fast path stands in tests/learners/test_cohort.py."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from odl_kit.federation import local
from odl_kit.learners import cohort, plan
from odl_kit.models import flat


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def setting():
    """Four unequal clients of a 6-5-3 net, and weights for it."""
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    rng = seeded(0)
    x, y = torch.randn(4, 8, 6, generator=rng), torch.randint(3, (4, 8), generator=rng)
    return net, SimpleNamespace(x=x, y=y, num_examples=torch.tensor([8, 2, 5, 3])), 0.3 * torch.randn(len(flat.ravel(net)), generator=rng)


def test_the_uplink_holds_the_chosen_clients_updates_by_client_update(setting):
    net, clients, w = setting
    chosen, options = torch.tensor([1, 2]), {"batch_size": 4, "lr": 0.1, "momentum": 0.5}
    uplink = local.train_cohort(net, clients, w, chosen, rng=seeded(5), epochs=3, **options)
    order = cohort.batch_order(torch.tensor([2, 5]), 3, rng=seeded(5))
    for row, (c, n) in enumerate([(1, 2), (2, 5)]):
        expected = local.client_update(net, w, clients.x[c, :n], clients.y[c, :n], order=order[row, :, :n], **options)
        torch.testing.assert_close(uplink.updates[row], expected, atol=1e-6, rtol=0)
    assert uplink.ids.tolist() == [1, 2] and uplink.num_examples.tolist() == [2, 5] and uplink.failed == ()
    assert uplink.nbytes == 2 * len(w) * 4
    assert uplink.note.startswith("batched: ")


def test_a_plan_sends_only_what_it_names(setting):
    net, clients, w = setting
    head = plan.head_only(net)
    uplink = local.train_cohort(net, clients, w, torch.arange(4), rng=seeded(0), epochs=1, batch_size=4, lr=0.1, plan=head)
    assert uplink.nbytes == 4 * 4 * (5 * 3 + 3)
    assert (uplink.updates[:, :6 * 5 + 5] == 0).all() and (uplink.updates[:, 6 * 5 + 5:] != 0).any(1).all()


def test_a_named_method_is_taken_and_noted(setting):
    net, clients, w = setting
    options = {"epochs": 2, "batch_size": None, "lr": 0.1}
    by_auto, by_loop = (local.train_cohort(net, clients, w, torch.arange(4), rng=seeded(0), method=m, **options) for m in ("auto", "loop"))
    assert by_loop.note == "loop"
    torch.testing.assert_close(by_auto.updates, by_loop.updates, atol=1e-6, rtol=0)


def test_the_gradient_is_that_of_finite_differences(setting):
    net, clients, w = setting
    x, y, w = clients.x[0].double(), clients.y[0], w.double()
    loss, step = flat.flat_loss(net), 1e-6
    units = torch.eye(len(w), dtype=torch.float64)
    numeric = torch.stack([(loss(w + step * e, x, y) - loss(w - step * e, x, y)) / (2 * step) for e in units])
    torch.testing.assert_close(local.gradient(net, w, x, y), numeric, atol=1e-8, rtol=1e-6)


def test_a_client_without_examples_is_an_error_that_names_it(setting):
    net, clients, w = setting
    clients.num_examples[2] = 0
    with pytest.raises(ValueError, match="row 2 claims 0"):
        local.train_cohort(net, clients, w, torch.tensor([0, 2]), rng=seeded(0), epochs=1, batch_size=4, lr=0.1)
