"""Layer-wise training: what learns and what does not, cached against recomputed, and the bytes against what autograd keeps."""
import copy

import pytest
import torch
from torch import nn

from odl_kit.learners import layerwise, memory, plan, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed
X, Y = torch.rand(40, 1, 16, 16, generator=seed(1)), torch.randint(10, (40,), generator=seed(2))


def mobile():
    return nets.mobile_net(1, 10, norm=None, rng=seed(0))


def test_a_stage_is_a_block_with_a_head_and_the_last_has_the_head_of_the_net():
    net = mobile()
    found = layerwise.stages(net, X[:1], rng=seed(3))
    assert [stage.name for stage in found] == ["stem", "block1", "block2", "block3", "block4"]
    assert found[-1].learns[-1][-1] is net.head and len(found[-1].below) == 4
    assert torch.equal(found[-1].whole(X), net(X))
    for stage, width in zip(found, (16, 16, 24, 24, 32), strict=True):
        assert stage.whole(X).shape == (40, 10)
        assert [m.in_features for m in stage.learns[-1].modules() if isinstance(m, nn.Linear)] == [width]


def test_dense_layers_get_a_head_without_pooling():
    found = layerwise.stages(nets.mlp(256, (20, 12), 10, rng=seed(0)), X[:1], rng=seed(3))
    assert [stage.whole(X).shape for stage in found] == [(40, 10), (40, 10)]


def test_a_stage_changes_its_block_and_nothing_below():
    net = mobile()
    stage = layerwise.stages(net, X[:1], rng=seed(3))[2]
    before = copy.deepcopy(net)
    train.fit(stage.whole, X, Y, epochs=1, batch_size=8, lr=0.05, plan=stage.plan, rng=seed(4), progress=False)
    pairs = zip(net.named_parameters(), before.parameters(), strict=True)
    assert {name.split(".")[0] for (name, p), q in pairs if not torch.equal(p, q)} == {"block2"}


def test_cached_and_recomputed_inputs_train_the_same_net():
    nets_trained = []
    for cache in (True, False):
        net = mobile()
        layerwise.fit(net, X, Y, epochs=2, batch_size=8, lr=0.05, cache=cache, rng=seed(4), progress=False)
        nets_trained.append(flat.ravel(net))
    torch.testing.assert_close(*nets_trained, rtol=1e-3, atol=1e-4)


def test_every_stage_learns_the_loss_falls_and_the_net_ends_with_what_the_last_stage_reports():
    net = nets.tiny_cnn(1, 10, rng=seed(0))
    histories = layerwise.fit(net, X, Y, epochs=20, batch_size=8, lr=0.1, rng=seed(4), progress=False)
    assert len(histories) == 3 and all(history.losses[-1] < history.losses[0] for history in histories)
    assert train.evaluate(net, X, Y)["accuracy"] == histories[-1].curve("accuracy")[-1]


@pytest.mark.parametrize("cache", [True, False])
def test_the_report_of_a_stage_has_the_bytes_that_its_training_keeps(cache):
    x = X[:4].clone()
    for stage in layerwise.stages(mobile(), x, rng=seed(3)):
        net, inputs = (stage.learns, layerwise.inputs_of(stage, x)) if cache else (stage.whole, x)
        known = {t.untyped_storage().data_ptr() for t in net.parameters()}
        forward, saved = train.planned(net, plan.full(net) if cache else stage.plan)[0], []
        with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda t: t):
            forward(inputs)
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
        assert layerwise.report(stage, x, cache=cache).saved_activations == sum(storages[place] for place in storages.keys() - known) > 0


def test_no_stage_needs_more_than_end_to_end_and_a_cached_one_no_more_than_a_recomputed_one():
    net, x = mobile(), X[:16]
    whole = memory.memory_report(net, x, rule="device")
    for stage in layerwise.stages(net, x, rng=seed(3)):
        cached, again = (layerwise.report(stage, x, cache=cache) for cache in (True, False))
        assert cached.peak <= again.peak < whole.peak
        assert cached.saved_activations <= again.saved_activations < whole.saved_activations


def test_the_cache_is_counted_in_bytes_of_all_examples():
    found = layerwise.stages(mobile(), X[:1], rng=seed(3))
    sizes = {stage.name: layerwise.cache_bytes(stage, X) for stage in found}
    assert sizes["stem"] == X.nelement() * 4
    assert sizes["block1"] == 40 * 16 * 8 * 8 * 4
    assert all(layerwise.inputs_of(stage, X).nelement() * 4 == sizes[stage.name] for stage in found)


@pytest.mark.parametrize("net, words", [(nets.softmax(256, 10, rng=seed(0)), "the last unit is 'head'"),
                                        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)), "the last unit is '1'"),
                                        (nn.Linear(3, 3), "is no chain")])
def test_a_net_without_block_and_head_is_refused(net, words):
    with pytest.raises(ValueError, match=words):
        layerwise.stages(net, X[:1], rng=seed(3))
