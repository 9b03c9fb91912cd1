"""Answers that are the same but for names, comments and spacing, or nearly. A reason to look, never a proof: short answers are alike.

Compared are token sequences in which every name that the answer itself binds is replaced by the number of its first appearance. What
equals the solution, and what more than COMMON of the class wrote, is left out: there is one obvious way to write it.
"""
import io
import keyword
import tokenize
from dataclasses import dataclass

SHINGLE = 3             # tokens that are compared together
NEAR = 0.8              # of the shingles of two answers that they share
SHORT = 25              # tokens below which an answer says nothing
COMMON = 0.1            # share of the class, and at least three
SKIP = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(frozen=True)
class Pair:
    """Two students' answers to one exercise; share of shingles in common, 1.0 if the token sequences are equal."""
    lab: str
    exercise: str
    students: tuple
    share: float
    sources: tuple


def tokens(source):
    """The tokens of a cell without comments, docstrings and spacing; names that it binds by number. () if it is no Python."""
    try:
        found = [t for t in tokenize.generate_tokens(io.StringIO(source.strip() + "\n").readline) if t.type not in SKIP]
    except (tokenize.TokenError, SyntaxError):
        return ()
    texts = ["".join(t.string.split()) if t.type == tokenize.STRING and t.string.startswith(('"""', "'''")) else t.string for t in found]
    kept = [(t.type, text) for t, text in zip(found, texts, strict=True) if not (t.type == tokenize.STRING and text[:3] in ('"""', "'''"))]
    bound, numbers = _bound(kept), {}
    return tuple(f"name{numbers.setdefault(text, len(numbers))}" if text in bound else text for _, text in kept)


def _bound(kept):
    """Names that stand where a function's own names stand: after def or for, in its parameters, before =. Attributes do not count."""
    names, texts = set(), [text for _, text in kept]
    for i, (kind, text) in enumerate(kept):
        after, before = (texts[i + 1] if i + 1 < len(texts) else ""), (texts[i - 1] if i else "")
        if kind == tokenize.NAME and not keyword.iskeyword(text) and before != "." and (
                after in ("=", "+=", "-=", "*=", "/=") or before in ("for", "def") or after in (",", ")", ":") and before in ("(", ",")):
            names.add(text)
    return names - {"self", "torch", "np", "math"}


def pairs(answers, solutions=()):
    """All Pairs worth a look in one exercise. answers: {student: (lab, exercise, source)}; solutions: sources that anybody may write."""
    known = {tokens(source) for source in solutions}
    bags = {student: tokens(source) for student, (_, _, source) in answers.items()}
    count = {}
    for bag in bags.values():
        count[bag] = count.get(bag, 0) + 1
    common = max(3, COMMON * len(answers))
    worth = {s: bag for s, bag in bags.items() if len(bag) >= SHORT and bag not in known and count[bag] <= common}
    shingles = {s: {bag[i:i + SHINGLE] for i in range(len(bag) - SHINGLE + 1)} for s, bag in worth.items()}
    students, found = sorted(worth), []
    for i, a in enumerate(students):
        for b in students[i + 1:]:
            x, y = shingles[a], shingles[b]
            if min(len(x), len(y)) < NEAR * max(len(x), len(y)):
                continue
            share = 1.0 if worth[a] == worth[b] else len(x & y) / len(x | y)
            if share >= NEAR:
                (lab, exercise, one), (_, _, two) = answers[a], answers[b]
                found.append(Pair(lab, exercise, (a, b), round(share, 3), (one, two)))
    return sorted(found, key=lambda p: (-p.share, p.students))
