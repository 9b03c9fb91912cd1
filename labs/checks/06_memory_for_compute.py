"""Checks and quizzes of lab 06. Judging uses plain numbers."""
import torch

from odl_kit.lab.judging import Check, Quiz, close


def draw(low, high, rng):
    return int(torch.randint(low, high, (1,), generator=rng))


def slots_cases(rng):
    """Segments drawn afresh: once the first is the worst, once a later one, then a single one."""
    yield ([draw(2, 9, rng) for _ in range(draw(3, 7, rng))],)
    yield ([20, *[draw(1, 5, rng) for _ in range(4)]],)
    yield ([draw(1, 5, rng), draw(1, 5, rng), 9, 2],)
    yield ([draw(2, 30, rng)],)


def slots_judge(case, output):
    (lengths,) = case
    return close(output, max(place + 1 + length for place, length in enumerate(lengths)))


def any_schedule(units, depth, rng):
    """A nested schedule of these units."""
    if depth == 0 or len(units) < 2:
        return tuple(units)
    cut = draw(1, len(units), rng)
    return (any_schedule(units[:cut], depth - 1, rng), *any_schedule(units[cut:], depth - 1, rng))


def forward_macs_cases(rng):
    """Plain, one level, several levels."""
    for n, depth in ((4, 0), (6, 1), (7, 2), (9, 3)):
        yield any_schedule(list(range(n)), depth, rng), [draw(1, 100, rng) for _ in range(n)]
    yield (((0,), 1), 2), [1, 10, 100]


def inside(item):
    return [item] if isinstance(item, int) else [i for part in item for i in inside(part)]


def cost(schedule, macs):
    return sum(sum(macs[i] for i in inside(item)) + (0 if isinstance(item, int) else cost(item, macs)) for item in schedule)


def forward_macs_judge(case, output):
    return close(output, cost(*case))


checks = {
    "slots": Check(
        points=2,
        cases=slots_cases,
        judge=slots_judge,
        hints=("Write down what is held while segment 0 is run again, then segment 1. Which numbers grow with j?",
               "While segment j is run again, j + 1 inputs are held (of the segments 0 to j), and its own layers, `length` of them."),
        solution='''\
def slots(lengths):
    """lengths: of the segments, in layers, from the input up.

    Returns the slots needed at the worst moment, an int.
    """
    return max(j + 1 + length for j, length in enumerate(lengths))
''',
        wrong=('''\
def slots(lengths):
    return max(len(lengths) + length for j, length in enumerate(lengths))
''', '''\
def slots(lengths):
    return max(j + length for j, length in enumerate(lengths))
'''),
    ),
    "forward_macs": Check(
        points=3,
        cases=forward_macs_cases,
        judge=forward_macs_judge,
        hints=("A segment is run at least twice: now, without keeping anything, and again later. How often exactly, its own schedule says.",
               "For a tuple: the sum of macs[i] for i in schedules.flat(item), plus forward_macs(item, macs)."),
        solution='''\
def forward_macs(schedule, macs):
    """schedule: nested tuple; macs: list, forward MACs of each layer.

    Returns all forward MACs of a step, an int.
    """
    total = 0
    for item in schedule:
        if isinstance(item, int):
            total += macs[item]
        else:
            total += sum(macs[i] for i in schedules.flat(item)) + forward_macs(item, macs)
    return total
''',
        wrong=('''\
def forward_macs(schedule, macs):
    total = 0
    for item in schedule:
        if isinstance(item, int):
            total += macs[item]
        else:
            total += 2 * sum(macs[i] for i in schedules.flat(item))
    return total
''', '''\
def forward_macs(schedule, macs):
    total = 0
    for item in schedule:
        if isinstance(item, int):
            total += macs[item]
        else:
            total += forward_macs(item, macs)
    return total
'''),
    ),
}

quizzes = {
    "both": Quiz(
        "A team wants both: sixteen pieces, their gradients added up, and updates in place, so that no gradient is stored. Does it work?",
        {
            "Yes, the two have nothing to do with each other": (False, "Adding up needs a place to add to: one number for each weight, "
            "from the first piece to the last."),
            "No: a sum over pieces is a stored gradient": (True, "Either the sum is stored, or each piece is a step of its own. Sixteen "
            "small steps are not one large step: each is computed at other weights."),
            "Yes, if the pieces have equal size": (False, "Equal pieces make the weights n_k/N equal. The sum still has to be kept."),
            "No: a weight may not change before the way back is done": (False, "It may. Below a layer nobody asks for its weight again, "
            "and the updated net is the same to the last bit."),
        },
    ),
    "cache": Quiz(
        "When is it better to compute a stage's input again for each batch than to cache it for all images?",
        {
            "When there are many images and little storage": (True, "The cache grows with the number of images, the work with the "
            "number of epochs. A device with a large flash and a slow processor would rather cache."),
            "When the stage is the first": (False, "The first stage reads the images themselves: there is nothing to compute or to cache."),
            "When accuracy matters": (False, "Both ways train on the same numbers."),
            "Never: the blocks below are frozen, so the input never changes": (False, "True, and that is why it *can* be cached. "
            "But the cache takes several times the bytes of the images."),
        },
    ),
}
