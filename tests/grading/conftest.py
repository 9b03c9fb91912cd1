"""A course of its own in a temporary folder: one small lab that keeps to every rule, with its checks, and no kit but the real one."""
import pytest

import odl_kit
from odl_kit.grading import links

SOURCE = '''\
# %% [markdown]
# # 98 · A sample
#
# **You will** double a number.
#
# **Objectives.** Double. **Prerequisites.** None. **Time.** About 3 minutes.
#
# **Where we are.** Section 12.1; in volume 2, "Edge Intelligence".

# %% tags=["imports"]
import math

from odl_kit import lab

# %%
rng = lab.start("98_sample")

# %%
lab.predict("twice", "What is 2 x 21?", unit="")

# %% exercise="double"
def double(x):
    """Twice x."""
    return ...

# %%
double = lab.check("double", double)

# %%
lab.reveal("twice", double(21))

# %% tags=["nbval-check-output"]
print(math.pi)

# %%
lab.quiz("why")

# %% [markdown]
# ## Questions
# 1. Why?
#
# **Exercise.** Halve.
#
# **What to try next.** Triple.
'''
CHECKS = '''\
from odl_kit.lab.judging import Check, Quiz, close

def cases(rng):
    for x in (1, 5, -3):
        yield (x,)

def judge(case, output):
    return close(output, 2 * case[0])

checks = {"double": Check(points=3, cases=cases, judge=judge, hints=("Add.", "Add x to x."),
                          solution="def double(x):\\n    return x + x\\n",
                          wrong=("def double(x):\\n    return x * x\\n", "def double(x):\\n    return x + 1\\n"))}
quizzes = {"why": Quiz("Why?", {"because": (True, "It is so."), "never": (False, "It is not so.")})}
'''


@pytest.fixture
def course(tmp_path, monkeypatch):
    """write(source=SOURCE, checks=CHECKS, name="98_sample") -> path of labs/src/<name>.py in a course of its own; may be called again."""
    (tmp_path / "labs" / "src").mkdir(parents=True)
    (tmp_path / "labs" / "checks").mkdir()
    (tmp_path / "labs" / "syllabus.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    for module in (odl_kit, links):
        monkeypatch.setattr(module, "home", lambda: tmp_path)

    def write(source=SOURCE, checks=CHECKS, name="98_sample"):
        (tmp_path / "labs" / "checks" / f"{name}.py").write_text(checks)
        path = tmp_path / "labs" / "src" / f"{name}.py"
        path.write_text(source)
        return path

    write.source, write.checks, write.home = SOURCE, CHECKS, tmp_path
    return write
