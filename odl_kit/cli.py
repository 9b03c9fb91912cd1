"""The command `odl`: what the Makefile's targets do, also on Windows. Options that a command does not know go on to the program it runs."""
import argparse
import os
import signal
import subprocess
import sys

import odl_kit

FOLDERS = ("odl_kit", "labs/src", "labs/checks", "tests", "benchmarks", "datasets", "hardware", "examples")
CODE = (".py", ".c", ".h", ".js")
START = "labs/00_start_here.ipynb"
TWO_WORKERS = ("-n", "2", "--dist", "loadscope")    # a file's tests stay together


def lab(args, extra):
    """Open JupyterLab at lab 00. Further options are JupyterLab's: odl lab --port=8889

    In a container: odl lab --ip=0.0.0.0. Without a display the address is printed instead of opening a browser. Ctrl-C ends it.
    """
    from jupyterlab.labapp import LabApp
    options = [f"--ServerApp.root_dir={odl_kit.home()}", f"--LabApp.default_url=/lab/tree/{START}",
               "--LabApp.news_url=None",            # no request to the network, no pop-up that asks for one
               "--ServerApp.answer_yes=True",       # one Ctrl-C ends it, without a question
               "--log-level=WARN"]                  # the address, and what goes wrong
    if not has_display():
        options.append("--no-browser")
        print("No display here: open the address that follows, with its token, in a browser on this machine.", flush=True)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    print("Ctrl-C in this window ends JupyterLab.", flush=True)
    LabApp.launch_instance([*options, *extra])
    return 0


def test(args, extra):
    """Run the tests, then every lab from top to bottom. Further options go to pytest, which then runs without the labs: odl test -k krum"""
    if extra:
        return pytest(*extra)
    from odl_kit.grading import nbval
    status = pytest("tests", *TWO_WORKERS)
    return max(status, nbval.run(pytest))


def check(args, extra):
    """Lint, and the tests that are not marked slow: under a minute. Further options go to pytest."""
    status = python("-m", "ruff", "check", ".")
    return max(status, pytest("tests", "-m", "not slow", *TWO_WORKERS, *extra))


def build(args, extra):
    """Build the notebooks whose source changed, the README's table of labs, and the heads of the instructor's pages."""
    from odl_kit.grading import build, syllabus
    from odl_kit.teaching import guide
    status = build.main(extra)
    if "--check" in extra or status == 2:
        return status
    syllabus.write_readme()
    return max(status, int(not guide.write()))


def new_lab(args, extra):
    """Begin a new lab: a small one that runs and keeps every rule, to be rewritten."""
    from odl_kit.teaching import newlab
    return newlab.main(extra)


def progress(args, extra):
    """Your ledger as a page: predictions beside measurements, exercises, quizzes. With FILES, the exported ledgers of a class."""
    from odl_kit.teaching import progress
    return progress.main(extra)


def site(args, extra):
    """Write the course as pages for reading, from labs that have run."""
    from odl_kit.teaching import site
    return site.main(extra)


def slides(args, extra):
    """Write a deck of slides for each part of the course."""
    from odl_kit.teaching import slides
    return slides.main(extra)


def release(args, extra):
    """Write what students get of some labs: notebooks, a manifest with hashes, a zip."""
    from odl_kit.grading import release
    return release.main(extra)


def grade(args, extra):
    """Grade a class's notebooks in a jail: grades.csv, a page for every student, a report. Run it again to go on."""
    try:
        from odl_kit.grading import grade
    except ImportError as error:
        print(f"odl grade needs {error.name}: pip install -e '.[lab,test]' in the checkout", file=sys.stderr)
        return 2
    return grade.main(extra)


def update(args, extra):
    """Sign model packages; verify and apply them on a device that refuses what is altered, old or not for it."""
    from odl_kit.defenses import console
    return console.main(extra)


def board(args, extra):
    """Boards, virtual and real: list, info, selftest, train, bench."""
    from odl_kit.data import datasets
    from odl_kit.devices import console
    return console.main(extra, digits=lambda: datasets.load("digits"))


def browser(args, extra):
    """Open every lab in a real JupyterLab and Chromium, light and dark, wide and narrow; leaves screenshots."""
    return python("tests/browser/walk.py", *extra)


def bench(args, extra):
    """Run the scripts in benchmarks/, each of which writes benchmarks/results/<name>.json. odl bench NAME runs one."""
    every = sorted((odl_kit.home() / "benchmarks").glob("*.py"))       # record.py and peers.py only serve the others
    scripts = {path.stem: path for path in every if f'record.write("{path.stem}"' in path.read_text(encoding="utf-8")}
    if unknown := [name for name in extra if name not in scripts]:
        raise SystemExit(f"odl bench: no {', '.join(unknown)} in benchmarks/; there are: {', '.join(scripts) or 'none yet'}")
    status = 0
    for name in extra or scripts:
        print(f"== {name}", flush=True)
        status = max(status, python(str(scripts[name])))
    return status


def size(args, extra):
    """Lines of every module, the longest file of the package, and totals by folder."""
    root = odl_kit.home()
    lines = {folder: {path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
                      for path in sorted((root / folder).rglob("*")) if path.suffix in CODE} for folder in FOLDERS}
    for name, count in lines["odl_kit"].items():
        print(f"{count:6}  {name}")
    longest = max(lines["odl_kit"], key=lines["odl_kit"].get)
    print(f"\n{lines['odl_kit'][longest]:6}  is the longest: {longest}\n")
    for folder, files in ((folder, files) for folder, files in lines.items() if files):
        print(f"{sum(files.values()):6}  {folder}: {len(files)} files")
    print(f"{sum(sum(files.values()) for files in lines.values()):6}  in all")
    return 0


def doctor(args, extra):
    """Look whether this computer is ready: one line a point, and what to do where it is wrong. Exit status 1 if a lab could not run."""
    from odl_kit import doctor
    report = doctor.report()
    print(report)
    return 1 if report.problems else 0


def federate(args, extra):
    """Run a real federation on this machine: Flower's SuperLink and SuperNodes train on digits over 127.0.0.1. Ctrl-C ends all of them."""
    from tqdm import tqdm

    from odl_kit.federation import loopback
    signal.signal(signal.SIGTERM, signal.default_int_handler)       # `kill` stops the others as Ctrl-C does
    settings = {"num-clients": args.nodes, "num-rounds": args.rounds}
    with tqdm(total=args.rounds, unit="round", desc=f"1 SuperLink, {args.nodes} SuperNodes") as bar:
        def say(line):
            bar.write(line, file=sys.stdout)
            bar.update(int(line.split()[1].rstrip(":")) - bar.n)
        try:
            loopback.federate(odl_kit.home() / "examples" / "flower", nodes=args.nodes, run_config=settings, say=say)
        except (OSError, RuntimeError, ValueError) as error:
            print(f"odl federate: {error}", file=sys.stderr)
            return 1
    return 0


def ledger(args, extra):
    """Take your predictions, answers and checks to another machine: `export FILE` writes them as JSON, `restore FILE` reads them."""
    from odl_kit.lab import ledger
    try:
        if args.do == "export":
            print(f"written: {ledger.export(args.file)}")
        else:
            print(f"restored: {', '.join(ledger.restore(args.file)) or 'nothing that was not here already'}")
    except (OSError, ValueError) as error:
        print(f"odl ledger {args.do} {args.file}: {error}", file=sys.stderr)
        return 1
    return 0


COMMANDS = {"lab": lab, "test": test, "check": check, "labs": build, "build": build, "browser": browser, "bench": bench, "size": size,
            "doctor": doctor, "federate": federate, "ledger": ledger, "progress": progress, "new-lab": new_lab, "site": site,
            "slides": slides, "release": release, "grade": grade, "update": update, "board": board}
OWN_HELP = (build, browser, progress, new_lab, site, slides, release, grade, update, board)    # these hand all that follows on, --help too
PASS_ON = (*OWN_HELP, lab, test, check, bench)                                  # these what they do not know


def main(argv=None):
    """Run one command; returns its exit status. 2 is a wrong command line, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(prog="odl", description="The course's commands.", epilog="odl COMMAND --help says more.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run in COMMANDS.items():
        text = run.__doc__.strip()
        one = commands.add_parser(name, help=text.split(". ")[0].split(": ")[0].splitlines()[0].rstrip("."), description=text,
                                  add_help=run not in OWN_HELP)
        if run is ledger:
            one.add_argument("do", choices=("export", "restore"))
            one.add_argument("file", metavar="FILE")
        if run is federate:
            one.add_argument("--nodes", type=int, default=2, metavar="N", help="SuperNodes, one client each (2)")
            one.add_argument("--rounds", type=int, default=5, metavar="R", help="rounds of FedAvg (5)")
    args, extra = parser.parse_known_args(argv)
    run = COMMANDS[args.command]
    if extra and run not in PASS_ON:
        parser.error(f"{args.command} takes no {' '.join(extra)}")
    try:
        return run(args, extra)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130


def has_display():
    """Can a browser be shown here? On Linux that takes DISPLAY or WAYLAND_DISPLAY; macOS and Windows always can."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def python(*arguments, **environment):
    """Run this Python with `arguments` in the checkout; returns its exit status, 128 + the signal's number if a signal ended it."""
    child = subprocess.Popen([sys.executable, *arguments], cwd=odl_kit.home(), env=os.environ | environment)
    try:
        status = child.wait()
    except KeyboardInterrupt:       # the child has had its Ctrl-C too: let it clean up
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    return status if status >= 0 else 128 - status


def pytest(*arguments, **environment):
    """Run pytest with `arguments`; returns its exit status."""
    return python("-m", "pytest", *arguments, **environment)


if __name__ == "__main__":
    sys.exit(main())
