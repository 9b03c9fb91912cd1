"""`odl site`: the course for reading, as it ran once. One page a lab, an index from the syllabus; plain files that need no server."""
import argparse
import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
from tqdm import tqdm

import odl_kit
from odl_kit.grading import build, syllabus
from odl_kit.teaching import outline, pages, render

HEADING = re.compile(r'<h2 id="([^"]*)">(.*?)<a class="anchor-link"', re.S)
NOTEBOOK = re.compile(r'href="(?!\w+:)(?:[^"]*/)?(\d\d_\w+)\.ipynb(#[^"]*)?"')
COURSE = "On-Device Learning Lab"


def write(labs, executed, out, *, progress=lambda labs: labs):
    """Write index.html and a page for each of `labs` (syllabus.Lab) into the folder `out`. Returns their paths.

    executed: the folder of the notebooks that have run, build/site. progress: wraps the labs, as tqdm does. Pages of an earlier run that
    are not among them are removed. Raises FileNotFoundError for a lab that has not been executed.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "index.html"]
    for lab in progress(labs):
        path = executed / f"{lab.name}.ipynb"
        if not path.is_file():
            raise FileNotFoundError(f"{path.name} is not in {executed}: run `odl build {lab.name[:2]}`")
        written.append(out / f"{lab.name}.html")
        build.write(written[-1], page(nbformat.read(path, as_version=4), lab, labs))
    build.write(written[0], index(labs))
    for old in set(out.glob("[0-9][0-9]_*.html")) - set(written):
        old.unlink()
    return written


def page(notebook, lab, labs):
    """The page of one lab: its executed notebook, a table of contents, links to the labs of `labs` before and after it."""
    content = NOTEBOOK.sub(lambda found: f'href="{found[1]}.html{found[2] or ""}"', render.body(notebook))
    toc = "".join(f'<li><a href="#{id}">{title.strip()}</a></li>' for id, title in HEADING.findall(content))
    head, rest = content.split("</h1>", 1)
    note = ('<p class="note">For reading: this is the lab as it ran once, with the answers to every prediction. To predict first, move '
            "the sliders and to have your own lines checked, open the notebook: <code>make lab</code>.</p>")
    content = f'{head}</h1>{note}<nav aria-label="On this page"><ol class="toc">{toc}</ol></nav>{rest}'
    place = [other.name for other in labs].index(lab.name)
    near = [(labs[i], word) for i, word in ((place - 1, "Before"), (place + 1, "Next")) if 0 <= i < len(labs)]
    foot = "".join(f"<span>{word}: {_link(other)}</span>" for other, word in near)
    return pages.whole(f"{lab.name[:2]} · {lab.title}", content, bar=f'<a href="index.html">{COURSE}</a>', foot=foot)


def index(labs):
    """The first page: every lab of `labs` by part, with its minutes, chapter, what to do first, and its exercises."""
    parts = dict.fromkeys(lab.part for lab in labs)
    content = [f"<h1>{COURSE}</h1>", "<p>How devices learn, by running it: every number, curve and table on these pages was computed by a "
               "lab as it ran, or is marked <em>recorded</em>. The labs follow the chapter <em>On-Device Learning</em> of <em>Machine "
               "Learning Systems</em>; its successor in volume 2 is <em>Edge Intelligence</em>.</p>",
               '<p class="note">These pages are for reading. The labs themselves ask for predictions, redraw while you move a slider, and '
               "check the lines that you write: get the repository and run <code>make lab</code>.</p>"]
    for part in parts:
        rows = [[_link(lab), str(lab.minutes), ", ".join(lab.section), html.escape(lab.volume2),
                 ", ".join(name[:2] for name in lab.prerequisites) or "nothing", str(len(outline.read(lab.name).exercises))]
                for lab in labs if lab.part == part]
        content += [f"<h2>{html.escape(part)}</h2>",
                    pages.table(("Lab", "Minutes", "Chapter", "Volume 2", "First do", "Exercises"), rows, numbers=(1, 5))]
    return pages.whole(COURSE, "\n".join(content), bar=f"<b>{COURSE}</b>")


def faults(folder):
    """What is wrong with the links of the pages in `folder`: list of sentences. Checked are links to files and to places in them.

    An address in the network is not asked for: it must only be https. Pictures must be inside the page and have alt text.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.html"))}
    ids = {path: set(re.findall(r'\bid="([^"]*)"', text)) for path, text in texts.items()}
    found = []
    for path, text in texts.items():
        for address in re.findall(r'<a\b[^>]*?\bhref="([^"]*)"', text):
            address = html.unescape(address)
            if re.match(r"[a-z]+:", address):
                found += [] if address.startswith(("https:", "mailto:")) else [f"{path.name}: a link to {address}, which is not https"]
                continue
            name, _, place = address.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path.resolve()
            if not target.is_file():
                found.append(f"{path.name}: a link to {address}, a file that is not there")
            elif place and not {place, unquote(place)} & set(map(html.unescape, ids.get(target, ()))):
                found.append(f"{path.name}: a link to {address}, a place that is not there")
        for picture in re.findall(r"<img\b[^>]*>", text):
            alt, source = (re.search(rf'\b{name}="([^"]*)"', picture) for name in ("alt", "src"))
            if not (alt and alt[1].strip()) or alt[1].startswith("No description has been provided"):
                found.append(f"{path.name}: a picture without alt text: {picture[:80]}")
            if not (source and source[1].startswith("data:")):
                found.append(f"{path.name}: a picture that must be fetched: {picture[:80]}")
    return found


def main(argv=None):
    """`odl site [LAB ...] [--out FOLDER] [--as-built] [--look]`. Returns the exit status: 1: a lab failed or a page has a fault."""
    parser = argparse.ArgumentParser(prog="odl site", description="Write the course as pages for reading; labs that changed are run first.")
    parser.add_argument("lab", nargs="*", help="a lab, as 11 or 11_fedavg; none: all labs")
    parser.add_argument("--out", type=Path, default=odl_kit.home() / "build" / "pages", metavar="FOLDER", help="where (build/pages)")
    parser.add_argument("--as-built", action="store_true", help="run nothing: take the executed notebooks as they lie in build/site")
    parser.add_argument("--look", action="store_true", help="then open every page in a real browser, light and dark, wide and narrow")
    options = parser.parse_args(argv)
    try:
        names = [path.stem for path in build.sources(options.lab)]
    except ValueError as error:
        print(f"odl site: {error}", file=sys.stderr)
        return 2
    labs = [lab for lab in syllabus.load() if lab.name in names]
    if not options.as_built and (status := build.main(names)):
        return status
    try:
        written = write(labs, odl_kit.home() / "build" / "site", options.out, progress=lambda labs: tqdm(labs, unit="page", leave=False))
    except (ImportError, OSError, ValueError) as error:
        print(f"odl site: {error}", file=sys.stderr)
        return 1
    wrong = faults(options.out)
    print("\n".join([*wrong, f"{len(written)} pages, {len(wrong)} faults: open {written[0]}"]))
    return int(bool(wrong)) or (look(options.out) if options.look else 0)


def look(*paths):
    """Open pages, or folders of them, in a real browser (tests/browser/reading.py), which says what is wrong with them. Exit status."""
    return subprocess.run([sys.executable, odl_kit.home() / "tests" / "browser" / "reading.py", *paths]).returncode


def _link(lab):
    return f'<a href="{lab.name}.html">{lab.name[:2]} · {html.escape(lab.title)}</a>'
