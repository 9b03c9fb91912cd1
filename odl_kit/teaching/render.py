"""Executed notebooks as HTML, by nbconvert, with nothing that a page would have to fetch: formulas as MathML, pictures inside."""
import functools
import html
import re

SHEET = re.compile(r"<style>\s*\.odl \{.*?</style>", re.S)     # viz.STYLE, which every card and figure carries
HINT = "pages and slides need latex2mathml and nbconvert: pip install -c constraints.txt -e \".[site]\""


def body(notebook, *, slides=False):
    """The cells of an executed notebook (nbformat v4) as HTML, without head and page around them.

    slides: as reveal.js wants it, one <section> a slide, from the cells' `slideshow.slide_type`. The labs' own style sheet is left out,
    see `pages.whole`. Raises ValueError for a formula that is no LaTeX, and an ImportError that says what to install.
    """
    try:
        from nbconvert import HTMLExporter, SlidesExporter
    except ImportError as error:
        raise ImportError(f"{error}; {HINT}") from None
    kind, name = (SlidesExporter, "reveal") if slides else (HTMLExporter, "lab")
    exporter = kind(template_name=name, template_file="base.html.j2", exclude_input_prompt=True, exclude_output_prompt=True,
                    filters={"markdown2html": markdown})
    content, _ = exporter.from_notebook_node(notebook)
    return SHEET.sub("", content)


def markdown(source):
    """Markdown as nbconvert reads it -> HTML. $formulas$ become MathML, a picture from the network its alt text."""
    from nbconvert.filters.markdown_mistune import MarkdownWithMath
    content = MarkdownWithMath(renderer=_writer()(escape=False, anchor_link_text="#")).render(source)
    return content.replace("<table>", '<div class="sideways" tabindex="0" role="region" aria-label="table"><table>').replace(
        "</table>", "</table></div>")       # a wide table scrolls, the page does not


def mathml(formula, *, block=False):
    """A LaTeX formula as MathML, which browsers draw and screen readers speak without any script. Raises ValueError if it is none."""
    try:
        from latex2mathml.converter import convert
    except ImportError as error:
        raise ImportError(f"{error}; {HINT}") from None
    formula = re.sub(r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}", html.unescape(formula))     # which latex2mathml does not know
    try:
        found = convert(formula, display="block" if block else "inline")
    except Exception as error:          # the package has an exception for each kind of mistake
        raise ValueError(f"the formula {formula.strip()!r} is no LaTeX: {type(error).__name__} {error}") from None
    if unknown := re.search(r">(\\\w+)<", found):
        raise ValueError(f"the formula {formula.strip()!r} is no LaTeX: {unknown[1]} is not known")
    return found


@functools.cache
def _writer():
    from nbconvert.filters.markdown_mistune import IPythonRenderer

    class Writer(IPythonRenderer):      # nbconvert offers no other way
        def inline_math(self, body):
            return mathml(body)

        def block_math(self, body):
            return f'<span class="formula">{mathml(body, block=True)}</span>'      # which scrolls where it is wide

        def image(self, text, url, title=None):
            return html.escape(text) if re.match(r"https?:", url) else super().image(text, url, title)

    return Writer
