"""What every benchmark leaves behind: benchmarks/results/<name>.json with the command, the versions and the figures."""
import argparse
import json
import os
import platform
import shutil
import sys
from pathlib import Path

import numpy
import torch

RESULTS = Path(__file__).parent / "results"


def write(name, **figures):
    """Write benchmarks/results/<name>.json whole or not at all; `figures` are plain numbers, lists and dicts. Returns the path."""
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
    about = {"command": command, "versions": versions, "machine": platform.machine(), "cores": os.cpu_count()}
    text = json.dumps({**about, **figures}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    draft = RESULTS / f".{name}.json.part"
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(RESULTS / f"{name}.json")
    return RESULTS / f"{name}.json"


def begin(kept, about):
    """Begin a script that keeps the parts of a long run in the folder `kept`: its command line (--again empties it), one thread.

    about: what --help says.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="compute everything anew")
    if parser.parse_args().again:
        shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
