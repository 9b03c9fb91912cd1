"""Checks and quizzes of lab 07. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def herding_cases(rng):
    """One example, all of them, and clouds that lie off the origin, so that it matters which mean is kept."""
    for num, width, count in ((6, 2, 1), (12, 3, 12), (40, 5, 9), (25, 8, 20)):
        yield 3 + torch.randn(num, width, generator=rng), count


def herding_judge(case, output):
    features, count = case
    features = features.astype(np.float64)
    chosen = np.asarray(output).astype(int).ravel().tolist()
    if len(chosen) != count or len(set(chosen)) != count:
        return f"{count} different examples are wanted, these are {chosen[:12]}"
    mean = features.mean(0)
    for k, taken in enumerate(chosen, 1):
        total = features[chosen[:k - 1]].sum(0)
        gaps = np.linalg.norm(mean - (total + features) / k, axis=1)
        gaps[chosen[:k - 1]] = np.inf
        if gaps[taken] > gaps.min() + 1e-5:
            return (f"as number {k}, example {taken} leaves the mean of the chosen ones {gaps[taken]:.4f} from the mean of all; "
                    f"example {int(gaps.argmin())} would leave it {gaps.min():.4f} away")
    return None


def stored_bytes_cases(rng):
    """Whole bytes, and sets whose bits do not fill the last one; few and many classes."""
    yield from ((1437, 64, 8, 10), (100, 64, 2, 10), (3, 5, 3, 2), (1, 1, 1, 2), (7, 9, 5, 240), (11, 300, 4, 8))
    yield tuple(int(torch.randint(low, high, (), generator=rng)) for low, high in ((2, 99), (3, 99), (1, 9), (3, 40)))


def stored_bytes_judge(case, output):
    examples, pixels, bits, classes = case
    label_bits = int(np.ceil(np.log2(classes)))
    return close(output, -(-examples * pixels * bits // 8) + -(-examples * label_bits // 8))


def pursue_cases(rng):
    """One atom, and several that are not at right angles to one another."""
    for atoms, width, count in ((5, 8, 1), (6, 4, 3), (20, 12, 4), (9, 30, 6)):
        d = torch.randn(atoms, width, generator=rng) + 0.5
        yield 3 * torch.randn(width, generator=rng) + 0.5, d / d.norm(dim=1, keepdim=True), count


def pursue_judge(case, output):
    x, atoms, count = case
    x, atoms = x.astype(np.float64), atoms.astype(np.float64)
    chosen, left = [], x
    for _ in range(count):
        chosen.append(int(np.abs(atoms @ left).argmax()))
        values = np.linalg.lstsq(atoms[chosen].T, x, rcond=None)[0]
        left = x - values @ atoms[chosen]
    wanted = np.zeros(len(atoms), np.float32)
    wanted[chosen] = values
    got = np.asarray(output)
    if got.shape == wanted.shape and (other := set(np.flatnonzero(got)) ^ set(chosen)):
        return f"the atoms {sorted(chosen)} should be used, the code uses {np.flatnonzero(got).tolist()} (look at {min(other)})"
    return close(output, wanted, rtol=1e-3, atol=1e-4)


checks = {
    "herding": Check(
        points=2,
        cases=herding_cases,
        judge=herding_judge,
        hints=("`total` is the sum of the examples chosen so far. What would their mean be with one more? Ask it for all examples at once.",
               "`total + features` has a row for each example that could join; `len(chosen) + 1` of them are averaged. "
               "After the choice, the new one joins `total`."),
        solution='''\
def herding(features, count):
    """features (N, D) -> (count,) the indices of the examples chosen, in their order."""
    mean, total, chosen = features.mean(0), torch.zeros(features.shape[1]), []
    while len(chosen) < count:
        means = (total + features) / (len(chosen) + 1)
        distance = (mean - means).norm(dim=1)
        distance[chosen] = float("inf")
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return torch.tensor(chosen)
''',
        wrong=('''\
def herding(features, count):
    mean, total, chosen = features.mean(0), torch.zeros(features.shape[1]), []
    while len(chosen) < count:
        means = features
        distance = (mean - means).norm(dim=1)
        distance[chosen] = float("inf")
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return torch.tensor(chosen)
''', '''\
def herding(features, count):
    mean, total, chosen = features.mean(0), torch.zeros(features.shape[1]), []
    while len(chosen) < count:
        means = (total + features) / (len(chosen) + 1)
        distance = (mean - means).norm(dim=1)
        distance[chosen] = float("inf")
        chosen.append(int(distance.argmin()))
        total = features[chosen[-1]]
    return torch.tensor(chosen)
'''),
    ),
    "stored_bytes": Check(
        points=1,
        cases=stored_bytes_cases,
        judge=stored_bytes_judge,
        hints=("Count the bits of all pixels of all examples, then divide by 8 and round up, once. The same for the labels.",
               "Whole numbers are rounded up by `-(-number // 8)`."),
        solution='''\
def stored_bytes(examples, pixels, bits, classes):
    """Bytes of a set with so many pixels an example, in so many bits each, and its labels; an int."""
    for_pixels = -(-examples * pixels * bits // 8)
    label_bits = (classes - 1).bit_length()
    for_labels = -(-examples * label_bits // 8)
    return for_pixels + for_labels
''',
        wrong=('''\
def stored_bytes(examples, pixels, bits, classes):
    for_pixels = examples * pixels * bits // 8
    label_bits = (classes - 1).bit_length()
    for_labels = examples * label_bits // 8
    return for_pixels + for_labels
''', '''\
def stored_bytes(examples, pixels, bits, classes):
    for_pixels = -(-examples * pixels * bits // 8)
    label_bits = (classes - 1).bit_length()
    for_labels = examples
    return for_pixels + for_labels
'''),
    ),
    "pursue": Check(
        points=2,
        cases=pursue_cases,
        judge=pursue_judge,
        hints=("How well an atom agrees with what is left of x is their product, summed over all values: one number an atom.",
               "`atoms @ left` has a number for each atom. What is left is x without what all atoms so far make of it, `basis @ values`."),
        solution='''\
def pursue(x, atoms, count):
    """x (D,), atoms (K, D) of length 1 -> code (K,) with at most `count` numbers that are not 0."""
    chosen, left, code = [], x, torch.zeros(len(atoms))
    for _ in range(count):
        agreement = atoms @ left
        chosen.append(int(agreement.abs().argmax()))
        basis = atoms[chosen].T
        values = torch.linalg.lstsq(basis, x[:, None]).solution[:, 0]
        left = x - basis @ values
    code[chosen] = values
    return code
''',
        wrong=('''\
def pursue(x, atoms, count):
    chosen, left, code = [], x, torch.zeros(len(atoms))
    for _ in range(count):
        agreement = atoms @ left
        chosen.append(int(agreement.abs().argmax()))
        basis = atoms[chosen].T
        values = torch.linalg.lstsq(basis, x[:, None]).solution[:, 0]
        left = left - basis @ values
    code[chosen] = values
    return code
''', '''\
def pursue(x, atoms, count):
    chosen, left, code = [], x, torch.zeros(len(atoms))
    for _ in range(count):
        agreement = atoms @ x
        agreement[chosen] = 0
        chosen.append(int(agreement.abs().argmax()))
        basis = atoms[chosen].T
        values = torch.linalg.lstsq(basis, x[:, None]).solution[:, 0]
        left = x - basis @ values
    code[chosen] = values
    return code
'''),
    ),
}

quizzes = {
    "odd_ones": Quiz(
        "With five digits of each class, k-centre is behind chance. With fifty it is not. Why?",
        {
            "The farthest example is an odd one, and the first few of a class are nearly all odd":
                (True, "Slanted, smeared or crossed out: far from all others, and like no digit that is to come. Later there are ordinary "
                       "ones among them, and the odd ones have their use."),
            "It takes too few classes":
                (False, "We chose class by class, so every class has its five."),
            "Its distances are wrong, pixels say nothing about digits":
                (False, "Herding uses the same pixels and is ahead of chance; and k-centre on features has the same trouble."),
            "It is greedy, and the true k centres would be far away from its own":
                (False, "Greedy is within twice the best radius. The aim itself, to be near to *every* example, is what favours odd ones."),
        },
    ),
    "threshold": Quiz(
        "A threshold gives hard recordings more atoms. Yet for the same bytes, a fixed number of atoms learns better here. Why?",
        {
            "Orthogonal matching pursuit does not reach the threshold":
                (False, "It stops as soon as it does. Only with many atoms a recording could it run out."),
            "Hard to code is not hard to tell apart":
                (True, "A shake is wild, takes most of the atoms, and would be known with far fewer. Two swipes differ by a small movement "
                       "on top of gravity, and get one or two."),
            "The number of atoms has to be stored, which a fixed number spares":
                (False, "That is four to six bits a recording, and the kit counts them for both."),
            "The dictionary is too small":
                (False, "It is the same one, 64 atoms, for both."),
        },
    ),
    "what_to_store": Quiz(
        "A soil sensor measures 200 smooth values a day and may keep 6 KiB. It should learn from many days. What do you try first?",
        {
            "A coreset by herding: the typical days in full":
                (False, "Good for a handful of days. With dozens it wins little over chance, and every day costs its full bytes."),
            "Half the resolution or fewer bits, and only then a dictionary":
                (True, "Smooth values repeat their neighbours, and neither costs anything in advance. A dictionary of 30 such days "
                       "would fill the 6 KiB before the first code is stored."),
            "A dictionary of 64 days, as with the motion data":
                (False, "64 atoms of 200 bytes are 12.5 KiB, twice the budget. It pays where thousands of examples share it."),
            "All days in 32-bit floats, and fewer of them":
                (False, "Nothing in these data fills 32 bits; four days would cost what sixteen do in a byte each."),
        },
    ),
}
