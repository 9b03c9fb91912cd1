"""A leader board of designs: one small JSON file a team, and a reader who believes no file but computes every score again.

The hash finds files that were damaged or edited by hand. Whoever edits can also make a new hash, so it proves nothing. What counts is that
the score follows from the design, and that the table is ranked by seeds which the reader chooses after the files were handed in.
"""
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from odl_kit.federation import scorecard
from odl_kit.federation.design import Design

KEYS = {"name", "brief", "seed", "design", "card"}
LARGEST = 10_000                # bytes of a file
ROUNDING = {"accuracy": 0.02, "worst_tenth": 0.05, "worst": 0.1}     # other machines round otherwise, and training makes more of it


@dataclass(frozen=True)
class Row:
    """One line of the table. points: mean over the reader's seeds; claimed: what the file says. problem: "" if all is well."""
    name: str
    points: float
    claimed: float
    problem: str
    design: Design | None = None


def write(path, name, design, brief, *, seed=0):
    """Score `design` by `brief` and write the entry of the team `name` to `path`; returns its dict. Errors as those of scorecard.score."""
    entry = {"name": str(name)[:80], "brief": brief.digest(), "seed": int(seed), "design": asdict(design),
             "card": scorecard.score(design, brief, seed=seed).plain()}
    Path(path).write_text(json.dumps(entry | {"sha256": digest(entry)}, indent=1) + "\n", encoding="utf-8")
    return entry


def digest(entry):
    """sha256, in hex, of an entry without its own "sha256"."""
    text = json.dumps({key: value for key, value in entry.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read(path):
    """The entry in a file: a dict with KEYS. Nothing in it is executed. Raises ValueError if it is no entry, or not as it was written."""
    raw = Path(path).read_bytes()
    if len(raw) > LARGEST:
        raise ValueError(f"{len(raw)} bytes: an entry has at most {LARGEST}")
    try:
        entry = json.loads(raw)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(entry, dict) or set(entry) != KEYS | {"sha256"}:
        raise ValueError(f"an entry holds {', '.join(sorted(KEYS))} and sha256")
    if entry["sha256"] != digest(entry):
        raise ValueError("it was changed after it was written: the hash does not fit")
    return entry


def judge(path, brief, *, seeds):
    """Compute the score in a file again, from its own seed and from each of `seeds` (ints, the reader's) -> Row, with what is wrong."""
    name, claimed = Path(path).stem, float("nan")
    try:
        entry = read(path)
        name, claimed = str(entry["name"]), float(entry["card"]["points"])
        if entry["brief"] != brief.digest():
            raise ValueError(f"it was scored by brief {entry['brief']}, this one is {brief.digest()}")
        design = Design(**entry["design"])
        problem = _difference(entry["card"], scorecard.score(design, brief, seed=int(entry["seed"])).plain())
        points = [scorecard.score(design, brief, seed=seed).points for seed in seeds]
    except (ValueError, TypeError, KeyError) as error:
        return Row(name, 0.0, claimed, str(error))
    return Row(name, sum(points) / len(points), claimed, problem, design)


def table(paths, brief, *, seeds):
    """Rows of all files, the best first; those with a problem stand last."""
    rows = [judge(path, brief, seeds=seeds) for path in sorted(paths)]
    return tuple(sorted(rows, key=lambda row: (bool(row.problem), -row.points)))


def _difference(said, found):
    """"" if what a file says is what came out again; else a sentence with the first number that is not."""
    for key, value in found.items():
        if key in ("points", "broken"):
            continue
        off = abs((said[key] or 0) - (value or 0)) if (said[key] is None) == (value is None) else float("inf")
        if off > ROUNDING.get(key, 1e-3 * abs(value or 0)):
            return f"the file says {key} = {said[key]}, the design gives {value}"
    largest = 50 * sum(ROUNDING[key] for key in ("accuracy", "worst_tenth"))
    if bool(said["broken"]) != bool(found["broken"]) or abs(said["points"] - found["points"]) > largest:
        return f"the file says {said['points']:.1f} points, the design gives {found['points']:.1f}"
    return ""
