"""A student's answers out of whatever notebook came back, and into ours: nothing else of the student's file is ever run.

An answer is the cell that carries our metadata (a copy carries it too); the last one that is not the untouched stub counts. Where none is
left, it is the last cell that defines the exercise's name. Helpers that a student put into cells of their own come along.
"""
import ast
import builtins
import json
import re
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import v4

from odl_kit.grading import convert

MAX_BYTES = 20 * 2**20
MARKER = re.compile(r"^\s*#\s*NBVAL_\w+\s*$", re.M)
BEGIN = "from odl_kit.grading import inside; inside.begin({box!r}, {seconds!r})"
ANSWER = "from odl_kit.grading import inside; inside.answer({number}, {exercise!r}, globals())"
JUDGE = "from odl_kit.grading import inside; inside.judge({box!r}, {number})"


@dataclass(frozen=True)
class Answers:
    """What a notebook holds: lab (stem, "" unknown), cells {exercise: source}, notes {exercise: what the student should know about it},
    texts: Markdown that was not in the notebook as handed out."""
    lab: str = ""
    cells: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)
    texts: tuple = ()


def read(raw):
    """The cells of a notebook file: list of (type, source, id of the exercise or None), and the lab that its metadata name, or "".

    raw: bytes. Raises ValueError with a sentence if they are no notebook.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"the file has {len(raw) / 2**20:.0f} MB, at most {MAX_BYTES >> 20} MB are read: clear the outputs and save")
    if not raw.strip():
        raise ValueError("the file is empty")
    try:
        book = json.loads(_text(raw))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the file is no JSON, so it was cut off or is no notebook ({str(error)[:80]})") from None
    if not isinstance(book, dict) or not isinstance(book.get("cells"), list):
        raise ValueError("the file is JSON, but no notebook of version 4: it has no list of cells")
    return [_cell(cell) for cell in book["cells"] if isinstance(cell, dict)], _string(_odl(book).get("lab"))


def slim(cells, lab):
    """What `read` found as a notebook file again, without outputs and whatever else there was: bytes that `read` reads the same."""
    kept = [{"cell_type": kind, "source": source, "metadata": {"odl": {"exercise": exercise}} if exercise else {}}
            for kind, source, exercise in cells]
    return json.dumps({"cells": kept, "metadata": {"odl": {"lab": lab}}}).encode()


def answers(raw, student_notebook):
    """The Answers in the notebook file `raw` (bytes) to the lab handed out as `student_notebook` (nbformat). ValueError as in `read`."""
    cells, lab = read(raw)
    handed_out = {(cell.cell_type, cell.source.strip()) for cell in student_notebook.cells}
    stubs = {name: cell.source for cell in student_notebook.cells if (name := convert.role(cell, "exercise"))}
    imports = next((cell.source for cell in student_notebook.cells if convert.role(cell, "imports")), "")
    code = [(MARKER.sub("", source), exercise) for kind, source, exercise in cells if kind == "code"]
    own = [source for source, exercise in code if exercise not in stubs and ("code", source.strip()) not in handed_out]
    found, notes, known = {}, {}, _defined(imports) | set(dir(builtins))
    for name, stub in stubs.items():
        found[name], notes[name] = _answer(name, stub, code, own)
        known |= {name}
    for name in stubs:
        if helpers := _helpers(found[name], known | set(stubs), [source for source in own if source != found[name]]):
            found[name] = "\n\n".join([*helpers, found[name]])
            notes[name] = " ".join(filter(None, [notes[name], f"{len(helpers)} cell(s) of your own that it uses were taken along."]))
    texts = tuple(source for kind, source, _ in cells if kind == "markdown" and source.strip() and (kind, source.strip()) not in handed_out)
    return Answers(lab, found, notes, texts)


def notebook(reference, given, questions, *, box, seconds):
    """Our notebook around the answers `given` {exercise: source}: begin, the import cell, and for each of `questions`
    {number: (question, exercise)} the answer's cell (once) and a cell that runs it on the cases. nbformat v4."""
    sources = [BEGIN.format(box=str(box), seconds=seconds)]
    sources += [cell.source for cell in reference.cells if convert.role(cell, "imports")]
    done = set()
    for number, (_, exercise) in questions.items():
        if exercise not in done:
            sources.append(given[exercise])
            done.add(exercise)
        sources.append(ANSWER.format(number=number, exercise=exercise))
    return _notebook(sources)


def judges(numbers, *, box):
    """The judge's notebook: one cell a question of box/judge.json. nbformat v4."""
    return _notebook([JUDGE.format(box=str(box), number=number) for number in numbers])


def _answer(name, stub, code, own):
    """(source of the answer, note)."""
    marked = [source for source, exercise in code if exercise == name]
    written = [source for source in marked if source.strip() not in ("", stub.strip())
               and (name in _defined(source) or _tree(source) is None)]
    elsewhere = [source for source in own if name in _defined(source)]
    if written:
        note = f"{len(written)} cells are marked as this exercise; the last one counts." if len(set(written)) > 1 else ""
        return written[-1], note
    if elsewhere:
        return elsewhere[-1], f"The exercise's own cell is missing or untouched; the last cell that defines {name} counts."
    if marked:
        return marked[-1], "" if name in _defined(marked[-1]) else f"The exercise's cell does not define {name}."
    return "", "The exercise's cell is missing, and no other cell defines it."


def _helpers(source, known, own):
    """Cells of the student's own that define what `source` uses and nobody else gives, first things first."""
    taken, todo = [], [source]
    while todo:
        text = todo.pop()
        for name in sorted(_used(text) - _defined(text) - known):
            cell = next((cell for cell in reversed(own) if name in _defined(cell)), None)
            if cell is not None and cell not in taken and cell != source:
                taken.append(cell)
                todo.append(cell)
    return [cell for cell in own if cell in taken]


def _tree(source):
    """The syntax tree of a cell, its magics taken out; None if it does not parse."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defined(source):
    """Names that a cell defines at its top level by def, class, import or a plain assignment other than `f = lab.check(...)`."""
    names = set()
    for node in getattr(_tree(source), "body", []):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("lab.check("):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _used(source):
    tree = _tree(source)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} if tree else set()


def _text(raw):
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark):
            return raw.decode(encoding)
    return raw.decode("utf-8")


def _cell(cell):
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return _string(cell.get("cell_type")), _string(source), _string(_odl(cell).get("exercise")) or None


def _odl(thing):
    metadata = thing.get("metadata")
    odl = metadata.get("odl") if isinstance(metadata, dict) else None
    return odl if isinstance(odl, dict) else {}


def _string(value):
    return value if isinstance(value, str) else ""


def _notebook(sources):
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources], metadata=convert.KERNEL)
