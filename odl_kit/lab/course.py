"""course_map: the labs there are, and how far the student is. recorded: figures that a benchmark left behind."""
import html
import json
import tomllib

import odl_kit
from odl_kit.lab import ledger, show


def course_map():
    """Show the table of all labs of labs/syllabus.toml: title, minutes, chapter, what to do first, and what the ledger knows of each."""
    labs = tomllib.loads((odl_kit.home() / "labs" / "syllabus.toml").read_text(encoding="utf-8"))
    rows, lines, part = "", [], None
    for lab, about in sorted(labs.items()):
        if about["part"] != part:
            part = about["part"]
            rows += f'<tr><th colspan="5" scope="colgroup">{html.escape(part)}</th></tr>'
            lines.append(part)
        title, needs = f"{lab[:2]} · {about['title']}", ", ".join(name[:2] for name in about["prerequisites"]) or "nothing"
        section = ", ".join([about["section"]] if isinstance(about["section"], str) else about["section"])
        cells = [f"{about['minutes']} min", f"section {section}", f"after {needs}", "" if show.static() else _far(lab)]
        link = html.escape(title) if show.static() else f'<a href="{lab}.ipynb">{html.escape(title)}</a>'
        rows += f"<tr><td>{link}</td>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        lines.append(f"  {title:<44} {'  '.join(cells).rstrip()}")
    lines.append("A lab whose number is not here is still to be written.")
    body = f'<table class="odl-facts odl-short">{rows}</table><p class="odl-mute">{lines[-1]}</p>'
    show.out(show.card("plain", f"The course: {len(labs)} labs", body), "\n".join(lines))


def recorded(name):
    """The figures of benchmarks/results/<name>.json, a dict: what the script benchmarks/<name>.py wrote, with its command and versions.

    Raises FileNotFoundError that says how to record it.
    """
    path = odl_kit.home() / "benchmarks" / "results" / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"benchmarks/results/{name}.json is not there: record it with `python benchmarks/{name}.py`")
    return json.loads(path.read_text(encoding="utf-8"))


def _far(lab):
    """How far the ledger says a lab is: "", "begun", or the checks that have passed."""
    book = ledger.read(lab)
    passed = sum(bool(entry.get("passed")) for entry in book["checks"].values())
    return f"✓ {passed} passed" if passed else "begun" if any(book[kind] for kind in ledger.KINDS) else ""
