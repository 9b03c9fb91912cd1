"""Other people's software as peers of benchmarks/federated.py. Each takes part where it is installed; dense nets only, but for Flower.

    jax     pip install jax: clients under vmap, steps under scan, one compiled program; every client takes as many steps as the largest
    fedjax  pip install fedjax==0.0.17 jax==0.5.3 jaxlib==0.5.3 (later jax has lost what it needs)
    flwr    pip install "flwr[simulation]==1.41.0": Flower's simulation, an actor per core that runs the naive client
"""
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import torch

from odl_kit.learners import cohort, cohort_steps
from odl_kit.models import flat

NEEDS = {"jax": ("jax",), "fedjax": ("fedjax", "jax"), "flwr": ("flwr", "ray")}


def missing(peer):
    """The packages that `peer` needs and does not find."""
    return [name for name in NEEDS[peer] if importlib.util.find_spec(name) is None]


def version(peer):
    """The installed version of `peer`."""
    return importlib.metadata.version(peer)


def _layers(net, w):
    """The dense net's weights w (P,) as JAX takes them: [(W (in, out), b (out,)), ...]."""
    parts = [part.numpy() for part in flat.unravel(net, w).values()]
    return [(weight.T, bias) for weight, bias in zip(parts[::2], parts[1::2], strict=True)]


def _vector(layers):
    import numpy as np
    return torch.cat([torch.from_numpy(np.array(part)).reshape(-1) for weight, bias in layers for part in (weight.T, bias)])


def _scores(layers, x):
    import jax
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def _cross_entropy(scores, y):
    import jax
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1)[:, 0]


@cache
def _jax_program(lr):
    import jax

    def loss(layers, x, y, share):
        return (_cross_entropy(_scores(layers, x), y) * share).sum()

    def client(layers, x, y, index, share):                     # index, share: (steps, B)
        def step(layers, batch):
            gradient = jax.grad(loss)(layers, x[batch[0]], y[batch[0]], batch[1])
            return jax.tree.map(lambda p, g: p - lr * g, layers, gradient), None
        return jax.lax.scan(step, layers, (index, share))[0]

    def program(layers, x, y, index, share, weight):            # index, share: (steps, C, B); weight: (C,), sums to 1
        after = jax.vmap(client, in_axes=(None, None, None, 1, 1))(layers, x, y, index, share)
        return jax.tree.map(lambda p: jax.numpy.tensordot(weight, p, 1), after)
    return jax.jit(program)


@cache
def _jax_data(work):
    import jax
    return jax.numpy.asarray(work.x.flatten(0, 1).flatten(1).numpy()), jax.numpy.asarray(work.y.flatten().numpy())


def run_jax(work, w, chosen, rng, order=None):
    """A round by vmap and scan -> the new weights (P,)."""
    sizes = work.num_examples[chosen]
    order = cohort.batch_order(sizes, work.epochs, rng=rng) if order is None else order
    by_size = sizes.argsort(descending=True, stable=True)
    job = cohort_steps.Job(work.x, work.y, chosen, sizes, order, work.batch_size, work.lr)
    steps = cohort_steps.lock_step(job, by_size, w.dtype)
    weight = (sizes / sizes.sum())[by_size]
    arrays = [a.numpy() for a in (steps.index, steps.share, weight)]
    return _vector(_jax_program(work.lr)(_layers(work.net, w), *_jax_data(work), *arrays))


@cache
def _fedjax_algorithm(work):
    import fedjax
    model = fedjax.Model(init=None, apply_for_train=lambda layers, batch, rng=None: _scores(layers, batch["x"]),
                         apply_for_eval=lambda layers, batch: _scores(layers, batch["x"]),
                         train_loss=lambda batch, scores: _cross_entropy(scores, batch["y"]), eval_metrics={})
    hparams = fedjax.ShuffleRepeatBatchHParams(batch_size=work.batch_size, num_epochs=work.epochs, seed=0)
    algorithm = fedjax.algorithms.fed_avg.federated_averaging(fedjax.model_grad(model), fedjax.optimizers.sgd(work.lr),
                                                              fedjax.optimizers.sgd(1.0), hparams)
    clients = [fedjax.ClientDataset({"x": x[:n].flatten(1).numpy(), "y": y[:n].numpy()})
               for x, y, n in zip(work.x, work.y, work.num_examples.tolist(), strict=True)]
    return algorithm, clients


def run_fedjax(work, w, chosen, rng):
    """A round of fedjax's federated averaging. Its batches run across the ends of epochs, so there are slightly fewer of them."""
    import jax
    algorithm, clients = _fedjax_algorithm(work)
    keys = jax.random.split(jax.random.PRNGKey(int(torch.randint(2**31, (), generator=rng))), len(chosen))
    state = algorithm.init(_layers(work.net, w))
    state, _ = algorithm.apply(state, [(b"%d" % c, clients[c], key) for c, key in zip(chosen.tolist(), keys, strict=True)])
    return _vector(state.params)


class Flower:
    """Flower's simulation of one workload, in a process of its own that trains a round whenever it is told to."""
    def __init__(self, name):
        self.folder = tempfile.TemporaryDirectory()
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        self.log = Path(self.folder.name) / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, __file__, name, self.folder.name], env=os.environ | quiet, text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def round(self, w, chosen, seed):
        file = Path(self.folder.name) / "round.pt"
        torch.save((w, chosen, seed), file)
        print("round", file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("DONE"):
                return torch.load(file)
        raise RuntimeError(f"Flower's process ended with {self.process.wait()}: {self.log.read_text()[-2000:]}")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.folder.cleanup()


_running = {}


def run_flwr(work, w, chosen, rng):
    """A round of Flower's simulation; the first call starts it."""
    if work.name not in _running:
        _running[work.name] = Flower(work.name)
    return _running[work.name].round(w, chosen, int(torch.randint(2**31, (), generator=rng)))


def stop():
    """End the simulations that run_flwr started."""
    while _running:
        _running.popitem()[1].stop()


@cache
def _load(name):
    from federated import workload
    return workload(name)


def serve_flower(name):
    """Run by `Flower` in its process: one run_simulation for all rounds."""
    from federated import average, naive_client
    from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.simulation import run_simulation
    client, server = ClientApp(), ServerApp()

    @client.train()
    def train(message, context):
        torch.set_num_threads(1)
        work, about = _load(name), message.content["about"]
        model = flat.assign(work.net, torch.from_numpy(message.content["w"].to_numpy_ndarrays()[0].copy()))
        state = naive_client(work, model, about["client"], torch.Generator().manual_seed(about["seed"]))
        arrays = ArrayRecord([part.numpy() for part in state.values()])
        count = MetricRecord({"num-examples": int(work.num_examples[about["client"]])})
        return Message(RecordDict({"w": arrays, "count": count}), reply_to=message)

    @server.main()
    def main(grid, context):
        file, net = Path(sys.argv[2]) / "round.pt", _load(name).net
        while len(nodes := list(grid.get_node_ids())) < len(_load(name).x):
            time.sleep(0.1)                                     # not all are there at once
        for _ in sys.stdin:
            w, chosen, seed = torch.load(file)
            messages = [Message(RecordDict({"w": ArrayRecord([w.numpy()]), "about": ConfigRecord({"client": c, "seed": seed + c})}),
                                dst_node_id=nodes[c], message_type=MessageType.TRAIN) for c in chosen.tolist()]
            contents = [reply.content for reply in grid.send_and_receive(messages)]
            arrays = [map(torch.from_numpy, content["w"].to_numpy_ndarrays()) for content in contents]
            states = [dict(zip(net.state_dict(), parts, strict=True)) for parts in arrays]
            net.load_state_dict(average(states, [content["count"]["num-examples"] for content in contents]))
            torch.save(flat.ravel(net), file)
            print("DONE", flush=True)

    cores = cohort_steps.cores(torch.device("cpu"))
    run_simulation(server, client, len(_load(name).x), backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                                                                      "init_args": {"num_cpus": cores}})


PEERS = {"jax": run_jax, "fedjax": run_fedjax, "flwr": run_flwr}

if __name__ == "__main__":
    import peers  # not __main__: Ray's workers import what they run by its name
    peers.serve_flower(sys.argv[1])
