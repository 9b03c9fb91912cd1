"""Notebooks made for the tests: one that is right, and some with one flaw each that the walker must find."""
import nbformat

IMPORTS = "import ipywidgets as widgets\nfrom IPython.display import HTML, display"

# The widgets of a lab in small: a prediction, a slider that redraws a figure in place, a quiz.
PREDICTION = """
option = widgets.RadioButtons(options=["about 12", "about 35"], value=None)
lock = widgets.Button(description="Lock in")
said = widgets.HTML("not answered")

def answer(_):
    said.value, lock.disabled = f"You said {option.value}.", True

lock.on_click(answer)
display(widgets.VBox([option, lock, said]))
"""
SLIDER = """
slider = widgets.IntSlider(value=9, min=1, max=9, description="epochs")
figure = widgets.HTML()

def draw(change):
    bar = f"<rect width='{20 * slider.value}' height='20' fill='%230072B2'/>"
    source = f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='200' height='20'>{bar}</svg>"
    figure.value = f'<img src="{source}" alt="a bar of length {slider.value}">'

slider.observe(draw, "value")
draw(None)
display(widgets.VBox([slider, figure]))
"""
QUIZ = """
reason = widgets.HTML("")
choice = widgets.RadioButtons(options=["yes", "no"], value=None)
button = widgets.Button(description="Answer")
button.on_click(lambda _: setattr(reason, "value", f"{choice.value}: because ..."))
display(widgets.VBox([choice, button, reason]))
"""
FORMULA = "from IPython.display import Math\nMath(r'w \\leftarrow w + \\sum_k \\frac{n_k}{m} u_k')"
CLOSED = "bar = widgets.IntProgress(value=5)\ndisplay(bar)\nbar.close()"
GOOD = (IMPORTS, CLOSED, PREDICTION, SLIDER, QUIZ, FORMULA)

SVG = "data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22 width=%2240%22 height=%2240%22/>"
FAILING_CALLBACK = """
slider = widgets.IntSlider()
note = widgets.HTML("")

def fail(change):
    note.value = "about to fail"
    raise ValueError("no cell shows this")

slider.observe(fail, "value")
display(widgets.VBox([slider, note]))
"""
LOST_WIDGET = """
view = {"model_id": "lost", "version_major": 2, "version_minor": 0}
display({"application/vnd.jupyter.widget-view+json": view}, raw=True)
"""
DEAF_QUIZ = """
choice = widgets.RadioButtons(options=["yes", "no"], value=None)
display(widgets.VBox([choice, widgets.Button(description="Answer")]))
"""

# the kind of a finding, a cell with that flaw, words that the finding must contain
FLAWS = (
    ("stderr", "import sys; print('be warned', file=sys.stderr)", "be warned"),
    ("error", FAILING_CALLBACK, "no cell shows this"),
    ("warning", "from odl_kit import lab\nlab.claim(False, 'the sky is green')", "the sky is green"),
    ("warning", "lab.explore(lambda k: 1 / 0, k=[1, 2])", "No result for k = 1"),
    ("widget", LOST_WIDGET, "Error displaying widget"),
    ("action", DEAF_QUIZ, "nothing changed"),
    ("alt", f"HTML('<img width=\"40\" src=\"{SVG}\">')", "no alt text"),
    ("image", "HTML('<img alt=\"a figure\" width=\"40\" src=\"data:image/png;base64,AAAA\">')", "is not shown"),
    ("overflow", "HTML('<details><summary>more</summary><div style=\"width: 3000px\">a wide table</div></details>')", "a wide table"),
    ("contrast", "HTML('<p style=\"color: #888; background: #777\">grey on grey</p>')", "grey on grey"),
    ("network", "HTML('<p>a frame</p> <iframe title=\"a page\" src=\"https://example.invalid/page\"></iframe>')", "example.invalid"),
)
DYING = (IMPORTS, QUIZ, "import os; os._exit(1)", "'after the death'")
FAILING = ("1 / 0", "'after the error'")
ENDLESS = ("while True: pass",)


def write(path, cells):
    """Write a notebook with these code cells below a line of text, for this environment's python3 kernel. Returns path."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_markdown_cell(f"# {path.stem}"), *(nbformat.v4.new_code_cell(cell.strip()) for cell in cells)]
    nbformat.write(notebook, path)
    return path
