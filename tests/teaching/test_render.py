"""Notebooks as HTML that fetches nothing: formulas are MathML, pictures lie inside."""
import pytest
from nbformat import v4

from odl_kit import viz
from odl_kit.grading import build, rules
from odl_kit.teaching import render


def test_a_formula_becomes_mathml_that_browsers_draw_without_a_script():
    text = render.markdown("The mean $w \\leftarrow w + \\sum_k \\frac{n_k}{m} u_k$ of\n\n$$\\min \\sum (w - s q - b)^2,$$\n\nand $a < b$.")
    assert text.count("<math") == 3 and text.count('display="block"') == 1 and "$" not in text
    assert "<mfrac>" in text and "&#x02211;" in text.replace("∑", "&#x02211;") and "<script" not in text


def test_arg_min_is_known():
    assert "<mo>arg</mo>" in render.mathml("\\arg\\min_x x") and "min" in render.mathml("\\arg\\min_x x")


@pytest.mark.parametrize("source", build.sources(), ids=lambda path: path.stem)
def test_every_formula_of_a_lab_can_be_drawn(source):
    for text in rules.read(source).markdown:
        assert "$$" not in render.markdown(text)


def test_a_dollar_that_is_none_of_a_formula_stays():
    assert "$5" in render.markdown("It costs $5.")


@pytest.mark.parametrize("formula", ["\\frac", "\\left( x", "a^b^c", "\\sume_k x"])
def test_a_broken_formula_is_named(formula):
    with pytest.raises(ValueError, match="is no LaTeX"):
        render.mathml(formula)


def test_a_picture_from_the_network_becomes_its_words():
    text = render.markdown("[![Open in Binder](https://example.org/badge.svg)](https://example.org/open)")
    assert "<img" not in text and '<a href="https://example.org/open">Open in Binder</a>' in text


def test_a_wide_table_scrolls_by_itself():
    text = render.markdown("| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert '<div class="sideways" tabindex="0" role="region" aria-label="table"><table>' in text and text.count("</table></div>") == 1


def test_cells_keep_their_text_code_and_figures_and_lose_the_style_sheet_that_each_figure_carries():
    figure = viz.bars({"a": 1, "b": 2}, y="points", title="Two bars")
    shown = v4.new_output("display_data", {"text/html": figure.html, "text/plain": "x"})
    cells = [v4.new_markdown_cell("# A title"), v4.new_code_cell("print(1 < 2)", execution_count=1,
             outputs=[shown, v4.new_output("stream", text="True & 1 < 2\n")])]
    text = render.body(v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}))
    assert viz.STYLE in figure.html and "<style" not in text
    assert "A title" in text and 'class="nb">print' in text and "True &amp; 1 &lt; 2" in text
    assert text.count("data:image/png;base64,") == 2 and text.count('alt="Bar chart of points') == 2 and "In [" not in text
    assert "http" not in text.replace("http://www.w3.org", "")
