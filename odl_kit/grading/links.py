"""Where a lab can be opened without installing anything. `[project.urls]` Repository in pyproject.toml is the one source of every address.

An address names the tag of this version (v0.1.0), never a branch: a class sees the same labs all term. Without a Repository, or with one
that is not on GitHub (Colab opens nothing else), every function here returns None and no badge is written.
"""
import tomllib
from urllib.parse import urlparse

from odl_kit import home

COLAB = '''\
# Only in Colab: fetch the course (tag {tag}) and use it from there. Colab's own torch is kept; nothing is installed.
import sys

if "google.colab" in sys.modules:
    import os
    import subprocess

    if not os.path.isdir("/content/{name}"):
        subprocess.run(["git", "clone", "--quiet", "--depth=1", "--branch={tag}", "{repository}", "/content/{name}"], check=True)
    os.chdir("/content/{name}/labs")
    sys.path.insert(0, "/content/{name}")'''


def badges(lab):
    """The Binder and Colab badges of `lab` ("11_fedavg") as one line of Markdown, None without an address to point to."""
    if (place := _place()) is None:
        return None
    _, slug, tag = place
    binder = f"https://mybinder.org/v2/gh/{slug}/{tag}?urlpath=lab/tree/labs/{lab}.ipynb"
    colab = f"https://colab.research.google.com/github/{slug}/blob/{tag}/labs/{lab}.ipynb"
    return (f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder}) "
            f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})")


def colab_cell(lab):
    """The source of the first cell of `lab`: in Colab it clones the course at its tag and makes it importable; elsewhere it does nothing.

    None without an address to clone from. All labs have the same cell; `lab` is there so that a lab can have its own one day.
    """
    if (place := _place()) is None:
        return None
    repository, slug, tag = place
    return COLAB.format(repository=repository, name=slug.split("/")[1], tag=tag)


def _place():
    """(address of the repository, "owner/name", tag) out of pyproject.toml, or None."""
    project = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project.get("urls", {}).get("Repository", "").removesuffix("/").removesuffix(".git")
    address = urlparse(repository)
    slug = address.path.strip("/")
    if address.netloc != "github.com" or slug.count("/") != 1:
        return None
    return repository, slug, f"v{project['version']}"
