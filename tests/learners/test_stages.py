"""The gate, the choice and the file: what is written is read back bit for bit, and nothing is written that fails."""
import pytest
import torch
from safetensors.torch import load_file

from odl_kit.learners import plan, stages, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


def task(n=90):
    """Three classes of pictures, told by which third is bright."""
    y = torch.arange(n) % 3
    x = 0.3 * torch.rand(n, 1, 9, 9, generator=seed(0))
    for i, c in enumerate(y.tolist()):
        x[i, :, :, 3 * c:3 * c + 3] += 0.5
    return x, y


def run(tmp_path, **changes):
    x, y = task()
    good, bad = nets.mlp(81, 12, 3, rng=seed(1)), nets.mlp(81, 12, 3, rng=seed(2))
    with torch.no_grad():
        bad.hidden1.weight[1:] = 0                       # its features hold next to nothing
    options = {"validate": lambda net: train.evaluate(net, x[60:], y[60:])["accuracy"], "at_least": 0.9,
               "path": tmp_path / "net.safetensors", "plan": plan.full, "epochs": 30, "batch_size": 10, "lr": 0.1, "rng": seed(3),
               "progress": False} | changes
    before = flat.ravel(good)
    net, stage = stages.run({"bad": bad, "good": good}, x[:60], y[:60], **options)
    assert torch.equal(flat.ravel(good), before)         # the candidates stay as they are
    return net, stage, options["path"], x


def test_the_better_suited_net_is_tuned_and_written_and_read_back(tmp_path):
    net, stage, path, x = run(tmp_path)
    assert stage.chosen == "good" and stage.suits["good"] > stage.suits["bad"]
    assert stage.deployed and stage.before < 0.9 <= stage.after and stage.nbytes == path.stat().st_size
    other = stages.read(nets.mlp(81, 12, 3, rng=seed(9)), path)
    assert torch.equal(flat.ravel(other), flat.ravel(net)) and torch.equal(other(x), net(x))
    assert set(load_file(path)) == set(net.state_dict())         # any reader of safetensors can load it
    assert 4 * len(flat.ravel(net)) < stage.nbytes < 4 * len(flat.ravel(net)) + 1000
    assert "deployed" in str(stage) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("changes", [{"at_least": 1.01}, {"validate": lambda net, said=[0.95, 0.94]: said.pop(0)}],
                         ids=["too low", "worse than before"])
def test_a_net_that_does_not_pass_leaves_the_device_as_it_is(tmp_path, changes):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"what the device has")
    _, stage, _, _ = run(tmp_path, **changes)
    assert not stage.deployed and stage.nbytes == 0 and path.read_bytes() == b"what the device has" and "keeps" in str(stage)


def test_statistics_of_norms_travel_along(tmp_path):
    net = nets.ds_cnn(1, 3, norm="batch", rng=seed(0))
    net(torch.rand(20, 1, 8, 8, generator=seed(1)))
    stages.write(net, tmp_path / "a")
    other = stages.read(nets.ds_cnn(1, 3, norm="batch", rng=seed(5)), tmp_path / "a")
    assert torch.equal(other.stem_norm.running_mean, net.stem_norm.running_mean)


def test_what_is_no_file_of_this_net_is_refused_and_the_net_stays(tmp_path):
    net = nets.mlp(4, 3, 2, rng=seed(0))
    before = flat.ravel(net)
    stages.write(nets.mlp(4, 5, 2, rng=seed(0)), tmp_path / "other")
    (tmp_path / "junk").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match=r"of another net: head.weight is \(2, 5\) there, \(2, 3\) here"):
        stages.read(net, tmp_path / "other")
    with pytest.raises(ValueError, match="no safetensors file"):
        stages.read(net, tmp_path / "junk")
    assert torch.equal(flat.ravel(net), before)


def test_weights_that_are_no_numbers_are_not_deployed(tmp_path):
    net = nets.mlp(4, 3, 2, rng=seed(0))
    with torch.no_grad():
        net.head.bias[0] = float("nan")
    with pytest.raises(ValueError, match="'head.bias' has nan or infinite entries"):
        stages.write(net, tmp_path / "a")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no candidate"):
        stages.run({}, None, None, validate=None, at_least=0, path=tmp_path / "a")
