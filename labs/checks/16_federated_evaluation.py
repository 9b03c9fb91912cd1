"""Checks and quizzes of lab 16. Judging uses NumPy on plain copied values."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def pooled_f1_cases(rng):
    """Sites of very different size, one site alone, and a site without a mistake or an example."""
    yield (torch.tensor([[90.0, 5.0, 5.0], [1.0, 4.0, 9.0]]),)
    yield (torch.randint(1, 60, (6, 3), generator=rng).float(),)
    yield (torch.tensor([[3.0, 1.0, 2.0]]),)
    yield (torch.tensor([[8.0, 2.0, 0.0], [0.0, 0.0, 0.0]]),)
    yield (torch.zeros(2, 3),)


def pooled_f1_judge(case, output):
    tp, fp, fn = case[0].astype(np.float64).sum(0)
    return close(output, float(2 * tp / max(2 * tp + fp + fn, 1)), rtol=1e-5)


def lock_errors_cases(rng):
    """Random scores, few of them the owner's; then thresholds that let everybody in and nobody, and a score on the threshold."""
    for _ in range(3):
        is_owner = torch.arange(40) % 8 == 0
        yield torch.randn(40, generator=rng) + is_owner, is_owner, float(torch.rand(1, generator=rng))
    for threshold in (-10.0, 10.0, 0.5):
        yield torch.tensor([0.1, 0.5, 0.9, 0.7]), torch.tensor([False, False, True, True]), threshold


def lock_errors_judge(case, output):
    scores, is_owner, threshold = case
    opens = scores >= threshold
    return close(output, (float(opens[~is_owner].mean()), float((~opens)[is_owner].mean())))


def code_loss_cases(rng):
    """Outputs of very different length, a perfect one, and its opposite."""
    for n, bits in ((6, 32), (1, 8), (9, 16)):
        code = torch.randint(2, (bits,), generator=rng) * 2.0 - 1
        yield torch.randn(n, bits, generator=rng) * 10 ** torch.randn(n, 1, generator=rng), code
    yield 5 * code[None], code
    yield -0.2 * code[None], code


def code_loss_judge(case, output):
    outputs, code = (value.astype(np.float64) for value in case)
    cosine = outputs @ code / np.linalg.norm(outputs, axis=1) / np.linalg.norm(code)
    return close(output, np.float32((1 - cosine).mean()), rtol=1e-4, atol=1e-5)


checks = {
    "pooled_f1": Check(
        points=2,
        cases=pooled_f1_cases,
        judge=pooled_f1_judge,
        hints=("First add the counts of all sites, then use the formula once.",
               "`counts.sum(0)` has the three sums. The denominator can be 0: `max(..., 1)` gives 0 then, since counts are whole numbers."),
        solution='''\
def pooled_f1(counts):
    """counts (sites, 3) float: TP, FP, FN of one class at each site -> F1 on all sites, a float."""
    tp, fp, fn = counts.sum(0).tolist()
    return 2 * tp / max(2 * tp + fp + fn, 1)
''',
        wrong=('''\
def pooled_f1(counts):
    tp, fp, fn = counts.T
    return float((2 * tp / (2 * tp + fp + fn).clamp(min=1)).mean())
''', '''\
def pooled_f1(counts):
    tp, fp, fn = counts.sum(0).tolist()
    return tp / max(tp + fp + fn, 1)
'''),
    ),
    "lock_errors": Check(
        points=2,
        cases=lock_errors_cases,
        judge=lock_errors_judge,
        hints=("Each error is a share of its own group: of the others, and of the owner.",
               "`opens[~is_owner]` holds what happened to the others; the mean of a bool tensor needs `.float()` first."),
        solution='''\
def lock_errors(scores, is_owner, threshold):
    """scores (N,) float, is_owner (N,) bool -> (share of others let in, share of the owner refused)."""
    opens = scores >= threshold
    false_accept = opens[~is_owner].float().mean()
    false_reject = (~opens)[is_owner].float().mean()
    return float(false_accept), float(false_reject)
''',
        wrong=('''\
def lock_errors(scores, is_owner, threshold):
    opens = scores >= threshold
    false_accept = (opens & ~is_owner).float().mean()
    false_reject = (~opens & is_owner).float().mean()
    return float(false_accept), float(false_reject)
''', '''\
def lock_errors(scores, is_owner, threshold):
    opens = scores >= threshold
    false_accept = opens[is_owner].float().mean()
    false_reject = (~opens)[~is_owner].float().mean()
    return float(false_accept), float(false_reject)
'''),
    ),
    "code_loss": Check(
        points=2,
        cases=code_loss_cases,
        judge=code_loss_judge,
        hints=("The cosine is the scalar product divided by both lengths; each output has a length of its own.",
               "`outputs @ code` has the n scalar products, `outputs.norm(dim=1)` the n lengths, `code.norm()` the other one."),
        solution='''\
def code_loss(outputs, code):
    """outputs (n, bits), code (bits,) of +1 and -1 -> mean of 1 - cosine, a scalar tensor."""
    cosine = outputs @ code / (outputs.norm(dim=1) * code.norm())
    return (1 - cosine).mean()
''',
        wrong=('''\
def code_loss(outputs, code):
    cosine = outputs @ code / len(code)
    return (1 - cosine).mean()
''', '''\
def code_loss(outputs, code):
    cosine = outputs @ code / (outputs.norm() * code.norm())
    return (1 - cosine).mean()
'''),
    ),
}

quizzes = {
    "combine": Quiz(
        "A site sends one number and its count of examples. From which metric do these two give the pooled value exactly?",
        {
            "Mean squared error": (True, "It is a mean over examples, so weighing by the counts adds up the very same terms."),
            "Area under the ROC curve": (False, "It asks how often an example of one class scores above one of the other. Pairs across two "
            "sites are in no site's number."),
            "Equal error rate": (False, "It belongs to one threshold, and each site's errors cross at another."),
            "The median error": (False, "A median of medians is not the median: where the middle lies depends on all examples."),
        },
    ),
    "leak": Quiz(
        "Digest, contract and sign-off are in place. By which way can a committee of ill will still carry data out of a site?",
        {
            "By the digest, which is computed at the site":
                (False, "It is computed from the task alone. The data have no part in it."),
            "By a metric with a pixel in its digits":
                (True, "A metric is a program that sees the data. The digest makes sure that the site runs what it has read; so somebody "
                       "must read it. The kit demands one number and no more."),
            "By the sentences that say how data break the contract":
                (False, "They hold counts and shapes. That tells little, though not nothing: a very clever contract could ask about one "
                        "example, which is why a site signs."),
            "By no way, since only signed numbers leave":
                (False, "The metric is code of the committee's, and it sees every example."),
        },
    ),
    "stranger": Quiz(
        "Why does a code keep strangers out less well than a prototype on the same embedding?",
        {
            "Codes of 32 bits are too short to tell users apart":
                (False, "32 bits tell fourteen users apart with room to spare."),
            "A prototype lies where the owner's takes ended up":
                (True, "The code lies where they were meant to be, and training does not bring them all the way there: here the cosine of "
                       "prototype and code is about 0.6. And nothing in training says where a stranger's takes go."),
            "Strangers can find out a code, but no prototype":
                (False, "Nobody but the owner knows a code, and the strangers here do not try to guess it."),
            "A prototype is trained to keep strangers away":
                (False, "It is the mean of the owner's takes and has seen nobody else."),
        },
    ),
}
