"""What a board learns of a new user in 27 or 108 steps (lab 25): three voices and five nets, and twenty-four people's gestures.

`keywords`, synthetic speech: a net a seed (datasets/keywords/pretrain.py), in int8, meets one voice. Three clips a word, in three passes,
by SGD with a batch of 4 (everything: a batch of 1, for more does not fit); tested on six other takes of each word and on 120 clips of
speakers whom the net never met and serves well. `motion`, simulated gestures: for each person a net is trained on the 23 others; three
repeats of each gesture in ten passes, tested on the other twelve. Everything is int8, in NumPy, which a board equals bit for bit
(tests/engine). Rates were set once, on seed 0. Everything in %.

    python benchmarks/train_on_the_board.py     prints tables, writes benchmarks/results/train_on_the_board.json (about 5 minutes)
"""
from dataclasses import replace

import record
import torch
from tqdm import tqdm

from odl_kit.data import cards, datasets, pretrained
from odl_kit.engine import execute, program
from odl_kit.learners import plan, train
from odl_kit.models import flat, nets, quantize

SEEDS, VOICES, PASSES = range(5), ("german", "travis", "whisper"), 3
seed_of = torch.Generator().manual_seed
SPARSE = plan.UpdatePlan({"head", "pointwise3"}, {"head": 48, "pointwise3": 24})
WAYS = {"head": (plan.head_only, 4, 0.1), "sparse": (lambda net: SPARSE, 4, 0.1), "everything": (plan.full, 1, 0.001)}


def shipped(seed, calibration):
    """The int8 net of this seed."""
    net = nets.ds_cnn(1, 12, width=48, blocks=3, stem=(10, 4), norm=None, rng=seed_of(0))
    return quantize.quantize_model(flat.assign(net, pretrained.load("keywords", seed=seed)), calibration)


def learn(made, x, y, lr, passes):
    """The State of a Program after some passes over x, y."""
    state, size = None, made.batch
    for at in list(range(0, len(x), size)) * passes:
        state, _ = execute.step(made, state, x[at:at + size], y[at:at + size], lr)
    return state


def right(made, state, part):
    return 100 * float((execute.predict(made, state, part.x).argmax(1) == part.y.numpy()).mean())


def shuffled(part, seed):
    return part.subset(torch.randperm(len(part), generator=seed_of(seed)))


def voice(data, old, user, seed):
    """{way: (the user's accuracy, old users')} of one voice and one net."""
    number = cards.read("keywords")["users"].index(user)
    own, order = data.subset(data.user == number), torch.randperm(16, generator=seed_of(1000 * seed + number))
    shots, test = (own.subset(torch.isin(own.time, part)) for part in (order[:3], order[10:]))
    net, shots = shipped(seed, data.group("train").x[:256]), shuffled(shots, seed)
    found = {}
    for way, (what, batch, lr) in WAYS.items():
        made = program.compile(net, shots.x[:1], what(net), batch=batch)
        state = learn(made, shots.x, shots.y, lr, PASSES)
        found["as shipped"] = found.get("as shipped") or (right(made, None, test), right(made, None, old))
        found[way] = right(made, state, test), right(made, state, old)
    return found


def gestures(data, person):
    """(before, after): accuracy of one person's gestures."""
    mine, net = data.user == person, nets.mlp(300, 32, 8, rng=seed_of(person))
    others = data.subset(~mine)
    train.fit(net, others.x, others.y, epochs=8, batch_size=32, lr=0.05, rng=seed_of(person), progress=False)
    shots, test = shuffled(data.subset(mine & (data.time < 3)), person), data.subset(mine & (data.time >= 3))
    made = program.compile(quantize.quantize_model(net, others.x[:256]), shots.x[:1], None, batch=4)
    return right(made, None, test), right(made, learn(made, shots.x, shots.y, 0.02, 10), test)


def main():
    torch.set_num_threads(1)
    data = datasets.load("keywords")
    old = data.group("unseen")
    old = shuffled(old.subset(old.time < 4), 0).subset(torch.arange(120))
    found = {"user": {}, "old": {}}
    for user in VOICES:
        runs = [voice(data, old, user, seed) for seed in tqdm(SEEDS, desc=user)]
        for k, said in enumerate(("user", "old")):
            found[said][user] = {way: [run[way][k] for run in runs] for way in runs[0]}
            print(user, said, found[said][user])
    data = datasets.load("motion")
    data = replace(data, x=data.x.flatten(1))
    runs = [gestures(data, person) for person in tqdm(range(24), desc="gestures")]
    motion = {name: [run[k] for run in runs] for k, name in enumerate(("as shipped", "everything, on the board"))}
    print(motion)
    print(record.write("train_on_the_board", passes=PASSES, motion=motion, **found))


if __name__ == "__main__":
    main()
