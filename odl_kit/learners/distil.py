"""Distillation: a small net, the student, learns what a large one, the teacher, says: probabilities of all classes, not one label."""
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from odl_kit.learners.train import History


def loss(student, teacher, y=None, *, temperature=4.0, mix=0.9):
    """mix * T^2 * KL(softmax(teacher / T) || softmax(student / T)) + (1 - mix) * cross-entropy(student, y), a scalar, mean over examples.

    student, teacher: (N, K) float logits. y: (N,) int64 classes; None (nobody labelled the examples): the teacher alone counts.
    temperature: T > 0; above 1 it shows how the teacher ranks wrong classes. The soft gradients shrink like 1 / T^2, and T^2 undoes that.
    Hinton et al. 2015, eq. 1 and sec. 2, take the cross-entropy of the soft targets: the same gradient, a constant more.
    Raises ValueError for another temperature or mix.
    """
    if not temperature > 0 or not 0 <= mix <= 1:
        raise ValueError(f"temperature={temperature}, mix={mix}: temperature is above 0, mix from 0 (labels) to 1 (teacher)")
    q, p = (F.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    soft = temperature**2 * F.kl_div(q, p, reduction="batchmean", log_target=True)
    return soft if y is None else mix * soft + (1 - mix) * F.cross_entropy(student, y)


def fit(student, teacher, x, y=None, *, epochs, batch_size, lr, momentum=0.0, temperature=4.0, mix=0.9, rng, progress=True):
    """Train `student` in place by SGD on the loss above; returns a train.History. The teacher is asked once, in evaluation mode, and stays.

    student, teacher: nets with the same classes. x: (N, ...), y: (N,) int64 or None, as for `loss`. epochs, batch_size, lr, momentum, rng,
    progress: as for train.fit. Raises ValueError for another number of classes, and for no examples.
    """
    if len(x) == 0 or (y is not None and len(x) != len(y)):
        raise ValueError(f"x has {len(x)} examples, y {'none' if y is None else len(y)}: give as many of both, at least one; or no y")
    soft = ask(teacher, x)
    student.train()
    params = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(params, lr=lr, momentum=momentum)
    losses = []
    bar = tqdm(range(epochs), desc="distil", unit="epoch", disable=None if progress else True)
    for _ in bar:
        total = 0.0
        for batch in torch.randperm(len(x), generator=rng).split(batch_size):
            logits = student(x[batch])
            if logits.shape[1] != soft.shape[1]:
                raise ValueError(f"the student knows {logits.shape[1]} classes, the teacher {soft.shape[1]}: they must be the same")
            value = loss(logits, soft[batch], None if y is None else y[batch], temperature=temperature, mix=mix)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(batch)
        losses.append(total / len(x))
        bar.set_postfix(loss=f"{losses[-1]:.3f}")
    return History(tuple(losses))


@torch.no_grad()
def ask(teacher, x, *, batch_size=512):
    """The logits of `teacher` in evaluation mode on x (N, ...): (N, K), detached. Its mode is put back."""
    mode = teacher.training
    teacher.eval()
    try:
        return torch.cat([teacher(part) for part in x.split(batch_size)])
    finally:
        teacher.train(mode)
