"""FedAvg on handwritten digits as a Flower app. The course's own functions do the work; Flower carries the weights."""
from functools import partial

import torch

from odl_kit.data import datasets, partition
from odl_kit.federation import flower, local, rounds, selection
from odl_kit.learners import train as learn
from odl_kit.models import flat, nets


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def parts(num_clients, seed):
    """(net, clients, test set). On real hosts a client would read only its own data here."""
    data, test = datasets.split(datasets.load("digits"), test=0.25, rng=seeded(seed))
    net = nets.mlp(64, 32, 10, rng=seeded(seed))
    return net, partition.clients(data, partition.iid(data.y, num_clients=num_clients, rng=seeded(seed))), test


def local_training(num_clients, seed):
    """train(w, chosen, *, rng) -> Uplink, as rounds.run takes it."""
    net, clients, _ = parts(num_clients, seed)
    return partial(local.train_cohort, net, clients, epochs=2, batch_size=16, lr=0.2)


def on_a_node(node_config):
    return local_training(node_config["num-partitions"], node_config.get("seed", 0))


def federated(train, config, *, say=print):
    """FedAvg with this `train` -> History. config: num-clients, num-rounds, seed, save (a path for the history, or "")."""
    net, _, test = parts(config["num-clients"], config["seed"])
    done = iter(range(config["num-rounds"] + 1))

    def evaluate(w):
        flat.assign(net, w)
        metrics = learn.evaluate(net, test.x, test.y)
        say(f"round {next(done)}: accuracy {metrics['accuracy']:.3f}", flush=True)
        return metrics
    history = rounds.run(flat.ravel(net), train=train, select=selection.uniform(config["num-clients"], config["num-clients"]),
                         rounds=config["num-rounds"], evaluate=evaluate, rng=seeded(config["seed"]), progress=False)
    if config["save"]:
        history.save(config["save"])
    return history


app = flower.to_flower(on_a_node, federated)
client = app.client
server = app.server
