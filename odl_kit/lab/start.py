"""start: the first call of every lab. One thread, seeds, a header card from labs/syllabus.toml; under test also no network and a meter."""
import html
import json
import os
import random
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import torch

import odl_kit
from odl_kit.lab import ledger, session, show

LOOPBACK = ("localhost", "ip6-localhost", "::1", "", None)
_forbidden = []         # an audit hook cannot be removed: install it once


def start(lab, *, seed=0):
    """Begin a lab: `rng = lab.start("11_fedavg")`. Returns a torch.Generator seeded with `seed`, which the lab hands to all that is random.

    Sets one thread, shows the lab's card, and begins its ledger. ODL_TEST=1 forbids all network but this computer's own;
    ODL_MEASURE=<file or existing folder> keeps {lab, seconds, cpu_s, peak_rss_mb} there, in a folder as <lab>.json.
    Raises ValueError for a lab that the syllabus lacks.
    """
    labs = tomllib.loads((odl_kit.home() / "labs" / "syllabus.toml").read_text(encoding="utf-8"))
    if lab not in labs:
        raise ValueError(f"no lab {lab!r} in labs/syllabus.toml; there are {', '.join(labs) or 'none'}")
    session.begin(lab)
    torch.set_num_threads(1)
    torch.manual_seed(seed)         # belt and braces: what is random takes the rng that this function returns
    np.random.seed(seed)
    random.seed(seed)
    if show.strict() and not _forbidden:
        _forbidden.append(True)
        sys.addaudithook(_no_network)
    if os.environ.get("ODL_MEASURE"):
        _measure(lab, Path(os.environ["ODL_MEASURE"]))
    _header(lab, labs)
    return torch.Generator().manual_seed(seed)


def _header(lab, labs):
    about = labs[lab]
    section = about["section"] if isinstance(about["section"], str) else ", ".join(about["section"])
    before = [f"{name[:2]} {labs[name]['title']}" if name in labs else name for name in about["prerequisites"]]
    facts = {"Time": f"about {about['minutes']} minutes", "Chapter": f"section {section} of On-Device Learning; in volume 2, "
             f"Edge Intelligence: {about['volume2']}", "Before it": "; ".join(before) or "nothing"}
    if (done := _done(lab)) and not show.revealed():
        facts["Your record"] = done
    rows = "".join(f'<tr><td class="odl-mute">{name}</td><td>{html.escape(text)}</td></tr>' for name, text in facts.items())
    title = f"{lab[:2]} · {about['title']}"
    show.out(show.card("plain", title, f'<table class="odl-facts">{rows}</table>'),
             "\n".join([title, *(f"  {name + ':':<13}{text}" for name, text in facts.items())]))


def _done(lab):
    """What the ledger already has, in words; "" for a first visit."""
    book = ledger.read(lab)
    passed = sum(bool(entry.get("passed")) for entry in book["checks"].values())
    answered = sum("answer" in entry for entry in book["predictions"].values())
    counts = ((answered, "prediction"), (len(book["quizzes"]), "quiz answer"), (passed, "passed check"))
    return ", ".join(f"{n} {name}{'s' * (n > 1)}" for n, name in counts if n)


def _no_network(event, arguments):
    """An audit hook: RuntimeError for any look-up of a name or connection that leaves this computer."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOOPBACK and not host.startswith("127."):
        raise RuntimeError(f"this lab asked the network for {host!r}; labs run offline, their data lie in datasets/")


def _measure(lab, path):
    """Rewrite `path` after every cell, since a test ends its kernel without a word."""
    import psutil  # every ipykernel brings it

    path = path / f"{lab}.json" if path.is_dir() else path
    began = psutil.Process().create_time()

    def write(_=None):
        memory = psutil.Process().memory_info()
        peak = memory.peak_wset if hasattr(memory, "peak_wset") else _peak_rss()
        found = {"lab": lab, "seconds": round(time.time() - began, 3), "cpu_s": round(time.process_time(), 3),
                 "peak_rss_mb": round(peak / 2**20, 1)}
        draft = path.with_name(f".{path.name}.part")
        draft.write_text(json.dumps(found), encoding="utf-8")
        draft.replace(path)

    write()
    if show.shell() is not None:
        show.shell().events.register("post_run_cell", write)


def _peak_rss():
    """The most bytes of memory that this process has held."""
    status = Path("/proc/self/status")
    if status.is_file():            # Linux; its ru_maxrss would count the parent, from before this process became Python
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
