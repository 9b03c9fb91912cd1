"""A course of one lab in a temporary folder, with an empty ledger; nothing of the real labs is read or written."""
import pytest

import odl_kit
from odl_kit.lab import session

SYLLABUS = '''\
["98_sample"]
title = "A sample"
part = "Samples"
section = ["12.1", "12.5"]
volume2 = "Edge Learning Paradigm"
minutes = 25
prerequisites = []
modules = []
data = []

["99_other"]
title = "Another"
part = "Samples"
section = "12.9"
volume2 = "Summary"
minutes = 40
prerequisites = ["98_sample"]
modules = []
data = []
'''
SOURCE = '''\
# %% [markdown]
# # 98

# %% tags=["imports"]
import math

import torch

# %%
x = 1
'''
CHECKS = '''\
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def cases(rng):
    for clients in (3, 1, 5):
        yield torch.randn(clients, 4, generator=rng), torch.randint(1, 60, (clients,), generator=rng)


def judge(case, output):
    updates, counts = case
    return close(output, (counts / counts.sum()) @ updates)


SOLUTION = """def mean(updates, counts):
    share = counts / counts.sum()
    return share @ updates
"""
checks = {"mean": Check(points=2, cases=cases, judge=judge, solution=SOLUTION,
                        hints=("Shares add up to one.", "Divide by the sum of the counts."),
                        wrong=("def mean(updates, counts):\\n    return updates.mean(0)\\n",
                               "def mean(updates, counts):\\n    return counts.float() @ updates\\n"))}
quizzes = {"why": Quiz("Why <b>that</b>?", {"because": (True, "It is so."), "never": (False, "It is not `so`.")})}
'''


@pytest.fixture(scope="session")
def write_course():
    """write_course(folder): put the files of the course there."""
    def write(folder):
        for name, text in (("syllabus.toml", SYLLABUS), ("src/98_sample.py", SOURCE), ("checks/98_sample.py", CHECKS)):
            path = folder / "labs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return write


@pytest.fixture
def course(tmp_path, monkeypatch, write_course):
    """The folder of a course with lab 98_sample, which has begun (see session.begin), outside a notebook, with an empty ledger."""
    write_course(tmp_path)
    monkeypatch.setattr(odl_kit, "home", lambda: tmp_path)
    monkeypatch.setenv("ODL_LEDGER", str(tmp_path / "ledger"))
    for name in ("ODL_TEST", "ODL_REVEAL", "ODL_MEASURE"):
        monkeypatch.delenv(name, raising=False)
    session.begin("98_sample")
    yield tmp_path
    session.begin("")


@pytest.fixture
def restart():
    """A new kernel, as far as a lab can tell: only the ledger remembers."""
    return lambda: session.begin("98_sample")


@pytest.fixture
def written():
    """written(source) -> the function that `source` defines last, with its source at hand as in a notebook."""
    import torch

    from odl_kit.lab import judging

    def make(source):
        namespace = judging.define(source, {"torch": torch}, "cell")
        return [value for name, value in namespace.items() if callable(value) and not name.startswith("_") and name != "torch"][-1]
    return make
