import math

import pytest
import torch

from odl_kit.federation import servers

ADAPTIVE = {"adagrad": servers.adagrad, "adam": servers.adam, "yogi": servers.yogi}


def updates(count=6, size=5):
    rng = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 1e-2, 1e-4, 3.0, 0.0])
    return [torch.randn(size, generator=rng, dtype=torch.float64) * scale for _ in range(count)]


def apply(server, w, steps):
    state = None
    for update in steps:
        w, state = server(w, update, state)
    return w


def by_torch(optimizer, **options):
    """The same updates as negative gradients of a torch optimizer."""
    w = torch.ones(5, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer([w], **options)
    for update in updates():
        w.grad = -update
        optimizer.step()
    return w.detach()


def test_sgd_with_rate_one_adds_the_update():
    w = torch.ones(5, dtype=torch.float64)
    assert torch.equal(apply(servers.sgd(1.0), w, updates(1)), w + updates(1)[0])
    torch.testing.assert_close(apply(servers.sgd(0.3), w, updates()), by_torch(torch.optim.SGD, lr=0.3))


def test_momentum_is_that_of_torch_on_negative_updates():
    w = torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(apply(servers.momentum(0.3, beta=0.9), w, updates()), by_torch(torch.optim.SGD, lr=0.3, momentum=0.9))
    torch.testing.assert_close(apply(servers.momentum(0.3, beta=0.0), w, updates()), apply(servers.sgd(0.3), w, updates()))


def test_adagrad_is_that_of_torch_started_at_tau_squared():
    expected = by_torch(torch.optim.Adagrad, lr=0.1, initial_accumulator_value=1e-4, eps=1e-2)
    torch.testing.assert_close(apply(servers.adagrad(0.1, tau=1e-2), torch.ones(5, dtype=torch.float64), updates()), expected)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_servers_are_algorithm_2_of_reddi_et_al_number_by_number(name):
    lr, beta1, beta2, tau = 0.1, 0.9, 0.99, 1e-3
    options = {"beta1": beta1, "tau": tau} | ({} if name == "adagrad" else {"beta2": beta2})
    expected = []
    for column in zip(*[u.tolist() for u in updates()], strict=True):
        x, m, v = 1.0, 0.0, tau ** 2
        for delta in column:
            m = beta1 * m + (1 - beta1) * delta
            if name == "adagrad":
                v = v + delta ** 2
            elif name == "yogi":
                v = v - (1 - beta2) * delta ** 2 * ((v > delta ** 2) - (v < delta ** 2))
            else:
                v = beta2 * v + (1 - beta2) * delta ** 2
            x = x + lr * m / (math.sqrt(v) + tau)
        expected.append(x)
    got = apply(ADAPTIVE[name](lr, **options), torch.ones(5, dtype=torch.float64), updates())
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_zero_update_moves_nothing_and_divides_by_nothing(name):
    w = torch.ones(3)
    assert torch.equal(apply(ADAPTIVE[name](0.1), w, [torch.zeros(3)] * 3), w)


@pytest.mark.parametrize("server", [servers.sgd(0.5), servers.momentum(0.5), *(make(0.5) for make in ADAPTIVE.values())])
def test_a_state_kept_as_a_checkpoint_gives_the_same_step_twice(server):
    w, state = torch.ones(5, dtype=torch.float64), None
    for update in updates(3):
        w, state = server(w, update, state)
    first, again = server(w, updates()[3], state)[0], server(w, updates()[3], state)[0]
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_tau_must_be_above_zero(name):
    with pytest.raises(ValueError, match="tau=0"):
        ADAPTIVE[name](0.1, tau=0)
