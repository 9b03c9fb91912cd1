"""A stub must be part of its solution: every line of it stands there again, in order, `...` for any expression."""
import io
import tokenize

SKIP = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


def missing(stub, solution):
    """The first line of `stub` (source text) that `solution` does not have after the lines before it, None if it has them all.

    Compared are logical lines with their indentation, token by token; comments, spacing and docstrings do not count. `...` stands for one
    or more tokens; a line that is only `...` stands for one or more lines.
    """
    rest = _lines(solution)
    for depth, tokens in _lines(stub):
        while rest and not _fits((depth, tokens), rest[0]):
            rest = rest[1:]
        if not rest:
            return " ".join(tokens)
        rest = rest[1:]
    return None


def _fits(stub, line):
    return stub[1] == ("...",) or stub[0] == line[0] and _match(stub[1], line[1])


def _match(pattern, tokens):
    """True if `tokens` is `pattern` with one or more tokens for each `...`."""
    if not pattern or not tokens:
        return not pattern and not tokens
    if pattern[0] == "...":
        return any(_match(pattern[1:], tokens[end:]) for end in range(1, len(tokens) + 1))
    return pattern[0] == tokens[0] and _match(pattern[1:], tokens[1:])


def _lines(text):
    """(depth of indentation, tokens) of every logical line that is no docstring."""
    lines, depth, line = [], 0, []
    for token in tokenize.generate_tokens(io.StringIO(text.strip("\n") + "\n").readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            depth += 1 if token.type == tokenize.INDENT else -1
        elif token.type == tokenize.NEWLINE:
            lines.append((depth, tuple(line)))
            line = []
        elif token.type not in SKIP:
            line.append(token.string)
    return [(depth, tokens) for depth, tokens in lines if not (len(tokens) == 1 and tokens[0].lstrip("rR")[:1] in "\"'")]
