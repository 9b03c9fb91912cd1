"""Every path of the cohort against federation.local.client_update, one client at a time, and that one against torch.optim.SGD."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from odl_kit.federation import local
from odl_kit.learners import cohort, cohort_steps, native
from odl_kit.models import flat


@pytest.fixture(autouse=True)
def compiler(request, need_tool):
    """A test with the parameter "native" needs a C compiler."""
    parameters = request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
    if any("native" in p for p in parameters if isinstance(p, str | tuple)) and not native.compilers():
        need_tool("cc", "gcc", "clang", "zig", hint=native.HINT)


class Mask:
    """A plan as the cohort sees it: an object with mask(net)."""
    def __init__(self, mask):
        self.learns = mask

    def mask(self, net):
        return self.learns


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def weights(net):
    """Weights (P,) for net that are the same in every run."""
    return 0.3 * torch.randn(len(flat.ravel(net)), generator=seeded(11), dtype=next(net.parameters()).dtype)


def dense(inputs, hidden, classes, bias=True, relu_last=False):
    sizes, layers = [inputs, *hidden, classes], [nn.Flatten()]
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b, bias=bias), nn.ReLU()]
    return nn.Sequential(*(layers if relu_last else layers[:-1]))


def convolutional():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))


@st.composite
def cases(draw, dense_only=True):
    """(net, starts, x, y, num_examples, options, plan, seed) of any cohort the interface allows, in small."""
    seed = draw(st.integers(0, 2**20))
    rng = seeded(seed)
    if dense_only:
        shape = draw(st.sampled_from([(5,), (1, 2, 3)]))
        net = dense(torch.Size(shape).numel(), draw(st.lists(st.integers(1, 6), max_size=2)), 3, draw(st.booleans()), draw(st.booleans()))
    else:
        shape, net = (2, 4, 4), convolutional()
    sizes = torch.tensor(draw(st.lists(st.integers(1, 9), min_size=1, max_size=5)))
    room = int(sizes.max()) + draw(st.integers(0, 2))
    x = torch.randn(len(sizes), room, *shape, generator=rng)
    x[torch.arange(room) >= sizes[:, None]] = torch.nan                    # what is behind a client's examples must not matter
    y = torch.randint(3, (len(sizes), room), generator=rng)
    starts = 0.5 * torch.randn(len(sizes), len(flat.ravel(net)), generator=rng)
    starts = starts if draw(st.booleans()) else starts[0]
    plan = draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    plan = None if plan is None else Mask(torch.rand(starts.shape[-1], generator=rng) < plan)
    options = {"epochs": draw(st.integers(1, 3)), "batch_size": draw(st.sampled_from([None, 1, 3, 4, 20])),
               "lr": draw(st.sampled_from([0.01, 0.1])), "momentum": draw(st.sampled_from([0.0, 0.9])),
               "prox": draw(st.sampled_from([0.0, 0.3]))}
    return net, starts, x, y, sizes, options, plan, seed


def one_by_one(net, starts, x, y, sizes, options, plan, seed):
    """The rows of train_cohort by client_update."""
    order = cohort.batch_order(sizes, options["epochs"], rng=seeded(seed))
    rest = {name: value for name, value in options.items() if name != "epochs"}
    return torch.stack([local.client_update(net, start, x[c, :n], y[c, :n], order=order[c, :, :n], plan=plan, **rest)
                        for c, (n, start) in enumerate(zip(sizes.tolist(), starts.expand(len(sizes), -1), strict=True))])


def assert_all_paths_agree(case, paths):
    net, starts, x, y, sizes, options, plan, seed = case
    expected = one_by_one(*case)
    assert expected.isfinite().all()
    for path in paths:
        updates = cohort.train_cohort(net, starts, x, y, sizes, plan=plan, rng=seeded(seed), method=path, **options)
        torch.testing.assert_close(updates, expected, atol=1e-6, rtol=0, msg=lambda text, path=path: f"{path}: {text}")
        assert plan is None or (updates[:, ~plan.learns] == 0).all()


@pytest.mark.parametrize("paths", [("batched", "vmap", "loop"), ("native",)])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=cases())
def test_every_path_equals_client_update_on_dense_nets(case, paths):
    assert_all_paths_agree(case, paths)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(cases(dense_only=False))
def test_every_path_equals_client_update_on_convolutional_nets(case):
    assert_all_paths_agree(case, ("vmap", "loop"))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cases())
def test_client_update_equals_torch_sgd(case):
    net, starts, x, y, sizes, options, plan, seed = case
    n, start = int(sizes[0]), starts.expand(len(sizes), -1)[0]
    x, y, size = x[0, :n], y[0, :n], options["batch_size"] or n
    order = cohort.batch_order(sizes[:1], options["epochs"], rng=seeded(seed))[0]
    flat.assign(net, start)
    optimizer = torch.optim.SGD(net.parameters(), lr=options["lr"], momentum=options["momentum"])
    for epoch in order:
        for at in range(0, n, size):
            batch = epoch[at:at + size]
            optimizer.zero_grad()
            distance = sum(((p - s) ** 2).sum() for p, s in zip(net.parameters(), flat.unravel(net, start).values(), strict=True))
            (F.cross_entropy(net(x[batch]), y[batch]) + options["prox"] / 2 * distance).backward()
            if plan is not None:
                for p, mask in zip(net.parameters(), flat.unravel(net, plan.learns).values(), strict=True):
                    p.grad.mul_(mask)
            optimizer.step()
    options = {name: value for name, value in options.items() if name != "epochs"}
    update = local.client_update(net, start, x, y, order=order, plan=plan, **options)
    torch.testing.assert_close(update, flat.ravel(net) - start, atol=1e-6, rtol=0)


def small_cohort(net=None, **changes):
    """Arguments of train_cohort: three unequal clients of a 4-5-3 net."""
    rng, net = seeded(7), net or dense(4, [5], 3)
    case = {"net": net, "w": weights(net), "x": torch.randn(3, 6, 4, generator=rng), "y": torch.randint(3, (3, 6), generator=rng),
            "num_examples": torch.tensor([6, 1, 4]), "epochs": 2, "batch_size": 4, "lr": 0.1, "rng": seeded(1)}
    return case | changes


@pytest.mark.parametrize("method", [path for path in cohort.PATHS if path != "native"])
def test_in_float64_the_paths_agree_to_the_last_digits(method):
    net = dense(4, [5], 3).double()
    case = small_cohort(net, x=small_cohort()["x"].double(), momentum=0.9, prox=0.1)
    options = {"epochs": 2, "batch_size": 4, "lr": 0.1, "momentum": 0.9, "prox": 0.1}
    expected = one_by_one(net, case["w"], case["x"], case["y"], case["num_examples"], options, None, 1)
    torch.testing.assert_close(cohort.train_cohort(**case, method=method), expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("method", cohort.PATHS)
def test_splitting_over_chunks_and_threads_changes_nothing(method, monkeypatch):
    whole = cohort.train_cohort(**small_cohort(), method=method)
    before = torch.get_num_threads()
    monkeypatch.setitem(cohort_steps.CHUNK_BYTES, "cpu", 1)                   # every client a chunk of its own
    monkeypatch.setattr("odl_kit.learners.cohort_batched.WORK_PER_THREAD", 1)
    monkeypatch.setattr("odl_kit.learners.cohort_native.WORK_PER_THREAD", 1)
    monkeypatch.setattr(cohort_steps, "cores", lambda device: 3)
    torch.testing.assert_close(cohort.train_cohort(**small_cohort(), method=method), whole, atol=1e-7, rtol=0)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("method", cohort.PATHS)
def test_rows_pick_clients_and_may_repeat_one(method):
    case = small_cohort(epochs=1, batch_size=None)                            # one full batch, so that the order plays no part
    every = cohort.train_cohort(**case, method=method)
    picked = cohort.train_cohort(**case, rows=torch.tensor([2, 0, 2]), method=method)
    torch.testing.assert_close(picked, every[[2, 0, 2]], atol=1e-7, rtol=0)


@pytest.mark.parametrize("method", cohort.PATHS)
def test_a_client_that_diverges_is_not_hidden_and_harms_no_other(method):
    case = small_cohort()
    clean = cohort.train_cohort(**case, method=method)
    case["x"][2, 0, 0] = torch.inf
    updates = cohort.train_cohort(**case | {"rng": seeded(1)}, method=method)
    assert not updates[2].isfinite().any(), "every weight of a dense net is lost after the first step"
    torch.testing.assert_close(updates[:2], clean[:2], atol=1e-7, rtol=0)
    case = small_cohort(lr=1e30, epochs=3)
    assert not cohort.train_cohort(**case, method=method)[0].isfinite().all()


@pytest.mark.parametrize("method", cohort.PATHS)
def test_the_net_and_the_global_generator_stay_as_they_were(method):
    net = dense(4, [5], 3).requires_grad_(False)
    before, state = flat.ravel(net), torch.get_rng_state()
    assert cohort.train_cohort(**small_cohort(net), method=method).abs().max() > 1e-3
    assert torch.equal(flat.ravel(net), before) and not any(p.requires_grad or p.grad is not None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_one_full_batch_is_fedsgd():
    case = small_cohort(epochs=1, batch_size=None, lr=0.5)
    updates = cohort.train_cohort(**case)
    for c, n in enumerate(case["num_examples"].tolist()):
        flat.assign(case["net"], case["w"]).zero_grad()
        F.cross_entropy(case["net"](case["x"][c, :n]), case["y"][c, :n]).backward()
        gradient = torch.cat([p.grad.flatten() for p in case["net"].parameters()])
        torch.testing.assert_close(updates[c], -0.5 * gradient, atol=1e-7, rtol=0)


def test_batch_order_is_a_new_permutation_for_each_client_and_epoch():
    sizes = torch.tensor([50, 1, 30])
    order = cohort.batch_order(sizes, 4, rng=seeded(0))
    assert order.shape == (3, 4, 50) and order.dtype == torch.int64
    for c, n in enumerate(sizes.tolist()):
        assert torch.equal(order[c, :, :n].sort(1).values, torch.arange(n).expand(4, n))
    assert not torch.equal(order[0, 0], order[0, 1]) and not torch.equal(order[0, 0, :30], order[2, 0, :30])
    assert torch.equal(order, cohort.batch_order(sizes, 4, rng=seeded(0)))


def test_every_order_of_a_small_client_is_equally_likely():
    order = cohort.batch_order(torch.full((6000,), 3), 1, rng=seeded(3))[:, 0]
    counts = torch.unique(order, dim=0, return_counts=True)[1]
    assert len(counts) == 6 and ((counts - 1000).abs() < 5 * 1000 ** 0.5).all()          # five standard deviations


class Fork(nn.Module):
    """A net whose path depends on its data: torch.func refuses it."""
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(x) if x.sum() > 0 else self.head(-x)


@pytest.mark.parametrize("net, shape, method, why", [
    (dense(4, [5], 3), (4,), "batched", "only Linear and ReLU"),
    (nn.Linear(4, 3), (4,), "batched", "only Linear and ReLU"),
    (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), (4,), "vmap", "MFLOP"),
    (nn.Sequential(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(6), nn.Flatten(), nn.Linear(512, 3)), (1, 28, 28), "loop", "MFLOP"),
    (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)), (2, 4, 4), "loop", "BatchNorm '1'"),
    (Fork(), (4,), "loop", "vmap refuses"),
])
def test_auto_takes_the_path_that_fits_the_net_and_equals_client_update(net, shape, method, why):
    x, y, sizes = torch.randn(2, 10, *shape, generator=seeded(0)), torch.randint(3, (2, 10), generator=seeded(1)), torch.tensor([10, 7])
    w = weights(net)
    chosen, sentence = cohort.choose(net, w, x, batch_size=5)
    assert chosen == method and why in sentence and sentence.startswith(method)
    options = {"epochs": 1, "batch_size": 5, "lr": 0.05}
    expected = one_by_one(net, w, x, y, sizes, options, None, 4)
    updates = cohort.train_cohort(net, w, x, y, sizes, rng=seeded(4), **options)
    torch.testing.assert_close(updates, expected, atol=1e-6, rtol=0)


def test_the_running_averages_of_batchnorm_stay_as_they_were():
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    cohort.train_cohort(**small_cohort(net, num_examples=torch.tensor([6, 4, 4]), batch_size=2))
    assert (net[1].running_mean == 0).all() and net[1].num_batches_tracked == 0


@pytest.mark.parametrize("changes, says", [
    ({"method": "fast"}, "auto, native, batched, vmap, loop"),
    ({"num_examples": torch.tensor([6, 0, 4])}, "row 1 claims 0"),
    ({"num_examples": torch.tensor([6, 1, 7])}, "row 2 claims 7"),
    ({"num_examples": torch.tensor([6, 1])}, "do not fit"),
    ({"y": torch.zeros(3, 6)}, "int64"),
    ({"w": torch.zeros(2, 43)}, "for 3 clients"),
    ({"w": torch.zeros(42)}, "has 42 weights"),
    ({"rows": torch.tensor([], dtype=torch.int64)}, "no client chosen"),
    ({"batch_size": 0}, "at least 1"),
    ({"net": nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), "method": "batched"}, "other layers"),
    ({"net": nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), "method": "vmap"}, "mixes the examples"),
    ({"net": nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3))}, "net.eval"),
])
def test_what_does_not_fit_is_an_error_that_says_why(changes, says):
    with pytest.raises(ValueError, match=says):
        cohort.train_cohort(**small_cohort(**changes))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("method", [path for path in cohort.PATHS if path != "native"])
def test_a_gpu_gives_the_same_updates(method):
    case = small_cohort(momentum=0.9, prox=0.1)
    expected = cohort.train_cohort(**case, method=method)
    updates = cohort.train_cohort(**case | {"rng": seeded(1)}, method=method, device="cuda")
    assert updates.device.type == "cpu"
    torch.testing.assert_close(updates, expected, atol=1e-5, rtol=0)
