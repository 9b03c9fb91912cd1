"""What every HTML page of the grader has: a language, headings in order, light and dark, no script, no other file."""
import hashlib
import html
import re

from odl_kit.grading import syllabus

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #57606a; --line: #c9d1d9; --back: #ffffff; --card: #f6f8fa; --good: #00694a;
  --bad: #a8201a; --mark: #0a5c99; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --soft: #a8b0b8; --line: #444c56; --back: #16191d; --card: #20252b;
  --good: #4fc79b; --bad: #ff9a8a; --mark: #6cb8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; font: 16px/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--back); }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; } h3 { font-size: 1.05rem; margin: 0 0 .4rem; }
a { color: var(--mark); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.soft { color: var(--soft); } .good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
section.card { border: 1px solid var(--line); border-left: 5px solid var(--bad); border-radius: 6px; padding: .9rem 1.1rem; margin: .9rem 0;
  background: var(--card); }
section.card.fine { border-left-color: var(--good); } section.card p { margin: .35rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 4px; padding: .7rem; overflow-x: auto; font-size: .85rem;
  margin: .3rem 0; }
summary { cursor: pointer; width: fit-content; } code { font-size: .92em; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.bar { fill: var(--mark); } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
"""


def page(title, body, *, lead=""):
    """A whole page as text. title and lead are plain text, body is HTML."""
    said = f'<p class="soft">{escape(lead)}</p>' if lead else ""
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n{said}\n{body}\n</main>\n"
            "</body>\n</html>\n")


def escape(text):
    """Text for HTML; control characters, also those that turn the direction of writing, become a question mark."""
    return html.escape(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "?", str(text)))


def words(text):
    """Text in which `this` is code and *this* is stressed, as HTML."""
    parts = re.split(r"`([^`\n]+)`", escape(text))
    stressed = [re.sub(r"(?<!\w)\*(\w[^*\n]*)\*(?!\w)", r"<em>\1</em>", part) for part in parts[::2]]
    return "".join(a + b for a, b in zip(stressed, [*(f"<code>{part}</code>" for part in parts[1::2]), ""], strict=True))


def title(lab):
    """The heading of a lab: its number and its title in the syllabus."""
    known = {entry.name: entry.title for entry in syllabus.load()}
    return f"Lab {lab[:2]} · {known.get(lab, lab[3:].replace('_', ' '))}" if lab else "A file of no lab"


def table(caption, heading, rows, *, numbers=()):
    """An HTML table; cells are plain text or, if they start with "<", HTML. numbers: columns that are set to the right."""
    def cell(tag, i, value, extra=""):
        inner = value if isinstance(value, Html) else escape(value)
        return f'<{tag}{extra}{" class=n" if i in numbers else ""}>{inner}</{tag}>'

    head = "".join(cell("th", i, h, ' scope="col"') for i, h in enumerate(heading))
    body = "".join("<tr>" + "".join(cell("td", i, v) for i, v in enumerate(row)) + "</tr>" for row in rows)
    return (f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


class Html(str):
    """Text that is HTML already, for a cell of `table`."""


def number(value):
    """A number of points in words: 2, 1.5, or "open" for None."""
    return "open" if value is None else f"{round(value, 2):g}"


def file_name(student):
    """A name for a student's file that is safe everywhere and different for different students."""
    safe = re.sub(r"[^\w.@+-]", "_", student, flags=re.ASCII).strip(".")[:60]
    return safe if safe and safe == student else f"{safe or 'student'}-{hashlib.sha256(student.encode(errors='replace')).hexdigest()[:8]}"
