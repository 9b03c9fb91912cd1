"""On-device learning, taught by running it.

budget       what a device can hold and spend; the record every technique reports its memory in
data         datasets, partition, text                 labs load data and hand it in; nothing else imports it
models       nets, flat, layers                        a model is one vector w (P,)
learners     plan, train, memory, cohort               how one device, or many at once, learn
engine       program, execute                        a training step compiled ahead of time: one Program, everywhere the same bits
devices      board, wire, virtual                    boards, virtual and real, that run it
federation   local, rounds, aggregators, ...           how many devices make one model
defenses     validation, quarantine, updates, ...      what a device lets in: data, and new models
viz, lab                                               what a notebook shows a student
grading      build                                     one source -> student notebook, key, grading reference
teaching     guide, site, slides, progress             what a teacher hands out and looks at
doctor, cli                                            is this computer ready? and the command `odl`

This file also holds the one function that finds the checkout, because every room needs it and it needs none.
"""
import os
from pathlib import Path


def home():
    """The folder with `datasets/`, `labs/` and `hardware/`: the checkout this file lies in, else the environment variable ODL_HOME.

    Returns a pathlib.Path. Raises FileNotFoundError that says how to get the folders.
    """
    checkout = Path(__file__).resolve().parents[1]
    for folder in filter(None, (checkout, os.environ.get("ODL_HOME"))):
        if (Path(folder) / "labs" / "syllabus.toml").is_file():
            return Path(folder)
    raise FileNotFoundError(
        f"no labs/syllabus.toml in {checkout} nor in ODL_HOME ({os.environ.get('ODL_HOME') or 'not set'}): "
        "git clone the course and run `pip install -e .` in it, or set ODL_HOME to the clone"
    )
