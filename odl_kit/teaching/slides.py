"""`odl slides`: a deck for each part of the course, for the lecture before the lab, made from the cells of its executed labs.

No slide is marked by hand. A heading starts a slide; below it come the predictions, then what was measured, formulas, lists, the stubs of
exercises, quizzes, what to keep. All other text becomes speaker notes (key S).
"""
import argparse
import html
import re
import sys
from pathlib import Path

import nbformat
from nbformat import v4

import odl_kit
from odl_kit.grading import build, convert, syllabus
from odl_kit.teaching import pages, render, revealjs, site

CALL = re.compile(r"\blab\.(\w+)\(")
SILENT = {"start", "check", "course_map"}              # cells of the machinery that say nothing to a class
ASKS, BLOCK = ("**Predict", "**Your turn"), re.compile(r"^(?:[-*] |\d+\. |\||\$\$)")
SHOWN = re.compile(r'<img|role="img"|odl-card|odl-pre')
ON_ONE_SLIDE = 900                                     # characters
START = """
Reveal.initialize({ width: 1280, height: 720, margin: 0.02, center: false, hash: true, slideNumber: "c/t", plugins: [RevealNotes] });"""
KEYS = "Next: space or arrow keys. Speaker notes: S. Overview: Esc."


def deck(part, labs, notebooks):
    """The deck of a part: a notebook (v4) whose cells carry slideshow.slide_type. labs: syllabus.Lab; notebooks: their executed ones."""
    listed = "\n".join(f"- {lab.name[:2]} · {html.escape(lab.title, quote=False)} ({lab.minutes} min)" for lab in labs)
    cells = [_text(f"# {part}\n\n{listed}\n\n<small>{KEYS}</small>", "slide")]
    for notebook in notebooks:
        cells += _lab(notebook)
    return v4.new_notebook(cells=cells, metadata=dict(convert.KERNEL))


def page(part, labs, notebooks):
    """The deck as one HTML file that needs no network: reveal.js and its speaker notes stand inside. Errors: see revealjs.folder."""
    sheet, scripts = revealjs.parts()
    code = "".join(f"<script>{script}</script>\n" for script in [*scripts, START])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(part)}: slides</title>
<style>{sheet}</style>
{pages.sheets("look", "slides")}
</head>
<body>
<main class="reveal"><div class="slides">
{render.body(deck(part, labs, notebooks), slides=True)}
</div></main>
{code}</body>
</html>
"""


def main(argv=None):
    """`odl slides [--out FOLDER] [--as-built] [--look]`. Returns the exit status: 1 for a failed lab or a fault."""
    parser = argparse.ArgumentParser(prog="odl slides", description="Write slides for each part; labs that changed are run first.")
    parser.add_argument("--out", type=Path, default=odl_kit.home() / "build" / "slides", metavar="FOLDER", help="where (build/slides)")
    parser.add_argument("--as-built", action="store_true", help="run nothing: take the executed notebooks as they lie in build/site")
    parser.add_argument("--look", action="store_true", help="then go through every slide in a real browser")
    options = parser.parse_args(argv)
    if not options.as_built and (status := build.main([])):
        return status
    every, written = syllabus.load(), []
    for part in dict.fromkeys(lab.part for lab in every):
        labs = [lab for lab in every if lab.part == part]
        try:
            paths = [build.products(odl_kit.home() / "labs" / "src" / f"{lab.name}.py")["site"] for lab in labs]
            content = page(part, labs, [nbformat.read(path, as_version=4) for path in paths])
        except (ImportError, OSError, ValueError) as error:
            print(f"odl slides: {part}: {error}", file=sys.stderr)
            return 1
        target = options.out / (re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") + ".html")
        build.write(target, content)
        written.append(target)
        print(f"{part}: {target}", flush=True)
    return site.look(*written) if options.look else 0


def _lab(notebook):
    """The cells of one lab's part of a deck."""
    first, *rest = notebook.cells
    blocks = first.source.split("\n\n")
    shown = [block for block in blocks if block.startswith(("# ", "**You will", "**Objectives"))]
    cells, held = [_text("\n\n".join(shown), "slide"), _notes([block for block in blocks if block not in shown])], ""
    for cell in rest:
        if cell.cell_type == "markdown":
            more, held = _markdown(cell.source)
        else:
            more, held = _code(cell, held), ""
        cells += more
    return [cell for cell in cells if cell.source or cell.cell_type == "code"]


def _markdown(source):
    """(cells, held): slides and notes of a text; held is the text of a prediction or an exercise, which goes with the code after it."""
    blocks = source.strip().split("\n\n")
    held = [block for block in blocks if block.startswith(ASKS)][-1:]
    if held and (after := blocks[blocks.index(held[0]) + 1:]) and any(BLOCK.match(block) for block in after):
        held += after                                   # the formula that an exercise asks for
    cells, quiet, blocks = [], [], [block for block in blocks if block not in held]
    while blocks:
        block = blocks.pop(0)
        if block.startswith("## "):
            title, below = re.sub(r" · \d+ min\s*$", "", block.splitlines()[0]), blocks[:1]
            if len(blocks) > 1 and BLOCK.match(blocks[1]) and len(blocks[0] + blocks[1]) < ON_ONE_SLIDE:
                below = blocks[:2]
            blocks = blocks[len(below):]
            cells.append(_text("\n\n".join([title, *below]), "slide"))
        elif BLOCK.match(block):
            above = [quiet.pop()] if quiet and len(quiet[-1] + block) < ON_ONE_SLIDE else []
            cells.append(_text("\n\n".join([*above, block]), "subslide"))
        elif block.startswith("**What to keep"):
            cells.append(_text("### What to keep\n\n" + re.sub(r"^\*\*What to keep\.?\*\*\s*", "", block), "subslide"))
        else:
            quiet.append(block)
    return [*cells, _notes(quiet)], "\n\n".join(held)


def _code(cell, held):
    """The slides of a code cell, under the text `held`: its stub, or what it shows if that is a picture or a card of the lab's."""
    above = [_text(held, "subslide")] if held else []
    if convert.role(cell, "exercise"):
        return [*above, v4.new_code_cell(cell.source, metadata={"slideshow": {"slide_type": "-" if held else "subslide"}})]
    silent = SILENT & set(CALL.findall(cell.source))
    htmls = [] if silent else [output.get("data", {}).get("text/html", "") for output in cell.outputs]
    parts = [part for content in htmls for part in render.SHEET.split(content) if SHOWN.search(part)]   # a card and its figure: two slides
    kinds = ["-" if held else "subslide"] + ["subslide"] * len(parts)
    return above + [v4.new_code_cell("", metadata={"slideshow": {"slide_type": kind}, "transient": {"remove_source": True}},
                                     outputs=[v4.new_output("display_data", {"text/html": part})])
                    for kind, part in zip(kinds, parts, strict=False)]


def _text(source, kind):
    return v4.new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def _notes(blocks):
    return _text("\n\n".join(blocks), "notes")
