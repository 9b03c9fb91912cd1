"""Federated evaluation in MedPerf's manner (Karargyris et al. 2023): the model travels to the data, only metrics come back.

A benchmark committee publishes a Task: model, metrics, data contract, and the digest of all three. Each site compares the digest, checks
its own data against the contract, runs the task, looks at the numbers and signs them off, or does not. The committee gets a Report.

A metric is one number, and a number can carry data out too: a site that does not trust the committee reads the metric before it runs it.
"""
import hashlib
import inspect
import math
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Contract:
    """What a site's data must be. shape: of one example. low, high: the range of x. classes: y is int64 from 0 to classes - 1.
    min_examples: with fewer, a metric would tell too much about each of them."""
    shape: tuple
    low: float
    high: float
    classes: int
    min_examples: int = 20

    def violations(self, x, y):
        """What is wrong with x (N, ...) and y (N,): a tuple of sentences, empty if nothing is. Counts and shapes, never a value."""
        wrong = []
        if tuple(x.shape[1:]) != tuple(self.shape):
            wrong.append(f"an example of x has shape {tuple(x.shape[1:])}, the contract says {tuple(self.shape)}")
        if len(x) != len(y) or y.dtype != torch.int64 or y.dim() != 1:
            wrong.append(f"y is {tuple(y.shape)} {y.dtype} for {len(x)} examples, the contract says one int64 each")
        if len(x) < self.min_examples:
            wrong.append(f"{len(x)} examples, the contract asks for {self.min_examples} at least")
        outside = (~((x >= self.low) & (x <= self.high))).sum().item()        # NaN is in no range
        unknown = ((y < 0) | (y >= self.classes)).sum().item()
        if outside:
            wrong.append(f"{outside} of {x.numel()} values of x are outside {self.low:g} to {self.high:g}, or not numbers")
        if unknown:
            wrong.append(f"{unknown} of {y.numel()} labels are none of the {self.classes} classes")
        return tuple(wrong)


@dataclass(frozen=True)
class Task:
    """What the committee publishes. net: nn.Module, used in evaluation mode. metrics: tuple of metrics.Metric, names differ."""
    name: str
    net: torch.nn.Module = field(repr=False)
    metrics: tuple
    contract: Contract

    def digest(self):
        """sha256, in hex, of all that decides what a site runs: the weights and buffers bit by bit, the layers, the text of the metrics and
        of the plain functions that they call, and the contract. Raises ValueError for a metric whose text is not to be had."""
        sha = hashlib.sha256(repr((self.name, str(self.net), self.contract, [(m.name, m.per_example) for m in self.metrics])).encode())
        own = {type(module) for module in self.net.modules() if not type(module).__module__.startswith("torch.")}
        for text in sorted(inspect.getsource(kind) for kind in own):
            sha.update(text.encode())
        for name, tensor in self.net.state_dict().items():
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for metric in self.metrics:
            for text in _texts(metric.of):
                sha.update(text.encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class Result:
    """What leaves a site. values: {metric: float}; empty where `refused` says why nothing was signed off. num_examples is 0 then."""
    site: str
    digest: str
    num_examples: int = 0
    values: dict = field(default_factory=dict)
    refused: tuple = ()


def at_site(task, site, x, y, *, published=None, sign_off=None):
    """Run the task on a site's private x (N, ...), y (N,) -> Result, the only thing that leaves the site.

    published: the digest that the committee announced. If the task that arrived has another one, nothing of it runs.
    sign_off(result) -> None to sign, or a sentence why not; the numbers then stay here. Without it everything is signed.
    Raises ValueError for a metric that returns anything but one finite number.
    """
    digest = task.digest()
    if published is not None and published != digest:
        return Result(site, digest, refused=(f"the task is not the published one: {digest[:12]} arrived, {published[:12]} was announced",))
    if wrong := task.contract.violations(x, y):
        return Result(site, digest, refused=wrong)
    result = Result(site, digest, len(y), {metric.name: _number(metric, site, task.net, x, y) for metric in task.metrics})
    objection = sign_off(result) if sign_off else None
    return result if objection is None else Result(site, digest, refused=(f"not signed off: {objection}",))


@dataclass(frozen=True)
class Report:
    """The committee's view: who answered with what. task: Task; results: tuple of Result, in the order of the sites."""
    task: Task
    results: tuple

    def signed(self):
        """The results with numbers."""
        return tuple(result for result in self.results if not result.refused)

    def sites(self, name):
        """{site: value} of the metric `name`. Raises KeyError that lists the known names."""
        _metric(self.task, name)
        return {result.site: result.values[name] for result in self.signed()}

    def spread(self, name):
        """{"mean", "sd", "lowest", "highest"} over the sites, each site counting once; sd with n - 1, NaN for one site."""
        values = torch.tensor(list(self.sites(name).values()), dtype=torch.float64)
        if not len(values):
            raise ValueError(f"no site signed off {name}: {self}")
        sd = values.std().item() if len(values) > 1 else math.nan
        return {"mean": values.mean().item(), "sd": sd, "lowest": values.min().item(), "highest": values.max().item()}

    def pooled(self, name):
        """The value on all signed sites' examples together, exact though no example moved: sum of n_s / n * value_s.

        Raises ValueError where that is not so, since no combination of the sites' values gives it.
        """
        if not _metric(self.task, name).per_example:
            raise ValueError(f"{name} is no mean over examples: the sites' values do not give the pooled one; look at spread({name!r})")
        total = sum(result.num_examples for result in self.signed())
        if not total:
            raise ValueError(f"no site signed off {name}: {self}")
        return sum(result.num_examples / total * result.values[name] for result in self.signed())

    def __str__(self):
        head = f"{self.task.name}, {self.task.digest()[:12]}: {len(self.signed())} of {len(self.results)} sites signed off"
        lines = [f"{r.site}: {'; '.join(r.refused)}" if r.refused else
                 f"{r.site}: {r.num_examples} examples, " + ", ".join(f"{name} {value:.3f}" for name, value in r.values.items())
                 for r in self.results]
        return "\n  ".join([head, *lines])


def report(task, results):
    """Gather Results -> Report. Raises ValueError when a site answered twice, or signed numbers of another task."""
    names = [result.site for result in results]
    if len(set(names)) != len(names):
        raise ValueError(f"a site answered twice: {sorted(names)}")
    strangers = [result.site for result in results if not result.refused and result.digest != task.digest()]
    if strangers:
        raise ValueError(f"{', '.join(strangers)} ran another task than {task.digest()[:12]}: send this one")
    return Report(task, tuple(results))


def _number(metric, site, net, x, y):
    before = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.no_grad():
            value = torch.as_tensor(metric.of(net(x), y))
    finally:
        for module, mode in before.items():
            module.training = mode
    if value.numel() != 1 or not value.isfinite():
        raise ValueError(f"metric {metric.name} gave {site} no finite number but {value.numel()} values: it must return exactly one")
    return float(value)


def _metric(task, name):
    known = {metric.name: metric for metric in task.metrics}
    if name not in known:
        raise KeyError(f"no metric {name!r} in task {task.name}: it has {', '.join(known)}")
    return known[name]


def _texts(function, seen=None):
    """The source of a plain function and of the plain functions it names, once each."""
    seen = {} if seen is None else seen
    if function.__qualname__ in seen:
        return []
    if getattr(function, "__closure__", None):
        raise ValueError(f"metric {function.__name__} closes over {function.__code__.co_freevars}, which no digest covers: pass constants")
    try:
        seen[function.__qualname__] = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(f"the text of metric {function.__name__} cannot be read, so no site knows what runs: put it in a file") from error
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if inspect.isfunction(called):
            _texts(called, seen)
    return [seen[name] for name in sorted(seen)]
