"""The same federation on Flower's SuperLink and SuperNodes: `to_flower` hands Flower the very `train` that rounds.run takes.

    one machine:    rounds.run(w, train=one_by_one(train), ...)
    many machines:  app = to_flower(client, server); Flower calls server(train, config), and that calls rounds.run(w, train=train, ...)

Selection, stages, aggregators and servers stay those of rounds.run: only the place where a client trains changes, and its weights do not.
Needs the extra `flower`:  pip install "odl-kit[flower]". Set FLWR_TELEMETRY_ENABLED=0 and FLWR_DISABLE_UPDATE_CHECK=1 for Flower's
processes, or they report to Flower's makers (federation.loopback does).
"""
import time
from functools import partial
from typing import NamedTuple

import torch

from odl_kit.learners.cohort import Uplink

POLL_S = 0.2        # Flower's own send_and_receive asks every 3 s


class App(NamedTuple):
    """What a Flower app's pyproject.toml names. Bind them one a line (`client = app.client`): Flower looks for the names in the source."""
    client: object
    server: object


def to_flower(client, server, *, timeout_s=600.0):
    """App(client, server): Flower's ClientApp and ServerApp.

    client(node_config) -> train: runs on a SuperNode. node_config: the dict that the SuperNode was started with; its "partition-id" is the
    client's id. train(w, chosen, *, rng) -> cohort.Uplink is called with that one client: partial(local.train_cohort, net, clients, ...).
    A host that holds only its own data ignores `chosen` and trains on those.
    server(train, run_config): runs beside the SuperLink and calls rounds.run with this `train`, which reaches the clients
    0 ... run_config["num-clients"] - 1 (it waits until all of them are there). timeout_s: how long to wait for them, and for the replies of
    a round; who has not answered by then is in Uplink.failed, and so is a client that raised. Raises TimeoutError if clients are missing.
    """
    flwr, client_app, server_app = _flwr()

    @client_app.query()
    def who(message, context):
        about = flwr.ConfigRecord({"client": context.node_config["partition-id"]})
        return flwr.Message(flwr.RecordDict({"about": about}), reply_to=message)

    @client_app.train()
    def one_client(message, context):
        w = torch.from_numpy(message.content["w"].to_numpy_ndarrays()[0].copy())
        rng = torch.Generator().manual_seed(message.content["about"]["seed"])
        uplink = client(context.node_config)(w, torch.tensor([context.node_config["partition-id"]]), rng=rng)
        if not len(uplink.updates):
            raise ValueError("; ".join(why for _, why in uplink.failed) or "the client sent no update")
        count = flwr.MetricRecord({"num-examples": int(uplink.num_examples[0]), "nbytes": uplink.nbytes})
        return flwr.Message(flwr.RecordDict({"update": flwr.ArrayRecord([uplink.updates[0].numpy()]), "count": count}), reply_to=message)

    @server_app.main()
    def main(grid, context):
        nodes = _nodes(flwr, grid, context.run_config["num-clients"], timeout_s)
        server(partial(_train, flwr, grid, nodes, timeout_s), context.run_config)
    return App(client_app, server_app)


def one_by_one(train):
    """`train`, client by client, each with a generator of its own: what the clients of `to_flower` do, in one process.

    train(w, chosen, *, rng) -> cohort.Uplink. With the same rng, rounds.run gives the same weights either way.
    """
    def each(w, chosen, *, rng):
        parts = [train(w, chosen[i:i + 1], rng=torch.Generator().manual_seed(seed)) for i, seed in enumerate(_seeds(chosen, rng))]
        failed = tuple(failure for part in parts for failure in part.failed)
        tensors = (torch.cat([getattr(part, name) for part in parts]) for name in ("updates", "num_examples", "ids"))
        return Uplink(*tensors, sum(part.nbytes for part in parts), failed, note="one by one")
    return each


def _train(flwr, grid, nodes, timeout_s, w, chosen, *, rng):
    """One round over the wire: w and a seed to each chosen client, their updates back."""
    weights, sent = flwr.ArrayRecord([w.numpy()]), {}
    for client, seed in zip(chosen.tolist(), _seeds(chosen, rng), strict=True):
        content = flwr.RecordDict({"w": weights, "about": flwr.ConfigRecord({"seed": seed})})
        sent[client] = flwr.Message(content, dst_node_id=nodes[client], message_type=flwr.MessageType.TRAIN)
    replies = _ask(grid, sent, timeout_s)
    failed = tuple((client, _why(replies.get(client), timeout_s)) for client in sent if _why(replies.get(client), timeout_s))
    ids = [client for client in sent if client not in dict(failed)]
    contents = [replies[client].content for client in ids]
    updates = [torch.from_numpy(content["update"].to_numpy_ndarrays()[0].copy()) for content in contents]
    counts = torch.tensor([content["count"]["num-examples"] for content in contents], dtype=torch.int64)
    return Uplink(torch.stack(updates) if updates else w.new_empty(0, len(w)), counts, torch.tensor(ids, dtype=torch.int64),
                  sum(content["count"]["nbytes"] for content in contents), failed, note="flower")


def _seeds(chosen, rng):
    return torch.randint(2 ** 62, (len(chosen),), generator=rng).tolist()


def _ask(grid, messages, timeout_s):
    """Send {key: message}; {key: reply}, of those that came in time."""
    keys = dict(zip(grid.push_messages(messages.values()), messages, strict=True))
    replies, end = {}, time.monotonic() + timeout_s
    while len(replies) < len(keys) and time.monotonic() < end:
        missing = [number for number, key in keys.items() if key not in replies]
        replies |= {keys[reply.metadata.reply_to_message_id]: reply for reply in grid.pull_messages(missing)}
        time.sleep(POLL_S)
    return replies


def _why(reply, timeout_s):
    """Why this reply brings no update; None if it does."""
    if reply is None:
        return f"no answer within {timeout_s:g} s"
    return f"Flower error {reply.error.code}: {reply.error.reason}" if reply.has_error() else None


def _nodes(flwr, grid, num_clients, timeout_s):
    """{client id: Flower's node id}, when all are connected. Raises TimeoutError that names who is missing."""
    found, asked, end = {}, set(), time.monotonic() + timeout_s
    while set(range(num_clients)) - set(found) and time.monotonic() < end:
        new = {node: flwr.Message(flwr.RecordDict(), dst_node_id=node, message_type=flwr.MessageType.QUERY)
               for node in grid.get_node_ids() if node not in asked}
        asked |= set(new)
        replies = _ask(grid, new, end - time.monotonic()) if new else {}
        found |= {reply.content["about"]["client"]: node for node, reply in replies.items() if not reply.has_error()}
        time.sleep(POLL_S)
    if missing := sorted(set(range(num_clients)) - set(found)):
        raise TimeoutError(f"clients {missing} of {num_clients} did not connect within {timeout_s:g} s: start a SuperNode with "
                           f"--node-config 'partition-id={missing[0]}'")
    return found


def _flwr():
    try:
        from flwr import app
        from flwr.clientapp import ClientApp
        from flwr.serverapp import ServerApp
    except ImportError as error:
        raise ImportError('federation.flower needs Flower: pip install "odl-kit[flower]"') from error
    return app, ClientApp(), ServerApp()
