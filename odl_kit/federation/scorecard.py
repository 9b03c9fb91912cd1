"""A design, scored on people who took no part: how well it serves them, what it costs a phone, which limits and promises it breaks.

Nothing new happens here: every step is called where it stands, in the order in which a product meets it. The volunteers' data train the
net, the phones go on (`federated`), each person of the test adapts and is served (`serve`), and the costs are counted (`costs`).
"""
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial

import torch

from odl_kit.federation import accounting, compression, local, privacy, rounds, secagg, selection, servers
from odl_kit.federation import design as designs
from odl_kit.learners import cohort, cost, memory, train
from odl_kit.models import flat, layers, quantize

PRETRAINING = {"epochs": 15, "batch_size": 20, "lr": 0.1, "momentum": 0.9}
NEIGHBOURS = 8      # of a phone in secure aggregation
COSTS = ("flash", "sram", "macs", "energy_mJ", "link_bytes")


@dataclass(frozen=True)
class Card:
    """What a design is worth, and what it costs one phone over the whole project. Answers to questions are not counted, only learning.

    accuracy, worst_tenth, worst: mean over people, over the worst tenth of them, of the worst one, 0 to 1. flash, sram, link_bytes: bytes.
    macs: multiply-accumulates. energy_mJ: an estimate. epsilon: inf without noise, 0 if no phone sent anything. broken: sentences, () if
    all limits and promises are kept. people: each one's accuracy.
    """
    accuracy: float
    worst_tenth: float
    worst: float
    flash: int
    sram: int
    macs: int
    energy_mJ: float
    link_bytes: int
    epsilon: float
    broken: tuple
    people: tuple = field(repr=False, default=())

    @property
    def points(self):
        """100 * (mean accuracy + accuracy of the worst tenth) / 2; 0 if anything is broken."""
        return 0.0 if self.broken else 50 * (self.accuracy + self.worst_tenth)

    def plain(self):
        """A dict that JSON can hold, without `people`; an epsilon of inf becomes None."""
        found = asdict(self) | {"points": self.points, "epsilon": None if self.epsilon == float("inf") else self.epsilon}
        del found["people"]
        return found | {"broken": list(self.broken)}

    def __str__(self):
        lines = [f"{name:<14}{getattr(self, name):>12.1%}" for name in ("accuracy", "worst_tenth", "worst")]
        lines += [f"{name:<14}{getattr(self, name):>12,.0f}" for name in COSTS] + [f"{'epsilon':<14}{self.epsilon:>12.2f}"]
        return "\n".join([*lines, f"{'points':<14}{self.points:>12.1f}", *(f"BROKEN: {sentence}" for sentence in self.broken)])


def score(design, brief, *, seed=0):
    """Build `design`, train it, serve the people of the test -> Card. Raises ValueError for choices that do not go together.

    The bytes of secure sums are those of one real round of the same shape; the rows themselves are added plainly: tests/federation/
    test_secagg.py shows that both give the same sum.
    """
    if problems := design.problems(len(brief.phones)):
        raise ValueError("this design cannot be built: " + "; ".join(problems))
    rng = torch.Generator().manual_seed(seed)
    net = brief.net(design.hidden, rng)
    if design.from_volunteers:
        train.fit(net, *brief.volunteers, **PRETRAINING, rng=rng, progress=False)
    learns = designs.PLANS[design.learns](net)
    w, per_call = federated(net, learns, design, brief, rng)
    people, served = serve(net, w, learns, design, brief, rng)
    return _card(net, learns, people, served, per_call, design, brief)


def federated(net, learns, design, brief, rng):
    """(w (P,) after the rounds of the design, bytes up and down of one phone in one round). rng: torch.Generator."""
    w, mask, expected = flat.ravel(net), learns.mask(net), design.per_round
    if not design.rounds:
        return w, 0.0
    stages = [brief.attack]
    if design.upload_bits < 32:
        stages.append(compression.only(mask, compression.quantise(design.upload_bits)))
    if design.clip is not None and design.rule == "mean":       # also without noise: one row leaves, the mean of the clipped ones
        stages.append(privacy.noised_mean(clip_norm=design.clip, noise_multiplier=noise(design, brief), expected_clients=expected))
    elif design.clip is not None:
        stages.append(rounds.stage(partial(privacy.clip, norm=design.clip)))
    stages.append(rounds.stage(lambda rows: rows * mask))       # what does not learn gets no noise
    choose = selection.uniform if design.epsilon is None else lambda count, m: privacy.poisson(count, m / count)
    work = partial(local.train_cohort, net, brief.phones, epochs=design.epochs, batch_size=design.batch_size, lr=design.lr, plan=learns)
    history = rounds.run(w, train=work, select=choose(len(brief.phones), expected), rounds=design.rounds, uplink=stages,
                         aggregate=designs.RULES[design.rule], server=servers.sgd(design.server_lr), rng=rng, progress=False)
    calls = sum(map(len, history.chosen))
    up = secure_bytes(int(mask.sum()), expected) / expected if design.secure else sum(history.bytes_up) / calls
    return history.w, up + sum(history.bytes_down) / calls


def serve(net, w, learns, design, brief, rng):
    """([accuracy of each person on their later examples], bytes of the net that answers). w: (P,), what the phones begin with."""
    count = len(brief.first)
    each = w.expand(count, -1)
    if design.personal_epochs:
        each = each + cohort.train_cohort(net, w, brief.first.x, brief.first.y, brief.first.num_examples, epochs=design.personal_epochs,
                                          batch_size=design.batch_size, lr=design.lr, plan=learns, rng=rng)
    found, nbytes = [], 4 * w.numel()
    for person in range(count):
        mine = flat.assign(net, each[person])
        if design.serves_in_bits == 8 and (design.personal_epochs or not found):
            integers = quantize.quantize_model(mine, torch.cat([brief.volunteers[0][:100], brief.first[person][0]]))
            nbytes = integers.nbytes
        found.append(train.evaluate(integers if design.serves_in_bits == 8 else mine, *brief.later[person])["accuracy"])
    flat.assign(net, w)
    return found, nbytes


@lru_cache(maxsize=64)
def secure_bytes(count, clients):
    """Bytes that all clients send in one round of secure aggregation of `count` numbers each: from a real round, of zeros."""
    summed = secagg.total(torch.zeros(clients, count), limit=1.0, neighbours=min(NEIGHBOURS, (clients - 1) // 2 * 2),
                          rng=torch.Generator().manual_seed(0))
    return sum(int(phase.sum()) for phase in summed.up.values())


def noise(design, brief):
    """The noise multiplier that keeps design.epsilon over all rounds; 0 without an epsilon."""
    if design.epsilon is None:
        return 0.0
    return _noise(design.epsilon, design.per_round / len(brief.phones), design.rounds, brief.delta)


@lru_cache(maxsize=256)
def _noise(epsilon, sample_rate, steps, delta):
    return accounting.noise_for(epsilon=epsilon, sample_rate=sample_rate, steps=steps, delta=delta)


def costs(net, learns, served, per_call, design, brief):
    """(MemoryReport, {macs, energy_mJ, link_bytes}) of one phone that takes part as often as expected and then personalises.

    flash: the net that answers; and, where that is int8, also the float32 weights that never learn. Every phone downloads the net once.
    """
    x, _ = brief.phones[0]
    report = memory.memory_report(net, x[:design.batch_size], learns, rule="device")
    traced = layers.trace(net, x[:1])
    frozen = report.peak - report.sram                                      # bytes: rule "device" leaves in flash what never changes
    report = replace(report, flash=served + (frozen if design.serves_in_bits == 8 else 0))
    share = design.rounds * design.per_round / len(brief.phones)            # rounds in which a phone takes part, on average
    seen = share * design.epochs * float(brief.phones.num_examples.double().mean())
    seen += design.personal_epochs * float(brief.first.num_examples.double().mean())
    macs = round(seen * (sum(layer.macs for layer in traced) + cost.backward_macs(traced, learns)))
    link = round(share * per_call) + served
    return report, {"macs": macs, "energy_mJ": brief.mJ(macs, link, share + 1), "link_bytes": link}


def _card(net, learns, people, served, per_call, design, brief):
    report, spent = costs(net, learns, served, per_call, design, brief)
    epsilon = 0.0 if not design.rounds else float("inf") if design.epsilon is None else accounting_epsilon(design, brief)
    broken = [str(over) for over in brief.budget.check(report, **spent)]
    if brief.epsilon is not None and epsilon > brief.epsilon:
        broken.append(f"epsilon is {epsilon:.3g}, promised was {brief.epsilon:g} for each person: set epsilon and a clip, or fewer rounds")
    if brief.secure and design.rounds and not design.secure:
        broken.append("the server sees single updates, and it was promised that it sees sums: set secure and a clip")
    accuracy = torch.tensor(people, dtype=torch.float64).sort().values
    tenth = accuracy[:max(1, len(accuracy) // 10)]
    return Card(float(accuracy.mean()), float(tenth.mean()), float(accuracy[0]), report.flash, report.sram, spent["macs"],
                spent["energy_mJ"], spent["link_bytes"], epsilon, tuple(broken), tuple(people))


def accounting_epsilon(design, brief):
    """The epsilon of the run, from its noise: at most design.epsilon, since noise is rounded up."""
    return _epsilon(noise(design, brief), design.per_round / len(brief.phones), design.rounds, brief.delta)


@lru_cache(maxsize=256)
def _epsilon(z, sample_rate, steps, delta):
    return accounting.epsilon(noise_multiplier=z, sample_rate=sample_rate, steps=steps, delta=delta)

