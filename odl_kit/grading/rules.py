"""What every lab's source keeps to. Each rule takes a source (see `read`) and returns sentences, one a breach; none if all is well.

tests/test_labs.py holds every lab to every rule of RULES; an author may ask `rules.problems(path)`.
"""
import ast
import re
import statistics
from dataclasses import dataclass

import jupytext

from odl_kit.lab import judging

CELL_LINES, MEDIAN_LINES, FUNCTION_LINES = 15, 8, 15
# what the first cell says, and how a reader finds it there
HEADER = {"the promise": r"\*\*You will\*\*", "objectives": r"\*\*Objectives", "prerequisites": r"\*\*Prerequisites",
          "minutes": r"\b\d+ minutes", "the section of the chapter": r"Section \d+\.\d", "its place in volume 2": r"Edge Intelligence"}
ENDING = {"questions": r"^#+ Questions", "one exercise": r"\*\*Exercise", "what to try next": r"\*\*What to try next"}
NETWORK = {"socket", "urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "urllib3", "websockets"}
DRAWING = {"matplotlib", "pylab", "seaborn", "plotly"}


@dataclass(frozen=True)
class Source:
    """A lab's source: its name, the texts of its Markdown cells, and of its code cells with their exercise id (None for the others)."""
    name: str
    markdown: tuple[str, ...]
    code: tuple[str, ...]
    exercises: tuple[str | None, ...]
    tags: tuple[tuple[str, ...], ...]

    @property
    def tree(self):
        """All code as one syntax tree."""
        return ast.parse("\n\n".join(self.code))

    def calls(self, verb):
        """Ids in lab.<verb>("id", ...), in their order."""
        calls = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and node.args)
        return [ast.literal_eval(node.args[0]) for node in calls if ast.unparse(node.func) == f"lab.{verb}"]


def read(path):
    """The Source of labs/src/NN_title.py."""
    cells = jupytext.read(path, fmt="py:percent").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    return Source(name=path.stem,
                  markdown=tuple(cell.source for cell in cells if cell.cell_type == "markdown"),
                  code=tuple(cell.source for cell in code),
                  exercises=tuple(cell.metadata.get("exercise") for cell in code),
                  tags=tuple(tuple(cell.metadata.get("tags", [])) for cell in code))


def header(source):
    """The first cell has everything in HEADER, and the number and title of the lab."""
    text = source.markdown[0] if source.markdown else ""
    missing = [what for what, pattern in HEADER.items() if not re.search(pattern, text)]
    titled = [] if text.startswith(f"# {source.name[:2]} · ") else [f"the first line is not `# {source.name[:2]} · title`"]
    return titled + [f"the header lacks {what}" for what in missing]


def ending(source):
    """The last cell of text has everything in ENDING."""
    text = source.markdown[-1] if source.markdown else ""
    return [f"the last cell lacks {what}" for what, pattern in ENDING.items() if not re.search(pattern, text, re.M)]


def beginning(source):
    """The first code cell is the import cell, the second starts with lab.start of this lab."""
    found = []
    if not source.tags or "imports" not in source.tags[0] or sum("imports" in tags for tags in source.tags) != 1:
        found.append('the first code cell, and no other, has tags=["imports"]')
    if len(source.code) < 2 or not re.match(rf"""rng = lab\.start\(["']{source.name}["']\)""", source.code[1]):
        found.append(f'the second code cell starts with rng = lab.start("{source.name}")')
    return found


def length(source):
    """Cells are short: lines that hold code, without comments and empty lines."""
    lines = [sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.splitlines()) for cell in source.code]
    found = [f"code cell {i + 1} has {n} lines, at most {CELL_LINES} may stand in one" for i, n in enumerate(lines) if n > CELL_LINES]
    if lines and statistics.median(lines) > MEDIAN_LINES:
        found.append(f"the median code cell has {statistics.median(lines)} lines, at most {MEDIAN_LINES} are wanted")
    return found


def functions(source):
    """Functions defined in a lab are short: what is longer belongs into the kit."""
    defined = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in defined}
    return [f"function {name} has {n} lines, a lab may have {FUNCTION_LINES}" for name, n in lengths.items() if n > FUNCTION_LINES]


def steps(source):
    """There is at least one of each step, and every prediction is revealed, every reveal predicted; no id is used twice."""
    found = [f"there is no lab.{verb}" for verb in ("predict", "reveal", "check", "quiz") if not source.calls(verb)]
    predicted, revealed = source.calls("predict"), source.calls("reveal")
    found += [f"prediction {name!r} is never revealed" for name in predicted if name not in revealed]
    found += [f"{name!r} is revealed, but never predicted" for name in revealed if name not in predicted]
    every = [f"lab.{verb}({name!r})" for verb in ("predict", "reveal", "check", "quiz") for name in source.calls(verb)]
    return found + [f"{call} stands there more than once" for call in sorted(set(every)) if every.count(call) > 1]


def known(source):
    """Exercises, checks and quizzes are those of labs/checks, and the lab goes on with what a check returns: f = lab.check("f", f)."""
    have = judging.load(source.name)
    exercises = [name for name in source.exercises if name]
    pairs = (("exercise cells", exercises, have.checks), ("lab.check", source.calls("check"), have.checks),
             ("lab.quiz", source.calls("quiz"), have.quizzes))
    found = [f"{what}: {sorted(here)}, but labs/checks has {sorted(there)}" for what, here, there in pairs if sorted(here) != sorted(there)]
    text = "\n".join(source.code)
    return found + [f'write {name} = lab.check("{name}", {name})' for name in source.calls("check")
                    if not re.search(rf"""^{name} = lab\.check\(["']{name}["'], {name}\)""", text, re.M)]


def imports(source):
    """Nothing that reaches the network, and no drawing but through viz."""
    names = {alias.name for node in ast.walk(source.tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) and node.module}
    drawn = ["plt is used: figures go through viz"] if re.search(r"\bplt\.", "\n".join(source.code)) else []
    return drawn + [f"{name} is imported: {why}" for name in sorted(names) for banned, why in
                    ((NETWORK, "no lab uses the network"), (DRAWING, "figures go through viz")) if name.split(".")[0] in banned]


RULES = (header, ending, beginning, length, functions, steps, known, imports)


def problems(path):
    """All breaches of all rules in labs/src/NN_title.py: list of sentences."""
    source = read(path)
    return [sentence for rule in RULES for sentence in rule(source)]


def judge_imports(path):
    """Parts of the kit that a file of labs/checks imports besides odl_kit.lab.judging (a student could replace those): list of names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.split(".")[0] == "odl_kit" and not f"{name}.".startswith("odl_kit.lab.judging.")]
