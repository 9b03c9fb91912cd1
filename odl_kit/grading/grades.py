"""Verdicts -> points: what was earned, what was given by hand, what lateness takes, what a regrade changed. One Row a student and lab."""
import datetime
import math
from dataclasses import dataclass, field

from odl_kit.grading import build, course, tables


@dataclass(frozen=True)
class Row:
    """One student's one lab. earned and possible {question: points}; "reflection" is given by hand, None until it was. penalty: share of
    what was earned that lateness takes, 0 to 1. decisions {question: what a regrade decided, in words}. comment: of who gave points.
    result: the judge.Result. submission: its Submission. attempts: how many files there were."""
    student: str
    lab: str
    submission: object
    result: object
    earned: dict
    possible: dict
    late_days: int = 0
    penalty: float = 0.0
    attempts: int = 1
    comment: str = ""
    decisions: dict = field(default_factory=dict)

    @property
    def total(self):
        """Points that count, None where our own failure or a question not yet judged by hand keeps them open."""
        if self.result.blame == "ours" or None in self.earned.values():
            return None
        return round((1 - self.penalty) * sum(self.earned.values()), 4)

    @property
    def maximum(self):
        """Points there are."""
        return sum(self.possible.values())


def row(submission, result, about, *, attempts=1, deadline=None, when=None):
    """The Row of a submission. about: Course. deadline: datetime, overridden by the course's. when: datetime of the submission or None."""
    possible = course.points(about, submission.lab) if submission.lab in {source.stem for source in build.sources()} else {}
    earned = {q: points if result.questions.get(q, {}).get("passed") else 0 for q, points in possible.items()}
    rules = about.labs.get(submission.lab, {})
    if rules.get("reflection"):
        possible, earned = possible | {"reflection": rules["reflection"]}, earned | {"reflection": 0 if result.blame else None}
    days, penalty = late(rules.get("deadline", deadline), when or submission.when, about.late, marked=submission.late)
    return Row(submission.student, submission.lab, submission, result, earned, possible, days, penalty, attempts)


def late(deadline, when, policy, *, marked=False):
    """(days begun after the deadline and its grace, share of the points that they take). policy: the table [late] of course.toml.

    No deadline or no time: not late, but for what the platform marked as late (`marked`), which counts as one day.
    """
    if deadline is None or when is None:
        days = int(marked)
    else:
        over = when - deadline - datetime.timedelta(minutes=policy.get("grace_minutes", 0))
        days = max(0, math.ceil(over / datetime.timedelta(days=1)))
    if "days" in policy and days > policy["days"]:
        return days, 1.0
    return days, min(1.0, days * policy.get("per_day", 0) / 100)


def best(rows):
    """One row a student and lab: the one with the most points; of equals, and where points are open, the last."""
    kept = {}
    for r in rows:
        key, old = (r.student, r.lab), kept.get((r.student, r.lab))
        if old is None or r.total is None or old.total is None or r.total >= old.total:
            kept[key] = r
    return list(kept.values())


def times(path):
    """{(student, lab or ""): datetime} from a CSV with the columns student, lab (may be missing or empty), time (ISO, with a time zone)."""
    found = {}
    for number, entry in tables.read(path, ("student", "time")):
        try:
            when = datetime.datetime.fromisoformat(entry["time"].strip())
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            raise ValueError(f"{path.name}, line {number}: the time is {entry['time']!r}; write 2027-03-01T23:59:00+01:00")
        found[entry["student"], entry.get("lab") or ""] = when
    return found
