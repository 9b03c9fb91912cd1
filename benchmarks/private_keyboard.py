"""What a promise to each user costs a keyboard: next-word accuracy by epsilon, number of users and method, over five seeds (lab 15).

Federated training of a next-word model on generated messages (40 a user), 40 rounds, tested on 60 users who took no part. The promise is
client-level, (epsilon, N^-1.1). A SIMULATION of the use of the model, not a private run: 25 clients train a round (20 where N = 100), and
the noise on their mean is that of the cohort's mean (N / 10 clients; 20 where N = 100), which is what decides the accuracy; N = 5,000 draws
them from 1,000 generated users.
The server's rate is halved from 1 for as long as that helps on seed 10, which is not reported; choosing is not charged to epsilon.

    python benchmarks/private_keyboard.py         prints a table, writes benchmarks/results/private_keyboard.json (about ten minutes)
"""
import argparse
from functools import partial

import record
import torch
from tqdm import tqdm

from odl_kit.data import messages, partition, text
from odl_kit.federation import accounting, local, privacy, rounds, selection, servers
from odl_kit.learners import train
from odl_kit.models import flat, nets

ROUNDS, SIMULATED, CLIP, MESSAGES, RESTART = 40, 25, 1.0, 40, 10
SEEDS, TRIAL = range(5), 10
COHORT = {100: 20, 1000: 100, 5000: 500}
METHODS = ("fixed clip", "falling noise", "adaptive clip", "DP-FTRL")
PROMISES = {"no noise": None, "epsilon 8": 8, "epsilon 2": 2}
SETTINGS = [("fixed clip", users, promise) for users in COHORT for promise in PROMISES]
SETTINGS += [(method, users, promise) for method in METHODS[1:] for users in (1000, 5000) for promise in ("epsilon 8", "epsilon 2")]


def world(users, seed, cache={}):       # noqa: B006 - kept from call to call on purpose
    """(clients, held-out windows, net, w0) of a seed; at most 1,000 users are generated."""
    key = min(users, 1000), seed
    if key not in cache:
        cache.clear()
        rng = torch.Generator().manual_seed(seed)
        data, held_out = (text.next_word(messages.generate(count, MESSAGES, rng=rng)) for count in (key[0], 60))
        net = nets.word_model(len(data.classes), context=4, rng=rng)
        cache[key] = partition.clients(data, partition.by_user(data.user)), held_out, net, flat.ravel(net)
    return cache[key]


def noise(method, users, epsilon):
    """The noise multiplier, or the multipliers of a schedule, that keep the promise."""
    delta, q = users ** -1.1, COHORT[users] / users
    if epsilon is None:
        return 0.0
    if method == "DP-FTRL":
        heights = accounting.tree_heights(ROUNDS, RESTART)
        return accounting.gaussian_sigma(epsilon=epsilon, delta=delta, sensitivity=sum(heights) ** 0.5)
    shape = privacy.falling(2.0, 1.0, ROUNDS) if method == "falling noise" else None
    scale = accounting.noise_for(epsilon=epsilon, sample_rate=q, steps=ROUNDS, delta=delta, shape=shape)
    return scale if shape is None else [scale * part for part in shape]


def stage(method, z, users, simulated):
    """The uplink stage, with noise for the cohort's mean on the simulated clients' mean."""
    share = simulated / COHORT[users]
    z = [part * share for part in z] if isinstance(z, list) else z * share
    options = {"noise_multiplier": z, "expected_clients": simulated}
    if method == "adaptive clip":
        return privacy.adaptive_clip(start=0.1, quantile=0.5, eta=0.5, **options)
    if method == "DP-FTRL":
        return privacy.tree_noise(clip_norm=CLIP, restart_every=RESTART, **options)
    return privacy.noised_mean(clip_norm=CLIP, **options)


def accuracy(method, users, z, rate, seed):
    """Next-word accuracy on the held-out users, in per cent."""
    clients, held_out, net, w0 = world(users, seed)
    simulated = min(SIMULATED, COHORT[users])
    select = privacy.in_turns(RESTART * simulated, simulated) if method == "DP-FTRL" else selection.uniform(len(clients), simulated)
    work = partial(local.train_cohort, net, clients, epochs=1, batch_size=20, lr=0.5)
    history = rounds.run(w0, train=work, select=select, rounds=ROUNDS, uplink=[stage(method, z, users, simulated)],
                         server=servers.momentum(rate, beta=0.9), rng=torch.Generator().manual_seed(seed), progress=False)
    return 100 * train.evaluate(flat.assign(net, history.w), held_out.x, held_out.y)["accuracy"]


def best_rate(method, users, z):
    """The server's rate: halved from 1 until that no longer helps on the seed TRIAL."""
    rate, best = 1.0, accuracy(method, users, z, 1.0, TRIAL)
    while (lower := accuracy(method, users, z, rate / 2, TRIAL)) > best:
        rate, best = rate / 2, lower
    return rate


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    noises = {setting: noise(setting[0], setting[1], PROMISES[setting[2]]) for setting in SETTINGS}
    rates = {setting: best_rate(*setting[:2], noises[setting]) for setting in tqdm(SETTINGS, unit="setting")}
    found = {setting: [] for setting in SETTINGS}
    for seed, setting in tqdm([(seed, setting) for seed in SEEDS for setting in SETTINGS], unit="run"):
        found[setting].append(accuracy(*setting[:2], noises[setting], rates[setting], seed))
    tables = {name: {} for name in ("accuracy", "noise", "rate")}
    for setting in SETTINGS:
        method, users, promise = setting
        z = noises[setting]
        print(f"{method:<14} N={users:<5} {promise:<10} rate {rates[setting]:<5} z {z if isinstance(z, float) else [z[0], z[-1]]} "
              f"{[round(value, 1) for value in found[setting]]}")
        for name, value in (("accuracy", found[setting]), ("noise", z), ("rate", rates[setting])):
            tables[name].setdefault(method, {}).setdefault(f"{users:,} users", {})[promise] = value
    record.write("private_keyboard", **tables, rounds=ROUNDS, cohort=COHORT, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
