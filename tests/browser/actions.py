"""What a student does with a lab's widgets: answer, move, press.

An action looks for a widget that it can use. It returns None if there is none, else (what, element, before): what it did in words, the
element that it used, and what its cell showed just before, so that the caller can wait until the cell shows something else.
"""
import re

NOTEBOOK = ".jp-NotebookPanel"


def answer(page, label):
    """Choose the first option (or type a number) beside the first enabled button whose text begins with label, and press it."""
    button = page.locator(f"{NOTEBOOK} button.jupyter-button:enabled:visible", has_text=re.compile(rf"^\s*{label}"))
    if not button.count():
        return None
    element = button.first.element_handle()
    box = button.first.locator("xpath=ancestor::*[contains(@class, 'widget-box')][.//input][1]")
    options, kind = box.locator("input[type=radio]"), "an option"
    if options.count():
        options.first.check()
    else:
        kind = "a number"
        box.locator("input[type=number], input[type=text]").first.fill("10")
        page.keyboard.press("Tab")
    before = page.evaluate("element => walk.shown(element)", element)
    element.click()
    return f"{label.lower()}: {kind}", element, before


def lock_in_a_prediction(page):
    """Answer the first open prediction."""
    return answer(page, "Lock in")


def answer_a_quiz(page):
    """Answer the first open quiz."""
    return answer(page, "Answer")


def move_a_slider(page):
    """Move the first slider that can move by one step, with the keyboard, as somebody without a mouse does."""
    handles = page.locator(f"{NOTEBOOK} .noUi-target:not([disabled]) .noUi-handle:visible")
    if not handles.count():
        return None
    element = handles.first.element_handle()
    before = page.evaluate("element => walk.shown(element)", element)
    old = element.get_attribute("aria-valuenow")
    element.focus()
    for key in ("ArrowRight", "ArrowLeft"):  # left where it stands at its right end
        page.keyboard.press(key)
        if element.get_attribute("aria-valuenow") != old:
            break
    return f"slider: {old} to {element.get_attribute('aria-valuenow')}", element, before


def press_a_check(page):
    """Press the first button that checks or shows something ("Check", "Show the solution")."""
    button = page.locator(f"{NOTEBOOK} button.jupyter-button:enabled:visible", has_text=re.compile(r"^\s*(Check|Show)"))
    if not button.count():
        return None
    element, text = button.first.element_handle(), button.first.inner_text().strip()
    before = page.evaluate("element => walk.shown(element)", element)
    element.click()
    return f"button: {text}", element, before


ACTIONS = (lock_in_a_prediction, move_a_slider, answer_a_quiz, press_a_check)
