"""The distillation loss against the paper's formula in a loop and its limit at high temperature; a student that learns from a teacher."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from odl_kit.learners import distil, train
from odl_kit.models import flat, nets

seed = torch.Generator().manual_seed


@given(temperature=st.floats(0.5, 20), mix=st.floats(0, 1), number=st.integers(0, 50))
def test_the_loss_is_the_papers_formula_written_out(temperature, mix, number):
    student, teacher = torch.randn(2, 5, 4, generator=seed(number), dtype=torch.float64).unbind()
    y = torch.arange(5) % 4
    total = 0.0
    for s, t, label in zip(student.tolist(), teacher.tolist(), y.tolist(), strict=True):
        p, q, hard = ([math.exp(v / h) / sum(math.exp(u / h) for u in row) for v in row]
                      for row, h in ((t, temperature), (s, temperature), (s, 1)))
        soft = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        total += mix * temperature**2 * soft - (1 - mix) * math.log(hard[label])
    found = distil.loss(student, teacher, y, temperature=temperature, mix=mix)
    assert float(found) == pytest.approx(total / 5, rel=1e-6, abs=1e-9)


def test_at_high_temperature_the_gradient_is_that_of_matching_centred_logits():
    """Hinton et al. 2015, eq. 4: (z - v) / K for logits of zero mean, once T^2 has undone 1 / T^2."""
    student, teacher = torch.randn(2, 3, 6, generator=seed(0), dtype=torch.float64).unbind()
    student, teacher = student - student.mean(1, keepdim=True), teacher - teacher.mean(1, keepdim=True)
    student.requires_grad_()
    distil.loss(student, teacher, temperature=1e4).backward()
    assert torch.allclose(student.grad, (student - teacher).detach() / 6 / 3, atol=1e-4)


def test_without_mix_it_is_cross_entropy_and_a_student_like_its_teacher_has_no_soft_loss():
    logits, y = torch.randn(7, 3, generator=seed(0)), torch.arange(7) % 3
    assert torch.allclose(distil.loss(logits, torch.zeros(7, 3), y, mix=0.0), F.cross_entropy(logits, y))
    assert float(distil.loss(logits, logits)) == pytest.approx(0, abs=1e-5)


def task():
    x = torch.randn(300, 6, generator=seed(1))
    return x, (x @ torch.randn(6, 4, generator=seed(2))).argmax(1)


def test_a_student_without_any_label_comes_to_agree_with_its_teacher():
    x, y = task()
    teacher, student = nets.mlp(6, 32, 4, rng=seed(0)), nets.mlp(6, 8, 4, rng=seed(3))
    train.fit(teacher, x, y, epochs=30, batch_size=20, lr=0.1, rng=seed(0), progress=False)
    before = flat.ravel(teacher)
    history = distil.fit(student, teacher, x, epochs=40, batch_size=20, lr=0.02, momentum=0.9, rng=seed(0), progress=False)
    assert (student(x).argmax(1) == teacher(x).argmax(1)).float().mean() > 0.9
    assert history.losses[-1] < 0.3 * history.losses[0] and torch.equal(flat.ravel(teacher), before)


def test_with_labels_alone_fit_is_train_fit():
    x, y = task()
    ours, torchs = nets.mlp(6, 8, 4, rng=seed(0)), nets.mlp(6, 8, 4, rng=seed(0))
    how = {"epochs": 3, "batch_size": 32, "lr": 0.05, "momentum": 0.9, "progress": False}
    a = distil.fit(ours, nets.softmax(6, 4, rng=seed(5)), x, y, mix=0.0, rng=seed(1), **how)
    b = train.fit(torchs, x, y, rng=seed(1), **how)
    assert torch.allclose(flat.ravel(ours), flat.ravel(torchs), atol=1e-6) and a.losses == pytest.approx(b.losses, abs=1e-5)


def test_the_teacher_is_asked_in_evaluation_mode_and_its_mode_is_put_back():
    teacher = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.9)).train()
    x = torch.rand(600, 6, generator=seed(0))
    assert torch.equal(distil.ask(teacher, x), teacher[0](x).detach()) and teacher.training


def test_errors_name_the_value_and_the_way_out():
    x, y = task()
    net = nets.softmax(6, 4, rng=seed(0))
    with pytest.raises(ValueError, match="temperature=0"):
        distil.loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature=0)
    with pytest.raises(ValueError, match=r"mix=1\.5"):
        distil.loss(torch.zeros(1, 2), torch.zeros(1, 2), mix=1.5)
    how = {"epochs": 1, "batch_size": 10, "lr": 0.1, "rng": seed(0), "progress": False}
    with pytest.raises(ValueError, match="student knows 3 classes, the teacher 4"):
        distil.fit(nets.softmax(6, 3, rng=seed(0)), net, x, **how)
    with pytest.raises(ValueError, match="x has 300 examples, y 10"):
        distil.fit(net, net, x, y[:10], **how)
