"""Open labs in a real JupyterLab and a real Chromium, run them, use their widgets, look at them in both themes, and leave screenshots.

    python tests/browser/walk.py                    all labs, light and dark, 1280 and 900 px wide
    python tests/browser/walk.py 11_fedavg --theme dark --width 900

One line a lab, then what is wrong with it; the exit status is 1 if anything is. The labs run on copies, with an empty ledger.
Needs `pip install -e .[lab,test]` and a Chromium (Debian and Ubuntu: `apt-get install chromium`).
"""
import argparse
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import choice
import server
from actions import ACTIONS
from playwright.sync_api import Error, sync_playwright
from records import Finding, Look, Report

from odl_kit import doctor

SHOTS = server.CHECKOUT / "build" / "shots"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "on Debian or Ubuntu: apt-get install chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # works as root, without a graphics card, in a container
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
RUN_LIMIT_S, OPEN_LIMIT_S, PATIENCE_S, PART_PX = 300, 120, 4, 1600


def find_chromium():
    """The path of an installed Chromium or Chrome. Raises FileNotFoundError that says how to get one."""
    if found := doctor.find_tool(*PROGRAMS):
        return found
    raise FileNotFoundError(f"none of {', '.join(PROGRAMS)} is installed; {INSTALL}")


@contextmanager
def walker():
    """Start one JupyterLab and one Chromium; yield visit(notebook, looks, out) -> Report, for any number of notebooks."""
    with server.jupyterlab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, handle_sigint=False, handle_sigterm=False)
        try:
            yield lambda notebook, looks, out: visit(browser, lab, Path(notebook), looks, Path(out))
        finally:
            browser.close()


def visit(browser, lab, notebook, looks, out):
    """Run one notebook under the first look, use its widgets, then check and photograph it under every look."""
    context = browser.new_context(viewport={"width": looks[0].width, "height": 1000})
    page, strangers = context.new_page(), []
    page.on("request", lambda request: None if request.url.startswith((lab.url, "data:", "blob:")) else strangers.append(request.url))
    try:
        open_notebook(page, lab.lend(notebook))
        report = walk(page, notebook.stem, looks, out)
        page.evaluate("walk.shutdown()")
    except Exception as error:  # a notebook that cannot be walked must not end the walk of the others
        page.screenshot(path=out / f"{notebook.stem}-stuck.png")
        report = Report(notebook.stem, 0, 0.0, (), (Finding("walk", f"could not go on: {error}"),), (out / f"{notebook.stem}-stuck.png",))
    finally:
        context.close()
    asked = tuple(Finding("network", f"the page asks for {url[:120]}") for url in dict.fromkeys(strangers))
    return Report(report.lab, report.cells, report.run_s, report.actions, report.findings + asked, report.shots)


def open_notebook(page, address):
    """Load JupyterLab with the notebook and wait for its kernel."""
    for script in ("drawn.js", "page.js"):
        page.add_init_script(path=Path(__file__).with_name(script))
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_function("walk.ready()", timeout=OPEN_LIMIT_S * 1000)
    page.evaluate("walk.listen()")


def walk(page, name, looks, out):
    """Run all, act, look. Returns the Report."""
    take_look(page, looks[0])
    run_s, findings = run_all(page)
    shots = photograph(page, out / f"{name}-{looks[0]}-run")
    done = () if findings else use_widgets(page, findings)
    findings += [Finding(**found) for found in page.evaluate("walk.documentFindings()")]
    seen = {}
    for look in looks:
        if look != looks[0]:
            take_look(page, look)
        for found in page.evaluate("walk.pageFindings()"):
            seen.setdefault((found["kind"], found["text"]), []).append(str(look))
        shots += photograph(page, out / f"{name}-{look}")
    findings += [Finding(kind, text, ", ".join(dict.fromkeys(under))) for (kind, text), under in seen.items()]
    return Report(name, page.evaluate("walk.count()"), run_s, done, tuple(dict.fromkeys(findings)), shots)


def run_all(page):
    """Run all cells and let the page settle. Returns the seconds that it took, and a list: empty, or the finding that it took too long."""
    started = time.monotonic()
    page.evaluate("walk.runAll()")
    in_time = wait_until(page, "walk.stopped()", RUN_LIMIT_S)
    run_s = time.monotonic() - started
    settle(page)
    return run_s, [] if in_time else [Finding("walk", f"run all took longer than {RUN_LIMIT_S} s")]


def use_widgets(page, findings):
    """Do every action that the notebook has a widget for. Returns what was done; what failed or had no effect is added to `findings`."""
    done = []
    for act in ACTIONS:
        if not page.evaluate("walk.alive()"):
            break
        try:
            acted = act(page)
        except Error as error:
            findings.append(Finding("action", f"{act.__name__}: {error}"))
            continue
        if acted:
            what, element, before = acted
            done.append(what)
            if not takes_effect(page, element, before):
                findings.append(Finding("action", f"{what}: nothing changed"))
            settle(page)
    return tuple(done)


def takes_effect(page, element, before):
    """Wait until the element's cell shows something new; False if it does not while the kernel rests for PATIENCE_S."""
    started = resting = time.monotonic()
    while page.evaluate("element => walk.shown(element)", element) == before:
        now = time.monotonic()
        resting = resting if page.evaluate("walk.idle()") else now
        if now - resting > PATIENCE_S or now - started > RUN_LIMIT_S:
            return False
        page.wait_for_timeout(150)
    return True


def take_look(page, look):
    """Change theme and width. The system's own preference is the opposite: a lab shall follow JupyterLab, not the system."""
    page.emulate_media(color_scheme="dark" if look.theme == "light" else "light")
    page.set_viewport_size({"width": look.width, "height": 1000})
    page.evaluate("name => walk.useTheme(name)", THEMES[look.theme])
    settle(page)


def wait_until(page, question, limit_s):
    """Ask the page until it says yes; False if it does not within limit_s."""
    deadline = time.monotonic() + limit_s
    while not page.evaluate(question):
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(150)
    return True


def settle(page, limit_s=30):
    """Wait until the kernel is idle and the page keeps its shape for a third of a second."""
    deadline, calm, last = time.monotonic() + limit_s, 0, None
    while calm < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(160)
        now = page.evaluate("[walk.shape(), walk.idle()]")
        calm = calm + 1 if now == last and now[1] else 0
        last = now


def photograph(page, stem):
    """Screenshots of the whole notebook, in parts of PART_PX. Returns their paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for old in stem.parent.glob(f"{stem.name}-[0-9]*.png"):
        old.unlink()
    width, shots = page.viewport_size["width"], []
    page.set_viewport_size({"width": width, "height": PART_PX})
    settle(page)
    view = page.evaluate("walk.view()")
    clip, total = view["clip"], view["total"]
    for top in range(0, total, int(clip["height"])):
        page.evaluate("top => walk.scroll(top)", top)
        shots.append(Path(f"{stem}-{len(shots) + 1}.png"))
        page.screenshot(path=shots[-1], clip=clip | {"height": min(clip["height"], total - top)})
    page.set_viewport_size({"width": width, "height": 1000})
    return tuple(shots)


def main(arguments=None):
    """The command. Returns the exit status: 0, or 1 if any lab has a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", metavar="LAB", help="a lab's name or a notebook; all labs if none is given")
    parser.add_argument("--theme", choices=["light", "dark", "both"], default="both")
    parser.add_argument("--width", type=int, action="append", metavar="PX", help="window width, may be repeated (1280 and 900)")
    parser.add_argument("--out", type=Path, default=SHOTS, metavar="FOLDER", help="where the screenshots go (%(default)s)")
    options = parser.parse_args(arguments)
    themes = THEMES if options.theme == "both" else [options.theme]
    looks = [Look(theme, width) for theme in themes for width in options.width or (1280, 900)]
    reports = []
    with walker() as visit_one:
        for notebook in choice.named(options.labs):
            reports.append(visit_one(notebook, looks, options.out))
            print(reports[-1], flush=True)
    wrong = sum(bool(report.findings) for report in reports)
    print(f"{len(reports)} labs, {wrong} with findings; screenshots in {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` blocks end, and with them what they started
    try:
        sys.exit(main())
    except (FileNotFoundError, ModuleNotFoundError, RuntimeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
