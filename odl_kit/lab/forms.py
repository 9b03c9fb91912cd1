"""A question on the screen: choose an option or type a number, press the button. Without widgets it is text, answered by `lab.answer`."""
import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from odl_kit.lab import session, show


@dataclass
class Question:
    """What a cell asks. kind: "predictions" or "quizzes"; options: texts, or None for a number in `unit`; button: its words.

    settle(question, answer) -> (HTML, text): records the answer (only the first counts) and says what the question turns into.
    ranges: {option: (low, high)} of a prediction, the numbers for which the option is right.
    """
    id: str
    kind: str
    text: str
    options: tuple | None
    unit: str
    button: str
    settle: Callable
    ranges: dict = field(default_factory=dict)
    box: object = field(default=None, repr=False)

    def ask(self):
        """Show the question; from now on `lab.answer` knows it. Raises ValueError if another kind of question has this id."""
        asked = session.current().asked
        if self.id in asked and asked[self.id].kind != self.kind:
            raise ValueError(f"this lab has a prediction and a quiz with the id {self.id!r}: give one of them another")
        asked[self.id] = self
        if not show.has_widgets():
            show.out(show.card("ask", self.text, self._listed(), self._word()), self.plain())
            return
        self.box = self._form()
        show.widget(self.box, self.plain())

    def plain(self):
        """The question as text, with the line that answers it."""
        lines = [f"{self._word()} {self.text}", *(f"  {k}  {option}" for k, option in enumerate(self.options or (), 1))]
        example = 1 if self.options else "<number>"
        return "\n".join([*lines, f'  Answer with lab.answer("{self.id}", {example})' + (f", in {self.unit}" if self.unit else "")])

    def take(self, value, *, aloud=True):
        """Settle the question with `value`, checked. aloud: say so in the running cell as well (the button's own form turns anyway)."""
        content, text = self.settle(self, self.read(value))
        if self.box is not None:
            show.turn(self.box, content)
        if aloud:
            show.out(content, text)
        if reveal := session.current().waiting.pop(self.id, None):      # run-all came by before the student did
            reveal()

    def holding(self, value):
        """The option whose range holds the number `value`, None if none does."""
        return next((option for option, (low, high) in self.ranges.items() if low <= value <= high), None)

    def read(self, value):
        """The option or number that `value` means: an option's number from 1, its text or how it begins. Raises ValueError."""
        if self.options is None:
            return _finite(value)
        if type(value) is int and 1 <= value <= len(self.options):
            return self.options[value - 1]
        start = str(value).strip().lower()
        fits = [o for o in self.options if o.lower() == start] or [o for o in self.options if start and o.lower().startswith(start)]
        if type(value) is str and len(fits) == 1:
            return fits[0]
        choices = ", ".join(f"{k} ({option})" for k, option in enumerate(self.options, 1))
        raise ValueError(f"{value!r} is none of the options of {self.id!r}: {choices}")

    def _word(self):
        return "Predict:" if self.kind == "predictions" else "Question:"

    def _listed(self):
        """The options as they stand on a static page or without widgets."""
        if self.options:
            what = f'<ul class="odl-options">{"".join(f"<li>{html.escape(option)}</li>" for option in self.options)}</ul>'
        else:
            what = f'<p class="odl-mute">A number{", in " + html.escape(self.unit) if self.unit else ""}.</p>'
        how = f'<p class="odl-mute">Answer with <code>lab.answer("{self.id}", {1 if self.options else "number"})</code>.</p>'
        return what + ("" if show.static() else how)

    def _form(self):
        import ipywidgets as widgets

        said = widgets.HTML()
        if self.options is None:
            entry = widgets.Text(placeholder="a number", description=self.unit, layout=widgets.Layout(width="16em"),
                                 style={"description_width": "initial"})
        else:
            entry = widgets.RadioButtons(options=self.options, value=None, layout=widgets.Layout(width="100%"))

        def pressed():
            try:
                self.take(entry.value, aloud=False)
            except ValueError as error:
                said.value = show.heading("Choose first, then press the button." if entry.value in (None, "") else str(error))

        return show.form(show.heading(self.text, word=self._word()), entry, show.button(self.button, pressed, first=True), said)


def answer(id, value):
    """Answer a prediction or a quiz by text: `lab.answer("drift", 2)`, with an option's number or words, or with a number.

    Only the first answer counts. Raises KeyError for an id that no cell has asked yet, ValueError for no answer at all.
    """
    asked = session.current().asked
    if id not in asked:
        raise KeyError(f"nothing has asked {id!r} yet: run its cell first; asked are {', '.join(asked) or 'none'}")
    asked[id].take(value)


def _finite(value):
    try:
        number = float(str(value).replace(",", "")) if isinstance(value, str) else float(show.as_number(value))
    except (ValueError, TypeError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number: write it as 40 or 3.5")
    return int(number) if number == int(number) else number
