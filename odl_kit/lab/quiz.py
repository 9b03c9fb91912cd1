"""quiz: one question with a reason for every option. Questions stand in labs/checks/<lab>.py."""
import html

from odl_kit.lab import forms, judging, ledger, session, show


def quiz(id):
    """Ask quiz `id` of the running lab, by widget or by `lab.answer(id, 2)`. The first answer counts; then every option shows its reason.

    Raises KeyError for an id that labs/checks/<lab>.py does not have.
    """
    lab = session.current().lab
    known = judging.load(lab).quizzes
    if id not in known:
        raise KeyError(f"labs/checks/{lab}.py has no quiz {id!r}; it has {', '.join(known) or 'none'}")
    asked = forms.Question(id, "quizzes", known[id].question, tuple(known[id].options), "", "Answer",
                           lambda asked, said: _settle(known[id], id, said))
    said = ledger.entry(lab, "quizzes", id).get("answer")
    if show.static():
        hidden = f"<details><summary>the answer, and a reason for every option</summary>{_reasons(known[id], None)}</details>"
        show.out(show.card("ask", known[id].question, _plain_list(known[id]) + hidden, "Question:"), asked.plain())
    elif said in known[id].options:
        session.current().asked[id] = asked
        show.out(*explain(known[id], said))
    else:
        asked.ask()


def explain(question, said):
    """(HTML, text) of a judging.Quiz that has been answered with the option `said`."""
    right = question.options[said][0]
    word = "Right." if right else "Not this one."
    lines = [f"  {_tags(question, option, said):<22} {option}\n{'':25}{reason}" for option, (_, reason) in question.options.items()]
    return (show.card("good" if right else "bad", question.question, _reasons(question, said), word),
            "\n".join([f"{word} {question.question}", *lines]))


def _settle(question, id, said):
    lab = session.current().lab
    first = ledger.entry(lab, "quizzes", id).get("answer") in question.options     # an option may have been reworded since
    entry = ledger.record(lab, "quizzes", id, once=first, answer=said, right=question.options[said][0])
    return explain(question, entry["answer"])


def _tags(question, option, said):
    return " · ".join(["✓ right"] * question.options[option][0] + ["your answer"] * (option == said))


def _reasons(question, said):
    items = ""
    for option, (right, reason) in question.options.items():
        tags = _tags(question, option, said)
        items += (f'<li{" class=odl-hit" if right else ""}>' + (f'<span class="odl-tag">{tags}</span>' if tags else "")
                  + f'{show.prose(option)}<div class="odl-mute">{show.prose(reason)}</div></li>')
    return f'<ul class="odl-options">{items}</ul>'


def _plain_list(question):
    return f'<ul class="odl-options">{"".join(f"<li>{html.escape(option)}</li>" for option in question.options)}</ul>'
