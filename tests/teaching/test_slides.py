"""A deck is made from what the cells are for: nothing is marked by hand, and no answer stands before its question."""
import pytest
from nbformat import v4

from odl_kit.grading import syllabus
from odl_kit.teaching import slides
from odl_kit.viz import STYLE

FIGURE = f'{STYLE}<div class="odl"><img alt="bars" src="data:,"></div>'


def card(words):
    return f'{STYLE}<div class="odl"><div class="odl-card">{words}</div></div>'


def shown(source, content, **odl):
    return v4.new_code_cell(source, outputs=[v4.new_output("display_data", {"text/html": content})], metadata={"odl": odl} if odl else {})


@pytest.fixture
def notebook():
    return v4.new_notebook(cells=[
        v4.new_markdown_cell("# 29 · New\n\n**You will** learn.\n\n**Objectives.** After this\n- one;\n- two.\n\n**Time.** 5 minutes."),
        v4.new_code_cell("import torch"), shown('rng = lab.start("29_new")', card("start")),
        v4.new_markdown_cell("## 1 · First · 5 min\n\nThe first paragraph.\n\n- a list\n\nThe second one.\n\n**Predict.** How many?"),
        shown('lab.predict("p", "How many?")', card("question")),
        shown('lab.reveal("p", 3, figure=viz.bars({}))', card("measured 3") + FIGURE),
        v4.new_markdown_cell("Some remark.\n\n**Your turn.** Write it:\n\n$$a + b$$\n\nin one line."),
        v4.new_code_cell("def add(a, b):\n    return ...", metadata={"odl": {"exercise": "add"}}),
        shown('add = lab.check("add", add)', card("not written yet")),
        v4.new_code_cell("print(1)", outputs=[v4.new_output("stream", text="1")]),
        v4.new_markdown_cell("**What to keep.** Little."), shown('lab.quiz("q")', card("which?")),
        v4.new_markdown_cell("## Questions\n\n1. Why?\n2. How?")])


def made(notebook):
    """[(slide type, text or code, HTML)] of a deck's cells, notes included."""
    cells = slides.deck("A part", [], [notebook]).cells
    contents = ["".join(output.data["text/html"] for output in cell.get("outputs", [])) for cell in cells]
    return [(cell.metadata.slideshow.slide_type, cell.source, content) for cell, content in zip(cells, contents, strict=True)]


def test_headings_start_slides_and_the_rest_hangs_below_in_order(notebook):
    cells = made(notebook)
    heads = [source.splitlines()[0] for kind, source, _ in cells if kind == "slide"]
    assert heads == ["# A part", "# 29 · New", "## 1 · First", "## Questions"]
    assert ("slide", "## 1 · First\n\nThe first paragraph.\n\n- a list", "") in cells
    order = [next(number for number, cell in enumerate(cells) if words in cell[1] + cell[2]) for words in
             ("**Predict.** How many?", "question", "measured 3", "<img", "**Your turn.**", "def add", "Little.", "which?", "2. How?")]
    assert order == sorted(order)


def test_a_prediction_and_an_exercise_stand_on_one_slide_with_their_words(notebook):
    cells = made(notebook)
    place = [number for number, (_, source, _) in enumerate(cells) if source.startswith(("**Predict", "**Your turn"))]
    assert [cells[number][0] for number in place] == ["subslide"] * 2 and [cells[number + 1][0] for number in place] == ["-"] * 2
    assert cells[place[1]][1] == "**Your turn.** Write it:\n\n$$a + b$$\n\nin one line."


def test_a_measurement_and_its_figure_are_two_slides(notebook):
    pair = [(kind, content) for kind, _, content in made(notebook) if "measured 3" in content or "<img" in content]
    assert [kind for kind, _ in pair] == ["subslide"] * 2 and not any(STYLE in content for _, content in pair)


def test_other_text_becomes_notes_and_the_machinery_says_nothing(notebook):
    cells = made(notebook)
    notes = "\n".join(source for kind, source, _ in cells if kind == "notes")
    assert "The second one." in notes and "**Time.**" in notes and "Some remark." in notes
    everything = "\n".join(source + content for _, source, content in cells)
    assert "start" not in everything and "not written yet" not in everything and "print(1)" not in everything
    assert ("subslide", "### What to keep\n\nLittle.", "") in cells


def test_a_deck_is_one_file_that_asks_for_nothing(lab, notebook, need_tool):
    need_tool("npm", hint="apt install npm")
    text = slides.page("A part", [lab], [notebook])
    assert text.count("<section") == 4 + 4 + 6 and "Reveal.initialize(" in text and "RevealNotes" in text
    assert "29 · How many &lt;pictures&gt;? (20 min)" in text
    assert "<link" not in text and "<script src" not in text and "@import" not in text


def test_every_part_of_the_course_gets_a_name_of_its_own(lab, home, capsys):
    assert slides.main(["--as-built", "--out", str(home / "slides")]) == 1 and "29_new.ipynb" in capsys.readouterr().err
    assert [one.part for one in syllabus.load()] == ["One part"]
