"""Widgets in a real kernel: the messages that a front end would get, and what its clicks do. tests/browser sees them drawn."""
import json
import os
import sys

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

VIEW = "application/vnd.jupyter.widget-view+json"
BEGIN = """
import asyncio, os, time
import odl_kit
from ipywidgets.widgets import widget
from math import inf
from pathlib import Path
from odl_kit import lab, viz
odl_kit.home = lambda: Path({home!r})
OPTIONS = {{"few": (0, 18), "some": (18, 60), "never": (61, inf)}}

def last(kind, **traits):
    "The newest widget of a kind with these traits that is still on the screen."
    found = [w for w in widget._instances.values() if type(w).__name__ == kind and w.layout.display != "none"]
    return [w for w in found if all(getattr(w, name) == value for name, value in traits.items())][-1]

def press(words):
    last("Button", description=words).click()

def page():
    "All that HTML widgets show."
    return "|".join(w.value for w in widget._instances.values() if type(w).__name__ == "HTML" and w.layout.display != "none")
"""


class Kernel:
    """Runs cells and keeps what they show."""

    def __init__(self, folder):
        self.manager = KernelManager()
        self.manager._kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
        self.folder, environment = folder, {k: v for k, v in os.environ.items() if k not in ("ODL_TEST", "ODL_REVEAL")}
        self.manager.start_kernel(env=environment | {"ODL_LEDGER": str(folder / "ledger"), "IPYTHONDIR": str(folder / "ipython")})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.run(BEGIN.format(home=str(folder)))

    def run(self, code):
        """[data or text of each output]; raises AssertionError with the traceback of a cell that fails."""
        heard = []
        reply = self.client.execute_interactive(code, timeout=60, output_hook=heard.append)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        outputs = ("stream", "display_data", "execute_result")
        return [m["content"].get("data", m["content"].get("text")) for m in heard if m["msg_type"] in outputs]

    def value(self, expression):
        """What an expression is, as Python prints it."""
        return "".join(part for part in self.run(f"print(repr(({expression})))") if isinstance(part, str)).strip()

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, write_course):
    """A kernel in which the course of conftest.py stands; its ledger is in kernel.folder."""
    folder = tmp_path_factory.mktemp("course")
    write_course(folder)
    started = Kernel(folder)
    yield started
    started.stop()


@pytest.fixture
def begin(kernel):
    """A fresh ledger and a lab that has begun."""
    for path in (kernel.folder / "ledger").glob("*.json"):
        path.unlink()
    kernel.run('widget._instances.clear(); rng = lab.start("98_sample")')
    return kernel


def kept(kernel):
    return json.loads((kernel.folder / "ledger" / "98_sample.json").read_text())


def test_a_question_is_a_widget_with_a_text_for_those_who_see_none(begin):
    shown, = begin.run('lab.predict("p", "How many?", options=OPTIONS)')
    assert VIEW in shown and 'lab.answer("p", 1)' in shown["text/plain"] and "text/html" not in shown
    assert begin.value('last("RadioButtons").value, last("RadioButtons").options') == "(None, ('few', 'some', 'never'))"


def test_pressing_without_a_choice_asks_for_one_and_locks_nothing(begin):
    begin.run('lab.predict("p", "How many?", options=OPTIONS); press("Lock in my prediction")')
    assert begin.value('"Choose first" in page()') == "True" and not (begin.folder / "ledger" / "98_sample.json").exists()


def test_locking_in_turns_the_form_into_what_was_said(begin):
    begin.run('lab.predict("p", "How many?", options=OPTIONS); last("RadioButtons").value = "some"; press("Lock in my prediction")')
    assert kept(begin)["predictions"]["p"]["answer"] == "some"
    assert begin.value('"You said: some" in page()') == "True"
    assert begin.value('[w.layout.display for w in widget._instances.values() if type(w).__name__ == "Button"]') == "['none']"


def test_a_number_is_typed_and_nonsense_is_refused(begin):
    begin.run('lab.predict("k", "How much?", unit="KB"); last("Text").value = "many"; press("Lock in my prediction")')
    assert begin.value('"no number" in page()') == "True"
    begin.run('last("Text").value = "1,200"; press("Lock in my prediction")')
    assert kept(begin)["predictions"]["k"]["answer"] == 1200


def test_a_reveal_that_came_before_the_answer_opens_by_itself(begin):
    begin.run('lab.predict("p", "How many?", options=OPTIONS)')
    shown, = begin.run('lab.reveal("p", 34, "rounds", figure=viz.Figure("<p>picture</p>", "alt", "", "Finding"))')
    assert VIEW in shown and "34" not in shown["text/plain"] and begin.value('"34 rounds" in page() or "picture" in page()') == "False"
    begin.run('last("RadioButtons").value = "few"; press("Lock in my prediction")')
    assert begin.value('"you said few, measured 34 rounds" in page() and "picture" in page()') == "True"


def test_skip_and_show_opens_the_reveal_and_closes_the_question(begin):
    begin.run('lab.predict("p", "How many?", options=OPTIONS)\nlab.reveal("p", 34)\npress("Skip and show")')
    assert kept(begin)["predictions"]["p"]["skipped"] is True
    assert begin.value('"measured 34" in page(), "You skipped this prediction" in page()') == "(True, True)"


def test_an_answered_prediction_is_shown_as_html_after_a_restart(begin):
    begin.run('lab.predict("p", "How many?", options=OPTIONS); lab.answer("p", 1)')
    begin.run('rng = lab.start("98_sample")')
    shown, = begin.run('lab.predict("p", "How many?", options=OPTIONS)')
    assert "You said: few" in shown["text/html"] and VIEW not in shown


def test_a_quiz_gives_its_reasons_after_the_button(begin):
    begin.run('lab.quiz("why")')
    assert begin.value('"It is so" in page()') == "False"
    begin.run('last("RadioButtons").value = "never"; press("Answer")')
    assert begin.value('"It is so" in page() and "Not this one." in page()') == "True"
    assert kept(begin)["quizzes"]["why"] == kept(begin)["quizzes"]["why"] | {"answer": "never", "right": False}


def test_the_second_miss_has_a_button_that_shows_the_solution(begin):
    first = begin.run('lab.check("mean", lambda u, n: u.mean(0));')
    assert "text/html" in first[0] and VIEW not in first[0]
    second = begin.run('lab.check("mean", lambda u, n: u.mean(0));')
    assert VIEW in second[0] and "share" not in begin.value("page()")
    begin.run('press("Show the solution")')
    assert "share" in begin.value("page()") and kept(begin)["checks"]["mean"]["solution_shown"] is True


def test_a_stub_in_a_cell_is_seen_and_a_miss_names_the_line_of_the_cell(begin):
    begin.run("def mean(u, n):\n    share = ...\n    return share @ u")
    assert "not written yet" in begin.run('lab.check("mean", mean);')[0]["text/plain"]
    begin.run("def mean(u, n):\n\n    return u @ n")
    assert "line 3, `return u @ n`" in begin.run('lab.check("mean", mean);')[0]["text/plain"]


EXPLORE = """
calls = []
def square(n, scale=2.0, flip=False):
    "Once for each set of values."
    calls.append(n)
    if n == 4:
        raise ValueError("four is too many")
    return viz.Figure(f"<p>{n * n}</p>", f"n {n}", "", f"square {n}")
lab.explore(square, n=(1, 9), scale=(0.5, 4.0), flip=False)
"""


def test_a_slider_redraws_in_place_once_it_rests_and_going_back_computes_nothing(begin):
    shown, = begin.run(EXPLORE)
    assert VIEW in shown and "square 1" in shown["text/plain"] and "n: 1 to 9" in shown["text/plain"]
    assert begin.value('last("IntSlider").continuous_update, last("IntSlider").description') == "(False, 'n')"
    assert begin.value('last("FloatSlider").value, last("Checkbox").value') == "(2.0, False)"
    begin.run('for n in (2, 3, 5): last("IntSlider").value = n\nbusy = "computing" in page()\nawait asyncio.sleep(0.5)')
    assert begin.value('busy, "computing" in page(), "<p>25</p>" in page(), calls') == "(True, False, True, [1, 5])"
    begin.run('last("IntSlider").value = 1\nawait asyncio.sleep(0.5)')
    assert begin.value('"<p>1</p>" in page(), calls') == "(True, [1, 5])"


def test_an_error_behind_a_slider_is_shown_in_words_and_the_slider_lives_on(begin):
    begin.run(EXPLORE)
    begin.run('last("IntSlider").value = 4\nawait asyncio.sleep(0.5)')
    assert begin.value('"four is too many" in page() and "No result for n = 4" in page()') == "True"
    begin.run('last("IntSlider").value = 6\nawait asyncio.sleep(0.5)')
    assert begin.value('"<p>36</p>" in page()') == "True"


def test_a_page_has_html_only_with_everything_revealed(begin):
    begin.run('os.environ["ODL_REVEAL"] = "1"')
    try:
        shown = begin.run("lab.predict('p', 'How many?', options=OPTIONS)\nlab.reveal('p', 34)\nlab.quiz('why')\n" + EXPLORE)
    finally:
        begin.run('del os.environ["ODL_REVEAL"]')
    assert len(shown) == 4 and all("text/html" in part and VIEW not in part for part in shown)
    assert "measured 34" in shown[1]["text/html"] and "It is so." in shown[2]["text/html"] and "<p>1</p>" in shown[3]["text/html"]


def test_cards_are_html_with_the_text_beside_it(begin):
    shown, = begin.run('lab.claim(False, "one is two")')
    assert "one is two" in shown["text/html"] and "one is two" in shown["text/plain"]


def test_the_cost_of_a_lab_is_rewritten_after_every_cell(begin):
    path = begin.folder / "cost.json"
    begin.run(f'os.environ["ODL_MEASURE"] = {str(path)!r}\nrng = lab.start("98_sample")')
    before = json.loads(path.read_text())
    begin.run("del os.environ['ODL_MEASURE']\nkept = bytearray(64 * 2**20)\ntime.sleep(0.1)")
    begin.run("pass")
    after = json.loads(path.read_text())
    assert after["seconds"] >= before["seconds"] + 0.1 and after["peak_rss_mb"] > before["peak_rss_mb"] + 30
