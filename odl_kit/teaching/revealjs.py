"""reveal.js, the program that shows a deck: npm installs it into build/ the first time; a deck carries it and needs no network."""
import shutil
import subprocess

import odl_kit

VERSION = "5.2.1"


def folder():
    """The package reveal.js (MIT licence), a pathlib.Path; installed by npm if it is not in build/ yet.

    Raises FileNotFoundError without npm, and ValueError, with what npm said, if npm cannot install it.
    """
    place = odl_kit.home() / "build" / "npm"
    package = place / "node_modules" / "reveal.js"
    if not (package / "package.json").is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("slides carry reveal.js, which npm installs, and npm is not here: install Node.js "
                                    "(Debian, Ubuntu: sudo apt install npm; macOS: brew install node)")
        place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([npm, "install", "--prefix", str(place), "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
                               f"reveal.js@{VERSION}"], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"npm could not install reveal.js {VERSION}: {done.stderr.strip()[-500:]}")
    return package


def parts():
    """(style sheet, scripts): the text of reveal.css, and of reveal.js and its speaker notes."""
    package = folder()
    sheet, *scripts = (package.joinpath(*name.split("/")).read_text(encoding="utf-8")
                       for name in ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js"))
    return sheet, scripts
