import math

import pytest
import torch
from sklearn import metrics as sklearn
from torch import nn

from odl_kit.federation import evaluation, metrics

SIZES = (60, 25, 40)


def committee(*names, **contract):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    rules = {"shape": (2, 3), "low": -9.0, "high": 9.0, "classes": 3} | contract
    return evaluation.Task("toy", net, tuple(metrics.METRICS[name] for name in names or ("accuracy", "log_loss", "macro_f1")),
                           evaluation.Contract(**rules))


def data(seed, n):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 3, generator=rng), torch.randint(3, (n,), generator=rng)


def run(task, **options):
    sites = {f"site {i}": data(i, n) for i, n in enumerate(SIZES)}
    return evaluation.report(task, [evaluation.at_site(task, name, x, y, **options) for name, (x, y) in sites.items()])


def test_weighted_site_values_are_the_metric_on_the_pooled_data():
    task = committee()
    report = run(task)
    x, y = (torch.cat(part) for part in zip(*(data(i, n) for i, n in enumerate(SIZES)), strict=True))
    with torch.no_grad():
        logits = task.net.eval()(x).double()
    assert report.pooled("accuracy") == pytest.approx(sklearn.accuracy_score(y, logits.argmax(1)), abs=1e-12)
    assert report.pooled("log_loss") == pytest.approx(sklearn.log_loss(y, logits.softmax(1)), abs=1e-7)


def test_what_cannot_be_combined_is_refused_and_its_spread_given():
    report = run(committee())
    with pytest.raises(ValueError, match="macro_f1 is no mean over examples.*spread"):
        report.pooled("macro_f1")
    values = torch.tensor(list(report.sites("macro_f1").values()), dtype=torch.float64)
    spread = report.spread("macro_f1")
    assert spread["mean"] == pytest.approx(values.mean().item()) and spread["sd"] == pytest.approx(values.std().item())
    assert (spread["lowest"], spread["highest"]) == (values.min().item(), values.max().item())


def test_a_site_whose_data_break_the_contract_says_what_is_wrong_and_shows_no_value():
    task, (x, y) = committee(), data(0, 60)
    x[3, 1, 2], x[7, 0, 0], y[5] = 1234.5678, math.nan, 77
    result = evaluation.at_site(task, "north", x, y)
    assert result.values == {} and result.num_examples == 0
    assert result.refused == ("2 of 360 values of x are outside -9 to 9, or not numbers", "1 of 60 labels are none of the 3 classes")
    assert "1234" not in str(evaluation.report(task, [result]))


@pytest.mark.parametrize("x, y, says", [
    (torch.zeros(30, 3, 2), torch.zeros(30, dtype=torch.int64), r"shape \(3, 2\), the contract says \(2, 3\)"),
    (torch.zeros(30, 2, 3), torch.zeros(30), "one int64 each"),
    (torch.zeros(30, 2, 3), torch.zeros(29, dtype=torch.int64), "for 30 examples"),
    (torch.zeros(19, 2, 3), torch.zeros(19, dtype=torch.int64), "19 examples, the contract asks for 20"),
    (torch.zeros(0, 2, 3), torch.zeros(0, dtype=torch.int64), "0 examples")])
def test_every_clause_of_the_contract_is_checked(x, y, says):
    refused = evaluation.at_site(committee(), "north", x, y).refused
    assert len(refused) == 1
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(refused[0])


def test_a_site_that_does_not_sign_off_keeps_its_numbers():
    objection = lambda result: "too few of our patients" if result.num_examples < 30 else None          # noqa: E731
    report = run(committee(), sign_off=objection)
    assert list(report.sites("accuracy")) == ["site 0", "site 2"]
    assert report.results[1].refused == ("not signed off: too few of our patients",) and report.results[1].values == {}
    assert "2 of 3 sites signed off" in str(report)


def altered():
    """Tasks that differ from committee() in one thing each."""
    yield "one bit of a weight", committee()
    with torch.no_grad():
        weight = (last := committee()).net[4].bias
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    yield "weight", last
    (buffer := committee()).net[2].running_mean[0] = 1e-9
    yield "buffer", buffer
    yield "contract", committee(min_examples=1)
    yield "metrics", committee("accuracy", "log_loss")
    (layer := committee()).net[3] = nn.Tanh()
    yield "layer", layer


def test_any_change_of_weights_layers_metrics_or_contract_changes_the_digest():
    digests = [task.digest() for _, task in altered()]
    assert digests[0] == committee().digest() and len(set(digests)) == len(digests) == 6


def test_a_site_runs_nothing_of_a_task_that_is_not_the_published_one():
    def spy(outputs, y):
        raise AssertionError("it ran")
    task = evaluation.Task("toy", committee().net, (metrics.Metric("spy", spy, True),), committee().contract)
    result = evaluation.at_site(task, "north", *data(0, 60), published=committee().digest())
    assert "not the published one" in result.refused[0]
    assert evaluation.at_site(committee(), "north", *data(0, 60), published=committee().digest()).refused == ()


def helper(outputs):
    return outputs.argmax(1)


def share_of_zero(outputs, y):
    return (helper(outputs) == 0).double().mean()


def test_the_text_of_functions_that_a_metric_calls_is_signed_too():
    texts = evaluation._texts(share_of_zero)
    assert len(texts) == 2 and "argmax(1)" in "".join(texts) and "mean()" in "".join(texts)


def test_a_metric_whose_text_does_not_say_all_is_refused():
    offset = 3.0

    def hidden(outputs, y):
        return outputs.mean() + offset
    spoken = eval("lambda outputs, y: 0.0")
    for of, says in ((hidden, "closes over"), (spoken, "cannot be read")):
        task = evaluation.Task("toy", committee().net, (metrics.Metric("m", of, True),), committee().contract)
        with pytest.raises(ValueError, match=says):
            task.digest()


def outputs_themselves(outputs, y):
    return outputs[0]


def not_a_number(outputs, y):
    return math.nan


@pytest.mark.parametrize("of", [outputs_themselves, not_a_number])
def test_a_metric_that_returns_more_than_one_number_or_none_is_an_error(of):
    task = evaluation.Task("toy", committee().net, (metrics.Metric("m", of, True),), committee().contract)
    with pytest.raises(ValueError, match="exactly one"):
        evaluation.at_site(task, "north", *data(0, 60))


def test_the_net_is_evaluated_and_left_as_it_was():
    task = committee()
    task.net.train()
    before = task.digest()
    evaluation.at_site(task, "north", *data(0, 60))
    assert task.digest() == before and all(module.training for module in task.net.modules())


def test_a_report_refuses_doubles_strangers_and_unknown_metrics():
    task, other = committee(), committee("accuracy")
    ours, theirs = (evaluation.at_site(one, "north", *data(0, 60)) for one in (task, other))
    with pytest.raises(ValueError, match="answered twice"):
        evaluation.report(task, [ours, ours])
    with pytest.raises(ValueError, match="north ran another task"):
        evaluation.report(task, [theirs])
    with pytest.raises(KeyError, match="accuracy, log_loss"):
        evaluation.report(task, [ours]).pooled("speed")


def test_one_site_has_no_spread_and_none_no_report():
    task = committee()
    one = evaluation.report(task, [evaluation.at_site(task, "north", *data(0, 60))])
    assert math.isnan(one.spread("accuracy")["sd"])
    none = evaluation.report(task, [evaluation.at_site(task, "north", *data(0, 5))])
    for ask in (none.pooled, none.spread):
        with pytest.raises(ValueError, match="no site signed off"):
            ask("accuracy")
