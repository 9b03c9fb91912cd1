"""Checks and quizzes of lab 28. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def energy_mJ_cases(rng):
    """Computing alone, radio alone, calls alone, nothing, and all three."""
    yield 6_400_000, 0, 0
    yield 0, 50_000, 0
    yield 0, 0, 7
    yield 0, 0, 0
    macs, link_bytes, calls = torch.randint(1, 10**6, (3,), generator=rng).tolist()
    yield macs, link_bytes, calls % 30


def energy_mJ_judge(case, output):
    macs, link_bytes, calls = case
    return close(output, 3 * 3.3 * macs * 5 / 64e6 + 3 * 6.4 * link_bytes * 8 / 1e6 + calls, rtol=1e-6)


def worst_tenth_cases(rng):
    """Fifty people, a number that ten does not divide, and fewer than ten."""
    for count in (50, 25, 39, 9, 1):
        yield (torch.rand(count, generator=rng),)


def worst_tenth_judge(case, output):
    people = np.sort(case[0].astype(np.float64))
    return close(output, float(people[:max(1, len(people) // 10)].mean()), rtol=1e-5)


def differs_cases(rng):
    """Equal numbers, small and large differences, above and below, and one that is just inside."""
    names = ("accuracy", "worst_tenth", "flash")
    found = dict(zip(names, (0.9, 0.5, 4000.0), strict=True))
    tolerance = dict(zip(names, (0.02, 0.05, 4.0), strict=True))
    for shift in ((0, 0, 0), (0.01, 0.2, 0), (0, -0.2, 100), (-0.3, 0.04, -3), (0.5, 0.5, 500)):
        yield {name: found[name] + by for name, by in zip(names, shift, strict=True)}, dict(found), dict(tolerance)
    by = float(torch.rand(1, generator=rng)) * 0.1 + 0.03
    yield {**found, "accuracy": found["accuracy"] - by}, dict(found), dict(tolerance)


def differs_judge(case, output):
    said, found, tolerance = case
    wanted = [name for name in said if abs(said[name] - found[name]) > tolerance[name]]
    if not isinstance(output, list | tuple):
        return f"a list of names is wanted, this is {output!r}"
    told = f"said {said}, found {found}, tolerance {tolerance}"
    return None if list(output) == wanted else f"{told}: {wanted} differ, the answer is {list(output)}"


checks = {
    "energy_mJ": Check(
        points=2,
        cases=energy_mJ_cases,
        judge=energy_mJ_judge,
        hints=("Seconds of computing are cycles divided by cycles a second; seconds of sending are bits divided by bits a second.",
               "A MAC takes 5 cycles of 64e6 a second. A byte has 8 bits, and the radio sends 1e6 bits a second."),
        solution='''\
def energy_mJ(macs, link_bytes, calls):
    """Millijoules for so many MACs, bytes over the radio, and calls: an estimate."""
    computing_s = 5 * macs / 64e6
    sending_s = 8 * link_bytes / 1e6
    return 3 * 3.3 * computing_s + 3 * 6.4 * sending_s + calls
''',
        wrong=('''\
def energy_mJ(macs, link_bytes, calls):
    computing_s = 5 * macs / 64e6
    sending_s = link_bytes / 1e6
    return 3 * 3.3 * computing_s + 3 * 6.4 * sending_s + calls
''', '''\
def energy_mJ(macs, link_bytes, calls):
    computing_s = macs / 64e6
    sending_s = 8 * link_bytes / 1e6
    return 3 * 3.3 * computing_s + 3 * 6.4 * sending_s + calls
'''),
    ),
    "worst_tenth": Check(
        points=2,
        cases=worst_tenth_cases,
        judge=worst_tenth_judge,
        hints=("Sort the people, and take the mean of the first few.",
               "`people.sort().values[:count]` has the lowest; `max(1, len(people) // 10)` is how many."),
        solution='''\
def worst_tenth(people):
    """people (n,) float: the accuracy of each -> mean of the lowest n // 10 (at least one), a float."""
    count = max(1, len(people) // 10)
    return float(people.sort().values[:count].mean())
''',
        wrong=('''\
def worst_tenth(people):
    return float(people.quantile(0.1))
''', '''\
def worst_tenth(people):
    count = max(1, len(people) // 10)
    return float(people[:count].mean())
'''),
    ),
    "differs": Check(
        points=2,
        cases=differs_cases,
        judge=differs_judge,
        hints=("A number differs if it is too large, and also if it is too small.",
               "Compare `abs(said[name] - found[name])` with the tolerance of this name."),
        solution='''\
def differs(said, found, tolerance):
    """Three dicts {name: float} with the same names -> list of the names whose numbers do not agree."""
    return [name for name in said if abs(said[name] - found[name]) > tolerance[name]]
''',
        wrong=('''\
def differs(said, found, tolerance):
    return [name for name in said if said[name] - found[name] > tolerance[name]]
''', '''\
def differs(said, found, tolerance):
    return [name for name in said if said[name] != found[name]]
'''),
    ),
}

quizzes = {
    "who_is_last": Quiz(
        "With the clip the mean is near 90 %, and the worst tenth near 30 %. Who are these people, most likely?",
        {
            "Those whose badges lie":
                (False, "The liars are among the thousand who train. The fifty who are served took no part."),
            "Those with a rare hobby":
                (True, "Most of their messages are about a topic that few badges ever see, so the shared net hardly learns it."),
            "Those who write little": (False, "Everybody has the same number of messages here."),
            "Nobody in particular, somebody must be last":
                (False, "If all were alike, sixty messages each would give a spread of a few points. The gap here is sixty."),
        },
    ),
    "sum_only": Quiz(
        "The brief asks for secure sums, too. Which defence against lying badges is left?",
        {
            "The median of the updates": (False, "It compares single updates, and the server sees none."),
            "Looking for outliers at the server": (False, "There is one row left, the sum. Nothing lies beside it."),
            "A limit to the length of each update":
                (True, "It can be applied on the badge, before the sum. A badge that breaks it must be caught by a proof about masked "
                       "numbers; this lab takes the clip for granted."),
            "None, privacy and defence exclude each other":
                (False, "The clip bounds what one badge can do, and the noise needs that same bound."),
        },
    ),
    "believe": Quiz(
        "A team tried a thousand seeds and handed in the luckiest. Its file holds exactly what its design and seed give. What finds it?",
        {
            "The hash": (False, "Nothing was changed after it was written."),
            "Computing the score again from the file's seed": (False, "The same seed gives the same lucky score."),
            "Ranking by seeds that were drawn after the files came in":
                (True, "Luck does not carry over to new seeds; the design does."),
            "Nothing, it is a fair score": (False, "It tells how lucky the best of a thousand throws was, and not how good the design is."),
        },
    ),
}
