"""The round, a loop you can read: select -> train -> uplink stages -> quarantine -> aggregate -> server."""
from dataclasses import dataclass, replace

import torch
from tqdm.auto import tqdm

from odl_kit.federation import aggregators, servers

FEDAVG = servers.sgd(1.0)


def run(w, *, train, select, rounds, uplink=(), aggregate=aggregators.mean, server=FEDAVG, evaluate=None, rng, progress=True, resume=None):
    """Federated learning from w (P,), up to round number `rounds` -> History.

    select(round_number, rng) -> chosen (m,) int64. train(w, chosen, *, rng) -> cohort.Uplink: simulated clients, boards, or both.
    uplink: stages `(uplink, state, rng) -> (uplink, state)`, in order (attack, clip, compress, noise; `stage` lifts a plain function).
    Then rows with NaN or Inf are set aside and recorded. aggregate(updates, num_examples) -> (P,). server(w, update, state) -> (w, state).
    evaluate(w) -> dict[str, float], after every round, and once before the first (history.before). rng: torch.Generator, draws all chance.
    resume: a History; goes on behind its last round with its weights, rng and states, bit for bit; `w` is not looked at then.
    States start as None and are replaced, never changed in place. Ctrl-C ends the run and returns the History of the complete rounds.
    Raises ValueError when no update is left in a round.
    """
    history = resume if resume is not None else History(w, evaluate(w) if evaluate else {}, (None,) * len(uplink), rng.get_state())
    rng.set_state(history.rng)
    with tqdm(range(len(history) + 1, rounds + 1), initial=len(history), total=rounds, unit="round", disable=not progress) as bar:
        try:
            for number in bar:
                chosen = select(number, rng)
                received = train(history.w, chosen, rng=rng)
                states = []
                for work, state in zip(uplink, history.states, strict=True):
                    received, state = work(received, state, rng)
                    states.append(state)
                received, set_aside = quarantine(received, number)
                update = aggregate(received.updates, received.num_examples)
                w, server_state = server(history.w, update, history.server)
                metrics = evaluate(w) if evaluate else {}
                history = history.after(w, metrics, chosen, received, set_aside, tuple(states), server_state, rng.get_state())
                bar.set_postfix(metrics, refresh=False)
        except KeyboardInterrupt:
            bar.write(f"stopped after round {len(history)} of {rounds}: run(..., resume=history) goes on from there")
    return history


def stage(fn):
    """Lift `fn(updates (C, P)) -> updates (C, P)` to an uplink stage without state."""
    def lifted(uplink, state, rng):
        return replace(uplink, updates=fn(uplink.updates)), state
    return lifted


def quarantine(uplink, number):
    """(uplink without the rows that hold NaN or Inf, ((client id, why), ...)). Raises ValueError if no row is left of round `number`."""
    updates, num_examples, rejected = aggregators.finite(uplink.updates, uplink.num_examples)
    set_aside = (*uplink.failed, *((int(uplink.ids[row]), "the update holds NaN or Inf") for row in rejected))
    if not len(updates):
        why = "; ".join(f"client {client}: {reason}" for client, reason in set_aside[:3]) or "no client sent one"
        raise ValueError(f"round {number}: no update is left ({why}): lower the learning rate, or choose more clients")
    if not len(rejected):
        return uplink, set_aside
    ids = uplink.ids[~torch.isin(torch.arange(len(uplink.ids)), rejected)]
    return replace(uplink, updates=updates, num_examples=num_examples, ids=ids), set_aside


@dataclass(frozen=True, repr=False)
class History:
    """What happened, one entry a round, and all that `run(..., resume=history)` needs to go on. len(history) is the number of rounds.

    w: (P,) after the last round. before: evaluate's dict before the first round; metrics: after each. bytes_up, bytes_down: ints, all
    clients together. chosen: (m,) int64, client ids. set_aside: ((client id, why), ...). note: by which path clients were trained, and
    why. states, rng, server: of the stages, the generator and the server, after the last round.
    """
    w: torch.Tensor
    before: dict
    states: tuple
    rng: torch.Tensor
    server: object = None
    metrics: tuple = ()
    bytes_up: tuple = ()
    bytes_down: tuple = ()
    chosen: tuple = ()
    set_aside: tuple = ()
    note: str = ""

    def after(self, w, metrics, chosen, uplink, set_aside, states, server, rng):
        """The history with one more round behind it."""
        down = len(chosen) * w.numel() * w.element_size() if uplink.bytes_down is None else uplink.bytes_down
        return History(w, self.before, states, rng, server, (*self.metrics, metrics), (*self.bytes_up, uplink.nbytes),
                       (*self.bytes_down, down), (*self.chosen, chosen),
                       (*self.set_aside, set_aside), uplink.note)

    def curve(self, name):
        """The metric `name` after each round: a list of len(history) floats. Raises KeyError that lists the known names."""
        known = sorted(set().union(*self.metrics))
        if self.metrics and name not in known:
            raise KeyError(f"no metric {name!r}: evaluate returned {', '.join(known) or 'nothing'}")
        return [metrics[name] for metrics in self.metrics]

    def first_round_above(self, name, value):
        """The first round, counted from 1, after which the metric `name` is at least `value`; None if it never was."""
        return next((number for number, reached in enumerate(self.curve(name), 1) if reached >= value), None)

    def save(self, path):
        """Write everything to `path`, a checkpoint that `History.load` reads. States must be tensors, numbers, or containers of them."""
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path):
        """The history that `save` wrote. Nothing in the file is executed."""
        return cls(**torch.load(path, weights_only=True))

    def __repr__(self):
        last = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics[-1].items()) if self.metrics else "nothing trained"
        aside = sum(map(len, self.set_aside))
        return f"{len(self)} rounds: {last}; {sum(self.bytes_up):,} B up, {sum(self.bytes_down):,} B down; {aside} set aside; {self.note}"

    def __len__(self):
        return len(self.metrics)
