"""The compiled path beyond what test_cohort.py asks of every path: all tile widths, threads, what must come through unhidden."""
import pytest
import torch
from torch import nn

from odl_kit.federation import local
from odl_kit.learners import cohort, cohort_native, cohort_steps, native
from odl_kit.models import flat


@pytest.fixture(autouse=True)
def compiler(need_tool):
    if not native.compilers():
        need_tool("cc", "gcc", "clang", "zig", hint=native.HINT)


class Mask:
    """A plan as the cohort sees it: an object with mask(net)."""
    def __init__(self, mask):
        self.learns = mask

    def mask(self, net):
        return self.learns


def case(sizes=(33, 40, 18, 20), num_examples=(45, 3, 17, 1, 32), **changes):
    """Arguments of train_cohort whose sizes leave a rest in every tile, panel and batch."""
    rng, num_examples = torch.Generator().manual_seed(5), torch.tensor(num_examples)
    layers = [layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    net = nn.Sequential(*layers)
    x = torch.randn(len(num_examples), int(num_examples.max()) + 1, sizes[0], generator=rng)
    start = 0.2 * torch.randn(len(flat.ravel(net)), generator=rng)
    y = torch.randint(sizes[-1], x.shape[:2], generator=rng)
    options = {"net": net, "w": start, "x": x, "y": y, "num_examples": num_examples, "epochs": 2, "batch_size": 7, "lr": 0.1}
    return options | changes | {"rng": torch.Generator().manual_seed(1)}


def by_client_update(*, net, w, x, y, num_examples, epochs, rng, **options):
    order = cohort.batch_order(num_examples, epochs, rng=rng)
    return torch.stack([local.client_update(net, start, x[c, :n], y[c, :n], order=order[c, :, :n], **options)
                        for c, (n, start) in enumerate(zip(num_examples.tolist(), w.expand(len(x), -1), strict=True))])


NUMBERS = torch.arange(33 * 40 + 40 + 40 * 18 + 18 + 18 * 20 + 20)        # of the weights of the net in `case`
WAYS = [{}, {"batch_size": 1}, {"batch_size": 16}, {"batch_size": 21}, {"batch_size": None}, {"momentum": 0.9}, {"prox": 0.3},
        {"momentum": 0.9, "prox": 0.1, "plan": Mask(NUMBERS % 3 > 0)}, {"plan": Mask(NUMBERS >= 33 * 40 + 40)},
        {"sizes": (70, 3)}, {"sizes": (5, 130, 11)}]


@pytest.mark.parametrize("changes", WAYS, ids=lambda changes: ",".join(changes) or "plain")
def test_tiles_with_rests_equal_client_update(changes):
    expected = by_client_update(**case(**changes))
    torch.testing.assert_close(cohort.train_cohort(**case(**changes), method="native"), expected, atol=1e-6, rtol=0)
    assert expected.abs().max() > 0.01


@pytest.mark.parametrize("target, needs", [("x86-64", "sse2"), ("x86-64-v3", "avx2")])
def test_the_tiles_of_lesser_processors_give_the_same(target, needs, monkeypatch, tmp_path):
    if not native.X86 or needs not in str(native.processor()).split():
        pytest.skip(f"this processor does not run {target}")
    expected = cohort.train_cohort(**case(momentum=0.9), method="native")
    monkeypatch.setenv("ODL_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "FOR_THIS_PROCESSOR", (f"-march={target}",))
    torch.testing.assert_close(cohort.train_cohort(**case(momentum=0.9), method="native"), expected, atol=1e-6, rtol=0)
    assert len(list(tmp_path.iterdir())) == 1


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(cohort_native, "WORK_PER_THREAD", 1)
    runs = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(cohort_steps, "cores", lambda device, threads=threads: threads)
        runs.append(cohort.train_cohort(**case(momentum=0.9), method="native"))
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])


def test_a_relu_lets_nan_through():
    """The second layer's inputs are NaN by way of a ReLU; were they taken for 0, its other weights would stay finite."""
    options = case(sizes=(4, 3, 2), num_examples=(2,), epochs=1, batch_size=None)
    options["x"][0, 0, 0] = torch.nan
    update = flat.unravel(options["net"], cohort.train_cohort(**options, method="native")[0])
    assert all(part.isnan().all() for part in update.values())


def test_denormal_numbers_survive_the_compiled_code():
    native.library(cohort_native.SOURCE)
    tiny = torch.tensor([1e-40, -3e-42])
    assert (tiny * 0.5 != 0).all() and 5e-324 * float(tiny.numel() / 2) != 0, "in this process, once the library is there"
    options = case(sizes=(1, 2), num_examples=(1,), epochs=1, lr=1e-40, w=torch.zeros(4))
    assert (cohort.train_cohort(**options, method="native") != 0).all(), "and in the thread that computes"
    torch.testing.assert_close(cohort.train_cohort(**options, method="native"), by_client_update(**options), atol=1e-44, rtol=0)


def test_what_lies_behind_a_clients_examples_does_not_matter():
    expected, options = cohort.train_cohort(**case(), method="native"), case()
    behind = torch.arange(options["x"].shape[1]) >= options["num_examples"][:, None]
    options["x"][behind], options["y"][behind] = torch.nan, -1
    assert torch.equal(cohort.train_cohort(**options, method="native"), expected)


@pytest.mark.parametrize("changes, says", [
    ({"y": torch.full((5, 46), 20)}, "row 0 has an example of class 20: the net has 0 to 19"),
    ({"y": torch.full((5, 46), -1)}, "class -1"),
    ({"w": torch.zeros(2458, dtype=torch.float64)}, "float32 on the CPU, these are torch.float64"),
    ({"x": torch.zeros(5, 46, 33, dtype=torch.uint8)}, "torch.uint8"),
    ({"net": nn.Sequential(nn.Linear(33, 20), nn.Tanh())}, "other layers"),
    ({"device": "meta"}, "on meta"),
])
def test_what_compiled_code_cannot_take_is_an_error_that_says_why(changes, says):
    with pytest.raises(ValueError, match=says):
        cohort.train_cohort(**case(**changes), method="native")


def test_auto_takes_the_native_path_for_enough_work_unless_switched_off(monkeypatch):
    options = case()
    chosen, why = cohort.choose(options["net"], options["w"], options["x"], batch_size=7)
    assert chosen == "batched" and why.endswith("not native: little work")
    monkeypatch.setattr(cohort, "NATIVE_FROM", options["w"].numel() * options["y"].numel())
    net = case()["net"]
    chosen, why = cohort.choose(net, options["w"], options["x"], batch_size=7)
    assert chosen == "native" and "compiled" in why
    assert torch.equal(cohort.train_cohort(**options | {"net": net}), cohort.train_cohort(**case(), method="native"))
    monkeypatch.setenv("ODL_NATIVE", "0")
    chosen, why = cohort.choose(net, options["w"], options["x"], batch_size=7)
    assert chosen == "batched" and "ODL_NATIVE=0" in why
    with pytest.raises(ValueError, match="ODL_NATIVE=0"):
        cohort.train_cohort(**case(), method="native")
