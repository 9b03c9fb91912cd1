import pytest

from odl_kit.grading import rules

BREACHES = [    # (what stands in the sample, what stands there instead, the rule, its sentence)
    ("# # 98 · A sample", "# # A sample", rules.header, "the first line is not `# 98 · title`"),
    ("**You will**", "You", rules.header, "the header lacks the promise"),
    ("**Objectives.**", "Aims.", rules.header, "the header lacks objectives"),
    ("**Prerequisites.**", "Before.", rules.header, "the header lacks prerequisites"),
    ("3 minutes", "short", rules.header, "the header lacks minutes"),
    ("Section 12.1", "Here", rules.header, "the header lacks the section of the chapter"),
    ("Edge Intelligence", "Other", rules.header, "the header lacks its place in volume 2"),
    ("## Questions", "## Other", rules.ending, "the last cell lacks questions"),
    ("**Exercise.**", "More.", rules.ending, "the last cell lacks one exercise"),
    ("**What to try next.**", "Bye.", rules.ending, "the last cell lacks what to try next"),
    (' tags=["imports"]', "", rules.beginning, 'the first code cell, and no other, has tags=["imports"]'),
    ("nbval-check-output", "imports", rules.beginning, 'the first code cell, and no other, has tags=["imports"]'),
    ('lab.start("98_sample")', 'lab.start("97_other")', rules.beginning, 'the second code cell starts with rng = lab.start("98_sample")'),
    ("print(math.pi)", "x = 1\n" * 16, rules.length, "code cell 7 has 16 lines, at most 15 may stand in one"),
    ("    return ...", "    x = 1\n" * 14, rules.functions, "function double has 16 lines, a lab may have 15"),
    ('lab.reveal("twice", double(21))', "", rules.steps, "there is no lab.reveal"),
    ('lab.reveal("twice"', 'lab.reveal("thrice"', rules.steps, "prediction 'twice' is never revealed"),
    ('lab.predict("twice"', 'lab.predict("thrice"', rules.steps, "'twice' is revealed, but never predicted"),
    ("print(math.pi)", 'lab.reveal("twice", 1)', rules.steps, "lab.reveal('twice') stands there more than once"),
    ('lab.quiz("why")', 'lab.quiz("how")', rules.known, "lab.quiz: ['how'], but labs/checks has ['why']"),
    ('exercise="double"', "", rules.known, "exercise cells: [], but labs/checks has ['double']"),
    ('double = lab.check("double", double)', "", rules.known, "lab.check: [], but labs/checks has ['double']"),
    ("double = lab.check", "lab.check", rules.known, 'write double = lab.check("double", double)'),
    ("import math", "import socket", rules.imports, "socket is imported: no lab uses the network"),
    ("import math", "from urllib.request import urlopen", rules.imports, "urllib.request is imported: no lab uses the network"),
    ("import math", "import matplotlib.pyplot as plt", rules.imports, "matplotlib.pyplot is imported: figures go through viz"),
    ("print(math.pi)", "plt.plot([1])", rules.imports, "plt is used: figures go through viz"),
]


def test_a_lab_that_keeps_to_every_rule_has_no_problem(course):
    assert rules.problems(course()) == []


@pytest.mark.parametrize(("old", "new", "rule", "sentence"), BREACHES)
def test_a_breach_is_named_by_its_rule(course, old, new, rule, sentence):
    assert old in course.source
    source = rules.read(course(course.source.replace(old, new)))
    assert sentence in rule(source)


def test_every_rule_has_a_breach_here():
    assert {rule for _, _, rule, _ in BREACHES} == set(rules.RULES)


def test_comments_and_empty_lines_are_no_code(course):
    commented = course.source.replace("print(math.pi)", "# why\n\n" * 10 + "x = 1\n" * 15)
    assert rules.length(rules.read(course(commented))) == []


def test_the_median_cell_is_short(course):
    long = course.source + "\n# %%\n" + "\n# %%\n".join(["x = 1\n" * 9] * 10)
    assert rules.length(rules.read(course(long))) == ["the median code cell has 9.0 lines, at most 8 are wanted"]


@pytest.mark.parametrize(("line", "found"), [
    ("from odl_kit.lab.judging import Check", []),
    ("from odl_kit.lab import judging", []),
    ("import odl_kit.lab.judging", []),
    ("import numpy", []),
    ("from odl_kit.federation import aggregators", ["odl_kit.federation.aggregators"]),
    ("def f():\n    import odl_kit.viz", ["odl_kit.viz"]),
    ("from odl_kit.lab import start", ["odl_kit.lab.start"]),
])
def test_judges_import_nothing_of_the_kit_but_judging(tmp_path, line, found):
    (tmp_path / "checks.py").write_text(line)
    assert rules.judge_imports(tmp_path / "checks.py") == found
