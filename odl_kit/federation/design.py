"""What one chooses, and what is given, when a product learns on its users' devices: Design and Brief.

Module scorecard scores a Design by a Brief.
"""
import hashlib
from dataclasses import dataclass, field

from odl_kit.budget import Board, Budget
from odl_kit.federation import aggregators
from odl_kit.learners import plan

PLANS = {"everything": plan.full, "biases and head": plan.bias_only, "head": plan.head_only}
RULES = {"mean": aggregators.mean, "median": aggregators.median,
         "trimmed mean": lambda updates, num_examples: aggregators.trimmed_mean(updates, num_examples, trim=len(updates) // 10)}


@dataclass(frozen=True)
class Design:
    """What one chooses. The limits of every field are checked by `problems`, and again by `score`.

    hidden: width of the net. serves_in_bits: 32 or 8 (quantize_model), of the net that answers; learning is float32.
    learns: a key of PLANS. from_volunteers: begin with a net that the volunteers' data have trained, else at random.
    rounds, per_round, epochs, batch_size, lr, server_lr: of the federation; 0 rounds: none. upload_bits: 32, or 2 to 16 (compression).
    rule: a key of RULES. clip: no update is longer (L2 norm); None: no limit. epsilon: at client level; None: no noise.
    secure: the server sees sums only. personal_epochs: how often a phone goes through its owner's first examples, with the same plan and
    lr; 0: everybody has the same net.
    """
    hidden: int = 16
    serves_in_bits: int = 32
    learns: str = "everything"
    from_volunteers: bool = False
    rounds: int = 30
    per_round: int = 100
    epochs: int = 1
    batch_size: int = 10
    lr: float = 0.5
    server_lr: float = 1.0
    upload_bits: int = 32
    rule: str = "mean"
    clip: float | None = None
    epsilon: float | None = None
    secure: bool = False
    personal_epochs: int = 0

    def problems(self, num_phones):
        """Sentences on what is out of range or does not go together; none if the design can be built."""
        said = [f"{name} = {value!r}: give {wanted}" for name, value, good, wanted in (
            ("hidden", self.hidden, 1 <= self.hidden <= 256, "1 to 256"),
            ("serves_in_bits", self.serves_in_bits, self.serves_in_bits in (8, 32), "8 or 32"),
            ("learns", self.learns, self.learns in PLANS, " or ".join(map(repr, PLANS))),
            ("rounds", self.rounds, 0 <= self.rounds <= 200, "0 to 200"),
            ("per_round", self.per_round, 20 <= self.per_round <= num_phones, f"20 to {num_phones}"),
            ("epochs", self.epochs, 1 <= self.epochs <= 20, "1 to 20"),
            ("batch_size", self.batch_size, 1 <= self.batch_size <= 100, "1 to 100"),
            ("lr", self.lr, 0 < self.lr <= 10, "a number above 0 and up to 10"),
            ("server_lr", self.server_lr, 0 < self.server_lr <= 10, "a number above 0 and up to 10"),
            ("upload_bits", self.upload_bits, self.upload_bits == 32 or 2 <= self.upload_bits <= 16, "32, or 2 to 16"),
            ("rule", self.rule, self.rule in RULES, " or ".join(map(repr, RULES))),
            ("clip", self.clip, self.clip is None or 0 < self.clip < 1e6, "None or a length above 0"),
            ("epsilon", self.epsilon, self.epsilon is None or 0.1 <= self.epsilon <= 100, "None or 0.1 to 100"),
            ("personal_epochs", self.personal_epochs, 0 <= self.personal_epochs <= 100, "0 to 100")) if not good]
        summed = self.epsilon is not None or self.secure
        if summed and self.clip is None:
            said.append("epsilon and secure sums need a clip: without it one phone can move the sum as far as it likes")
        if summed and self.rule != "mean":
            said.append(f"rule {self.rule!r} compares single updates; with epsilon or secure sums there is a sum only: take 'mean'")
        if self.secure and self.upload_bits != 32:
            said.append("secure sums send masked 32-bit numbers: take upload_bits = 32")
        if self.rounds == 0 and not self.from_volunteers:
            said.append("nobody trains the net: give rounds, or begin from_volunteers")
        return tuple(said)


@dataclass(frozen=True, eq=False)
class Brief:
    """What is given, the same for everybody who designs.

    net(hidden, rng) -> nn.Module. phones, first, later: data.partition.Clients: the phones that train; the examples that each person of the
    test has labelled, and their later ones, in the same order of people. volunteers: (x, y), given away, so no promise covers them.
    board; budget: limits for one phone over the whole project. epsilon: the most that is promised (at delta), None: no such promise;
    secure: True if the server may see sums only. attack: a stage of rounds.run, what some of the phones do to their updates.
    mJ(macs, link_bytes, calls) -> the estimate of the energy, in millijoules.
    """
    net: object
    phones: object
    first: object
    later: object
    volunteers: tuple
    board: Board
    budget: Budget
    epsilon: float | None
    delta: float
    secure: bool
    attack: object
    mJ: object = field(repr=False)

    def digest(self):
        """12 hex digits that change with the data, the limits and the promise (not with the text of net, attack and mJ)."""
        sha = hashlib.sha256(repr((self.board, self.budget, self.epsilon, self.delta, self.secure)).encode())
        for tensor in (*self.volunteers, *(t for c in (self.phones, self.first, self.later) for t in (c.x, c.y, c.num_examples))):
            sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()[:12]
