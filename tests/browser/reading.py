"""Open HTML pages that need no server (the site, a progress page, slides) in a real Chromium, and say what is wrong with them.

    python tests/browser/reading.py build/pages              every page, light and dark, 1280 and 420 px wide
    python tests/browser/reading.py build/slides/*.html      slide by slide

One line a page, then its findings; the exit status is 1 if there are any. Screenshots go to build/shots.
"""
import argparse
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import walk
from playwright.sync_api import Error, sync_playwright
from records import Finding, Look

LOOKS = [Look(theme, width) for theme in ("light", "dark") for width in (1280, 420)]
SLIDE = {"width": 1280, "height": 720}

# window.reading: what a page says about itself. Places are named by the heading before them.
QUESTIONS = """
const headings = [...document.querySelectorAll("h1, h2")];
const before = (element) => headings.findLast((one) => one.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
const where = (element) => before(element)?.innerText.replace(/#$/, "").trim().slice(0, 50) || "the top";
const look = (root) => window.drawn.unfolded(root, () => [...window.drawn.images(root, where), ...window.drawn.overflow([root], where),
  ...window.drawn.contrast([root], where)]);
window.reading = { look: () => [...look(document.querySelector("main")), ...(document.documentElement.scrollWidth > innerWidth + 2
    ? [window.drawn.finding("overflow", `the page needs ${document.documentElement.scrollWidth} px, has ${innerWidth} px`)] : [])],
  places: () => [...new Set([...document.querySelectorAll("a[href^='#']")].map((link) => link.getAttribute("href")))],
  leads: (place) => { location.hash = place; return document.querySelector(":target") !== null; },
  button: () => { const paper = () => getComputedStyle(document.body).backgroundColor, before = paper();
    document.querySelector("#theme")?.click();
    return paper() === before ? [window.drawn.finding("action", "the button for light and dark changes nothing")] : []; },
  slide: () => { const slide = window.Reveal.getCurrentSlide(); const low = slide.scrollHeight > slide.clientHeight + 2;
    return [...window.drawn.images(slide, where), ...window.drawn.contrast([slide], where),
      ...(low && getComputedStyle(slide).overflowY !== "auto" ? [window.drawn.finding("overflow", "a slide is cut off below")] : [])]; },
  next: () => { const last = window.Reveal.isLastSlide(); window.Reveal.next(); return !last; } };
"""


@contextmanager
def reader():
    """Start a Chromium; yield read(page, looks, out) -> findings, for any number of files."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=walk.find_chromium(), args=walk.FLAGS)
        try:
            yield lambda path, looks, out: read(browser, Path(path), looks, Path(out))
        finally:
            browser.close()


def read(browser, path, looks, out):
    """Look at one HTML file under every look, follow its links to places in it, photograph it. Returns a list of Finding."""
    out.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": looks[0].width, "height": 1000}, device_scale_factor=1)
    page, found = context.new_page(), {}

    def keep(findings, look=""):
        for one in findings:
            found.setdefault((one["kind"], one["text"]), []).append(str(look))

    address = path.resolve().as_uri()
    page.on("request", lambda request: None if request.url.split("#")[0] == address or request.url.startswith(("data:", "blob:"))
            else keep([{"kind": "network", "text": f"the page asks for {request.url[:120]}"}]))
    page.on("pageerror", lambda error: keep([{"kind": "error", "text": str(error)}]))
    page.add_init_script(path=Path(__file__).with_name("drawn.js"))
    try:
        page.goto(address, wait_until="load")
        page.evaluate(QUESTIONS)
        if page.evaluate("'Reveal' in window"):
            keep(slides(page, out / path.stem))
        else:
            for look in looks:
                page.set_viewport_size({"width": look.width, "height": 1000})
                page.emulate_media(color_scheme=look.theme)
                keep(page.evaluate("reading.look()"), look)
                photograph(page, look, out / f"{path.stem}-{look}")
            keep(page.evaluate("reading.button()"))
            for place in page.evaluate("reading.places()"):
                if not page.evaluate("place => reading.leads(place)", place):
                    keep([{"kind": "link", "text": f"{place} leads nowhere"}])
    except Error as error:      # a page that cannot be looked at must not keep the others from it
        keep([{"kind": "walk", "text": f"could not go on: {error}"}])
    finally:
        context.close()
    return [Finding(kind, text, ", ".join(dict.fromkeys(filter(None, under)))) for (kind, text), under in found.items()]


def photograph(page, look, stem):
    """Screenshots of the whole page, in parts of walk.PART_PX: a page may be longer than a picture can be."""
    for old in stem.parent.glob(f"{stem.name}-[0-9]*.png"):
        old.unlink()
    page.set_viewport_size({"width": look.width, "height": walk.PART_PX})
    for number, top in enumerate(range(0, page.evaluate("document.documentElement.scrollHeight"), walk.PART_PX), 1):
        page.evaluate("top => window.scrollTo(0, top)", top)
        page.screenshot(path=f"{stem}-{number}.png")


def slides(page, stem):
    """Go through a reveal.js deck with the next key's command; yields the findings of each slide, photographs all."""
    page.set_viewport_size(SLIDE)
    page.wait_for_function("Reveal.isReady()")
    page.evaluate("Reveal.configure({ transition: 'none' })")
    for old in stem.parent.glob(f"{stem.name}-[0-9]*.png"):
        old.unlink()
    number, more = 1, True
    while more:
        yield from ({"kind": one["kind"], "text": f"slide {number}: {one['text']}"} for one in page.evaluate("reading.slide()"))
        page.screenshot(path=f"{stem}-{number:03}.png")
        more, number = page.evaluate("reading.next()"), number + 1
        page.wait_for_timeout(20)


def main(arguments=None):
    """The command. Returns the exit status: 0, or 1 if any page has a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="an HTML file, or a folder of them")
    parser.add_argument("--out", type=Path, default=walk.SHOTS, metavar="FOLDER", help="where the screenshots go (%(default)s)")
    options = parser.parse_args(arguments)
    files = [file for path in options.paths for file in (sorted(path.glob("*.html")) if path.is_dir() else [path])]
    wrong = 0
    with reader() as read_one:
        for file in files:
            findings = read_one(file, LOOKS, options.out)
            wrong += bool(findings)
            verdict = f"{len(findings)} findings" if findings else "ok"
            print("\n".join([f"{file.name:<32} {verdict}", *(f"    {one}" for one in findings)]), flush=True)
    print(f"{len(files)} pages, {wrong} with findings; screenshots in {options.out}")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except (FileNotFoundError, ModuleNotFoundError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
