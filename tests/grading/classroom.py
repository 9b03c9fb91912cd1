"""A small class whose results are made up, for what happens to results: `row` and `verdict`. No notebook is run."""
from odl_kit.grading import grades, judge
from odl_kit.grading.collect import Submission


def verdict(passed=True, **more):
    """A judge's verdict."""
    return {"passed": passed, "error": "", "message": "" if passed else "expected 2, got 3", "case": 0 if passed else 1,
            "given": "the number 5",
            "note": ""} | more


def row(student="ada", lab="98_sample", *, blame="", problem="", questions=None, earned=None, possible=None, name="", texts=(), cells=None,
        **more):
    """A grades.Row."""
    questions = {"double": verdict()} if questions is None and not blame else questions or {}
    possible = possible or {"double": 3}
    earned = earned or {q: points if questions.get(q, {}).get("passed") else 0 for q, points in possible.items()}
    result = judge.Result(lab, blame, problem, questions, ("namespaces", "Landlock 7", "limits"), 1.5, cells or {}, texts)
    return grades.Row(student, lab, Submission(student, f"{student}/{lab}.ipynb", lab=lab, name=name), result, earned, possible, **more)
