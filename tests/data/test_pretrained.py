import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

from odl_kit import home
from odl_kit.data import datasets, pretrained
from odl_kit.learners import episodes, train
from odl_kit.models import flat, nets

SCRIPT = home() / "datasets" / "sensor_shift" / "pretrain.py"


def adapted(seed):
    return flat.assign(nets.mobile_net(1, 10, norm=None, rng=torch.Generator().manual_seed(0)), pretrained.load("sensor_shift", seed=seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_kept_net_knows_the_first_sensor_and_fails_on_the_second(seed):
    data, net = datasets.load("sensor_shift"), adapted(seed)
    clean, shifted = (data.subset(data.user == sensor) for sensor in (0, 1))
    assert train.evaluate(net, clean.x, clean.y)["accuracy"] > 0.99
    assert train.evaluate(net, shifted.x, shifted.y)["accuracy"] < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_a_kept_glyph_net_tells_characters_apart_that_it_never_saw(seed):
    data, rng = datasets.load("glyphs"), torch.Generator().manual_seed(seed)
    *_, new = episodes.split_classes(data.y, (150, 40, 50), rng=rng)
    data, w, right = data.subset(torch.isin(data.y, new)), pretrained.load("glyphs", seed=seed), []
    net = flat.assign(nets.glyph_net(10, rng=rng), w)
    assert not w[-650:].any()       # the head is empty
    for _ in range(10):
        task = episodes.draw(data.x, data.y, ways=10, shots=5, queries=15, rng=rng)
        episodes.set_head(net, task.support_x, task.support_y)
        right.append(train.evaluate(net, task.query_x, task.query_y)["accuracy"])
    assert sum(right) / 10 > 0.75      # guessing: 0.1


@pytest.mark.parametrize("seed", range(5))
def test_a_kept_keyword_net_knows_unseen_ordinary_speakers_and_few_words_of_outliers(seed):
    data = datasets.load("keywords")
    net = nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm=None, rng=torch.Generator().manual_seed(0))
    flat.assign(net, pretrained.load("keywords", seed=seed))
    unseen, outlier = (data.group(name) for name in ("unseen", "outlier"))
    assert train.evaluate(net, unseen.x, unseen.y)["accuracy"] > 0.93
    assert train.evaluate(net, outlier.x, outlier.y)["accuracy"] < 0.75


def test_the_nets_differ_by_seed_and_the_file_is_small():
    assert not torch.equal(pretrained.load("sensor_shift", seed=0), pretrained.load("sensor_shift", seed=1))
    for path in (home() / "datasets").glob("*/pretrained.npz"):
        assert path.stat().st_size <= pretrained.LIMIT and path.with_name("pretrain.py").exists()


def test_the_script_trains_the_net_that_was_kept():
    spec = importlib.util.spec_from_file_location("pretrain", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    w = script.make(0, epochs=1)
    assert w.shape == pretrained.load("sensor_shift").shape and torch.equal(w, script.make(0, epochs=1))


def test_the_script_says_what_it_makes_and_refuses_other_words():
    said = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True)
    assert said.returncode == 0 and "norm=None" in said.stdout
    refused = subprocess.run([sys.executable, SCRIPT, "now"], capture_output=True, text=True)
    assert refused.returncode == 1 and "usage: python" in refused.stderr


def test_an_unknown_name_and_seed_are_answered_with_what_there_is():
    with pytest.raises(ValueError, match="no net was trained for 'digits': there are nets for .*sensor_shift"):
        pretrained.load("digits")
    with pytest.raises(ValueError, match="no net was kept for seed 9: there are 0, 1, 2, 3, 4"):
        pretrained.load("sensor_shift", seed=9)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_is_named_with_the_way_to_mend_it(tmp_path, monkeypatch, damage):
    folder = tmp_path / "datasets" / "sensor_shift"
    folder.mkdir(parents=True)
    whole = SCRIPT.with_name("pretrained.npz")
    if damage == "cut":
        (folder / "pretrained.npz").write_bytes(whole.read_bytes()[:5000])
    else:
        with np.load(whole) as file:
            stored = dict(file)
        stored["seed0"] = stored["seed0"] + np.float16(1)
        np.savez(folder / "pretrained.npz", **stored)
    monkeypatch.setattr(pretrained, "home", lambda: tmp_path)
    with pytest.raises(ValueError, match="pretrained.npz is damaged .*rebuild it with"):
        pretrained.load("sensor_shift")


def test_build_refuses_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pretrain.py"])
    monkeypatch.setattr(pretrained, "LIMIT", 100)
    with pytest.raises(SystemExit, match="100 are allowed"):
        pretrained.build(tmp_path / "pretrain.py", lambda seed: torch.rand(500), seeds=range(2))
    assert not (tmp_path / "pretrained.npz").exists()
