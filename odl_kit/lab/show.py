"""The one way to the screen: cards and widgets in a notebook, the same in plain text without a front end, in a terminal or under a test."""
import html
import math
import os
import re

from odl_kit.viz import STYLE


def strict():
    """True in builds and tests (ODL_TEST=1): claims raise, everything is revealed."""
    return os.environ.get("ODL_TEST") == "1"


def static():
    """True where pages are made (ODL_REVEAL=1): everything is revealed, and nothing needs a kernel afterwards."""
    return os.environ.get("ODL_REVEAL") == "1"


def revealed():
    """True where nobody is there to predict first."""
    return strict() or static()


def shell():
    """IPython's shell if this is a notebook's kernel, else None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    found = get_ipython()
    return found if found is not None and hasattr(found, "kernel") else None


def has_widgets():
    """True if widgets can be shown: in a kernel, with ipywidgets, not on a static page."""
    if static() or shell() is None:
        return False
    try:
        import ipywidgets  # noqa: F401  (only asked for)
    except ImportError:
        return False
    return True


def card(kind, title, body=(), word=""):
    """HTML of a card. kind: "ask", "good", "bad", "warn" or "plain"; body: HTML, or a list of texts; word: in colour, before the title."""
    return f'{STYLE}<div class="odl"><div class="odl-card odl-{kind}">{heading(title, body, word, style="")}</div></div>'


def heading(title, body=(), word="", *, style=STYLE):
    """The inside of a card, for a form: title, body and word as in `card`."""
    if not isinstance(body, str):
        body = "".join(f"<p>{prose(line)}</p>" for line in body if line)
    word = f'<span class="odl-word">{html.escape(word)}</span>' if word else ""
    return f'{style}<div class="odl-title">{word}{prose(title)}</div>{body}'


def prose(text):
    """A sentence as HTML: escaped, with `code` between backticks and a word between *asterisks* stressed."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"(?<![\w*])\*(\w(?:[^*<>]*\w)?)\*(?![\w*])", r"<em>\1</em>", text)


def out(content, text):
    """Show HTML, or in its absence the text."""
    if shell() is None:
        print(text)
    else:
        from IPython.display import display
        display({"text/html": content, "text/plain": text}, raw=True)


def note(kind, title, *lines, word=""):
    """Show a card of a title and some lines of text."""
    out(card(kind, title, lines, word), "\n".join(filter(None, [f"{word} {title}".strip(), *(f"  {line}" for line in lines if line)])))


def form(content, *parts, kind="ask"):
    """A box that looks like a card: HTML (see `heading`), then widgets. `turn` changes it into another card."""
    import ipywidgets as widgets

    box = widgets.VBox([widgets.HTML(content), *parts])
    for name in ("odl", "odl-card", f"odl-{kind}"):
        box.add_class(name)
    return box


def button(words, pressed, *, first=False):
    """A button; pressed() is called without arguments. first: it is what the reader is meant to press."""
    import ipywidgets as widgets

    found = widgets.Button(description=words, button_style="primary" if first else "", layout=widgets.Layout(width="max-content"))
    found.on_click(lambda _: pressed())
    return found


def widget(box, text):
    """Show a widget; `text` is what a reader without a front end sees."""
    from IPython.display import display

    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": text}, raw=True)


def turn(box, content):
    """Turn a form into what came of it: the first part of `box`, an HTML widget, shows `content`; the others are no longer seen."""
    for name in [name for name in box._dom_classes if name.startswith("odl")]:
        box.remove_class(name)
    box.children[0].value = content
    for part in box.children[1:]:
        part.layout.display = "none"


def claim(ok, text):
    """What the lab says about its own numbers: nothing if `ok`, else a warning in class and an AssertionError under ODL_TEST=1."""
    if not ok:
        complain(f"this run does not show it: {text}", AssertionError)


def complain(text, error=ValueError):
    """A mistake of the lab's author: raised in builds and tests, a warning in class."""
    if strict():
        raise error(text)
    note("warn", text, word="Careful:")


def as_number(value):
    """A Python number of an int, float, 0-dimensional tensor or array; None (never reached) is infinity. Raises TypeError otherwise."""
    if value is None:
        return math.inf
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {type(value).__name__} {value!r}")
    return value
