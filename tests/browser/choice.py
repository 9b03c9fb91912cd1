"""Which labs to open: by name, the first and the last, all, or those that the newest change touched."""
import subprocess
from pathlib import Path

from server import CHECKOUT

LABS = CHECKOUT / "labs"


def every(labs=LABS):
    """All built notebooks, in the order of the course."""
    return sorted(labs.glob("[0-9]*.ipynb"))


def named(names, labs=LABS):
    """The notebooks with these names (11_fedavg) or paths (ending in .ipynb); every lab if there are no names."""
    paths = [Path(name) if name.endswith(".ipynb") else labs / f"{name}.ipynb" for name in names]
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"no such lab: {', '.join(missing)}; there are {', '.join(path.stem for path in every(labs)) or 'none'}")
    if not (paths or every(labs)):
        raise FileNotFoundError(f"no lab is built in {labs}; run `make labs`")
    return paths or every(labs)


def two(labs=LABS):
    """The first and the last lab."""
    return every(labs)[:1] + every(labs)[1:][-1:]


def changed(labs=LABS):
    """The labs that the newest commit to touch a source or a check touched, and those edited since; two() if git names none."""
    sources = [str(labs / "src"), str(labs / "checks")]
    newest = git(labs, "rev-list", "-1", "HEAD", "--", *sources)
    names = git(labs, "diff", "--name-only", f"{newest[0]}~1", "--", *sources) if newest else []
    stems = {Path(name).stem for name in names}
    return [lab for lab in every(labs) if lab.stem in stems] or two(labs)


def git(folder, *arguments):
    """The lines that a git command prints; none where there is no git, no repository or no such commit."""
    try:
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []
