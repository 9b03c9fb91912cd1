"""Flower's own ClientApp, ServerApp and messages, in one process here; over loopback with real processes in the slow tests."""
import importlib.util
import os
import signal
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import nn

import odl_kit
from odl_kit.federation import aggregators, flower, local, loopback, rounds, selection
from odl_kit.learners import cohort
from odl_kit.models import flat

NET = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
DIGITS = odl_kit.home() / "examples" / "flower"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clients():
    rng = seeded()
    return SimpleNamespace(x=torch.randn(4, 6, 4, generator=rng), y=torch.randint(3, (4, 6), generator=rng),
                           num_examples=torch.tensor([6, 2, 5, 3]))


W = flat.ravel(NET).detach().clone()
TRAIN = partial(local.train_cohort, NET, clients(), epochs=2, batch_size=2, lr=0.1)
MEDIAN = partial(rounds.run, W, select=selection.uniform(4, 3), rounds=3, aggregate=aggregators.median, progress=False)


@pytest.fixture(scope="session")
def flwr():
    if importlib.util.find_spec("flwr") is None:
        reason = 'needs Flower: pip install "odl-kit[flower]"'
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    os.environ |= loopback.QUIET
    from flwr import app
    from flwr.supercore.task_identity import TaskIdentity
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1      # what Flower sets in the processes it starts
    return app


class Wire:
    """A Grid that calls the ClientApp itself. Node i + 100 is client i; `silent` clients train and their reply is lost."""

    def __init__(self, flwr, app, nodes=4, silent=()):
        self.flwr, self.app, self.nodes, self.silent, self.replies = flwr, app, nodes, silent, {}

    def get_node_ids(self):
        return [100 + i for i in range(self.nodes)]

    def push_messages(self, messages):
        numbers = []
        for message in messages:
            numbers.append(f"message {len(self.replies)}")
            client = message.metadata.dst_node_id - 100
            message.metadata.__dict__["_message_id"] = numbers[-1]
            context = self.flwr.Context(1, message.metadata.dst_node_id, {"partition-id": client}, self.flwr.RecordDict(), {})
            try:
                reply = self.app.client(message, context)
            except ValueError as error:
                reply = self.flwr.Message(self.flwr.Error(code=2, reason=str(error)), reply_to=message)
            silent = client in self.silent and message.metadata.message_type == self.flwr.MessageType.TRAIN
            self.replies[numbers[-1]] = None if silent else reply
        return numbers

    def pull_messages(self, numbers):
        return [self.replies[number] for number in numbers if self.replies[number] is not None]


def over_flower(flwr, *, client=lambda node_config: TRAIN, timeout_s=5.0, num_clients=4, **wire):
    """MEDIAN through Flower's apps -> History."""
    found = []
    app = flower.to_flower(client, lambda train, config: found.append(MEDIAN(train=train, rng=seeded(3))), timeout_s=timeout_s)
    context = flwr.Context(1, 1, {}, flwr.RecordDict(), {"num-clients": num_clients})
    app.server(Wire(flwr, app, **wire), context)
    return found[0]


def test_a_client_on_flower_is_a_client_update_with_the_seed_that_it_was_sent(flwr):
    history, rng, data, w = over_flower(flwr), seeded(3), clients(), W
    for number in range(3):
        chosen = torch.randperm(4, generator=rng)[:3].sort().values
        seeds, updates = torch.randint(2 ** 62, (3,), generator=rng).tolist(), []
        for c, seed in zip(chosen.tolist(), seeds, strict=True):
            n = int(data.num_examples[c])
            order = cohort.batch_order(data.num_examples[c:c + 1], 2, rng=seeded(seed))[0, :, :n]
            updates.append(local.client_update(NET, w, data.x[c, :n], data.y[c, :n], order=order, batch_size=2, lr=0.1))
        w = w + torch.stack(updates).median(0).values
        assert torch.equal(history.chosen[number], chosen)
    torch.testing.assert_close(history.w, w, atol=1e-6, rtol=0)
    assert history.bytes_up == (3 * 4 * len(W),) * 3 and history.note == "flower"


def test_flower_and_one_process_give_the_same_weights(flwr):
    here = MEDIAN(train=flower.one_by_one(TRAIN), rng=seeded(3))
    torch.testing.assert_close(over_flower(flwr).w, here.w, atol=0, rtol=0)


def test_a_client_that_raises_or_stays_silent_is_set_aside_with_the_reason(flwr):
    def client(node_config):
        if node_config["partition-id"] == 2:
            raise ValueError("the battery is empty")
        return TRAIN
    aside = dict(entry for one in over_flower(flwr, client=client, silent=(1,), timeout_s=0.5).set_aside for entry in one)
    assert set(aside) == {1, 2}
    assert aside[1] == "no answer within 0.5 s" and "the battery is empty" in aside[2]


def test_clients_that_never_connect_are_named(flwr):
    with pytest.raises(TimeoutError, match=r"clients \[4\] of 5 did not connect .*partition-id=4"):
        over_flower(flwr, num_clients=5, timeout_s=0.5)


def test_one_by_one_keeps_who_failed_and_counts_all_bytes():
    def train(w, chosen, *, rng):
        if int(chosen) == 1:
            return cohort.Uplink(w.new_empty(0, len(w)), torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64), 0,
                                 ((1, "out of reach"),))
        return TRAIN(w, chosen, rng=rng)
    uplink = flower.one_by_one(train)(W, torch.tensor([0, 1, 3]), rng=seeded())
    assert uplink.ids.tolist() == [0, 3] and uplink.num_examples.tolist() == [6, 3] and uplink.updates.shape == (2, len(W))
    assert uplink.failed == ((1, "out of reach"),) and uplink.nbytes == 2 * 4 * len(W)


def test_without_flower_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)
    with pytest.raises(ImportError, match=r"odl-kit\[flower\]"):
        flower.to_flower(None, None)


@pytest.mark.slow
def test_superlink_and_supernodes_over_loopback_give_the_weights_of_one_process(flwr, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DIGITS))
    import digits
    config = {"num-clients": 2, "num-rounds": 2, "seed": 0, "save": str(tmp_path / "history.pt")}
    lines = []
    loopback.federate(DIGITS, nodes=2, run_config=config, say=lines.append)
    there = rounds.History.load(config["save"])
    here = digits.federated(flower.one_by_one(digits.local_training(2, 0)), config | {"save": ""}, say=lambda *_, **__: None)
    torch.testing.assert_close(there.w, here.w, atol=1e-5, rtol=0)
    assert there.set_aside == ((), ()) and there.curve("accuracy")[-1] > 0.8
    assert [line.split(":")[0] for line in lines] == ["round 0", "round 1", "round 2"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a test cannot press Ctrl-C for another process on Windows")
def test_ctrl_c_stops_every_process_of_odl_federate(flwr):
    odl = subprocess.Popen([sys.executable, "-m", "odl_kit.cli", "federate", "--rounds", "50"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        assert odl.stdout.readline().startswith("round 0")
        family = psutil.Process(odl.pid).children(recursive=True)
        programs = " ".join(map(command, family))
        assert all(name in programs for name in ("flower-superlink", "flower-supernode", "flwr run", "flwr-serverapp"))
        odl.send_signal(signal.SIGINT)
        assert odl.wait(120) == 130
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
    finally:
        odl.kill()
        odl.wait()


def command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:        # it has ended since it was found
        return ""
