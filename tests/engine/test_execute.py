"""Whole training steps against a torch training loop, and what the reference refuses."""
import copy
from functools import partial

import numpy as np
import pytest
import torch

from odl_kit.engine import execute, program
from odl_kit.engine.parameters import to_torch
from odl_kit.learners import optimizers, plan, qas, train
from odl_kit.models import flat, nets, quantize

NETS = ("mlp", "tiny_cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ds_cnn", "mobile_net")))
PLANS = ("full", "head_only", "bias_only", "sparse")
seed = torch.Generator().manual_seed


def by_engine(made, x, y, *, epochs, lr, rng):
    """What train.fit does, in the same order of examples: (state, losses of the epochs)."""
    state, losses = None, []
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=rng).split(made.batch)
        total = 0.0
        for part in order:
            state, loss = execute.step(made, state, x[part], y[part], lr)
            total += loss * len(part)
        losses.append(total / len(x))
    return state, losses


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NETS)
def test_floats_train_as_torch_trains_them(world, plan_of, name, plan, momentum):
    net, x, y = world(name)
    chosen = plan_of(plan, net)
    frozen = ~chosen.mask(net)      # of the weights as they are now
    made = program.compile(net, x, chosen, precision="float32", batch=3, momentum=momentum)
    state, losses = by_engine(made, x, y, epochs=3, lr=0.02, rng=seed(5))
    history = train.fit(net, x, y, epochs=3, batch_size=3, lr=0.02, momentum=momentum, plan=chosen, rng=seed(5), progress=False)
    assert np.abs(np.array(losses) - history.losses).max() < 1e-5
    assert (made.weights(state.values) - flat.ravel(net)).abs().max() < 1e-5
    assert torch.equal(made.weights(state.values)[frozen], made.weights()[frozen])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NETS)
def test_integers_train_as_torch_trains_them_within_one_step_of_the_integer(world, plan_of, name, plan, momentum):
    net, x, y = world(name, "int8")
    chosen = plan_of(plan, net)
    made = program.compile(net, x, chosen, batch=3, momentum=momentum)
    state, losses = by_engine(made, x, y, epochs=2, lr=0.05, rng=seed(5))
    history = train.fit(net, x, y, epochs=2, batch_size=3, lr=0.05, plan=chosen, rng=seed(5), progress=False,
                        optimizer=qas.optimizer(net, optimizers.sgd(momentum), store="nearest"))
    assert np.abs(np.array(losses) - history.losses).max() < 1e-3
    moved = 0
    for part in made.layout:
        t, want = made.tensors[part.number], net.get_parameter(part.name).detach().numpy()
        value = state.values.get(part.number, t.data)
        moved += np.count_nonzero(value != t.data)
        value = to_torch(value, part.shape, part.chw) if value.size > len(value) or len(part.shape) > 1 else value.reshape(-1)
        distance = np.abs(value.astype(np.float64) - want)
        if t.dtype == "f32":
            assert distance.max() < 1e-4, part.name
        elif t.dtype == "s8":
            assert distance.max() <= 1, part.name
        else:       # of a bias one step is tiny: the distance counts in real units
            assert (distance * part.scale).max() < 1e-4, part.name
    assert moved > 0


@pytest.mark.parametrize("name", NETS)
def test_predictions_are_those_of_the_net_for_any_number_of_examples(world, name):
    for precision in ("float32", "int8"):
        net, x, _ = world(name, precision)
        made = program.compile(net, x, plan.head_only(net), precision=precision, batch=5)
        with torch.no_grad():
            assert np.abs(execute.predict(made, None, x) - net(x).numpy()).max() < 1e-5
        assert execute.predict(made, None, x[:0]).shape == (0, 10)


def test_a_net_of_integers_learns_and_so_does_one_that_rounds_at_random():
    x, y = torch.rand(64, 1, 8, 8, generator=seed(1)), torch.arange(64) % 2
    x[y == 1, :, :4] += 0.5         # is the upper half brighter?
    net = quantize.quantize_model(nets.tiny_cnn(1, 2, rng=seed(0)), x)
    for rounding in ("nearest", "stochastic"):
        made = program.compile(net, x, plan.full(net), batch=8, rounding=rounding, seed=4)
        state, losses = by_engine(made, x, y, epochs=10, lr=0.05, rng=seed(5))
        assert losses[-1] < 0.5 * losses[0]
        assert (execute.predict(made, state, x).argmax(1) == y.numpy()).mean() > 0.85


def test_the_same_seed_rounds_the_same_way_and_another_does_not(world, plan_of):
    net, x, y = world("tiny_cnn", "int8")
    runs = [by_engine(program.compile(net, x, plan_of("full", net), batch=3, rounding="stochastic", seed=s), x, y, epochs=1, lr=0.05,
                      rng=seed(5))[0].values for s in (1, 1, 2)]
    same, other = (all(np.array_equal(runs[0][n], run[n]) for n in run) for run in runs[1:])
    assert same and not other


def test_a_step_changes_neither_the_state_nor_the_program(world, plan_of):
    net, x, y = world("mlp", "int8")
    made = program.compile(net, x, plan_of("full", net))
    before, state = made.to_bytes(), execute.start(made)
    kept = {n: v.copy() for n, v in state.values.items()}
    after, _ = execute.step(made, state, x[:1], y[:1], 0.5)
    assert made.to_bytes() == before and all(np.array_equal(kept[n], v) for n, v in state.values.items())
    assert (state.step, after.step) == (0, 1)


def test_a_training_that_diverges_ends_in_no_number_and_stored_integers_stay_in_range(world, plan_of):
    net, x, y = world("tiny_cnn", "int8")
    made = program.compile(net, x, plan_of("full", net), batch=2)
    state, loss = None, 0.0
    for _ in range(4):
        state, loss = execute.step(made, state, x[:2], y[:2], 1e30)
    most = {np.dtype(np.int8): 127, np.dtype(np.int32): 2**23}
    assert all(np.abs(v.astype(np.int64)).max() <= most[v.dtype] for v in state.values.values() if v.dtype in most)


def test_what_does_not_fit_the_program_is_refused(world, plan_of):
    net, x, y = world("tiny_cnn")
    made = program.compile(net, x, plan_of("full", net), precision="float32", batch=2)
    step = partial(execute.step, made, None)
    with pytest.raises(ValueError, match="3 examples and 3 labels for a Program of batch 2"):
        step(x[:3], y[:3], 0.1)
    with pytest.raises(ValueError, match="labels go from 0 to 10: this net has the classes 0 to 9"):
        step(x[:2], torch.tensor([0, 10]), 0.1)
    with pytest.raises(ValueError, match=r"an example shaped \(1, 8, 9\).* give \(n, 1, 8, 8\)"):
        step(torch.zeros(2, 1, 8, 9), y[:2], 0.1)


def test_the_input_is_rounded_half_to_even_and_saturates(world, plan_of):
    net, x, _ = world("mlp", "int8")
    made = program.compile(copy.deepcopy(net), x, plan_of("full", net))
    t = made.tensors[made.input]
    values = np.float32([0.5, 1.5, 1e9, -1e9]) * np.float32(t.scale)
    seen = execute.encode(made, np.resize(values, (1, 1, 8, 8)).astype(np.float32)).reshape(-1)[:4]
    assert seen.tolist() == [np.clip(0 + t.zero, -128, 127), np.clip(2 + t.zero, -128, 127), 127, -128]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(24))
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_drawn_nets_train_as_torch_trains_them_and_each_pass_keeps_the_bits(drawn, precision, number):
    net, x, y, chosen = drawn(number)
    net = quantize.quantize_model(net, x, float_head=number % 3 > 0) if precision == "int8" else net
    batch, momentum, lr = 1 + number % 3, (0.0, 0.9)[number % 2], 0.02
    made = program.compile(net, x, chosen, precision=precision, batch=batch, momentum=momentum)
    forward, parameters = train.planned(net, chosen)
    inner, states, state = optimizers.sgd(momentum), [None] * len(parameters), None
    step = inner if precision == "float32" else qas.optimizer(net, inner, store="nearest")
    for k in range(3):
        part = slice(batch * k, batch * (k + 1))
        state, loss = execute.step(made, state, x[part], y[part], lr)
        want = train.loss_of(forward(x[part]), y[part])
        with torch.no_grad():
            gradients = torch.autograd.grad(want, parameters, materialize_grads=True)
            states = [step(p, g, s, lr) for p, g, s in zip(parameters, gradients, states, strict=True)]
        assert abs(loss - want.item()) < (1e-4 if precision == "float32" else 0.05)
    for part in made.layout:
        t, want = made.tensors[part.number], net.get_parameter(part.name).detach().numpy()
        value = state.values.get(part.number, t.data)
        value = to_torch(value, part.shape, part.chw) if len(part.shape) > 1 else value.reshape(-1)
        distance = np.abs(value.astype(np.float64) - want).max()
        assert distance <= {"f32": 1e-4, "s8": 1, "s32": np.inf}[t.dtype], part.name
    for stage in made.passes[1:]:
        other = None
        for k in range(3):
            other, same = execute.step(stage.program, other, x[batch * k:batch * (k + 1)], y[batch * k:batch * (k + 1)], lr)
        assert same == loss, stage.name
    assert program.from_bytes(made.to_bytes()).report == made.report
