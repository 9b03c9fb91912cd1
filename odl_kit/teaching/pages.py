"""A whole HTML page around some content: everything inside, nothing fetched, light and dark, for the keyboard and the screen reader."""
import html
from pathlib import Path

from odl_kit.viz import STYLE

THEME = """
const saved = () => { try { return localStorage.getItem("odl-theme"); } catch { return null; } };
if (saved()) document.documentElement.dataset.theme = saved();
addEventListener("DOMContentLoaded", () => document.querySelector("#theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("odl-theme", document.documentElement.dataset.theme); } catch {}
}));"""


def whole(title, content, *, bar="", foot=""):
    """A complete HTML document. title: text; content: the HTML of its <main>; bar, foot: HTML of links above and below."""
    foot = f'<footer><nav class="bar" aria-label="Next">{foot}</nav></footer>' if foot else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
{sheets("look", "page")}
<script>{THEME}
</script>
</head>
<body>
<a class="skip" href="#content">to the content</a>
<header><nav class="bar" aria-label="Course">{bar}<button id="theme" type="button">light / dark</button></nav></header>
<main id="content">
{content}
</main>
{foot}
</body>
</html>
"""


def sheets(*names):
    """The style sheets <name>.css beside this file, and that of the labs' cards and figures, as HTML for a <head>."""
    texts = [Path(__file__).with_name(f"{name}.css").read_text(encoding="utf-8") for name in names]
    return f"{STYLE}\n<style>\n{''.join(texts)}</style>"


def table(head, rows, *, numbers=()):
    """An HTML table that scrolls where it is wide. head: texts; rows: cells that are HTML; numbers: columns to align to the right."""
    mark = [' class="n"' if column in numbers else "" for column in range(len(head))]
    names = [f'<th scope="col"{m}>{html.escape(name)}</th>' for m, name in zip(mark, head, strict=True)]
    lines = [f"<tr>{''.join(names)}</tr>"]
    lines += [f"<tr>{''.join(f'<td{m}>{cell}</td>' for m, cell in zip(mark, row, strict=True))}</tr>" for row in rows]
    return f'<div class="sideways" tabindex="0" role="region" aria-label="table"><table>{"".join(lines)}</table></div>'
