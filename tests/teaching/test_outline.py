"""What a lab consists of, against the rules' own reading of the same sources."""
import pytest

from odl_kit.grading import rules, syllabus
from odl_kit.teaching import outline

LABS = syllabus.load()


def test_the_sections_of_the_template_with_all_that_stands_in_them(lab):
    found = outline.read("29_new")
    first, second, last = found.sections
    assert first == outline.Section(1, "How many pictures?", 10, ("fifty",), (), ())
    assert second == outline.Section(2, "Your turn", 10, (), ("error_rate",), ("new_pictures",))
    assert last == outline.Section(0, "Questions", 0, (), (), ())
    assert found.predictions == {"fifty": "Accuracy on new digits after 50 pictures?"} and found.exercises == {"error_rate": 2}
    assert found.quizzes["new_pictures"].startswith("Why is the error rate measured")
    assert found.questions[1] == "Where would you stop collecting, and why there?"


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_nothing_of_a_lab_is_missed(lab):
    found = outline.read(lab.name)
    path = outline.odl_kit.home() / "labs" / "src" / f"{lab.name}.py"
    source = rules.read(path)
    for verb, ids in (("predict", found.predictions), ("check", found.exercises), ("quiz", found.quizzes)):
        assert sorted(ids) == sorted(source.calls(verb)), verb
    in_sections = [id for section in found.sections for id in (*section.predictions, *section.exercises, *section.quizzes)]
    assert sorted(in_sections) == sorted([*found.predictions, *found.exercises, *found.quizzes])
    assert len(found.questions) >= 2


def test_a_question_that_is_computed_is_given_as_its_id(lab, home):
    path = home / "labs" / "src" / "29_new.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"Accuracy on new digits after 50 pictures?"', 'f"Accuracy after {2 * 25}?"'), encoding="utf-8")
    assert outline.read("29_new").predictions == {"fifty": "fifty"}


def test_questions_end_where_the_exercise_begins():
    text = "## Questions\n\n1. One\n   line?\n2. Two?\n\n**Exercise.** 1. No question.\n"
    assert outline.questions(text) == ("One line?", "Two?") and outline.questions("no questions") == ()
