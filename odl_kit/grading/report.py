"""report.html: the class on one page. How the points lie, which checks were hard, what was wrong in the same way, what wants a look."""
import re
import statistics

from odl_kit.grading import alike, build, jail, pages


def write(rows, about, out, *, feedback, pairs, waiting=()):
    """Write out/report.html. feedback {student: path}, pairs: list of alike.Pair, waiting: open regrade requests."""
    labs = [_lab(name, [r for r in rows if r.lab == name]) for name in sorted({r.lab for r in rows if r.lab})]
    body = [_summary(rows), _look(rows), *labs, _alike(pairs), _waiting(waiting), _jail(rows), _everybody(rows, feedback, out)]
    build.write(out / "report.html", pages.page(f"{about.title}: report", "\n".join(filter(None, body))))


def find_alike(rows, checks):
    """All alike.Pairs among the graded rows. checks {lab: {question: (exercise, Check)}}."""
    found = []
    for lab, questions in checks.items():
        for exercise, check in {e: c for _, (e, c) in questions.items()}.items():
            answers = {r.student: (lab, exercise, r.result.cells[exercise]) for r in rows if r.lab == lab and exercise in r.result.cells}
            found += alike.pairs(answers, [check.solution, *check.wrong])
    return found


def _summary(rows):
    kinds = {"graded": sum(not r.result.blame for r in rows), "could not be read": sum(r.result.blame == "file" for r in rows),
             "not graded, our failure": sum(r.result.blame == "ours" for r in rows)}
    return "<p>" + ", ".join(f"<strong>{n}</strong> {what}" for what, n in kinds.items()) + ".</p>"


def _look(rows):
    """What an instructor should look at first."""
    bad = [r for r in rows if r.result.blame]
    if not bad:
        return ""
    lines = [("our failure" if r.result.blame == "ours" else "damaged file", r.student, r.submission.path, r.result.problem) for r in bad]
    return "<h2>Wants a look</h2>\n" + pages.table("Files without points", ("blame", "student", "file", "why"), lines)


def _lab(name, rows):
    graded = [r for r in rows if not r.result.blame]
    if not graded:
        return f"<h2>{pages.escape(pages.title(name))}</h2>\n<p>Nothing was graded.</p>"
    totals = [r.total for r in graded if r.total is not None]
    seconds = sorted(r.result.seconds for r in graded)
    said = [f"<h2>{pages.escape(pages.title(name))}</h2>"]
    if totals:
        said.append(f"<p>{len(totals)} graded: mean {statistics.mean(totals):.2f}, median {statistics.median(totals):g} of "
                    f"{max(r.maximum for r in graded):g} points. {sum(r.late_days > 0 for r in rows)} late. Time for one: median "
                    f"{statistics.median(seconds):.1f} s, longest {seconds[-1]:.1f} s.</p>")
        said.append(histogram(totals, max(r.maximum for r in graded)))
    return "\n".join([*said, _hardest(graded), _common(graded)])


def histogram(totals, maximum):
    """The distribution of points as an SVG with a text for who does not see it."""
    step = max(1, round(maximum / 12))
    bins = [(low, sum(low <= t < low + step for t in totals)) for low in range(0, int(maximum) + 1, step)]
    most, width = max(n for _, n in bins), 48
    bars = "".join(f'<rect class="bar" x="{i * width + 4}" y="{110 - 90 * n / most:.1f}" width="{width - 8}" height="{90 * n / most:.1f}"/>'
                   f'<text x="{i * width + width / 2}" y="{105 - 90 * n / most:.1f}" text-anchor="middle">{n or ""}</text>'
                   f'<text x="{i * width + width / 2}" y="126" text-anchor="middle">{low}{f"-{low + step - 1}" if step > 1 else ""}</text>'
                   for i, (low, n) in enumerate(bins))
    label = "Students by points: " + ", ".join(f"{n} with {low}{f' to {low + step - 1}' if step > 1 else ''}" for low, n in bins if n)
    return (f'<svg role="img" aria-label="{label}" width="{len(bins) * width}" height="148" viewBox="0 0 {len(bins) * width} 148">{bars}'
            f'<text x="4" y="144">points</text></svg>')


def _hardest(rows):
    lines = []
    for question in dict.fromkeys(q for r in rows for q in r.result.questions):
        verdicts = [r.result.questions[question] for r in rows if question in r.result.questions]
        passed = sum(v["passed"] for v in verdicts)
        lines.append((passed / len(verdicts), question, passed, len(verdicts), sum(v["error"] == "unwritten" for v in verdicts)))
    lines = [(q, f"{100 * share:.0f} %", passed, of, empty) for share, q, passed, of, empty in sorted(lines)]
    return pages.table("Checks, the hardest first", ("check", "passed", "students", "of", "not written"), lines, numbers=(1, 2, 3, 4))


def _common(rows):
    """Messages that several students got, numbers taken out."""
    count, example = {}, {}
    for r in rows:
        for question, v in r.result.questions.items():
            if not v["passed"] and v["error"] != "unwritten":
                key = question, re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", v["message"])[:200]
                count[key], example[key] = count.get(key, 0) + 1, v["message"]
    lines = [(n, q, example[q, text][:300]) for (q, text), n in sorted(count.items(), key=lambda item: -item[1]) if n > 1][:12]
    heading = ("students", "check", "what it said, for one of them")
    return pages.table("Wrong in the same way", heading, lines, numbers=(0,)) if lines else ""


def _alike(pairs):
    if not pairs:
        return "<h2>Alike</h2>\n<p>No two answers that are long enough to compare are alike.</p>"
    said = [f"<h2>Alike</h2>\n<p>Pairs of answers with the same tokens, or nearly, names not counted: {len(pairs)}. That is a reason to "
            "look, not a proof: short answers are alike by nature. What equals the solution, or was written by many, is left out.</p>"]
    for p in pairs[:50]:
        a, b = map(pages.escape, p.students)
        how = "the same tokens" if p.share == 1 else f"{100 * p.share:.0f} % in common"
        sides = "".join(f'<div><p>{name}</p><pre tabindex="0">{pages.escape(source)}</pre></div>'
                        for name, source in zip((a, b), p.sources, strict=True))
        said.append(f'<details><summary>{pages.escape(p.exercise)}: {a} and {b}, {how}</summary><div class="pair">{sides}</div></details>')
    return "\n".join(said)


def _waiting(waiting):
    lines = [(w["student"], w["lab"], w["question"], w["request"]) for w in waiting]
    if not lines:
        return ""
    heading = ("student", "lab", "question", "request")
    return "<h2>Regrade requests that wait</h2>\n" + pages.table("Decide them in regrade.csv", heading, lines)


def _jail(rows):
    """Which layers held, of jail.LAYERS."""
    runs = [r.result.held for r in rows if r.result.questions]
    if not runs:
        return ""
    said = []
    for layer, meaning in jail.LAYERS.items():
        n = sum(any(h.startswith(layer) for h in held) for held in runs)
        said.append((layer, "held" if n == len(runs) else f"held in {n} of {len(runs)}" if n else "not here", meaning))
    heading = ("layer", "here", "without it a submission could")
    return "<h2>What kept the submissions in</h2>\n" + pages.table("Layers, over all runs", heading, said)


def _everybody(rows, feedback, out):
    links = {student: pages.Html(f'<a href="{path.relative_to(out).as_posix()}">{pages.escape(student)}</a>')
             for student, path in feedback.items()}
    lines = [(links[r.student], r.submission.name, r.lab, pages.number(r.total), pages.number(r.maximum), r.late_days or "")
             for r in sorted(rows, key=lambda r: (r.student, r.lab))]
    heading = ("student", "name", "lab", "points", "of", "days late")
    return "<h2>Everybody</h2>\n" + pages.table("One line a student and lab", heading, lines, numbers=(3, 4, 5))
